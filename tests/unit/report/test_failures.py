"""What failed is summed up by its reason, once for all rows."""

from __future__ import annotations

from sketchmigrate.core.outcome import Outcome, ProblemGroup
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.report.failures import GROUPS_SHOWN, failed_steps
from tests.reasons import PROBLEM_GROUPS


def test_each_reason_is_told_once_with_its_hint_or_what_is_done_about_its_kind() -> None:
    locked = ProblemGroup(2, Outcome.FAILED, ReasonKind.LOCKED, "", "")
    assert failed_steps([*PROBLEM_GROUPS, locked], 6, remove="remove it.") == [
        "failed (3): archived (InvalidObjectState). Restore it.",
        "failed (1): refused by the database (23514). What was said is in the list of problems.",
        "failed (2): locked for all that time. Look who holds the rows, or wait.",
    ]


def test_what_is_not_told_by_its_reason_is_told_all_the_same() -> None:
    earlier = ProblemGroup(4, Outcome.FAILED, ReasonKind.SENTENCE, "", "")
    assert failed_steps([earlier], 4, remove="remove it.") == ["failed: remove it."]
    many = [ProblemGroup(10, Outcome.FAILED, ReasonKind.STORE_ERROR, str(number), "Mend it.") for number in range(9)]
    steps = failed_steps(many, 1090, remove="remove it.")
    assert len(steps) == GROUPS_SHOWN + 1
    assert steps[-1] == f"failed ({1090 - 10 * GROUPS_SHOWN:,} more): remove it."
    assert failed_steps([], 0, remove="remove it.") == []


def test_a_hint_of_a_server_cannot_write_to_the_terminal() -> None:
    group = ProblemGroup(1, Outcome.FAILED, ReasonKind.STORE_ERROR, "\x1b[31m", "\x07")
    assert "\x1b" not in failed_steps([group], 1, remove="")[0]
