"""The admin listener: health and metrics, on an address of its own, never on the public one."""
