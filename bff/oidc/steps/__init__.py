"""The steps of the protocol, one module each: the request, and the judgement of the answer."""
