"""What `bff doctor` asks beyond `bff check`: what only a running installation can answer."""
