"""The session store in Redis or Valkey."""
