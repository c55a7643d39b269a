"""The record of a run's flips: written while it runs, read to undo it."""

from sketchmigrate.ledger.attempts import FolderPlace, RunLedger
from sketchmigrate.ledger.contract import (
    PAGE_FLIPS,
    Attempt,
    Flip,
    Ledger,
    LedgerPlace,
    PastFlip,
    PastRun,
    RecordedFlip,
    UnsettledCopy,
    WholeLedger,
    Word,
    WorkerLedger,
)
from sketchmigrate.ledger.past import name_foreign, past_run, past_runs, runs_below
from sketchmigrate.ledger.place import check_place, new_ledger, place_of
from sketchmigrate.ledger.reading import PastFiles, Pointer, find_ledgers
from sketchmigrate.ledger.record import SqliteLedger

__all__ = [
    "PAGE_FLIPS",
    "Attempt",
    "Flip",
    "FolderPlace",
    "Ledger",
    "LedgerPlace",
    "PastFiles",
    "PastFlip",
    "PastRun",
    "Pointer",
    "RecordedFlip",
    "RunLedger",
    "SqliteLedger",
    "UnsettledCopy",
    "WholeLedger",
    "Word",
    "WorkerLedger",
    "check_place",
    "find_ledgers",
    "name_foreign",
    "new_ledger",
    "past_run",
    "past_runs",
    "place_of",
    "runs_below",
]
