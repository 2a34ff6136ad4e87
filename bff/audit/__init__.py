"""The audit log: what happened to logins, sessions and settings, as a chain of records."""
