"""The types of keys: how a value is written, what must hold of it, and its words in the schema."""
