"""The paths that are made of the places where references stand: they lead to all of these, and elsewhere to none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.inspect.mention_paths import EACH, MOST_PATHS, generalised, strings_in, written

if TYPE_CHECKING:
    from sketchmigrate.inspect.mention_paths import Path

KEYS = KeyNotation(Routes((Route("old", "image/", "new", "avatar/"),)))
NAMES = st.sampled_from(["id", "file", "small", "large", "7", "", 'a "b"', "é.*", "\x7f"]) | st.text(max_size=3)
DOCUMENTS = st.recursive(
    st.sampled_from(["image/1.png", "image/2", "image/png", "other", 1, None]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4),
    max_leaves=12,
)


@given(st.lists(DOCUMENTS, min_size=1, max_size=5))
def test_paths_lead_to_every_place(documents: list[object]) -> None:
    texts = [json.dumps(each) for each in documents]
    places = {path for text in texts for path, found in strings_in(text) if found.startswith("image/")}
    shape = Json(KEYS, tuple(map(written, generalised(places))))
    for text in texts:
        wanted = sum(found.startswith("image/") for _, found in strings_in(text))
        assert len(shape.read(text).slots) == wanted


PATHS = st.lists(st.sampled_from(["id", "type", "small", "large", "7", EACH]), max_size=3).map(tuple)


@given(st.sets(PATHS), st.sets(PATHS))
def test_no_path_leads_to_what_is_to_be_avoided(places: set[Path], avoid: set[Path]) -> None:
    made = generalised(places, avoid - places)
    for other in avoid - places:
        assert not any(
            len(path) == len(other) and all(step in {None, there} for step, there in zip(path, other, strict=True))
            for path in made
        )


@pytest.mark.parametrize(
    ("places", "paths"),
    [
        ([("file", "id")], ["$.file.id"]),
        (
            [("file", "id"), ("derivatives", "small", "id"), ("derivatives", "large", "id")],
            ["$.derivatives.*.id", "$.file.id"],
        ),
        ([("avatar",), ("cover",)], ["$.avatar", "$.cover"]),
        ([("small",), ("medium",), ("large",)], ["$.*"]),
        ([("shots", EACH, "src")], ["$.shots[*].src"]),
        ([("by_id", "1017", "key")], ["$.by_id.*.key"]),
        ([()], ["$"]),
    ],
)
def test_what_differs_from_document_to_document_is_any(places: list[Path], paths: list[str]) -> None:
    assert sorted(map(written, generalised(places))) == paths


def test_names_without_end_are_data() -> None:
    assert generalised([(f"name {number}", f"of {number}", "x") for number in range(MOST_PATHS + 1)]) == {
        (None, None, None)
    }


def test_numbers_of_any_length_are_passed_over() -> None:
    assert dict(strings_in('{"n": ' + "9" * 5000 + ', "s": "image/1", "s": "image/2"}')) == {("s",): "image/2"}
