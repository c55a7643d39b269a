"""Which means keeps a copy from replacing an object that is not ours, chosen by what the store was seen to do.

The choice is ``choose``, a pure function of a probe's report. The strategies themselves are in ``placing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sketch_migrate.errors import UsageError
from sketch_migrate.s3 import IF_ABSENT, R2_IF_ABSENT, Condition
from sketch_migrate.s3.findings import Answer, Question

if TYPE_CHECKING:
    from sketch_migrate.s3.findings import ProbeReport

AUTO = "auto"
"""The wish to have the strongest strategy that the store honours."""


class Means(StrEnum):
    """How an object is brought into production without replacing one, the strongest first."""

    CONDITIONAL_COPY = "conditional-copy"
    CONDITIONAL_PUT = "conditional-put"
    CONDITIONAL_COMPLETE = "conditional-complete"
    CHECK_FIRST = "check-first"


@dataclass(frozen=True, slots=True)
class Strategy:
    """The means, and why it was taken.

    ``copy_condition`` is the store's word for it on CopyObject. ``guards_parts`` says that a copy in parts is
    conditional as well. ``asks_for_tags`` says that a read does not tell whether an object has tags.
    """

    means: Means
    reason: str
    copy_condition: Condition = IF_ABSENT
    guards_parts: bool = False
    asks_for_tags: bool = False

    @property
    def window(self) -> str:
        """Say what can still be replaced, in the moment between our look and our copy; empty if nothing can."""
        if self.means is Means.CHECK_FIRST:
            return "an object that the application stores between our look and our copy"
        if not self.guards_parts and self.means is Means.CONDITIONAL_PUT:
            return "an object of over 8 MiB that the application stores between our look and our copy"
        if not self.guards_parts and self.means is Means.CONDITIONAL_COPY:
            return "an object of over 5 GB that the application stores between our look and our copy"
        return ""


# What each means rests on: any one of these.
_PREMISES: dict[Means, tuple[Question, ...]] = {
    Means.CONDITIONAL_COPY: (Question.COPY_IF_ABSENT, Question.COPY_IF_ABSENT_R2),
    Means.CONDITIONAL_PUT: (Question.PUT_IF_ABSENT,),
    Means.CONDITIONAL_COMPLETE: (Question.COMPLETE_IF_ABSENT,),
}
_DISPROVED = {Answer.IGNORED, Answer.REJECTED}


def choose(report: ProbeReport, wanted: str = AUTO) -> Strategy:
    """Choose by what a store was seen to do. ``wanted`` is ``auto`` or the name of a means.

    Raises ``UsageError`` for a means that the probe disproved. One that could not be tried is taken if it is asked for,
    but not otherwise.
    """
    if wanted == AUTO:
        for means, premises in _PREMISES.items():
            for premise in premises:
                if report.honours(premise):
                    return _strategy(report, means, premise, f"the store honours {premise}")
        reason = "the store honours no condition on a write: neither on a copy nor on a put nor on a multipart upload"
        return _strategy(report, Means.CHECK_FIRST, None, reason)
    means = Means(wanted)
    if means is Means.CHECK_FIRST:
        return _strategy(report, means, None, "it was asked for")
    findings = [report.on(premise) for premise in _PREMISES[means]]
    for finding in findings:
        if finding.answer is Answer.HONOURED:
            return _strategy(report, means, finding.question, f"it was asked for, and {finding.question} is honoured")
    if all(finding.answer in _DISPROVED for finding in findings):
        seen = "; ".join(f"{each.question}: {each.answer} ({each.evidence})" for each in findings)
        raise UsageError(
            f"--no-clobber {means} cannot protect anything on this store: {seen}",
            hint=f"Leave --no-clobber away: {choose(report).means} is the strongest that the store honours.",
        )
    unknown = next(finding for finding in findings if finding.answer is Answer.UNKNOWN)
    reason = f"it was asked for, though {unknown.question} could not be tried ({unknown.evidence})"
    return _strategy(report, means, unknown.question, reason)


def _strategy(report: ProbeReport, means: Means, premise: Question | None, reason: str) -> Strategy:
    return Strategy(
        means=means,
        reason=reason,
        copy_condition=R2_IF_ABSENT if premise is Question.COPY_IF_ABSENT_R2 else IF_ABSENT,
        guards_parts=means is Means.CONDITIONAL_COMPLETE or report.honours(Question.COMPLETE_IF_ABSENT),
        asks_for_tags=not report.honours(Question.TAG_COUNT) and report.on(Question.TAGS).answer is not Answer.IGNORED,
    )
