"""The record of a run's flips: written while it runs, read to undo it."""

from sketch_migrate.ledger.reading import PastFlip, PastRun, UnsettledCopy, find_ledgers
from sketch_migrate.ledger.record import Flip, Ledger

__all__ = ["Flip", "Ledger", "PastFlip", "PastRun", "UnsettledCopy", "find_ledgers"]
