"""What the tool decides about one row: by the product's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location, ObjectInfo
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger import PastFlip, RecordedFlip, UnsettledCopy
from sketchmigrate.migration.copier import Copied, Need, Verdict, decide
from sketchmigrate.migration.overwritten import newest_made, set_by_another
from tests.exploration.promises import hold
from tests.exploration.state import APPLICATIONS, NEW, NO_RUN, OLD, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.exploration.state import Entry, Row

THERE = Move(Reference(0, OLD), NEW, Location("legacy", OLD), Location("production", NEW))
BACK = Move(Reference(0, NEW), OLD, Location("production", NEW), Location("legacy", OLD))
OUTCOME_OF = {Verdict.CONFLICT: Outcome.CONFLICT, Verdict.FAILED: Outcome.FAILED}
LEGACY_INFO = ObjectInfo(5, "0" * 32)
PRODUCTION_INFO = {"": None, OURS: LEGACY_INFO, APPLICATIONS: ObjectInfo(5, "f" * 32)}

_XID_OF = {"committed": 1, "aborted": 2}
_COMMITTED = {1}


def copy_one(row: Row, *, guarded: bool, look_first: bool) -> Iterator[tuple[str, Row]]:
    """Yield the next steps of one object's copy."""
    written = row._replace(production=OURS)
    if row.production == APPLICATIONS:
        written = written._replace(lost=True, lost_in=len(row.ledgers) - 1)
    failed = row._replace(copy_faults=0, disturbed=True, copy=Verdict.FAILED)
    in_the_way = guarded and bool(row.production)
    if row.copy == "taken" or (row.copy == "to do" and (look_first or not guarded)):
        decision = decide(LEGACY_INFO, PRODUCTION_INFO[row.production], overwrite=False)
        if isinstance(decision, Copied):
            yield f"looks: {decision.verdict.value}", row._replace(copy=decision.verdict)
        elif decision is Need.NOTHING:
            yield "looks: in place", row._replace(copy=Verdict.IN_PLACE)
        else:
            yield "looks: nothing there", row._replace(copy="looked")
    elif row.copy in {"to do", "looked"}:
        after = row._replace(copy="taken") if in_the_way else written._replace(copy=Verdict.COPIED)
        yield "copies", after
        if row.copy_faults:
            yield "copies, in vain", failed
            if not in_the_way:
                hurt = written._replace(copy_faults=0, disturbed=True)
                yield "copies, and is told that it failed", hurt._replace(copy=Verdict.FAILED)
                yield "copies, without an answer: it is sent again", hurt


def as_candidate(row: Row) -> Row:
    """Take a row up for the way back, if a ledger tells of a flip that came about, and it holds that path."""
    flips = [recorded(entry, n) for n, entry in enumerate(row.ledgers) if entry.flip and not entry.back]
    if any(not each.denied and row.path == each.flip.new_path for each in flips):
        return row._replace(copy=Verdict.IN_PLACE)
    return row._replace(result=Outcome.SUPERSEDED)


def recorded(entry: Entry, number: int) -> RecordedFlip:
    """Return a flip as a later run reads it."""
    flip = PastFlip(0, OLD, NEW, "", float(number))
    return RecordedFlip(flip, entry.denied, bool(entry.unsettled), _XID_OF.get(entry.unsettled))


def told(row: Row, outcome: Outcome) -> Row:
    """Say what became of a row."""
    if outcome is Outcome.MIGRATED:
        made = row.undone if row.entry().back else row.flipped
        hold(made or row.doubtful, "a row is called migrated that no flip of ours has set")
    return row._replace(result=outcome)


def can_be_seen(row: Row, asked: int) -> bool:
    """Whether a run that looks now can see that something was lost, in itself or in the run that is asked about."""
    last = len(row.ledgers) - 1
    by_the_application = row.path == NEW and row.set_by == APPLICATIONS and not row.flipped
    return row.lost and row.lost_in != NO_RUN and by_the_application and asked in {row.lost_in, last}


def reported(row: Row) -> Row:
    """Report what may be lost."""
    hold(row.set_by == APPLICATIONS, "our own flip is reported as the application's")
    hold(row.lost or not row.object_first, "a loss is reported that was none")
    return row.noted(reported=True)._replace(accused=False)


def suspects(row: Row, asked: int, *, known: bool) -> bool:
    """Whether a run suspects that somebody else has set a row. ``known`` asks also what runs made, and reported.

    What was seen of the row a step ago is not looked at once more.
    """
    copy = UnsettledCopy(0, OLD, NEW, _XID_OF.get(row.ledgers[asked].unsettled))
    if not known:
        return set_by_another(copy, row.path, _COMMITTED, None)
    is_own = asked == len(row.ledgers) - 1
    if not is_own and any(entry.reported for entry in row.ledgers):
        return False
    flips = [recorded(entry, n) for n, entry in enumerate(row.ledgers) if entry.flip]
    return set_by_another(copy, NEW, _COMMITTED, newest_made(flips, _COMMITTED).get(0))


def holds_our_copy(row: Row) -> bool:
    """Whether production holds what we copied, as a look tells."""
    return decide(LEGACY_INFO, PRODUCTION_INFO[row.production], overwrite=False) is Need.NOTHING
