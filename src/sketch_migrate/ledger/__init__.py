"""The record of a run's flips: written while it runs, read to undo it."""

from sketch_migrate.ledger.attempts import FolderPlace, RunLedger
from sketch_migrate.ledger.contract import Attempt, Flip, Ledger, LedgerPlace, WholeLedger, Word, WorkerLedger
from sketch_migrate.ledger.file import PastFlip, UnsettledCopy
from sketch_migrate.ledger.reading import PastRun, find_ledgers
from sketch_migrate.ledger.record import SqliteLedger

__all__ = [
    "Attempt",
    "Flip",
    "FolderPlace",
    "Ledger",
    "LedgerPlace",
    "PastFlip",
    "PastRun",
    "RunLedger",
    "SqliteLedger",
    "UnsettledCopy",
    "WholeLedger",
    "Word",
    "WorkerLedger",
    "find_ledgers",
]
