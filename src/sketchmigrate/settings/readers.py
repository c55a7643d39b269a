"""How values are read that a person has written: text, numbers, yes or no, in a file's types or as text. Pure.

A refusal is a ``ValueError`` saying what the value must be. Without pydantic, as every start of the program comes by.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUTHS = {"yes": True, "true": True, "on": True, "y": True, "t": True, "1": True} | {
    "no": False, "false": False, "off": False, "n": False, "f": False, "0": False
}  # fmt: skip
_SIZE = re.compile(r"([0-9]*\.?[0-9]+)\s*([kmgtpe]?)((?<=[kmgtpe])ib|b|bit|)", re.IGNORECASE)
_POWERS = " kmgtpe"


class Read:
    """Reads a value in steps: each takes what the one before returned, and raises ``ValueError`` where it is wrong.

    pydantic takes one in an annotation, in the place of all that it would check of the type itself.
    """

    __slots__ = ("_steps",)

    def __init__(self, *steps: Callable[[Any], Any]) -> None:
        self._steps = steps

    def __call__(self, value: object) -> Any:  # noqa: ANN401 - what the last step makes of it
        """Return the value as it was read. Raises ``ValueError``."""
        for step in self._steps:
            value = step(value)
        return value

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:  # noqa: ANN401 - pydantic's own
        """Tell pydantic to leave it all to this."""
        from pydantic_core import core_schema  # noqa: PLC0415 - whoever asks has imported it

        return core_schema.no_info_plain_validator_function(self)


def plain_text(value: object) -> str:
    """Take a text."""
    if not isinstance(value, str):
        raise _wrong(value, "text")
    return value


def whole(least: int, most: int, must_be: str = "") -> Callable[[object], int]:
    """Return what takes a whole number from ``least`` to ``most``, also as text."""

    def read(value: object) -> int:
        number = None if isinstance(value, str) and "e" in value.lower() else _number(value)
        if number is None or not least <= number <= most or number != int(number):
            raise _wrong(value, must_be or f"a whole number from {least} to {most}")
        return int(number)

    return read


def real(least: float, must_be: str, *, most: float = math.inf) -> Callable[[object], float]:
    """Return what takes a finite number from ``least`` to ``most``, also as text."""

    def read(value: object) -> float:
        number = _number(value)
        if number is None or not least <= number <= most or math.isinf(number):
            raise _wrong(value, must_be)
        return float(number)

    return read


def size(must_be: str, least_bytes: int = 0) -> Callable[[object], int]:
    """Return what takes a number of bytes from ``least_bytes`` on: as a number, or as text with a unit behind it.

    K, KB and so on are powers of 1000, KiB and so on of 1024; eight Kbit and so on are a KB.
    """

    def read(value: object) -> int:
        number = _number(value)
        if number is None and isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
            base = 1024 if found[3].lower() == "ib" else 1000
            number = float(found[1]) * base ** _POWERS.index(found[2].lower() or " ")
            number = number / 8 if found[3].lower() == "bit" else number
        is_part = isinstance(value, float) and not value.is_integer()
        if number is None or is_part or not least_bytes <= number < math.inf:
            raise _wrong(value, must_be)
        return int(number)

    return read


def yes_or_no(value: object) -> bool:
    """Take a truth, also as text or as 1 and 0."""
    if isinstance(value, bool):
        return value
    word = str(int(value)) if isinstance(value, int | float) and value in {0, 1} else value
    truth = _TRUTHS.get(word.lower()) if isinstance(word, str) else None
    if truth is None:
        raise _wrong(value, "yes or no")
    return truth


def one_of(*words: str) -> Callable[[object], str]:
    """Return what takes one of these words, of which one may be empty."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise _wrong(value, f"one of: {', '.join(word or 'empty' for word in words)}")
        return value

    return read


def or_none(step: Callable[[object], Any], must_be: str) -> Callable[[object], Any]:
    """Return what takes nothing, also as an empty text, or what ``step`` takes."""

    def read(value: object) -> Any:  # noqa: ANN401 - as the step has it
        if value is None or value == "":
            return None
        try:
            return step(value)
        except ValueError:
            raise _wrong(value, must_be) from None

    return read


def _number(value: object) -> int | float | None:
    """Return a number, which a truth is to Python only; None for what is none."""
    if isinstance(value, str):
        for kind in (int, float) if value.isascii() else ():
            try:
                return kind(value)
            except ValueError:
                continue
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _wrong(value: object, must_be: str) -> ValueError:
    """Say what it must be, and repeat the value where it is plain: none of these kinds has a secret in it."""
    plain = value is None or isinstance(value, str | int | float)
    shown = repr(value) if plain else f"a value of type {type(value).__name__}"
    return ValueError(f"{shown} must be {must_be}")
