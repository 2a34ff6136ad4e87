"""The program: `bff`, which is also `python -m bff`."""

from bff.cli import main
from bff.observability import logs
from bff.observability.foreign import keep_crashes_quiet


def run() -> None:
    """One command, in a process whose crashes tell no secret."""
    logs.configure(level="warning", log_format="text")  # until the command has read its settings
    keep_crashes_quiet()
    main()


if __name__ == "__main__":
    run()
