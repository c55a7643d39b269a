"""Readers of settings: a value in a file's own type and the same as text are one, and what is none is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.settings.readers import one_of, or_none, plain_text, real, size, whole, yes_or_no

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES = size("bytes")
WHOLE = whole(-(2**40), 2**40)
REAL = real(-1e9, "a number", most=1e9)


@given(st.integers(-(2**40), 2**40))
def test_a_whole_number_is_read_as_number_and_as_text(number: int) -> None:
    assert WHOLE(number) == WHOLE(str(number)) == WHOLE(f" {number} ") == WHOLE(float(number)) == number
    assert isinstance(WHOLE(float(number)), int)


@given(st.floats(-1e9, 1e9))
def test_a_number_is_read_as_number_and_as_text(number: float) -> None:
    assert REAL(number) == REAL(str(number)) == number
    assert isinstance(REAL(1), float)


@given(st.integers(0, 999), st.sampled_from("kmgtpe"), st.sampled_from(["", "b", "B"]), st.booleans())
def test_a_unit_is_a_power_of_a_thousand(number: int, unit: str, byte: str, is_large: bool) -> None:
    unit = unit.upper() if is_large else unit
    expected = number * 1000 ** ("kmgtpe".index(unit.lower()) + 1)
    assert BYTES(f"{number}{unit}{byte}") == BYTES(f" {number} {unit}{byte} ") == expected


SIZES = {"0": 0, "7": 7, "7B": 7, "1.5k": 1500, ".5K": 500, "2KiB": 2048, "1MiB": 2**20, "8Kbit": 1000, "1e3": 1000}


@pytest.mark.parametrize(("written", "expected"), SIZES.items())
def test_sizes(written: str, expected: int) -> None:
    assert BYTES(written) == expected


TRUTHS = {
    True: [True, 1, 1.0, "yes", "Yes", "TRUE", "on", "y", "t", "1"],
    False: [False, 0, 0.0, "no", "No", "FALSE", "off", "n", "f", "0"],
}


@pytest.mark.parametrize(("truth", "written"), [(truth, each) for truth, all_ in TRUTHS.items() for each in all_])
def test_truths(truth: bool, written: object) -> None:
    assert yes_or_no(written) is truth


REFUSED: dict[Callable[[object], Any], list[object]] = {
    whole(1, 9): [0, 10, "0", 1.5, "1.5", "1e0", "٣", True, None, [1], b"1", math.inf, math.nan, "x", ""],
    real(0, "a number"): [-1, "-0.1", True, None, math.inf, "inf", "nan", "1,5", ""],
    BYTES: [-1, 2.5, "-1", "20 apples", "1KK", "1ib", "K", True, None, "inf", "", "20M/s"],
    yes_or_no: [2, -1, 0.5, "perhaps", "", None, [], b"yes"],
    one_of("a", "b"): ["", "A", 1, None],
    plain_text: [None, 1, b"a", ["a"]],
}


@pytest.mark.parametrize(("read", "value"), [(read, value) for read, values in REFUSED.items() for value in values])
def test_what_is_none_of_it_is_refused(read: Callable[[object], Any], value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        read(value)


def test_a_refusal_shows_no_value_that_is_not_plain() -> None:
    with pytest.raises(ValueError, match=r"^a value of type bytes must be text$"):
        plain_text(b"password=hunter2")


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_taken_where_it_may_be(nothing: object) -> None:
    read = or_none(whole(1, 9), "a digit, or nothing")
    assert read(nothing) is None
    assert read("3") == 3
    with pytest.raises(ValueError, match="'0' must be a digit, or nothing"):
        read("0")
