"""Clients that mean harm by quantity: too many, too slow, too large, without an end.

A real gateway process with a real Redis is treated badly from every side it has. Its memory stays
bounded, the client that does the harm gets a clear refusal or is cut off, and an honest user is
served all the while. The tests run a short form; `python -m tests.abuse` runs the long one and
prints a table.
"""
