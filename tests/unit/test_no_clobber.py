"""Which means is taken follows from what the store was seen to do, and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import ConditionNotProved
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.no_clobber import Means, choose, for_all
from sketchmigrate.migration.proofs import Proofs
from sketchmigrate.migration.transfer import replaced
from sketchmigrate.s3 import IF_ABSENT, R2_IF_ABSENT, ListedVersion
from sketchmigrate.s3.probe.findings import Answer, ProbeFinding, ProbeReport, Proof, Question
from sketchmigrate.s3.probe.race import Race
from sketchmigrate.settings import NO_CLOBBER

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

COPY, R2 = Question.COPY_IF_ABSENT, Question.COPY_IF_ABSENT_R2
PUT, COMPLETE = Question.PUT_IF_ABSENT, Question.COMPLETE_IF_ABSENT


def report(
    *honoured: Question, otherwise: Answer = Answer.IGNORED, lost: Collection[Question] = (), raced: bool = True
) -> ProbeReport:
    """A store that honours these; each was raced, unless it was not, and those that ``lost`` lost a race."""
    return ProbeReport(
        tuple(
            ProbeFinding(question, Answer.HONOURED if question in honoured else otherwise, f"seen of {question.name}")
            for question in Question
        ),
        Location("production", "avatar/probe/"),
        proofs={each: Proof(each not in lost, f"raced: {each.name}") for each in honoured if raced},
    )


@pytest.mark.parametrize(
    ("honoured", "means"),
    [
        ((COPY, R2, PUT, COMPLETE), Means.CONDITIONAL_COPY),
        ((COPY,), Means.CONDITIONAL_COPY),
        ((R2, PUT), Means.CONDITIONAL_COPY),
        ((PUT, COMPLETE), Means.CONDITIONAL_PUT),
        ((PUT,), Means.CONDITIONAL_PUT),
        ((COMPLETE,), Means.CHECK_FIRST),
        ((), Means.CHECK_FIRST),
        ((Question.COPY_IF_SOURCE, Question.METADATA), Means.CHECK_FIRST),
    ],
)
@pytest.mark.parametrize("otherwise", [Answer.IGNORED, Answer.REJECTED, Answer.UNKNOWN])
def test_the_strongest_means_that_is_proved_and_cheap_is_taken(
    honoured: tuple[Question, ...], means: Means, otherwise: Answer
) -> None:
    chosen = choose(report(*honoured, otherwise=otherwise))
    assert chosen.means is means
    assert (chosen.sends_parts, chosen.guards_parts) == (COMPLETE in honoured, COMPLETE in honoured)
    assert chosen.reason
    assert chosen.sends is None
    if means is not Means.CHECK_FIRST:
        assert any(question in chosen.reason for question in honoured)


def test_a_copy_gets_the_condition_that_the_store_knows() -> None:
    assert choose(report(COPY, R2)).copy_condition == IF_ABSENT
    assert choose(report(R2)).copy_condition == R2_IF_ABSENT
    assert choose(report(R2), "conditional-copy").copy_condition == R2_IF_ABSENT


def test_why_auto_leaves_a_proved_complete_alone_is_said() -> None:
    """It costs five requests for two and makes ETags that do not compare; for large ones it is cheaper than a put."""
    assert "five requests an object for two" in choose(report(COMPLETE)).reason
    assert "five requests" not in choose(report(PUT, COMPLETE)).reason
    assert choose(report(PUT, COMPLETE)).guards_parts
    assert choose(report(COMPLETE), "conditional-complete").means is Means.CONDITIONAL_COMPLETE


@pytest.mark.parametrize(
    ("honoured", "lost", "means", "sends"),
    [
        ({COPY}, {COPY}, Means.CHECK_FIRST, Means.CONDITIONAL_COPY),
        ({R2}, {R2}, Means.CHECK_FIRST, Means.CONDITIONAL_COPY),
        ({PUT, COMPLETE}, {PUT}, Means.CHECK_FIRST, Means.CONDITIONAL_PUT),
        ({COPY, PUT}, {COPY}, Means.CONDITIONAL_PUT, None),
        ({COMPLETE}, {COMPLETE}, Means.CHECK_FIRST, None),
    ],
)
def test_a_condition_that_lost_a_race_is_no_guarantee_but_is_sent(
    honoured: set[Question], lost: set[Question], means: Means, sends: Means | None
) -> None:
    chosen = choose(report(*honoured, lost=lost))
    assert (chosen.means, chosen.sends) == (means, sends)
    assert bool(chosen.window) == (means is Means.CHECK_FIRST or COMPLETE not in honoured)
    if sends:
        assert "not proved for writes of the same moment: raced: " in chosen.reason
        assert "sent all the same" in chosen.reason


def test_parts_whose_condition_is_not_proved_have_it_and_are_not_guarded() -> None:
    chosen = choose(report(PUT, COMPLETE, lost={COMPLETE}))
    assert (chosen.means, chosen.sends_parts, chosen.guards_parts) == (Means.CONDITIONAL_PUT, True, False)
    assert "8 MiB" in chosen.window


CONDITIONAL = [Means.CONDITIONAL_COPY, Means.CONDITIONAL_PUT, Means.CONDITIONAL_COMPLETE]
of_each_means = pytest.mark.parametrize("means", CONDITIONAL)


@of_each_means
@pytest.mark.parametrize("answer", [Answer.IGNORED, Answer.REJECTED, Answer.UNKNOWN])
def test_what_the_probe_did_not_prove_cannot_be_asked_for(means: Means, answer: Answer) -> None:
    with pytest.raises(ConditionNotProved, match=means) as refusal:
        choose(report(otherwise=answer), means)
    assert answer in refusal.value.message
    assert "check-first" in refusal.value.hint
    assert refusal.value.exit_code == 3


@of_each_means
@pytest.mark.parametrize("raced", [True, False])
def test_nor_what_lost_a_race_or_was_not_raced(means: Means, raced: bool) -> None:
    every = {COPY, R2, PUT, COMPLETE}
    with pytest.raises(ConditionNotProved, match="honoured one after the other"):
        choose(report(*every, lost=every, raced=raced), means)


def test_what_could_not_be_tried_is_told() -> None:
    unknown = choose(report(otherwise=Answer.UNKNOWN))
    assert unknown.means is Means.CHECK_FIRST
    assert "not known: seen of COPY_IF_ABSENT" in unknown.reason


@pytest.mark.parametrize(
    ("race", "is_proved"),
    [
        (Race(1000, 0, 500), True),
        (Race(1000, 1, 500), False),
        (Race(99, 0, 50), False),
        (Race(1000, 0, 0), False),
        (Race(1000, 0, 1000), False),
    ],
    ids=["none lost", "one lost", "too few", "ours was always first", "theirs was always first"],
)
def test_what_a_race_proves(race: Race, is_proved: bool) -> None:
    assert race.is_proved is is_proved
    assert ("none of" in race.told()) is is_proved


DAY = 86_400.0


def test_a_race_is_kept_for_thirty_days_by_store_bucket_and_condition(tmp_path: Path) -> None:
    here = Proofs(tmp_path, "http://a", "bucket", with_versions=False)
    here.keep({PUT: Race(1000, 0, 480), COPY: Race(7, 1, 3)}, 0.0)
    here.keep({COPY: Race(900, 0, 3)}, DAY)
    assert here.kept(PUT, 29 * DAY) == (Race(1000, 0, 480), 0.0)
    assert here.kept(COPY, 29 * DAY) == (Race(900, 0, 3), DAY)  # the newer one
    assert here.kept(PUT, 31 * DAY) is None
    assert here.kept(COMPLETE, DAY) is None
    for other in (
        Proofs(tmp_path, "http://b", "bucket", with_versions=False),
        Proofs(tmp_path, "http://a", "another", with_versions=False),
        Proofs(tmp_path, "http://a", "bucket", with_versions=True),
    ):
        assert other.kept(PUT, DAY) is None
    (tmp_path / "proofs.json").write_text("[{}, 7, ")
    assert here.kept(PUT, DAY) is None


def test_buckets_that_differ_get_what_holds_in_all_of_them_and_stay_streamed() -> None:
    put, none = (choose(report(*honoured), is_streamed=True) for honoured in ((PUT, COMPLETE), ()))
    alike = for_all([("one", put), ("other", put)])
    assert alike == put
    mixed = for_all([("one", put), ("other", none)])
    assert (mixed.means, mixed.sends, mixed.guards_parts) == (Means.CHECK_FIRST, None, False)
    assert mixed.is_streamed
    assert "in one it would be conditional-put" in mixed.reason
    assert "in other it would be check-first" in mixed.reason
    in_parts = for_all([("one", put), ("other", choose(report(PUT), is_streamed=True))])
    assert (in_parts.means, in_parts.sends_parts, in_parts.guards_parts) == (Means.CONDITIONAL_PUT, False, False)
    assert "sent in parts" in in_parts.window


def test_a_weaker_means_may_be_asked_for() -> None:
    everything = report(*Question)
    assert [choose(everything, means).means for means in Means] == list(Means)


def test_a_window_is_said_aloud_wherever_there_is_one() -> None:
    assert choose(report(COPY, COMPLETE)).window == ""
    assert choose(report(PUT, COMPLETE)).window == ""
    assert choose(report(COMPLETE), "conditional-complete").window == ""
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
    lost = Result(reference, Outcome.ALREADY, because(ReasonKind.PERHAPS_REPLACED, target="it"), copied=True)
    tally = Tally.of([lost, Result(reference, Outcome.ALREADY), Result(reference, Outcome.MIGRATED)])
    assert (tally.scanned, tally.already, tally.possibly_overwritten, tally.needing_a_person) == (3, 2, 1, 1)
    assert (tally + tally).possibly_overwritten == 2
