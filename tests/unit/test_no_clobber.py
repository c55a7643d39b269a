"""Which means is taken follows from what the store was seen to do, and from nothing else."""

from __future__ import annotations

import pytest

from sketch_migrate.errors import UsageError
from sketch_migrate.migration.no_clobber import Means, choose
from sketch_migrate.migration.versions import replaced
from sketch_migrate.model import Location, Outcome, Reference, Result, Tally
from sketch_migrate.s3 import IF_ABSENT, R2_IF_ABSENT, ListedVersion
from sketch_migrate.s3.findings import Answer, Finding, ProbeReport, Question
from sketch_migrate.settings import NO_CLOBBER

COPY, R2 = Question.COPY_IF_ABSENT, Question.COPY_IF_ABSENT_R2
PUT, COMPLETE = Question.PUT_IF_ABSENT, Question.COMPLETE_IF_ABSENT


def report(*honoured: Question, otherwise: Answer = Answer.IGNORED) -> ProbeReport:
    return ProbeReport(
        tuple(
            Finding(question, Answer.HONOURED if question in honoured else otherwise, f"seen of {question.name}")
            for question in Question
        ),
        Location("production", "avatar/probe/"),
    )


@pytest.mark.parametrize(
    ("honoured", "means"),
    [
        ((COPY, R2, PUT, COMPLETE), Means.CONDITIONAL_COPY),
        ((COPY,), Means.CONDITIONAL_COPY),
        ((R2, PUT), Means.CONDITIONAL_COPY),
        ((PUT, COMPLETE), Means.CONDITIONAL_PUT),
        ((PUT,), Means.CONDITIONAL_PUT),
        ((COMPLETE,), Means.CONDITIONAL_COMPLETE),
        ((), Means.CHECK_FIRST),
        ((Question.COPY_IF_SOURCE, Question.METADATA), Means.CHECK_FIRST),
    ],
)
@pytest.mark.parametrize("otherwise", [Answer.IGNORED, Answer.REJECTED, Answer.UNKNOWN])
def test_the_strongest_means_that_is_honoured_is_taken(
    honoured: tuple[Question, ...], means: Means, otherwise: Answer
) -> None:
    chosen = choose(report(*honoured, otherwise=otherwise))
    assert chosen.means is means
    assert chosen.guards_parts == (COMPLETE in honoured)
    assert chosen.reason
    if means is not Means.CHECK_FIRST:
        assert any(question in chosen.reason for question in honoured)


def test_a_copy_gets_the_condition_that_the_store_knows() -> None:
    assert choose(report(COPY, R2)).copy_condition == IF_ABSENT
    assert choose(report(R2)).copy_condition == R2_IF_ABSENT
    assert choose(report(R2), "conditional-copy").copy_condition == R2_IF_ABSENT


@pytest.mark.parametrize("means", [Means.CONDITIONAL_COPY, Means.CONDITIONAL_PUT, Means.CONDITIONAL_COMPLETE])
@pytest.mark.parametrize("answer", [Answer.IGNORED, Answer.REJECTED])
def test_what_the_probe_disproved_cannot_be_asked_for(means: Means, answer: Answer) -> None:
    with pytest.raises(UsageError, match=means) as refusal:
        choose(report(otherwise=answer), means)
    assert answer in refusal.value.message
    assert "check-first" in refusal.value.hint


@pytest.mark.parametrize("means", list(Means))
def test_what_could_not_be_tried_is_taken_only_if_it_is_asked_for(means: Means) -> None:
    unknown = report(otherwise=Answer.UNKNOWN)
    assert choose(unknown).means is Means.CHECK_FIRST
    assert choose(unknown, means).means is means


def test_a_weaker_means_may_be_asked_for() -> None:
    everything = report(*Question)
    assert [choose(everything, means).means for means in Means] == list(Means)


def test_a_window_is_said_aloud_wherever_there_is_one() -> None:
    assert choose(report(COPY, COMPLETE)).window == ""
    assert choose(report(PUT, COMPLETE)).window == ""
    assert choose(report(COMPLETE)).window == ""
    assert "5 GB" in choose(report(R2)).window
    assert "8 MiB" in choose(report(PUT)).window
    assert choose(report()).window


def test_tags_are_asked_for_where_a_read_does_not_tell_of_them() -> None:
    assert not choose(report(PUT, Question.TAGS, Question.TAG_COUNT)).asks_for_tags
    assert choose(report(PUT, Question.TAGS)).asks_for_tags
    assert choose(report(PUT, otherwise=Answer.UNKNOWN)).asks_for_tags
    assert not choose(report(PUT)).asks_for_tags  # the store keeps none


def test_the_command_line_knows_every_means() -> None:
    assert ("auto", *Means) == NO_CLOBBER


def version(name: str, etag: str = "", *, marker: bool = False) -> ListedVersion:
    return ListedVersion("avatar/1.png", name, etag, marker)


OURS, THEIRS, OLDER = version("3", "ours"), version("2", "theirs"), version("1", "older")


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([OURS], None),
        ([OURS, THEIRS, OLDER], THEIRS),
        ([OURS, version("2", "ours"), OLDER], OLDER),
        ([OURS, version("2", marker=True), THEIRS], None),
        ([version("4", "newest"), OURS, THEIRS], THEIRS),
        ([THEIRS, OLDER], None),
        ([], None),
    ],
    ids=["nothing before", "theirs", "two copies of ours", "deleted before", "not the newest", "none of ours", "none"],
)
def test_the_version_to_restore_is_the_one_that_ours_replaced(
    versions: list[ListedVersion], expected: ListedVersion | None
) -> None:
    assert replaced(versions, "ours") == expected


def test_a_possible_loss_is_counted_besides_the_outcome_and_needs_a_person() -> None:
    reference = Reference(1, "image/1.png")
    lost = Result(reference, Outcome.ALREADY, "possibly overwritten: so it is", copied=True)
    tally = Tally.of([lost, Result(reference, Outcome.ALREADY), Result(reference, Outcome.MIGRATED)])
    assert (tally.scanned, tally.already, tally.possibly_overwritten, tally.needing_a_person) == (3, 2, 1, 1)
    assert (tally + tally).possibly_overwritten == 2
