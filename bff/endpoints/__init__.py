"""The gateway's own endpoints. Each is handed a request the gate has let through."""
