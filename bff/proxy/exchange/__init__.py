"""One request and its answer: how it is decided, sent on, answered, and how it ends."""
