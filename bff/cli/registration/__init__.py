"""What `bff register` asks an OP for, and the files that come of it."""
