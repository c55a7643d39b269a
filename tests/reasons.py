"""Reasons for tests: one that says anything, and results whose reasons fall into groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import DatabaseError, S3Error
from sketchmigrate.core.outcome import Outcome, ProblemGroup, Result
from sketchmigrate.core.reason import ReasonKind, archived, because, refused_by_database
from sketchmigrate.core.reference import Reference

if TYPE_CHECKING:
    from sketchmigrate.core.reason import Reason

RESTORE = "Restore it."


def told(sentence: str) -> Reason:
    """Return a reason that says just this."""
    return because(ReasonKind.SENTENCE, said=sentence)


def some_problems() -> list[Result]:
    """Return references that need a person, for several reasons, and some that do not."""
    errors = [S3Error(f"{key} is archived", hint=RESTORE, status=403, code="InvalidObjectState") for key in range(1, 4)]
    results = [
        *((Outcome.FAILED, archived(error)) for error in errors),
        (Outcome.FAILED, refused_by_database(DatabaseError("a CHECK", sqlstate="23514"))),
        (Outcome.MISSING, because(ReasonKind.NO_LEGACY_OBJECT)),
        (Outcome.MISSING, because(ReasonKind.NO_LEGACY_OBJECT, taken=1)),
        (Outcome.ALREADY, because(ReasonKind.PERHAPS_REPLACED, target="s3://bucket/key")),
        (Outcome.SUPERSEDED, None),
    ]
    return [Result(Reference(key, f"image/{key}"), *result) for key, result in enumerate(results, 1)]


PROBLEM_GROUPS = (
    ProblemGroup(3, Outcome.FAILED, ReasonKind.ARCHIVED, "InvalidObjectState", RESTORE),
    ProblemGroup(2, Outcome.MISSING, ReasonKind.NO_LEGACY_OBJECT, "", ""),
    ProblemGroup(1, Outcome.ALREADY, ReasonKind.PERHAPS_REPLACED, "", ""),
    ProblemGroup(1, Outcome.FAILED, ReasonKind.DATABASE_ERROR, "23514", ""),
)
"""How these are counted."""
