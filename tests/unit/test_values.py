"""How a ledger keeps values: nothing is lost, and what differs in a few places costs as much as these."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.ledger.values import (
    DIGEST_BYTES,
    PAGE_BYTES,
    SHOWN_CHARS,
    TEXT_BYTES,
    Piece,
    all_short,
    apply,
    digest_of_long,
    is_long,
    pack,
    page_of,
    pieces,
    shown,
    unpack,
)

FEW = st.text("ab", max_size=300)
"""Texts that are the same in many places."""

VALUES = st.text() | FEW | st.builds(lambda text, times: text * times, st.text(max_size=40), st.integers(0, 200))


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """A long text, and the same with some places cut, moved, or written anew."""
    old = draw(st.sampled_from(["image/1.png and ", "ab", "é\U0001f600\n", "x"])) * draw(st.integers(0, 400))
    new = old
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(new)))
        stop = min(len(new), start + draw(st.integers(0, 300)))
        new = new[:start] + draw(VALUES | st.just(new[stop : stop + 200])) + new[stop:]
    return old, new


PAIRS = st.tuples(VALUES, VALUES) | edited()


@given(PAIRS)
def test_pieces_make_the_new_text_of_the_old_one(pair: tuple[str, str]) -> None:
    old, new = pair
    found = pieces(old, new)
    assert apply(old, found) == new
    assert all(piece.start <= piece.stop for piece in found)
    assert all(one.stop <= other.start for one, other in pairwise(found))


@given(PAIRS)
def test_what_is_packed_comes_back(pair: tuple[str, str]) -> None:
    old, new = pair
    assert unpack(*pack(old, new)) == (old, new)
    assert unpack(*pack(old, None)) == (old, None)


@given(st.lists(VALUES))
def test_a_value_of_up_to_1_kib_is_text(values: list[str]) -> None:
    for value in values:
        assert is_long(value) == (len(value.encode()) > TEXT_BYTES)
        assert isinstance(pack(value, value)[0], bytes) == is_long(value)
    assert all_short(values) == (not any(len(value.encode()) > TEXT_BYTES for value in values))


def test_the_limit_is_one_of_bytes() -> None:
    assert pack("a" * TEXT_BYTES, "b") == ("a" * TEXT_BYTES, "b")
    assert isinstance(pack("b", "é" * (TEXT_BYTES // 2) + "e")[0], bytes), "both are packed where one is long"


def text_of(size: int) -> str:
    """Return a text of words with some references in it."""
    words = random.Random(size)
    parts = [f"{words.getrandbits(40):x} " * 50 + f'<img src="image/{number}.png">' for number in range(size // 580)]
    return "".join(parts)[:size]


def test_a_few_places_of_a_long_text_are_a_few_pieces_and_take_milliseconds() -> None:
    old = text_of(2**20)
    new = old.replace("image/", "avatar/").replace("-", "_")
    began = time.process_time()
    found = pieces(old, new)
    took_seconds = time.process_time() - began
    assert len(found) == old.count("image/")
    assert sum(piece.stop - piece.start + len(piece.text) for piece in found) <= 12 * len(found)
    assert took_seconds < 0.5, "a second and more, were each place looked for from the beginning"
    kept_old, kept_new = pack(old, new)
    assert len(kept_new) < len(old) / 40
    assert len(kept_old) < len(old)


@pytest.mark.parametrize(
    ("old", "new"),
    [("ab" * 2**18, "ba" * 2**17 + "c" + "ab" * 2**17), (("x" * 40 + "y") * 5_000, ("x" * 41 + "z") * 5_000)],
    ids=["everywhere the same", "nearly the same everywhere"],
)
def test_texts_that_repeat_themselves_take_no_longer_than_others(old: str, new: str) -> None:
    began = time.process_time()
    assert apply(old, pieces(old, new)) == new
    assert time.process_time() - began < 2


def test_what_was_moved_is_one_piece_out_and_one_in() -> None:
    old = "head " + text_of(5_000)
    assert pieces(old, old + "tail") == (Piece(len(old), len(old), "tail"),)
    assert pieces(old, old[5:]) == (Piece(0, 5, ""),)
    inserted = old[:100] + "\N{SNOWMAN}" * 3_000 + old[100:]
    assert pieces(old, inserted) == (Piece(100, 100, "\N{SNOWMAN}" * 3_000),)


def test_a_long_value_is_shown_by_its_beginning_and_told_from_all_others() -> None:
    long = "x" * (TEXT_BYTES + 1)
    assert (shown("image/1.png"), digest_of_long("image/1.png")) == (("image/1.png", None), None)
    assert shown(long) == ("x" * SHOWN_CHARS + "…", pack(long, None)[0])
    assert shown(long + "y")[0] == shown(long)[0]
    assert digest_of_long(long + "y") != digest_of_long(long) == pack(long, None)[0][:DIGEST_BYTES]


def test_a_page_ends_where_its_values_fill_it_and_has_one_at_least() -> None:
    half = "x" * (PAGE_BYTES // 2)
    rows = iter([half, half, half, half * 4, "y"])
    assert [len(page_of(rows, lambda row: [row])) for _ in range(4)] == [2, 2, 1, 0]
