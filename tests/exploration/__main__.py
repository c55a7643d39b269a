"""Prints how many states there are, and that none of them breaks a promise."""

import sys

from tests.exploration.bounds import FULL, USUAL, explore_all


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


explore_all(USUAL | FULL if "--full" in sys.argv[1:] else USUAL, _tell)
