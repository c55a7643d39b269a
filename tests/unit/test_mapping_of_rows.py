"""Rows of several references, of columns beside them, of companions and of computed keys; and rows moved in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.layout import Layout, joined
from sketchmigrate.core.mapping import Computed, Mapping, Move, ObjectPair, Unmappable
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.reference import Reference
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.array import Array, element_text
from sketchmigrate.core.shapes.expression import Computed as ComputedShape
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.shapes.whole import Whole
from tests.unit.shapes.site import KEY_TEXTS, KEYS, PLAIN, URLS, is_legal, moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.shapes.contract import Shape

PLAIN_KEYS = KeyNotation(PLAIN)
ARRAY = Mapping(Array(PLAIN_KEYS))
PARTIAL = Mapping(Array(PLAIN_KEYS), partial=True)
WITH_COMPANIONS = Mapping(Whole(PLAIN_KEYS), companions=ComputedShape(Array(PLAIN_KEYS)))
COMPUTED = Mapping(ComputedShape(Array(PLAIN_KEYS)), layout=Layout(False, ("production",), 1), sides_by_row=True)  # noqa: FBT003 - there is no column
SAME_KEYS = KeyNotation(Routes((Route("old", "", "new", ""),)))
BY_ROW = Mapping(Whole(SAME_KEYS), layout=Layout(True, ("production", None), 1), sides_by_row=True)  # noqa: FBT003 - there is a column
TOO_LONG = "image/" + "x" * 1020


def pair(key: str, *, is_companion: bool = False) -> ObjectPair:
    """Return an object that is to be brought."""
    return ObjectPair(Location("old", key), Location("new", key.replace("image/", "avatar/")), is_companion)


def move(mapping: Mapping, value: str, computed: Computed = Computed()) -> Move:  # noqa: B008 - it is frozen
    """Return what is to be done for a row."""
    return mapping.move(Reference(7, value), computed)


def test_all_references_of_a_row_are_moved_at_once() -> None:
    found = move(ARRAY, "{image/1,NULL,other,image/2,avatar/3}")
    assert found.new_path == "{avatar/1,NULL,other,avatar/2,avatar/3}"
    assert found.pairs == (pair("image/1"), pair("image/2"))
    assert (found.source, found.target) == pair("image/1")[:2]
    assert (found.references, found.left) == (2, None)


def test_an_object_that_is_named_twice_is_brought_once() -> None:
    found = move(ARRAY, "{image/1,image/2,image/1}")
    assert found.new_path == "{avatar/1,avatar/2,avatar/1}"
    assert found.pairs == (pair("image/1"), pair("image/2"))
    assert found.references == 3


def test_one_reference_that_cannot_be_moved_holds_its_row_up() -> None:
    with pytest.raises(Unmappable, match="1026 bytes"):
        move(ARRAY, f"{{image/1,{TOO_LONG}}}")


@given(st.lists(KEY_TEXTS | st.none(), max_size=5))
def test_a_row_moves_whole_or_not_at_all(keys: list[str | None]) -> None:
    value = "{" + ",".join("NULL" if key is None else element_text(key) for key in keys) + "}"
    (planned, refused) = Mapping(Array(KEYS)).plan([Reference(7, value)])
    texts = [key for key in keys if key is not None]
    legacy = [key for key in texts if moved(key) not in {key, None}]
    if any(moved(key) is None for key in texts):
        assert not planned
        assert refused
    elif not legacy:
        assert [reason.kind for _, reason in refused] == [ReasonKind.NO_MOVE]
    else:
        assert not refused
        assert planned[0].references == len(legacy)
        assert [each.source.key for each in planned[0].pairs] == list(dict.fromkeys(legacy))
        assert [each.target.key for each in planned[0].pairs] == [moved(key) for key in dict.fromkeys(legacy)]


def test_the_length_of_the_column_is_that_of_the_new_value() -> None:
    narrow = Mapping(Array(PLAIN_KEYS), max_path_chars=20)
    assert move(narrow, "{image/1,image/2}").new_path == "{avatar/1,avatar/2}"
    with pytest.raises(Unmappable, match="21 characters; the column holds 20"):
        move(narrow, "{image/12,image/23}")


def test_companions_are_brought_as_well_and_stand_nowhere() -> None:
    computed = Computed(None, "{image/s/1,image/1,image/s/1,NULL,other}")
    found = move(WITH_COMPANIONS, "image/1", computed)
    assert found.new_path == "avatar/1"
    assert found.pairs == (pair("image/1"), pair("image/s/1", is_companion=True))
    assert found.references == 1
    assert move(WITH_COMPANIONS, "image/1").pairs == (pair("image/1"),)
    with pytest.raises(Unmappable, match="1026 bytes"):
        move(WITH_COMPANIONS, "image/1", Computed(None, f"{{{TOO_LONG}}}"))
    assert WITH_COMPANIONS.needs_computing
    assert not ARRAY.needs_computing


def test_computed_keys_are_brought_and_the_row_gets_what_is_set() -> None:
    value = joined(["legacy", "7"])
    found = move(COMPUTED, value, Computed("{image/7-s,image/7-m}"))
    assert found.new_path == joined(["production", "7"])
    assert found.pairs == (pair("image/7-s"), pair("image/7-m"))
    assert found.references == 2
    for nothing in (None, "{}", "{NULL}", "{other}"):
        with pytest.raises(Unmappable, match="no move has the key"):
            move(COMPUTED, value, Computed(nothing))
    assert COMPUTED.needs_computing


def test_a_batch_takes_what_was_computed_for_each_of_its_rows() -> None:
    rows = [Reference(number, joined(["legacy", str(number)])) for number in range(3)]
    planned = COMPUTED.plan(rows, [Computed("{image/0}"), Computed(None), Computed("{image/2}")])
    assert [(each.reference, each.source.key) for each in planned.moves] == [(rows[0], "image/0"), (rows[2], "image/2")]
    assert [(row, reason.kind) for row, reason in planned.refused] == [(rows[1], ReasonKind.NO_MOVE)]
    with pytest.raises(ValueError, match="zip"):
        COMPUTED.plan(rows, [Computed("{image/0}")])


def test_a_row_that_tells_its_side_keeps_its_key() -> None:
    found = move(BY_ROW, joined(["any/key", "legacy", "x", "read"]))
    assert found.new_path == joined(["any/key", "production", None, "read"])
    assert found.pairs == (ObjectPair(Location("old", "any/key"), Location("new", "any/key")),)


@pytest.mark.parametrize(
    ("texts", "meets", "side"),
    [
        (["k", "legacy", None, None], True, SideName.LEGACY),
        (["k", "production", None, "r"], True, SideName.LEGACY),  # the condition counts, whatever else is there
        (["k", "production", None, "r"], False, SideName.PRODUCTION),
        (["k", "production", "x", None], False, SideName.NEITHER),
        (["k", "legacy", None, None], False, SideName.NEITHER),
        ([None, "legacy", None, None], True, SideName.NEITHER),
        (["", "legacy", None, None], True, SideName.NEITHER),
        ([None, "production", None, None], False, SideName.NEITHER),
    ],
)
def test_the_side_that_a_row_tells(texts: list[str | None], meets: bool, side: SideName) -> None:
    assert BY_ROW.side_of(joined(texts), meets=meets) is side
    assert BY_ROW.side_of(None, meets=meets) is SideName.NEITHER


@pytest.mark.parametrize(
    ("value", "side"),
    [
        ("{avatar/1,image/1}", SideName.LEGACY),
        (f"{{{TOO_LONG}}}", SideName.LEGACY),  # it cannot be moved, and counts
        ("{avatar/1,other}", SideName.PRODUCTION),
        ("{other}", SideName.NEITHER),
        (None, SideName.NEITHER),
    ],
)
def test_the_side_that_references_tell(value: str | None, side: SideName) -> None:
    assert ARRAY.side_of(value, meets=True) is side
    assert ARRAY.side_of(value, meets=False) is SideName.NEITHER
    assert ARRAY.is_legacy(value) is (side is SideName.LEGACY)


def test_only_what_was_brought_is_moved_in_part() -> None:
    whole = move(PARTIAL, "{image/1,image/2,image/1}")
    part = PARTIAL.partly(whole, [True, False])
    assert part is not None
    assert (part.new_path, part.references) == ("{avatar/1,image/2,avatar/1}", 2)
    assert PARTIAL.partly(whole, [False, False]) is None
    assert PARTIAL.partly(whole, [True, True]) == whole


def test_a_reference_that_cannot_be_moved_holds_nothing_up_where_a_part_may_move() -> None:
    found = move(PARTIAL, f"{{image/1,{TOO_LONG}}}")
    assert found.new_path == f"{{avatar/1,{TOO_LONG}}}"
    assert found.left is not None
    assert found.left.outcome is Outcome.FAILED
    assert "1026 bytes" in str(found.left.reason)
    with pytest.raises(Unmappable, match="1026 bytes"):
        move(PARTIAL, f"{{{TOO_LONG}}}")


def test_companions_go_back_with_whatever_part_of_their_row() -> None:
    mapping = Mapping(Array(PLAIN_KEYS), companions=ComputedShape(Array(PLAIN_KEYS)), partial=True)
    computed = Computed(None, "{image/s}")
    whole = move(mapping, "{image/1,image/2}", computed)
    part = mapping.moved_to(whole, "{image/1,avatar/2}")
    assert part is not None
    assert part.pairs == (pair("image/2"), pair("image/s", is_companion=True))
    assert part.references == 1


SHORT = st.sampled_from(["image/a", "image/b", "image/image/a", "image/é", "avatar/a", "x"])
WRITTEN: dict[str, tuple[Shape, Callable[[list[str]], str]]] = {
    "array": (Array(PLAIN_KEYS), lambda keys: "{" + ",".join(map(element_text, keys)) + "}"),
    "json": (Json(PLAIN_KEYS, ("$[*]",)), lambda keys: "[" + ", ".join(f'"{key}"' for key in keys) + "]"),
    "text": (Text(URLS), lambda keys: " and ".join(f"https://old.example.com/{key}" for key in keys)),
    "keys in text": (Text(URLS, PLAIN_KEYS), lambda keys: "".join(f"({key})" for key in keys)),
}


@pytest.mark.parametrize("layout", [None, Layout(True, ("set",), 0)])  # noqa: FBT003 - there is a column
@pytest.mark.parametrize("kind", WRITTEN)
@given(st.lists(SHORT, min_size=1, max_size=5), st.data())
def test_a_part_is_found_again_by_the_value_that_it_makes(
    kind: str, layout: Layout | None, keys: list[str], data: st.DataObject
) -> None:
    shape, write = WRITTEN[kind]
    mapping = Mapping(shape, layout=layout, partial=True)
    value = write(keys) if layout is None else joined([write(keys), "old"])
    planned = mapping.plan([Reference(7, value)])
    if not planned.moves:
        assert not any(key.startswith("image/") for key in keys)
        return
    (whole,) = planned.moves
    assert mapping.moved_to(whole, whole.new_path) == whole
    brought = data.draw(st.lists(st.booleans(), min_size=len(whole.pairs), max_size=len(whole.pairs)))
    part = mapping.partly(whole, brought)
    if part is None:
        assert not any(brought)
        return
    back = mapping.moved_to(whole, part.new_path)
    assert back is not None
    assert (back.new_path, back.references) == (part.new_path, part.references)
    assert back.pairs == tuple(each for each, is_there in zip(whole.pairs, brought, strict=True) if is_there)
    assert mapping.moved_to(whole, value) is None, "nothing is moved there"
    other = part.new_path + " " if layout is None else joined([write(keys), "other"])
    assert mapping.moved_to(whole, other) is None, "somebody has changed it since"


@given(KEY_TEXTS.filter(is_legal))
def test_what_is_computed_is_read_as_it_stands_in_an_array(key: str) -> None:
    computed = Computed(None, f"{{{element_text(key)}}}")
    found = Mapping(Whole(KEYS), companions=ComputedShape(Array(KEYS))).plan([Reference(7, "image/1")], [computed])
    there = moved(key)
    if there is None:
        assert found.refused
    else:
        companions = [key] if key not in (there, "image/1") else []  # what names the row's own object names no other
        assert [each.source.key for each in found.moves[0].pairs] == ["image/1", *companions]
