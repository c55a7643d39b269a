"""The rule from legacy path to production path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.mapping import MAX_KEY_BYTES, Mapping, Move, Unmappable
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Reference, Unreadable
from sketchmigrate.core.rule import Rule

MAPPING = Mapping(Rule("image/", "avatar/"), "old", "new")


def test_only_the_prefix_changes() -> None:
    old, new = "image/a/image/b.png", "avatar/a/image/b.png"
    reference = Reference(7, old)
    moved = Move(reference, new, Location("old", old), Location("new", new))
    assert MAPPING.move(reference) == moved
    assert repr(MAPPING.move(reference)) == repr(moved), "it is all of the same types"


def test_a_batch_is_moved_as_each_of_it_or_not_at_all() -> None:
    references = [Reference(number, f"image/{number}") for number in range(3)]
    assert MAPPING.moves(references) == [MAPPING.move(reference) for reference in references]
    assert MAPPING.moves([]) == []
    with pytest.raises(Unmappable):
        MAPPING.moves([*references, Reference(3, "image/")])


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
def test_everything_behind_the_prefix_stays_as_it_is(rest: str) -> None:
    assert MAPPING.new_path(f"image/{rest}") == f"avatar/{rest}"


def test_the_bare_prefix_names_no_object() -> None:
    with pytest.raises(Unmappable, match="names no object"):
        MAPPING.new_path("image/")


@pytest.mark.parametrize("path", ["", "avatar/a", "Image/a", "image", "/image/a"])
def test_a_path_of_another_side_is_no_business_of_the_mapping(path: str) -> None:
    with pytest.raises(ValueError, match="does not begin with"):
        MAPPING.new_path(path)


def test_a_key_may_have_1024_bytes_and_not_one_more() -> None:
    room = MAX_KEY_BYTES - len("avatar/")
    assert len(MAPPING.new_path("image/" + "é" * (room // 2)).encode()) == MAX_KEY_BYTES - room % 2
    with pytest.raises(Unmappable, match="1025 bytes"):
        MAPPING.new_path("image/" + "x" * (room + 1))


def test_a_path_must_fit_its_column() -> None:
    narrow = Mapping(Rule("image/", "avatar/"), "old", "new", max_path_chars=10)
    assert narrow.new_path("image/äöü") == "avatar/äöü"
    with pytest.raises(Unmappable, match="11 characters; the column holds 10"):
        narrow.new_path("image/abcd")


def test_a_path_must_fit_a_column_that_counts_bytes() -> None:
    narrow = Mapping(Rule("image/", "avatar/"), "old", "new", max_path_bytes=10)
    assert narrow.new_path("image/aä") == "avatar/aä"
    with pytest.raises(Unmappable, match="11 bytes; the column holds 10"):
        narrow.new_path("image/ää")
    with pytest.raises(Unmappable, match="12 bytes"):
        Mapping(Rule("picture/", "avatar/"), "old", "new", max_path_bytes=11).back().new_path("avatar/abcd")


def test_back_is_from_production_to_legacy_and_says_so() -> None:
    back = MAPPING.back()
    moved = Move(Reference(7, "avatar/a"), "image/a", Location("new", "avatar/a"), Location("old", "image/a"))
    assert back.move(Reference(7, "avatar/a")) == moved
    with pytest.raises(ValueError, match="does not begin with 'avatar/'"):
        back.new_path("image/a")
    with pytest.raises(Unmappable, match="names no object"):
        back.new_path("avatar/")
    with pytest.raises(Unmappable, match="the legacy key would be 1025 bytes"):
        Mapping(Rule("image/longer/", "avatar/"), "old", "new").back().new_path("avatar/" + "x" * 1012)


def test_a_path_that_is_no_text_is_not_mapped() -> None:
    with pytest.raises(Unmappable, match="UTF-8"):
        MAPPING.new_path(Unreadable("image/\\xe9"))
