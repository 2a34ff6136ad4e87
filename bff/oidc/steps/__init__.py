"""The steps of the protocol, one for each endpoint of an OP: the request, and the judgement of the
answer."""
