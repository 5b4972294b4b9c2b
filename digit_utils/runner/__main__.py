"""Let `python -m digit_utils.runner` stand in for the `digits` command."""

import sys

from digit_utils.runner.cli import main

if __name__ == "__main__":
    sys.exit(main())
