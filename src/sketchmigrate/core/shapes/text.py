"""A text with references in it: HTML, Markdown, or plain. Pure.

Where one begins and ends is told by the characters around it alone, as a text may be any of these, or a piece of one.
A text is looked through once, whatever is in it: a run of characters without an end is measured once, and what begins
in it is judged by its head alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape, unescape
from html.entities import html5
from itertools import product
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.contract import AS_IT_IS, Patterns, Reading, Shape, Slot, slot, spelling, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.notation import KeyNotation, Notation, Written
    from sketchmigrate.core.reason import Reason

_ENCODED_ALPHANUMERICS = tuple(rf"\%{begin}" for begin in ("30", *(f"3{n}" for n in range(1, 10)), "4", "5", "6", "7"))
_CHARS_OF_ONE = 10
"""So many characters at most stand for one that is encoded: ``&#x00002f;``."""

# &quot; and other entities end with one of these
_BEFORE = frozenset("\"'(<>[=,;|\\")
_MOST_SCHEME_CHARS = 16
_scheme = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]{{0,{_MOST_SCHEME_CHARS - 1}}}\Z").search
_SLASHES = r"//|%3[Aa](?:%2[Ff]|/){2}|%2[Ff]%2[Ff]"
"""Without groups and flags: with these each character is tried, which takes six times as long."""

_ENTITY = r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30})"
_ENDING_ENTITY = r"&(?i:quot|apos|lt|gt|nbsp|#0{0,4}(?:34|39|60|62|160)|#x0{0,4}(?:22|27|3c|3e|a0));"
_ending = re.compile(rf"""[\s"'<>)\]|\\]|{_ENDING_ENTITY}""").search
_ending_encoded = re.compile(r"""[\s"'<>)\]|\\&?#]""").search
_SENTENCE = ".,;:!?"
_ends_with_entity = re.compile(rf"{_ENTITY}\Z").search
_LONGEST_ENTITY = 33
_entities = re.compile(rf"{_ENTITY};").sub
_characters = re.compile(rf"{_ENTITY};|.", re.DOTALL).finditer
_encoded_characters = re.compile(
    r"(?i:%[0-7][0-9A-F]|%[CD].%[89AB].|%E.(?:%[89AB].){2}|%F.(?:%[89AB].){3}|%..)|.", re.DOTALL
).finditer
_is_encoded = re.compile(r"%3[Aa](?:%2[Ff]|/){2}|%2[Ff]%2[Ff]").fullmatch
_lengths_by_php = re.compile(r"s:\d{1,10}:\\{0,9}(?:\"|&quot;)").finditer


