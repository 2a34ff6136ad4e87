"""What an OP is asked over HTTP and what it says of itself: its documents, issuer and endpoints."""
