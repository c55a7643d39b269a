"""``python -m sketch_migrate``."""

import sys

from sketch_migrate.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
