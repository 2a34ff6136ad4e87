"""What an OP has signed: its keys, and the verification of ID tokens and logout tokens by them."""
