"""What `bff explain` is made of: the request that is asked about, and the report."""
