"""What to do about references that failed, said once for all that failed for the same reason. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.outcome import ProblemGroup

GROUPS_SHOWN = 5
"""The most frequent; the others are in the list of problems."""

_LOOK_AT_TRIGGERS = "Look at the table's triggers and policies."

MENDING = {
    ReasonKind.PATH_NOT_TEXT: ("the path or the key is not UTF-8", "Mend the rows."),
    ReasonKind.ONLY_PREFIX: ("the path names no object", "Mend the rows."),
    ReasonKind.KEY_TOO_LONG: ("the new key is too long for S3", "Choose a shorter prefix, or mend the rows."),
    ReasonKind.COLUMN_TOO_SHORT: ("the new path does not fit the column", "Make the column wider."),
    ReasonKind.PATH_HELD: ("another row holds the new path", "Mend one of the two rows."),
    ReasonKind.KEY_EMPTY: ("the key is empty", "Mend the rows."),
    ReasonKind.KEY_NOT_TEXT: ("the key is not UTF-8", "Mend the rows."),
    ReasonKind.KEY_HAS_NUL: ("the key holds a NUL, which no path can", "Mend the rows."),
    ReasonKind.NO_MOVE: ("no move has the key", "Add a move for it, or let where leave the row out."),
    ReasonKind.PRESIGNED_URL: ("presigned URLs", "They end by themselves: have the application make them anew."),
    ReasonKind.NO_PERCENT_ENCODING: ("the URL cannot be decoded", "Mend the rows."),
    ReasonKind.SPLIT_ENTITY: ("an entity is half of the prefix", "Mend the rows."),
    ReasonKind.SERIALIZED_BY_PHP: (
        "serialized by PHP with lengths that would be wrong",
        "Change these rows with PHP, which writes the lengths anew.",
    ),
    ReasonKind.NOT_JSON: ("the value is not JSON", "Mend the rows."),
    ReasonKind.NO_LEGACY_OBJECT: (
        "there is no legacy object",
        "Put the object in its place in the legacy bucket, or mend the rows.",
    ),
    ReasonKind.DIFFERENT_OBJECT: (
        "production holds something else",
        "Compare both objects; with -w the legacy one replaces the other.",
    ),
    ReasonKind.OTHER_HEADERS: ("production has other headers", "Compare both objects; repair copies them again."),
    ReasonKind.REPLACED_VERSION: ("an object may be overwritten", "Restore the version that is named."),
    ReasonKind.PERHAPS_REPLACED: ("an object may be overwritten", "Let the application store it again if it differs."),
    ReasonKind.PERHAPS_REPLACED_UNSEEN: ("an object may be overwritten", "Look at the object that the row names."),
    ReasonKind.ARCHIVED: ("archived", "Restore the objects first."),
    ReasonKind.STORE_ERROR: ("refused by the store", ""),
    ReasonKind.FOUND_AND_REFUSED: ("refused by the store, which shows the object", ""),
    ReasonKind.TAKEN_BY_TURNS: ("someone else writes and deletes these objects", "Stop whoever it is, or wait."),
    ReasonKind.DATABASE_ERROR: ("refused by the database", ""),
    ReasonKind.LOCKED: ("locked for all that time", "Look who holds the rows, or wait."),
    ReasonKind.HELD_BACK: ("rows were left as they were", _LOOK_AT_TRIGGERS),
    ReasonKind.HIDDEN: ("rows are hidden by a policy, or gone", _LOOK_AT_TRIGGERS),
    ReasonKind.PATH_TAKEN_AWAY: ("rows lose their path, or are gone", _LOOK_AT_TRIGGERS),
    ReasonKind.KEY_CHANGED: ("a trigger changes the row's key", _LOOK_AT_TRIGGERS),
    ReasonKind.ANOTHER_PATH_STORED: ("another path was stored", _LOOK_AT_TRIGGERS),
    ReasonKind.NOTHING_TO_GO_BACK_TO: (
        "there is no legacy object to go back to",
        "Put it in its place, or leave the rows.",
    ),
    ReasonKind.LEADS_ELSEWHERE: ("the settings lead elsewhere", "Give the settings of that run."),
    ReasonKind.STORED_OTHERWISE: ("the row holds neither path", "Mend the rows."),
}
"""What a kind is called, and what to do where the error has no hint of its own."""


def step_of(kind: ReasonKind) -> str:
    """Return what to do about a kind, where its cause is understood; else nothing."""
    return MENDING[kind][1] if kind in MENDING else ""


def failed_steps(groups: Sequence[ProblemGroup], failed: int, *, remove: str) -> list[str]:
    """Return a line for each of the most frequent reasons, and one for the ``failed`` that are left: ``remove``."""
    shown = [group for group in groups if group.outcome is Outcome.FAILED and group.kind in MENDING][:GROUPS_SHOWN]
    steps = [_step(group, *MENDING[group.kind]) for group in shown if group.kind]
    rest = failed - sum(group.references for group in shown)
    if rest > 0:
        steps.append(f"failed ({rest:,} more): {remove}" if shown else f"failed: {remove}")
    return steps


def _step(group: ProblemGroup, called: str, mending: str) -> str:
    code = f" ({group.code})" if group.code else ""
    step = group.hint or mending or "What was said is in the list of problems."
    return printable(f"failed ({group.references:,}): {called}{code}. {step}")
