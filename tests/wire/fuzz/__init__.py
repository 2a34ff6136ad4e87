"""Generated and mutated messages through the gateway, judged by a second parser.

For every case: no crash, no hang, and no two readings. What was forwarded is, to h11, exactly one
request, and the one that h11 reads in what the browser sent; every request is answered, in order,
or the connection is closed; whatever an upstream answers, a browser gets it once or not at all, and
the next browser gets its own.
"""
