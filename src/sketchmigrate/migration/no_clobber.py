"""Which means keeps a copy from replacing an object that is not ours, chosen by what the store was seen to do.

The choice is ``choose``, a pure function of a probe's report. The strategies themselves are in ``transfer``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import ConditionNotProved
from sketchmigrate.s3 import IF_ABSENT, R2_IF_ABSENT, Condition
from sketchmigrate.s3.probe.findings import Answer, Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.s3.probe.findings import ProbeReport

AUTO = "auto"
"""The wish to have the strongest strategy that the store was proved to honour."""


class Means(StrEnum):
    """How an object is brought into production without replacing one."""

    CONDITIONAL_COPY = "conditional-copy"
    CONDITIONAL_PUT = "conditional-put"
    CONDITIONAL_COMPLETE = "conditional-complete"
    CHECK_FIRST = "check-first"


@dataclass(frozen=True, slots=True)
class Strategy:
    """The means, and why it was taken.

    ``copy_condition`` is the store's word for it on CopyObject. ``sends`` is, for check-first, the means whose
    condition is sent all the same, though it is not proved. ``sends_parts`` says that a copy in parts has the
    condition, and ``guards_parts`` that it is proved there. ``asks_for_tags`` says that a read does not tell whether an
    object has tags. ``is_streamed``: each object passes through this machine, large ones in parts.
    """

    means: Means
    reason: str
    copy_condition: Condition = IF_ABSENT
    sends: Means | None = None
    sends_parts: bool = False
    guards_parts: bool = False
    asks_for_tags: bool = False
    is_streamed: bool = False

    @property
    def window(self) -> str:
        """Say what can still be replaced, in the moment between our look and our copy; empty if nothing can."""
        if self.means is Means.CHECK_FIRST:
            return "an object that the application stores between our look and our copy"
        if not self.guards_parts and self.is_streamed:
            return "an object sent in parts (over 16 MiB, or as legacy's was) that the application stores meanwhile"
        if not self.guards_parts and self.means is Means.CONDITIONAL_PUT:
            return "an object of over 8 MiB that the application stores between our look and our copy"
        if not self.guards_parts and self.means is Means.CONDITIONAL_COPY:
            return (
                "an object too large for one copy (over 5 GB, on some stores less) that the application stores between"
                " our look and our copy"
            )
        return ""


# What each means rests on: any one of these.
_PREMISES: dict[Means, tuple[Question, ...]] = {
    Means.CONDITIONAL_COPY: (Question.COPY_IF_ABSENT, Question.COPY_IF_ABSENT_R2),
    Means.CONDITIONAL_PUT: (Question.PUT_IF_ABSENT,),
    Means.CONDITIONAL_COMPLETE: (Question.COMPLETE_IF_ABSENT,),
}
# A conditional Complete costs five requests an object where a look and a copy cost two, and makes each a multipart
# object: its ETag compares with nothing, and OpenStack Swift makes a manifest and a segment of it (a third of the rows
# a second). It is cheaper for large objects alone, whose bytes would pass through this machine, or which are copied in
# parts anyway: for these each of the others takes it, where it is proved.
_OF_AUTO = (Means.CONDITIONAL_COPY, Means.CONDITIONAL_PUT)
_OF_STREAMED = (Means.CONDITIONAL_PUT,)
_COMPLETE_COSTS = (
    "conditional-complete is proved, but takes five requests an object for two, and makes multipart objects, whose"
    " ETags do not compare: only --no-clobber conditional-complete takes it"
)


def choose(report: ProbeReport, wanted: str = AUTO, *, is_streamed: bool = False) -> Strategy:
    """Choose by what a store was seen to do. ``wanted`` is ``auto`` or the name of a means.

    For objects that are streamed there is no condition on CopyObject.

    Raises ``ConditionNotProved`` for a means that the store was not proved to honour.
    """
    return replace(_chosen(report, wanted, _OF_STREAMED if is_streamed else _OF_AUTO), is_streamed=is_streamed)


def _chosen(report: ProbeReport, wanted: str, of_auto: tuple[Means, ...]) -> Strategy:
    if wanted == AUTO:
        return _strongest(report, of_auto)
    means = Means(wanted)
    if means is Means.CHECK_FIRST:
        return _strategy(report, means, None, "it was asked for")
    premises = _PREMISES[means]
    for premise in premises:
        if report.proves(premise):
            evidence = report.proof(premise).evidence
            return _strategy(report, means, premise, f"it was asked for, and {premise} is honoured: {evidence}")
    best = _strongest(report, of_auto).means
    is_none = best is Means.CHECK_FIRST
    raise ConditionNotProved(
        f"--no-clobber {means} is not proved to protect anything on this store: {_seen(report, premises)}",
        hint=f"Leave --no-clobber away: {best} is {'what is left' if is_none else 'the strongest that is proved'}.",
    )


def for_all(strategies: Sequence[tuple[str, Strategy]]) -> Strategy:
    """Return one strategy for several buckets, each with the one that was chosen for it: what holds in all of them."""
    (_, first), *others = strategies
    if any((each.means, each.copy_condition) != (first.means, first.copy_condition) for _, each in others):
        reason = "; ".join(f"in {bucket} it would be {each.means}, as {each.reason}" for bucket, each in strategies)
        first = Strategy(Means.CHECK_FIRST, f"the buckets differ: {reason}", is_streamed=first.is_streamed)
    return replace(
        first,
        sends=first.sends if all(each.sends == first.sends for _, each in others) else None,
        sends_parts=all(each.sends_parts for _, each in strategies),
        guards_parts=all(each.guards_parts for _, each in strategies),
        asks_for_tags=any(each.asks_for_tags for _, each in strategies),
    )


def _strongest(report: ProbeReport, of_auto: tuple[Means, ...]) -> Strategy:
    for means in of_auto:
        for premise in _PREMISES[means]:
            if report.proves(premise):
                reason = f"the store honours {premise}: {report.proof(premise).evidence}"
                return _strategy(report, means, premise, reason)
    costs = f"; {_COMPLETE_COSTS}" if report.proves(Question.COMPLETE_IF_ABSENT) else ""
    for means in of_auto:
        for premise in _PREMISES[means]:
            if report.honours(premise):
                reason = (
                    f"the store honours {premise} where one write comes after the other, but that is not proved for"
                    f" writes of the same moment: {report.proof(premise).evidence}; it is sent all the same{costs}"
                )
                return _strategy(report, Means.CHECK_FIRST, premise, reason, sends=means)
    untried = next((each for each in report.findings if each.answer is Answer.UNKNOWN), None)
    if untried is not None and untried.question in _PREMISES[of_auto[0]]:
        return _strategy(report, Means.CHECK_FIRST, None, f"what the store honours is not known: {untried.evidence}")
    reason = "the store honours no condition on a copy or a put"
    return _strategy(report, Means.CHECK_FIRST, None, reason + (costs or ", nor is one proved on a multipart upload"))


def _seen(report: ProbeReport, premises: tuple[Question, ...]) -> str:
    """Say what was seen of conditions that are not proved."""
    seen = []
    for premise in premises:
        finding = report.on(premise)
        evidence = report.proof(premise).evidence if report.honours(premise) else finding.evidence
        word = "honoured one after the other" if report.honours(premise) else finding.answer
        seen.append(f"{premise}: {word} ({evidence})")
    return "; ".join(seen)


def _strategy(
    report: ProbeReport, means: Means, premise: Question | None, reason: str, *, sends: Means | None = None
) -> Strategy:
    return Strategy(
        means=means,
        reason=reason,
        sends=sends,
        copy_condition=R2_IF_ABSENT if premise is Question.COPY_IF_ABSENT_R2 else IF_ABSENT,
        sends_parts=report.honours(Question.COMPLETE_IF_ABSENT),
        guards_parts=report.proves(Question.COMPLETE_IF_ABSENT),
        asks_for_tags=not report.honours(Question.TAG_COUNT) and report.on(Question.TAGS).answer is not Answer.IGNORED,
    )
