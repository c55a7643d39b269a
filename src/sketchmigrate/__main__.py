"""``python -m sketchmigrate``, and the command that is installed."""

import sys

from sketchmigrate.cli.early_signals import end_at_ctrl_c
from sketchmigrate.garbage import collect_garbage_seldom


def main() -> int:
    """Carry out the command line, and return the exit code; Ctrl-C while all is imported is met here."""
    end_at_ctrl_c()
    collect_garbage_seldom()
    from sketchmigrate.cli.main import main as carry_out  # noqa: PLC0415 - takes a while, in which Ctrl-C may come

    return carry_out()


if __name__ == "__main__":
    sys.exit(main())
