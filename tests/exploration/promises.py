"""The promises, as far as the model can break them.

In every state, as the step that breaks one raises ``Broken``:

- a row is flipped only to an object that is there (1); a committed flip is on record (6);
- a row that is called migrated was set by us, and nothing else than a rollback sets a row that the application has set:
  that one does where it cannot know better: the application set the very path that our flip had given it already, or
  an answer or a process was lost before it was known who of the two had set it (3);
- with a condition no object of the application is replaced (3);
- what is reported was set by the application, never by us; and if it stores its object before it sets the row, its
  object was replaced.

When a run has come to its end:

- each row that it took up has an outcome (2), and none that could be migrated is legacy (5): if nothing failed for it
  in this run and the application left it alone, it is flipped;
- what our copies had replaced when the run looked at the rows is reported, if the application had set the row by then,
  and no flip of ours had given it the same path before (3).

When the rollback has ended: no row that we had flipped, and that the application did not change since, holds the new
path, unless somebody else holds the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome
from tests.exploration.state import NEW, OLD, OURS

if TYPE_CHECKING:
    from tests.exploration.state import Row


class Broken(Exception):
    """A promise does not hold."""


def hold(promise: bool, otherwise: str) -> None:
    """Raise ``Broken`` where a promise does not hold."""
    if not promise:
        raise Broken(otherwise)


def always(rows: tuple[Row, ...], *, guarded: bool) -> None:
    """Check what holds in every state."""
    for row in rows:
        hold(not (guarded and row.lost), "an object of the application was replaced")
        hold(row.path != NEW or row.set_by != OURS or bool(row.production), "a row points at no object")


def end_of_migrating(rows: tuple[Row, ...], *, back: bool) -> None:
    """Check what holds when a run has taken up all its rows."""
    for row in rows:
        if back:
            stays = row.path == NEW and row.set_by == OURS
            hold(not stays or row.result is Outcome.FAILED, "a flip was not undone")
        else:
            hold(row.path != OLD or row.result is not None, "a legacy row has no outcome")
            hold(row.disturbed or row.path == NEW, "a row was left that nothing stood in the way of")


def end_of_run(rows: tuple[Row, ...]) -> None:
    """Check what holds when a run has looked for its losses, and for those of the run before it."""
    for row in rows:
        reported = any(entry.reported for entry in row.ledgers)
        hold(not row.to_report or reported, "an object was replaced and not reported")
