"""The public listener and the way to the APIs."""
