"""The proof that no login is lost: real gateways, a real OP and a real Redis, while each of them is
being slowed, stopped, paused, killed, failed over or made to talk nonsense under load.

`python -m tests.chaos` (or `make chaos`) runs the long form and prints a table; the tests of this
folder are the same scenarios, short and small.
"""
