"""The record of a run's flips: written while it runs, read to undo it."""

from sketchmigrate.ledger.contract import (
    NEEDING_A_PERSON,
    PAGE_FLIPS,
    Attempt,
    Flip,
    Ledger,
    LedgerPlace,
    OpenUpload,
    PastFlip,
    PastRun,
    RecordedFlip,
    UnsettledCopy,
    WholeLedger,
    Word,
    WorkerLedger,
)
from sketchmigrate.ledger.directory import Pointer, find_ledgers
from sketchmigrate.ledger.runs import check_place, name_foreign, new_ledger, past_run, past_runs, place_of, runs_below
from sketchmigrate.ledger.sqlite.past_run import PastFiles
from sketchmigrate.ledger.sqlite.workers import FolderPlace, RunLedger
from sketchmigrate.ledger.sqlite.writer import SqliteLedger

__all__ = [
    "NEEDING_A_PERSON",
    "PAGE_FLIPS",
    "Attempt",
    "Flip",
    "FolderPlace",
    "Ledger",
    "LedgerPlace",
    "OpenUpload",
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
