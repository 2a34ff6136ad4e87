"""The OPs of `make interop`: real ones, each started on loopback from a package registry's copy."""
