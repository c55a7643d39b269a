"""The verdict on a row of several objects, and what can be flipped of one of which not all can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.mapping import Mapping, Move, ObjectPair
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Reference
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.ledger.etags import etags_of
from sketchmigrate.migration.bringing import OUTCOME_OF, bring, in_part, together
from sketchmigrate.migration.copier import Copied, Copier, Verdict
from tests.unit.shapes.site import PLAIN

WHY = because(ReasonKind.KEY_EMPTY)
PAIRS = tuple(ObjectPair(Location("old", f"image/{n}"), Location("new", f"avatar/{n}")) for n in range(4))
COMPANION = ObjectPair(Location("old", "image/s"), Location("new", "avatar/s"), is_companion=True)
VERDICTS = st.builds(
    Copied,
    st.sampled_from(Verdict),
    st.none() | st.just(WHY),
    size_bytes=st.none() | st.integers(0, 9),
    guarded=st.booleans(),
)
WORST = [Verdict.UNTOUCHED, Verdict.FAILED, Verdict.CONFLICT, Verdict.MISSING, Verdict.COPIED, Verdict.IN_PLACE]
PARTIAL = Mapping(Array(KeyNotation(PLAIN)), partial=True)


@given(st.lists(VERDICTS, min_size=1, max_size=4))
def test_the_worst_verdict_is_that_on_the_row(verdicts: list[Copied]) -> None:
    found = together(PAIRS[: len(verdicts)], verdicts)
    assert found.verdict is min((each.verdict for each in verdicts), key=WORST.index)
    assert found.guarded is all(each.guarded for each in verdicts)
    assert found.may_flip is all(each.may_flip for each in verdicts)
    copied = [each for each in verdicts if each.verdict is Verdict.COPIED]
    if found.verdict is Verdict.COPIED:
        assert 1 + found.also_copied == len(copied)
        sizes = [each.size_bytes for each in copied]
        assert found.size_bytes == (None if None in sizes else sum(size or 0 for size in sizes))


def test_the_object_that_holds_a_row_up_is_named() -> None:
    found = together(PAIRS[:2], [Copied(Verdict.COPIED), Copied(Verdict.FAILED, WHY)])
    assert str(found.reason) == "the key is empty (s3://old/image/1)"
    alone = together(PAIRS[:1], [Copied(Verdict.FAILED, WHY)])
    assert str(alone.reason) == "the key is empty", "there is no other"


@pytest.mark.parametrize("of_row", [Verdict.COPIED, Verdict.IN_PLACE, Verdict.MISSING])
def test_a_companion_without_an_object_holds_nothing_up(of_row: Verdict) -> None:
    found = together((PAIRS[0], COMPANION), [Copied(of_row), Copied(Verdict.MISSING, WHY)])
    assert found.verdict is of_row
    assert found.reason is None


def test_the_etags_of_a_row_are_kept_by_its_production_keys() -> None:
    verdicts = [Copied(Verdict.COPIED, etag="a"), Copied(Verdict.IN_PLACE, etag="b"), Copied(Verdict.COPIED)]
    recorded = together((*PAIRS[:3], COMPANION), [*verdicts, Copied(Verdict.MISSING, WHY)]).etag
    keys = [pair.target.key for pair in PAIRS]
    assert etags_of(recorded, keys) == dict(zip(keys, ["a", "b", "", ""], strict=True))
    alone = together(PAIRS[:1], verdicts[:1]).etag
    assert alone == "a"
    assert etags_of(alone, keys[:1]) == {keys[0]: "a"}
    assert etags_of(alone, keys[:2]) == dict.fromkeys(keys[:2], ""), "nobody knows which"
    assert etags_of("{an odd one", keys[:1]) == {keys[0]: ""}


@pytest.mark.parametrize("verdict", [Verdict.CONFLICT, Verdict.FAILED, Verdict.UNTOUCHED])
def test_any_other_companion_does(verdict: Verdict) -> None:
    found = together((PAIRS[0], COMPANION), [Copied(Verdict.COPIED), Copied(verdict)])
    assert (found.verdict, found.also_copied) == (verdict, 1)


def planned(*names: int) -> Move:
    """Return what is to be done for a row with these references."""
    return PARTIAL.move(Reference(7, "{" + ",".join(f"image/{name}" for name in names) + "}"))


@pytest.mark.parametrize("verdict", OUTCOME_OF)
def test_a_row_is_flipped_for_the_objects_that_are_there(verdict: Verdict) -> None:
    move = planned(0, 1, 0, 2)
    verdicts = [Copied(Verdict.COPIED, size_bytes=5), Copied(verdict, WHY), Copied(Verdict.IN_PLACE)]
    brought = in_part(PARTIAL, move, verdicts, together(move.pairs, verdicts))
    assert brought is not None
    part, copied = brought
    assert part.new_path == "{avatar/0,image/1,avatar/0,avatar/2}"
    assert part.references == 3
    assert part.left is not None
    assert (part.left.outcome, str(part.left.reason)) == (OUTCOME_OF[verdict], "the key is empty (s3://old/image/1)")
    assert (copied.verdict, copied.size_bytes, copied.reason) == (Verdict.COPIED, 5, None)
    assert copied.guarded is (verdict is not Verdict.FAILED), "a copy that failed may have replaced something"


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.CONFLICT, Verdict.COPIED])
async def test_a_reference_that_cannot_be_moved_is_the_worst_of_its_row(verdict: Verdict) -> None:
    too_long = "image/" + "x" * 1018
    move = PARTIAL.move(Reference(7, f"{{image/0,image/1,{too_long}}}"))
    for first in (Verdict.COPIED, verdict):
        ((part, copied),) = await bring(Store({"image/0": first, "image/1": verdict}), [move], PARTIAL, look_first=True)
        left = part.left if copied.may_flip else None
        outcome, reason = left or (OUTCOME_OF[copied.verdict], copied.reason)
        assert outcome is Outcome.FAILED
        assert "1025 bytes" in str(reason)


def test_nothing_is_flipped_in_part_where_all_or_nothing_is_there_or_the_run_stops() -> None:
    move = planned(0, 1)
    for verdicts in (
        [Copied(Verdict.COPIED), Copied(Verdict.IN_PLACE)],
        [Copied(Verdict.MISSING), Copied(Verdict.CONFLICT)],
        [Copied(Verdict.COPIED), Copied(Verdict.UNTOUCHED)],
    ):
        assert in_part(PARTIAL, move, verdicts, together(move.pairs, verdicts)) is None


class Store(Copier):
    """Has a verdict on each object, and notes what it is asked for."""

    def __init__(self, verdicts: dict[str, Verdict]) -> None:
        self.verdicts, self.asked = verdicts, list[str]()

    async def copy_all(self, moves: list[Move], *, look_first: bool = False) -> list[Copied]:  # type: ignore[override] # a list is what it gets
        """Answer for each."""
        assert look_first
        self.asked += [move.source.key for move in moves]
        return [Copied(self.verdicts[move.source.key]) for move in moves]


async def test_the_objects_of_all_rows_are_brought_together_and_each_row_gets_its_own() -> None:
    verdicts = {"image/0": Verdict.COPIED, "image/1": Verdict.IN_PLACE, "image/2": Verdict.MISSING}
    moves = [planned(0, 1), planned(2, 0), planned(2), planned(1)]
    store = Store(verdicts)
    strict = Mapping(Array(KeyNotation(PLAIN)))
    brought = await bring(store, moves, strict, look_first=True)
    assert store.asked == ["image/0", "image/1", "image/2", "image/0", "image/2", "image/1"]
    assert [move for move, _ in brought] == moves
    assert [copied.verdict for _, copied in brought] == [
        Verdict.COPIED, Verdict.MISSING, Verdict.MISSING, Verdict.IN_PLACE,
    ]  # fmt: skip
    in_parts = await bring(store, moves, PARTIAL, look_first=True)
    assert [(move.new_path, copied.may_flip) for move, copied in in_parts] == [
        ("{avatar/0,avatar/1}", True),
        ("{image/2,avatar/0}", True),
        ("{avatar/2}", False),
        ("{avatar/1}", True),
    ]
    assert [move.left and move.left.outcome for move, _ in in_parts] == [None, Outcome.MISSING, None, None]
