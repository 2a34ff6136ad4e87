"""The life of tokens: when they are due, one refresh at a time, and their end.

Never spends a refresh token twice on purpose, never loses a rotated one while the process lives,
and never ends a session because something was unreachable.
"""
