"""`python -m bff`: the same commands as `bff`."""

from bff.cli import main

if __name__ == "__main__":
    main()
