"""A token-handler gateway (Backend for Frontend): OpenID Connect login for single-page apps,
with every token kept on the server. Importing this package does no I/O."""

__version__ = "0.1.0"
