"""What an operator sees: logs, audit events, metrics. Never a token, code, secret or session id."""
