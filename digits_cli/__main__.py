"""Let `python -m digits_cli` stand in for the `digits` command."""

import sys

from digits_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
