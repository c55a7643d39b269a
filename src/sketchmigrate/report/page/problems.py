"""What needs a person, grouped by kind, with the next step for each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.report.failures import MENDING
from sketchmigrate.report.tables import OUTCOME_MEANINGS, OUTCOME_STEPS

if TYPE_CHECKING:
    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.ledger.story import Story

_IN_THE_LIST = "What was said of each is in the list of problems."
_OVERWRITTEN_STEP = "Restore the version that is named, or let the application store it again."
_RUN_AGAIN = "Then run the same command again: only what is left is tried."
_REPAIR = "Run sketch-migrate repair."
_STANDINGS = {
    "dangling": ("in production, but its object does not exist", _REPAIR),
    "missing": ("legacy, and its object does not exist", "Put the object in its place, or mend the rows."),
    "unmigrated": ("legacy, still to be migrated", "Run sketch-migrate again, or repair."),
    "unrecognised": ("names a legacy object in another way", "Look at the settings of prefixes, or mend the rows."),
    "conflict": ("production holds something else under the new key", OUTCOME_STEPS[Outcome.CONFLICT]),
    "different": ("in production, and not what legacy holds", "Compare both objects."),
    "stale": ("the legacy object was changed after it was migrated", _REPAIR),
    "other headers": ("with other content headers, metadata or tags", "Run sketch-migrate repair --metadata."),
    "not read": ("its objects could not be read to be compared", "Look why the store refuses them, and verify again."),
}


class Problem(NamedTuple):
    """One kind of problem: how many rows, how it is called, what the server said, what to do, the first examples."""

    rows: int
    name: str
    about: str
    step: str
    examples: tuple[str, ...] = ()


def problems_of(story: Story) -> list[Problem]:
    """Return what needs a person, the most frequent first."""
    found = [_of_group(each) for each in story.groups]
    found += _of_verification(story) + _of_plan(story)
    return sorted(found, key=lambda each: -each.rows)


def after_all(story: Story) -> str:
    """Say what to do when all of that is mended."""
    return _RUN_AGAIN if story.groups else ""


def _of_group(group: ProblemGroup) -> Problem:
    called, step = MENDING.get(group.kind, ("", "")) if group.kind else ("", "")
    if group.outcome in OUTCOME_STEPS:
        name, step = OUTCOME_MEANINGS[group.outcome], OUTCOME_STEPS[group.outcome]
    elif called:
        name = called
    else:
        is_overwritten = group.outcome is not Outcome.FAILED
        name = "the application's object is, or may be, replaced by our copy" if is_overwritten else "failed"
        step = _OVERWRITTEN_STEP if is_overwritten else ""
    about = f"{group.outcome}" + (f", {group.code}" if group.code else "")
    return Problem(group.references, name, about, group.hint or step or _IN_THE_LIST)


def _of_verification(story: Story) -> list[Problem]:
    rows, examples = story.document.get("rows"), story.document.get("examples")
    if "passed" not in story.document or not isinstance(rows, dict):
        return []
    shown = examples if isinstance(examples, dict) else {}
    return [
        Problem(int(rows[word]), meaning, word, step, _examples(shown.get(word)))
        for word, (meaning, step) in _STANDINGS.items()
        if rows.get(word)
    ]


def _of_plan(story: Story) -> list[Problem]:
    findings = story.document.get("findings")
    if story.document.get("kind") != "plan" or not isinstance(findings, list):
        return []
    return [
        Problem(
            int(each.get("count", 0)),
            str(each.get("kind", "")),
            "look first" if each.get("severity") == "look" else "good to know",
            str(each.get("what_to_do", "")),
            _examples(each.get("examples")),
        )
        for each in findings
        if isinstance(each, dict)
    ]


def _examples(told: object) -> tuple[str, ...]:
    if not isinstance(told, list | tuple):
        return ()
    lines = []
    for each in told[:5]:
        if isinstance(each, dict):
            parts = [str(each[name]) for name in ("key", "path", "detail") if each.get(name) not in (None, "")]
            lines.append("  ".join(parts))
    return tuple(lines)
