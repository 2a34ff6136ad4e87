"""The public listener at the level of bytes: conformance, fuzzing, and whose answer is whose."""
