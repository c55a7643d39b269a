"""What a path on neither side seems to be, and which legacy keys it may stand for. Pure.

A wrong prefix, column or bucket looks like a table that is done: no row is on the legacy side. What tells the two apart
are the rows themselves. A reading is a guess; that the legacy object is there makes it one that can be acted on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Unreadable
from sketchmigrate.core.status import OtherRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EXAMPLES = 3
"""So many rows are shown, each of another kind as far as there are such."""

LOOKED_AT = 1_000
"""So many rows on neither side are looked at, at most."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?=//)")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_IN_FRONT = re.compile(r"\A(\.?/)+")


class Reading(NamedTuple):
    """What a path may be, in words, and the legacy key that it would stand for then; empty for none."""

    words: str
    legacy_key: str = ""


@dataclass(frozen=True, slots=True)
class Legacy:
    """The legacy side: its bucket, and the prefix of its keys and paths."""

    bucket: str
    prefix: str

    def at(self, key: str) -> Location:
        """Return the place of a key."""
        return Location(self.bucket, key)


def readings(path: str, legacy: Legacy) -> tuple[Reading, ...]:
    """Return what a path that does not begin with the prefix may be, the likeliest first; never none."""
    return tuple(dict.fromkeys(_readings(path, legacy)))


def other_row(
    key: str,
    path: str,
    legacy: Legacy,
    there: Mapping[str, str] | None = None,
    refused: Mapping[str, str] | None = None,
) -> OtherRow:
    """Say what a row seems to be. ``there`` has the object of each read key that has one, perhaps in another case.

    ``refused`` has the read keys that could not be looked at, each with why.
    """
    known, unknown = there or {}, refused or {}
    found = readings(path, legacy)
    of_an_object = next((each for each in found if each.legacy_key in known), None)
    if of_an_object is None:
        why = next((unknown[each.legacy_key] for each in found if each.legacy_key in unknown), "")
        return OtherRow(key, path, found[0].words, refused=why)
    words, read = of_an_object
    return OtherRow(key, path, words if known[read] == read else f"{words} and in another case", known[read])


def examples(rows: Sequence[OtherRow]) -> tuple[OtherRow, ...]:
    """Choose rows to show: one of each kind, then others, those that name an object, or may, first."""
    ordered = sorted(rows, key=lambda row: (not row.legacy_key, not row.refused))
    of_a_kind = list({row.seems: row for row in reversed(ordered)}.values())[::-1]
    chosen = [*of_a_kind, *(row for row in ordered if row not in of_a_kind)][:EXAMPLES]
    return tuple(sorted(chosen, key=ordered.index))


def _readings(path: str, legacy: Legacy) -> Iterator[Reading]:
    bare = path.strip()
    if isinstance(path, Unreadable):
        yield Reading("no text in UTF-8")
    elif not bare:
        yield Reading("white space alone")
    elif bare != path:
        if bare.startswith(legacy.prefix):
            yield Reading("a key with white space around it", bare)
        yield from (Reading(f"{words} with white space around it", key) for words, key in _readings(bare, legacy))
    elif path.startswith("data:"):
        yield Reading("the content itself, as a data: URL")
    elif path[0] in "{[":
        yield Reading("JSON")
    elif _SCHEME.match(path) or path.startswith("//"):
        yield from _of_a_url(path, legacy)
    elif "\\" in path or _DRIVE.match(path):
        yield Reading("a path of a file system")
    else:
        yield from _of_a_key(path, legacy.prefix, legacy.bucket)


def _below(prefix: str, text: str) -> str:
    """Return a text as a key below the prefix, if it begins with that in whatever case; else an empty one."""
    begins = text[: len(prefix)].casefold() == prefix.casefold()
    return prefix + text[len(prefix) :] if begins else ""


def _of_a_url(url: str, legacy: Legacy) -> Iterator[Reading]:
    """Read a URL: whatever host it has, its path may hold the key from any segment on, or end in it."""
    try:
        behind_host = unquote(urlsplit(url).path).lstrip("/")
    except ValueError:
        behind_host = ""
    segments = behind_host.split("/")
    ends = ["/".join(segments[first:]) for first in range(len(segments))]
    found = [key for end in ends if (key := _below(legacy.prefix, end))]
    found += [legacy.prefix + end for end in ends[:2] if end]  # of a host, or a bucket, whose root is the prefix
    yield from (Reading("a URL", key) for key in found)
    yield Reading("a URL")


def _of_a_key(path: str, prefix: str, bucket: str) -> Iterator[Reading]:
    bare = _IN_FRONT.sub("", path)
    if path != bare and (key := _below(prefix, bare)):
        yield Reading("a key with ./ in front" if path[0] == "." else "a key with a slash in front", key)
    if bare.startswith(f"{bucket}/{prefix}"):
        yield Reading("a key with its bucket in front", bare.removeprefix(f"{bucket}/"))
    decoded = unquote(bare)
    if decoded != bare and (key := _below(prefix, decoded)):
        yield Reading("a key that is percent-encoded", key)
    if prefix and (key := _below(prefix, bare)):
        yield Reading("a key whose prefix is spelt otherwise", key)
    parts = re.findall(r"[^/]*/", prefix)
    for number in range(1, len(parts)):
        if bare.startswith("".join(parts[number:])):
            yield Reading("a key without the beginning of its prefix", "".join(parts[:number]) + bare)
    first, slash, _ = bare.partition("/")
    if not slash:
        yield Reading("a key without its prefix", prefix + bare)
        return
    if path != bare:
        yield Reading("a path of a file system, or of a URL")
    else:
        yield Reading(f"a key with another prefix, {first + slash!r}")
    yield Reading("a key without its prefix", prefix + bare)
