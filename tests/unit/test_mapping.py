"""What is to be done for a row that holds one key, and the way back of what was done."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.mapping import MAX_KEY_BYTES, Mapping, Move, Unmappable
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.reference import Reference, Unreadable
from tests.mappings import mapping_of

MAPPING = mapping_of()


def new_path(path: str, mapping: Mapping = MAPPING) -> str:
    """Return the new path of a row, or raise why there is none."""
    return mapping.move(Reference(7, path)).new_path


def test_only_the_prefix_changes() -> None:
    old, new = "image/a/image/b.png", "avatar/a/image/b.png"
    reference = Reference(7, old)
    moved = Move(reference, new, Location("old", old), Location("new", new))
    assert MAPPING.move(reference) == moved
    assert repr(MAPPING.move(reference)) == repr(moved), "it is all of the same types"
    (planned,) = MAPPING.plan([reference]).moves
    assert repr(planned) == repr(moved), "and so it is in a batch"


@given(st.lists(st.sampled_from(["image/1", "image/23", "image/", "avatar/1", "", Unreadable("image/\\xe9")])))
def test_a_batch_is_moved_as_each_of_it_and_what_cannot_be_is_named(paths: list[str]) -> None:
    references = [Reference(number, path) for number, path in enumerate(paths)]
    planned = MAPPING.plan(references)
    assert planned.moves == [MAPPING.move(each) for each in references if each.path in {"image/1", "image/23"}]
    refused = [each for each in references if each.path not in {"image/1", "image/23"}]
    assert [reference for reference, _ in planned.refused] == refused
    for reference, reason in planned.refused:
        with pytest.raises(Unmappable) as caught:
            MAPPING.move(reference)
        assert caught.value.reason == reason


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200))
def test_everything_behind_the_prefix_stays_as_it_is(rest: str) -> None:
    assert new_path(f"image/{rest}") == f"avatar/{rest}"


def test_the_bare_prefix_names_no_object() -> None:
    with pytest.raises(Unmappable, match="names no object"):
        new_path("image/")


@pytest.mark.parametrize("path", ["", "avatar/a", "Image/a", "image", "/image/a"])
def test_a_path_of_another_side_is_no_business_of_the_mapping(path: str) -> None:
    with pytest.raises(ValueError, match="no move has the key"):
        new_path(path)


def test_a_key_may_have_1024_bytes_and_not_one_more() -> None:
    room = MAX_KEY_BYTES - len("avatar/")
    assert len(new_path("image/" + "é" * (room // 2)).encode()) == MAX_KEY_BYTES - room % 2
    with pytest.raises(Unmappable, match="the production key would be 1025 bytes"):
        new_path("image/" + "x" * (room + 1))


def test_a_path_that_is_no_key_is_refused_before_anything_is_asked_of_it() -> None:
    back = mapping_of("image/longer/", "avatar/")
    with pytest.raises(Unmappable, match="the legacy key is 1025 bytes"):
        new_path("image/longer/" + "x" * 1012, back)
    assert len(new_path("image/longer/" + "x" * 1011, back)) == 1018
    with pytest.raises(Unmappable) as caught:
        new_path("image/a\0b")
    assert caught.value.reason.kind is ReasonKind.KEY_HAS_NUL


def test_a_path_must_fit_its_column() -> None:
    narrow = mapping_of(max_path_chars=10)
    assert new_path("image/äöü", narrow) == "avatar/äöü"
    with pytest.raises(Unmappable, match="11 characters; the column holds 10"):
        new_path("image/abcd", narrow)
    assert [str(reason) for _, reason in narrow.plan([Reference(1, "image/abcd")]).refused] == [
        "the new path has 11 characters; the column holds 10"
    ]


def test_a_path_must_fit_a_column_that_counts_bytes() -> None:
    narrow = mapping_of(max_path_bytes=10)
    assert new_path("image/aä", narrow) == "avatar/aä"
    with pytest.raises(Unmappable, match="11 bytes; the column holds 10"):
        new_path("image/ää", narrow)


def test_a_path_that_is_no_text_is_not_mapped() -> None:
    with pytest.raises(Unmappable, match="UTF-8"):
        new_path(Unreadable("image/\\xe9"))
