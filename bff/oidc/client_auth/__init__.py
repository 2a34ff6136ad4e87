"""How the gateway proves at an OP which client it is (OIDC Core section 9, RFC 7523, RFC 8705)."""