class _Anchor(NamedTuple):
    """Where a reference may begin, what tells so (``url``, ``encoded`` or ``key``), and where that ends."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """URLs within a text, and with ``keys`` bare keys as well. See ``Shape``."""

    notation: Notation
    keys: KeyNotation | None = None
    _telling: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _head_chars: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        telling = [_SLASHES]
        if self.keys is not None:
            prefixes = {p for r in self.keys.routes.all for p in (r.legacy_prefix, r.production_prefix)}
            telling += map(re.escape, sorted(prefixes, reverse=True))
        longest = max(each.longest_chars for each in (self.notation, self.keys) if each is not None)
        object.__setattr__(self, "_head_chars", longest * _CHARS_OF_ONE)
        object.__setattr__(self, "_telling", re.compile("|".join(telling)))

    def patterns(self, side: SideName) -> Patterns:
        """See ``Shape``. What is encoded has an entity by number, or a letter or digit that is percent-encoded."""
        urls = within(self.notation.signs(side), spelling("[^A-Za-z0-9]"), "&#", *_ENCODED_ALPHANUMERICS)
        if self.keys is None:
            return urls
        keys = within(self.keys.signs(side), spelling(AS_IT_IS))
        # a value has one of each group of the one, or one of each of the other
        pairs = product(urls.groups, keys.groups)
        return Patterns(tuple((*url, *key) for url, key in pairs), ignores_case=True)

    def read(self, value: str, side: SideName | None = None) -> Reading:
        """See ``Shape``."""
        slots: list[Slot] = []
        failure: Reason | None = None
        position = 0
        ends = {_ending: 0, _ending_encoded: 0}  # the run that was measured last ends there, and so does all within it
        while anchor := self._next(value, position):
            start, position, kind = anchor
            is_encoded = kind == "encoded"
            ending = _ending_encoded if is_encoded else _ending
            if ends[ending] < position:
                ends[ending] = _end(ending, value, position)
            notation = self.keys if kind == "key" else self.notation
            assert notation is not None, anchor  # noqa: S101 - without keys there is no such anchor
            head = value[start : start + self._head_chars]
            try:
                if start + len(head) < ends[ending] and not _is_reference(head, notation, side, is_encoded=is_encoded):
                    continue  # another one may begin within it, such as behind ?url=
                found = _read(value[start : ends[ending]], notation, side, is_encoded=is_encoded)
                if found is None:
                    continue
            except Unmappable as fault:
                failure = failure or fault.reason
                found = None
            position = ends[ending]
            if found is not None:
                written, text = found
                slots.append(slot(start, position, written, text))
        if (failure or any(each.side is SideName.LEGACY for each in slots)) and _is_serialized_by_php(value):
            return Reading((), because(ReasonKind.SERIALIZED_BY_PHP))
        return Reading(tuple(slots), failure)

    def _next(self, value: str, position: int) -> _Anchor | None:
        """Return where the next reference may begin, from a position on.

        It is found by the slashes or the prefix, which are rare: to try each character for a beginning takes ten times
        as long. From the slashes of a URL it goes back to its scheme, whose characters are none that may stand before a
        URL: so there is but one place where that can begin.
        """
        search, at = self._telling.search, position
        while at < len(value) and (found := search(value, at)):
            (start, end), said = found.span(), found[0]
            if not said:  # an empty prefix: each word may be a key
                if _ending(value, start, start + 1) or start == len(value):
                    at = start + 1
                    continue
                end = start + 1
            kind = "url" if said == "//" else "encoded" if _is_encoded(said) else "key"
            at = start + 1
            scheme_end = -1
            if kind == "encoded" and said[1] == "3":
                scheme_end = start
            elif kind == "url" and start > position and value[start - 1] == ":":
                scheme_end = start - 1
            if scheme_end >= 0:
                before = value[max(position, scheme_end - _MOST_SCHEME_CHARS) : scheme_end]
                scheme = _scheme(before)
                if scheme is None:
                    continue
                start = scheme_end - len(before) + scheme.start()
            if not start or value[start - 1] in _BEFORE or value[start - 1].isspace():
                return _Anchor(start, end, kind)
        return None


def _is_serialized_by_php(value: str) -> bool:
    before = (value[max(found.start() - 1, 0) : found.start()] for found in _lengths_by_php(value))
    return any(not (each.isascii() and each.isalnum()) for each in before)


def _end(ending: Callable[[str, int], re.Match[str] | None], value: str, position: int) -> int:
    """Return where a run of characters ends that a reference may have, without the punctuation behind it."""
    match = ending(value, position)
    end = len(value) if match is None else match.start()
    text = value[position:end]
    trimmed = len(text.rstrip(_SENTENCE))
    # the semicolon of an entity is no punctuation
    if text[trimmed : trimmed + 1] == ";" and _ends_with_entity(text[max(trimmed - _LONGEST_ENTITY, 0) : trimmed]):
        trimmed += 1
    return position + trimmed


def _is_reference(head: str, notation: Notation, side: SideName | None, *, is_encoded: bool) -> bool:
    try:
        return _read(head, notation, side, is_encoded=is_encoded) is not None
    except Unmappable:
        return True  # perhaps only as it was cut: the whole is judged


def _read(raw: str, notation: Notation, side: SideName | None, *, is_encoded: bool) -> tuple[Written, str] | None:
    """Return the reference that is spelled so, and what is to stand there instead. Raises ``Unmappable``."""
    if not is_encoded and "&" not in raw:
        found = notation.read(raw, side)
        return None if found is None else (found, found.front + raw[found.cut :])
    decode = _percent_decoded if is_encoded else _entities_decoded
    found = notation.read(decode(raw), side)
    if found is None:
        return None
    cut = chars = 0
    for character in (_encoded_characters if is_encoded else _characters)(raw):
        if chars >= found.cut:
            break
        chars, cut = chars + len(decode(character[0])), character.end()
    if chars > found.cut:
        raise Unmappable(ReasonKind.SPLIT_ENTITY)
    if is_encoded:
        front = quote(found.front, safe="/" if "/" in raw[:cut] else "")
    else:
        front = found.front if decode(raw[:cut]) == raw[:cut] else escape(found.front)
    return found, front + raw[cut:]


def _percent_decoded(raw: str) -> str:
    return unquote(raw, errors="surrogateescape")


def _entities_decoded(raw: str) -> str:
    return _entities(
        lambda entity: unescape(entity[0]) if entity[0][1] == "#" else html5.get(entity[0][1:], entity[0]), raw
    )
