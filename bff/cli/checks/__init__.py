"""What `bff check` looks at, one file for each side: the settings, the OP, the store, and what has
to be reached or listened on."""
