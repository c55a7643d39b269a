"""Other spellings of a key: what a path may have meant that names no object. Pure.

S3 compares keys byte by byte, and other places do not: macOS names files in NFD, a browser percent-encodes, Windows
does not tell case, and a form keeps the space at the end. Such a row looks right to a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize
from urllib.parse import quote, unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SPELLINGS = 12
"""Of one key: as many looks at the store are made at most."""


def spellings(key: str, prefix: str = "") -> tuple[str, ...]:
    """Return other keys that ``key`` may be meant for, the likeliest first. All begin with ``prefix``, as it does.

    Of other cases there are only all in small letters, all in capitals, and the ending alone: a listing finds the rest.
    """
    tail = key.removeprefix(prefix)
    found = dict.fromkeys(prefix + each for each in _spellings(tail) if each and "\ufffd" not in each)
    found.pop(key, None)
    return tuple(found)[:MOST_SPELLINGS]


def other_cases(key: str, prefix: str) -> tuple[str, ...]:
    """Return those of the other spellings that differ in case; a listing finds more. All begin with ``prefix``."""
    return tuple(dict.fromkeys(other for each in _cases(key.removeprefix(prefix)) if (other := prefix + each) != key))


def difference(key: str, other: str) -> str:
    """Say in what two spellings differ, as the two may look the same on a screen."""
    for words, same in (
        ("in Unicode normal form", normalize("NFC", key) == normalize("NFC", other)),
        ("in white space at the end", key.rstrip() == other.rstrip()),
        ("in case", normalize("NFC", key).casefold() == normalize("NFC", other).casefold()),
        ("in percent-encoding", unquote(key) == unquote(other) or unquote_plus(key) == unquote_plus(other)),
    ):
        if same:
            return words
    return "in several ways of spelling"


def spelt_otherwise(key: str, other: str) -> str:
    """Say of a missing object which one it probably is."""
    shown = f"{other!a}" if normalize("NFC", key) == normalize("NFC", other) else f"{other!r}"
    return f"probably {shown} is meant, which is there and differs {difference(key, other)}"


def _spellings(key: str) -> Iterator[str]:
    decoded = unquote(key)
    for each in (key, decoded):
        yield normalize("NFC", each)
        yield normalize("NFD", each)
    yield key.rstrip()
    yield unquote_plus(key)
    yield quote(key, safe="/")
    yield key.replace(" ", "+")
    yield from _cases(key)
    yield f"{key} "


def _cases(key: str) -> Iterator[str]:
    stem, dot, ending = key.rpartition(".")
    if dot:
        yield f"{stem}.{ending.lower() if ending != ending.lower() else ending.upper()}"
    yield key.lower()
    yield key.upper()
