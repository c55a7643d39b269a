"""What became of a row that a flip did not come back with, by a look at the row after the COMMIT. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reason import ReasonKind, because

if TYPE_CHECKING:
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.postgres.references import Looked

# Python 3.11 takes 0.3 µs to find a member by its name.
_MIGRATED = Outcome.MIGRATED

HELD_BACK = because(ReasonKind.HELD_BACK)
HIDDEN = because(ReasonKind.HIDDEN)


def standing(move: Move, looked: Looked, *, unanswered: bool, waited: bool) -> tuple[Outcome | None, Reason | None]:
    """Return what became of a row that the flip did not come back with, and the reason; no outcome: it is locked. Pure.

    ``unanswered``: a COMMIT of ours that nobody answered may have set it. ``waited``: the flip would have waited for a
    lock, so there was none.
    """
    key = move.reference.key
    if key not in looked.paths:
        return (Outcome.FAILED, HIDDEN) if key in looked.hidden else (Outcome.SUPERSEDED, None)
    path = looked.paths[key]
    if path == move.new_path:
        return (_MIGRATED if unanswered else Outcome.ALREADY), None
    if path == move.reference.path:
        return (Outcome.FAILED, HELD_BACK) if waited else (None, None)
    return Outcome.SUPERSEDED, None
