"""How `bff` says why it ended: to a shell, to a service manager, and to the process that it was to
take over from."""

NOT_READY = 1
CONFIG_UNUSABLE = 2
ADDRESS_UNAVAILABLE = 3
INCOMPATIBLE = 4  # with the running gateway
