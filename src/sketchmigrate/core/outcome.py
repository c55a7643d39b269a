"""What became of references: the outcome of each, their tally, the summary of a run. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.exit_codes import ExitCode, decide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reason import Reason, ReasonKind
    from sketchmigrate.core.reference import Reference

ANOTHER_PATH = "another path stored"
LEFT_AS_IT_WAS = "row left as it was"
"""Why a flip may fail without an error of the server: a trigger or a type changed the path; a trigger or a policy held
the row back."""


class Outcome(StrEnum):
    """What became of one scanned reference. Exactly one of these holds, and the counts add up to the scan."""

    MIGRATED = "migrated"  # the object is in production and the row points at it
    ALREADY = "already"  # someone else had flipped the row to the same path meanwhile
    SUPERSEDED = "superseded"  # the application changed or deleted the row meanwhile
    MISSING = "missing"  # there is no legacy object
    CONFLICT = "conflict"  # production holds something else under the new key
    FAILED = "failed"  # with the reason

    @property
    def needs_a_person(self) -> bool:
        """Whether the reference is left on the legacy side for someone to look at."""
        return self in {Outcome.MISSING, Outcome.CONFLICT, Outcome.FAILED}


WORDS_NEEDING_A_PERSON = tuple(outcome.value for outcome in Outcome if outcome.needs_a_person)


def outcome_word(word: str, *, is_back: bool) -> str:
    """Return what an outcome is called: what a rollback (``is_back``) has done is to restore."""
    return "restored" if is_back and word == Outcome.MIGRATED.value else word


class Result(NamedTuple):
    """One row's outcome, the reason where there is more to say, and how many objects were copied for it.

    ``sampled``: its size was looked up, as that of one copy of many; else the copy itself told it, or it is None.
    ``references`` is how many of the row were moved, and ``move`` what was done, or would be in a dry run, where it was
    planned.
    """

    reference: Reference
    outcome: Outcome
    reason: Reason | None = None
    copied: int = 0
    size_bytes: int | None = None
    sampled: bool = False
    references: int = 0
    move: Move | None = None

    @property
    def possibly_overwritten(self) -> bool:
        """Whether our copy may have replaced an object of the application's."""
        return self.reason is not None and self.reason.is_overwritten


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one iteration, one range or one whole run. Adding two gives the tally of both.

    ``sized_objects`` and ``sized_bytes`` are the copied objects whose size is known; a blind copy does not tell it,
    so a sample of them is measured (see ``migration.copier``), and ``bytes_copied`` scales that up. The others among
    them, such as large ones that are copied in parts, are each known, and say nothing of the rest.
    ``possibly_overwritten`` counts objects, each of a reference that has its outcome besides. ``references_moved`` are
    those in the rows that were flipped, of which one may have several.
    """

    migrated: int = 0
    already: int = 0
    superseded: int = 0
    missing: int = 0
    conflict: int = 0
    failed: int = 0
    objects_copied: int = 0
    sized_objects: int = 0
    sized_bytes: int = 0
    possibly_overwritten: int = 0
    sampled_objects: int = 0
    sampled_bytes: int = 0
    references_moved: int = 0

    @classmethod
    def of(cls, results: Sequence[Result]) -> Tally:
        """Count results."""
        outcomes = [result.outcome for result in results]
        sized = [
            (result.copied, result.size_bytes) for result in results if result.copied and result.size_bytes is not None
        ]
        sampled = [result.size_bytes or 0 for result in results if result.sampled]
        return cls(
            **{outcome.value: outcomes.count(outcome) for outcome in Outcome},
            objects_copied=sum([result.copied for result in results]),
            sized_objects=sum([copied for copied, _ in sized]),
            sized_bytes=sum([size_bytes for _, size_bytes in sized]),
            references_moved=sum([result.references for result in results]),
            possibly_overwritten=sum([result.possibly_overwritten for result in results if result.reason]),
            sampled_objects=len(sampled),
            sampled_bytes=sum(sampled),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def scanned(self) -> int:
        """References that were taken up: the sum of all outcomes."""
        return self.migrated + self.already + self.superseded + self.missing + self.conflict + self.failed

    @property
    def needing_a_person(self) -> int:
        """References left on the legacy side with a reason, and objects that may be lost."""
        return self.missing + self.conflict + self.failed + self.possibly_overwritten

    @property
    def bytes_copied(self) -> int:
        """Bytes of the copied objects: exact where every size is known; the sample stands for those that are not."""
        if not self.sampled_objects:
            return self.sized_bytes
        unsized = self.objects_copied - self.sized_objects
        return self.sized_bytes + round(self.sampled_bytes * unsized / self.sampled_objects)

    @property
    def bytes_are_exact(self) -> bool:
        """Whether ``bytes_copied`` is a sum and not an estimate."""
        return self.sized_objects == self.objects_copied

    def by_outcome(self) -> dict[Outcome, int]:
        """Return the counts in the order of ``Outcome``."""
        return {outcome: getattr(self, outcome.value) for outcome in Outcome}


class Problem(NamedTuple):
    """What became of a row that needs a person, and its source. Of a long value the path is only the beginning."""

    source: int
    result: Result


class ProblemGroup(NamedTuple):
    """How many references need a person for the same reason; no ``kind`` where the outcome alone says why."""

    references: int
    outcome: Outcome
    kind: ReasonKind | None
    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished (or stopped) migration has to say.

    ``problems`` are the first entries that need a person, all of them are in ``problems_file``, and ``groups`` has
    their number by reason. ``rows_left`` says that legacy rows remain for which nothing was tried: the limit was
    reached, or the run was stopped.
    ``stopped_by_signal`` is the signal's number, or None; ``ended_by_error`` says that the run could not go on, and
    ``rows_hidden`` that row-level security became active while it went on. ``nothing_in_legacy``: there is neither a
    row nor an object, and rows have paths on neither side. ``sources`` has the name of each source, and its tally.
    """

    tally: Tally
    elapsed_seconds: float
    passes: int
    dry_run: bool
    rows_left: bool
    stopped_by_signal: int | None
    problems: tuple[Problem, ...]
    problems_file: str
    log_file: str
    ended_by_error: bool = False
    rows_hidden: bool = False
    nothing_in_legacy: bool = False
    groups: tuple[ProblemGroup, ...] = ()
    sources: tuple[tuple[str, Tally], ...] = ()

    def source_of(self, problem: Problem) -> str:
        """Return the name of the source of a problem."""
        return self.sources[problem.source][0] if problem.source < len(self.sources) else ""

    @property
    def rows_per_second(self) -> float:
        """References finished per second of the run."""
        return self.tally.scanned / self.elapsed_seconds if self.elapsed_seconds > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """0 all migrated, 1 finished but something is left, 128 + n stopped by signal n: with -d as without."""
        left = self.rows_hidden or self.rows_left or self.tally.needing_a_person > 0
        return decide(ExitCode.finished(left=left), signal_number=self.stopped_by_signal)
