"""A value that is one reference, and one that is computed and stands nowhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.contract import replace
from sketchmigrate.core.shapes.expression import Computed
from sketchmigrate.core.shapes.whole import Whole
from tests.unit.shapes.site import KEY_TEXTS, KEYS, URLS, check_slots, is_legal, moved

UNCHANGED = KeyNotation(Routes((Route("old", "", "new", ""),)))


@given(KEY_TEXTS)
def test_a_key_moves_or_stays(key: str) -> None:
    there = moved(key)
    assert check_slots(Whole(KEYS), key) == (key if there is None else there)
    reading = Whole(KEYS).read(key)
    assert bool(reading.failure) == (there is None)
    if there not in {None, key}:
        assert reading.slots[0][2:7] == (SideName.LEGACY, "old", key, "new", there)


def test_a_url_is_the_whole_value() -> None:
    url = "https://old.example.com/image/a"
    assert check_slots(Whole(URLS), url) == "https://cdn.example.com/avatar/a"
    assert not Whole(URLS).read(f"see {url}").slots
    assert "presigned" in str(Whole(URLS).read(f"{url}?X-Amz-Signature=1").failure)


@given(KEY_TEXTS.filter(is_legal))
def test_a_key_that_stays_is_told_by_something_else(key: str) -> None:
    """The row says which store has it."""
    (legacy,), (production,) = (
        Whole(UNCHANGED).read(key, side).slots for side in (SideName.LEGACY, SideName.PRODUCTION)
    )
    assert legacy == (0, len(key), SideName.LEGACY, "old", key, "new", key, key)
    assert production == (0, len(key), SideName.PRODUCTION, "new", key, "old", key, key)


@given(st.lists(st.from_regex(r"image/[a-z]{1,5}", fullmatch=True)))
def test_what_is_computed_is_not_written(keys: list[str]) -> None:
    value = "{" + ",".join(keys) + "}"
    reading = Computed(Array(KEYS)).read(value)
    assert [(each.key, each.other_key) for each in reading.slots] == [(key, moved(key)) for key in keys]
    assert replace(value, reading.slots) == value
