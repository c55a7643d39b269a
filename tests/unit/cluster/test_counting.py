"""Each reference is counted once, however many attempts were made at its range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.cluster.counting import by_reference, results
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger import Attempt, Word
from tests.reasons import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.reference import Key

KILLED = Attempt("worker-1", 7, 1, 3, began_at=1.0)
REDONE = Attempt("worker-2", 9, 1, 3, began_at=2.0, tally=Tally(), is_clean=True)
TWIN = Attempt("worker-3", 1, 1, 3, began_at=2.5, tally=Tally(), is_clean=True)


def flip(attempt: Attempt, key: int, *, copied: bool = True) -> Word:
    return Word(attempt, Reference(key, f"image/{key}"), f"avatar/{key}", None, copied=copied, size_bytes=5)


def word(attempt: Attempt, key: int, outcome: Outcome, reason: str = "") -> Word:
    return Word(attempt, Reference(key, f"image/{key}"), "", outcome, told(reason) if reason else None)


def counted(*words: Word, now: Mapping[Key, str | None] | None = None) -> dict[int, Result]:
    found = list(results(by_reference(words), now or {}))
    return {int(result.reference.key): result for result in found if isinstance(result.reference.key, int)}


def test_what_a_lost_worker_flipped_is_migrated_and_what_it_only_meant_to_is_redone() -> None:
    found = counted(
        flip(KILLED, 1),
        flip(KILLED, 2),
        flip(KILLED, 3),
        flip(REDONE, 3, copied=False),
        now={1: "avatar/1", 2: "elsewhere"},
    )
    assert [found[key].outcome for key in (1, 2, 3)] == [Outcome.MIGRATED, Outcome.SUPERSEDED, Outcome.MIGRATED]
    assert found[3].copied, "the lost worker had copied it"
    assert Tally.of(list(found.values())).scanned == 3


def test_a_row_that_is_gone_is_superseded_and_one_that_nobody_finished_is_not_counted() -> None:
    found = counted(flip(KILLED, 1), flip(KILLED, 2), now={2: "image/2"})
    assert {key: result.outcome for key, result in found.items()} == {1: Outcome.SUPERSEDED}


def test_twins_do_not_count_a_flip_twice() -> None:
    found = counted(flip(REDONE, 1), flip(TWIN, 1), word(TWIN, 1, Outcome.ALREADY))
    assert found[1].outcome is Outcome.MIGRATED
    assert Tally.of(list(found.values())) == Tally(
        migrated=1, objects_copied=1, sized_objects=1, sized_bytes=5, references_moved=1
    )


def test_a_killed_twin_that_flipped_it_wins_over_already() -> None:
    found = counted(flip(KILLED, 1), flip(REDONE, 1), word(REDONE, 1, Outcome.ALREADY), now={1: "avatar/1"})
    assert found[1].outcome is Outcome.MIGRATED


def test_the_last_word_holds_for_what_was_not_flipped() -> None:
    found = counted(
        word(KILLED, 1, Outcome.MISSING, "there is no legacy object"),
        word(REDONE, 1, Outcome.CONFLICT, "different"),
        flip(KILLED, 2),
        word(KILLED, 2, Outcome.FAILED, "a constraint"),
    )
    assert (found[1].outcome, found[1].reason) == (Outcome.CONFLICT, told("different"))
    assert (found[2].outcome, found[2].reason) == (Outcome.FAILED, told("a constraint"))


def test_a_row_that_the_application_set_anew_meanwhile_is_another_reference() -> None:
    again = Word(REDONE, Reference(1, "image/new"), "avatar/new", None, copied=True)
    found = list(results(by_reference([flip(KILLED, 1), again]), {1: "avatar/new"}))
    assert {result.reference.path: result.outcome for result in found} == {
        "image/1": Outcome.SUPERSEDED,
        "image/new": Outcome.MIGRATED,
    }
