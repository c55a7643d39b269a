"""What a probe found out about a store: one finding for each question. Frozen values; ``s3.probe`` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location  # noqa: TC001 - a dataclass's field

if TYPE_CHECKING:
    from collections.abc import Mapping


class Question(StrEnum):
    """What a probe asks, in the words of its table."""

    COPY_IF_ABSENT = "CopyObject, If-None-Match: *"
    COPY_IF_ABSENT_R2 = "CopyObject, cf-copy-destination-if-none-match: *"
    PUT_IF_ABSENT = "PutObject, If-None-Match: *"
    COMPLETE_IF_ABSENT = "CompleteMultipartUpload, If-None-Match: *"
    COPY_IF_SOURCE = "CopyObject, x-amz-copy-source-if-match"
    ODD_KEYS = "keys come back byte for byte"
    METADATA = "a copy keeps metadata and content headers"
    TAGS = "a copy keeps tags"
    TAG_COUNT = "a read tells the number of tags"
    LISTING_ORDER = "listings are in the order of bytes"
    START_AFTER = "start-after works with %"


class Answer(StrEnum):
    """What the store does about it."""

    HONOURED = "honoured"
    IGNORED = "ignored"  # it says yes and does something else
    REJECTED = "rejected"  # it says that it will not
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """The answer to one question. ``evidence`` is what was seen."""

    question: Question
    answer: Answer
    evidence: str


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a condition that is honoured holds against a write of the same moment as well, and how that is known."""

    is_proved: bool
    evidence: str


IF_ABSENT_QUESTIONS = (
    Question.COPY_IF_ABSENT,
    Question.COPY_IF_ABSENT_R2,
    Question.PUT_IF_ABSENT,
    Question.COMPLETE_IF_ABSENT,
)
"""Those about the conditions that are to keep an object from being replaced."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """All findings, in the order of ``Question``.

    ``folder`` is where it was tried; ``left_behind`` names what could not be removed from there, and why. ``proofs``
    are about conditions that are honoured where one write comes after the other.
    """

    findings: tuple[ProbeFinding, ...]
    folder: Location
    left_behind: tuple[str, ...] = ()
    proofs: Mapping[Question, Proof] = field(default_factory=dict)

    def on(self, question: Question) -> ProbeFinding:
        """Return the finding for a question; unknown if it was not asked."""
        for finding in self.findings:
            if finding.question is question:
                return finding
        return ProbeFinding(question, Answer.UNKNOWN, "it was not asked")

    def honours(self, question: Question) -> bool:
        """Whether the store was seen to do it."""
        return self.on(question).answer is Answer.HONOURED

    def proof(self, question: Question) -> Proof:
        """Return whether a condition is proved; not, if nobody has raced it."""
        return self.proofs.get(question, Proof(is_proved=False, evidence="it was not raced"))

    def proves(self, question: Question) -> bool:
        """Whether a condition is honoured, and holds against a write of the same moment as well."""
        return self.honours(question) and self.proof(question).is_proved
