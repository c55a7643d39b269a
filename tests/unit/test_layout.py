"""The value of several columns: what it is made of, and what a flip makes of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.layout import Layout, joined

TEXTS = st.none() | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('"\\/{}')
)


@given(st.lists(TEXTS, max_size=5), st.lists(TEXTS, max_size=3), TEXTS, TEXTS)
def test_a_flip_changes_the_column_and_what_is_set_and_nothing_else(
    reads: list[str | None], sets: list[str | None], old: str | None, new: str | None
) -> None:
    layout = Layout(has_column=True, sets=tuple(sets), reads=len(reads))
    value = joined([old, *("before" for _ in sets), *reads])
    assert layout.split(value) == [old, *("before" for _ in sets), *reads]
    assert layout.column(value) == old
    flipped = layout.flipped(value, new)
    assert layout.split(flipped) == [new, *sets, *reads]
    assert layout.is_set(flipped)
    assert layout.is_set(value) is all(text == "before" for text in sets)


@given(st.lists(TEXTS, max_size=5), st.lists(TEXTS, max_size=3))
def test_without_a_column_only_what_is_set_changes(reads: list[str | None], sets: list[str | None]) -> None:
    layout = Layout(has_column=False, sets=tuple(sets), reads=len(reads))
    value = joined([*("before" for _ in sets), *reads])
    assert layout.column(value) is None
    assert layout.split(layout.flipped(value, None)) == [*sets, *reads]


def test_null_is_not_the_word_and_an_empty_text_is_one() -> None:
    layout = Layout(has_column=True, sets=(None, "null", ""), reads=0)
    assert layout.is_set('["x", null, "null", ""]')
    assert not layout.is_set('["x", "null", null, ""]')
    assert not layout.is_set('["x", null, "null", null]')
