"""The states of the model: all of them are values, so that a state that was seen before is known again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sketchmigrate.core.outcome import Outcome
    from sketchmigrate.migration.copier import Verdict

OLD, NEW, OTHER = "image/a.png", "avatar/a.png", "avatar/b.png"
"""What a row may hold. Each row has a name of its own, which none of the rules looks at: all are called a here."""

NO_RUN = -1
NO_XID = "no xid"
"""Of a transaction whose number is not on record, or of none."""

OURS, APPLICATIONS = "ours", "the application's"
"""What production may hold of a row, and who may have set it last."""


class Entry(NamedTuple):
    """What one run's ledger has of one row.

    ``unsettled`` is empty where the row is not in that table; else ``no xid``, or what is true of its transaction:
    ``open``, ``late`` or ``dying`` while it is in progress (see ``Row.held``), ``committed`` or ``aborted``.
    """

    back: bool = False
    flip: bool = False
    unsettled: str = ""
    denied: bool = False  # it says that the flip did not come about
    reported: bool = False


class Row(NamedTuple):
    """A row, its objects, what the application does to it, and how far the tool is with it.

    ``held``: by the application; by ``us``; by a transaction whose COMMIT is under way though its sender has lost
    the connection (``late``); or by one whose process was killed (``dying``).
    """

    path: str = OLD
    production: str = ""
    # the application: its one write of this row, which is an object and an UPDATE in either order
    stored: bool = False  # its object; or there is none to be stored
    update: str = ""  # "", "sets the new path", "sets another path" (both hold the row), "done"
    held: str = ""
    # the tool, in the memory of its process
    copy_faults: int = 1
    copy: Verdict | str = ""  # "", "to do", "looked", "taken", or what came of it
    flip: str = ""  # "", "queued", "wanted", "set", "unanswered", "flipped", "left", "busy"
    doubtful: bool = False  # a COMMIT without an answer may have set it
    result: Outcome | None = None
    locked: bool = False
    accused: bool = False  # about to be reported
    # the ledgers, the oldest first
    ledgers: tuple[Entry, ...] = ()
    # what nobody knows but whoever checks the promises
    set_by: str = ""
    flipped: bool = False  # a flip of ours was committed here
    undone: bool = False  # and set back
    object_first: bool = False  # the application stored its object before it set the row
    lost: bool = False
    lost_in: int = NO_RUN  # the run whose copy replaced it, until it has looked for losses
    to_report: bool = False  # a run has looked at the row when this loss could be seen
    disturbed: bool = False  # in this run: by a fault, or ever by the application
    unclear: bool = False  # a process or an answer was lost before it was known whether our flip came about

    def entry(self) -> Entry:
        """Return what the present run's ledger has of it."""
        return self.ledgers[-1]

    def noted(self, **what: object) -> Row:
        """Return the row with something changed in the present run's ledger."""
        return self._replace(ledgers=(*self.ledgers[:-1], self.ledgers[-1]._replace(**what)))  # type: ignore[arg-type] # names are checked


class Tool(NamedTuple):
    """Where the process is, which run it is, and what may still go wrong.

    ``at`` is the step that comes next. ``run`` counts the ledgers; ``back`` says that it is a rollback. ``asked`` is
    the run whose unsettled copies are looked at.
    """

    at: str = "begin"
    run: int = 0
    back: bool = False
    again: bool = False
    asked: int = 0
    crashes: int = 1
    database_faults: int = 1
    dying_commits: bool = False  # whether what the killed process left behind may still commit


class State(NamedTuple):
    """All there is."""

    rows: tuple[Row, ...]
    tool: Tool
