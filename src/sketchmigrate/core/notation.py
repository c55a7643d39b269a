"""How one reference is written: as a key, or as a URL (``core.urls``). Pure.

A notation reads a text without escapes; ``core.shapes`` finds such texts in a value and knows how they are escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sketchmigrate.core.mapping import MAX_KEY_BYTES, Unmappable
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.routes import Route, Routes  # noqa: TC001 - dataclasses hold them
from sketchmigrate.core.rule import SideName


class Written(NamedTuple):
    """A reference that was found written, and how it is to be written on the other side.

    That is: ``front`` in place of the first ``cut`` characters, and all behind them as it is. A production reference
    leads back, to the legacy key that it comes from if there is one (``other_bucket`` and ``other_key`` are empty if
    not), and nothing of it is replaced: a rollback sets the old values back, and nobody writes them anew.
    """

    side: SideName
    bucket: str
    key: str
    other_bucket: str
    other_key: str
    cut: int
    front: str


class Signs(NamedTuple):
    """Texts of which a text holds one, if it holds a reference. ``ignores_case``: hosts are the same in any.

    ``may_be_encoded``: what they say may be percent-encoded, and then none of them is there.
    """

    texts: tuple[str, ...]
    ignores_case: bool = False
    may_be_encoded: bool = False


class Notation(Protocol):
    """A way of writing references."""

    @property
    def longest_chars(self) -> int:
        """How many characters, percent-encoded, have to be seen at most to tell that there is no reference."""
        ...

    def signs(self, side: SideName) -> tuple[Signs, ...]:
        """Return what a text is known by that holds a reference of a side: it holds one of each of these."""
        ...

    def read(self, written: str, side: SideName | None = None) -> Written | None:
        """Return the reference that is written here, or None where it is on neither side.

        With a ``side`` it can only be on that one, as something else has told. Raises ``core.mapping.Unmappable``.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeyNotation:
    """The text is the key."""

    routes: Routes

    @property
    def longest_chars(self) -> int:
        """See ``Notation``."""
        return longest_prefix_chars(self.routes)

    def beginnings(self, side: SideName) -> tuple[str, ...]:
        """Return patterns of LIKE for the keys of a side."""
        routes = self.routes
        return tuple(routes.legacy_patterns if side is SideName.LEGACY else routes.production_patterns)

    def signs(self, side: SideName) -> tuple[Signs, ...]:
        """See ``Notation``."""
        return (Signs(prefixes(self.routes, side)),)

    def read(self, written: str, side: SideName | None = None) -> Written | None:
        """See ``Notation``."""
        routes = self.routes
        if side is not SideName.PRODUCTION:
            route = routes.of_legacy(written)
            if route is not None:
                return along(route, written, len(route.legacy_prefix), route.production_prefix)
        if side is not SideName.LEGACY:
            route = routes.of_production(written)
            if route is not None:
                return back_along(routes, route, written)
        return None


def prefixes(routes: Routes, side: SideName) -> tuple[str, ...]:
    """Return the prefixes of one side, each once."""
    if side is SideName.LEGACY:
        return tuple(dict.fromkeys(route.legacy_prefix for route in routes.all))
    return tuple(dict.fromkeys(route.production_prefix for route in routes.all))


def longest_prefix_chars(routes: Routes) -> int:
    """Return the length of the longest prefix of either side, percent-encoded."""
    return 3 * max(len(p.encode()) for r in routes.all for p in (r.legacy_prefix, r.production_prefix))


def along(route: Route, key: str, cut: int, front: str) -> Written:
    """Return what is found for a legacy key of a route. Raises ``Unmappable`` where either key is not legal."""
    if key == route.legacy_prefix:
        raise Unmappable(ReasonKind.ONLY_PREFIX, prefix=key) if key else Unmappable(ReasonKind.KEY_EMPTY)
    other = route.production_prefix + key[len(route.legacy_prefix) :]
    if not (key.isascii() and len(key) <= MAX_KEY_BYTES >= len(other) and "\0" not in key):
        _check(key, SideName.LEGACY)
    if not (other.isascii() and len(other) <= MAX_KEY_BYTES):
        _check(other, SideName.PRODUCTION)
    # as core.reference.make_all does it: this is done for each row
    return tuple.__new__(
        Written, (SideName.LEGACY, route.legacy_bucket, key, route.production_bucket, other, cut, front)
    )


def back_along(routes: Routes, route: Route, key: str) -> Written | None:
    """Return what is found for a production key of a route; None where it is not legal, as no object has it."""
    try:
        _check(key, SideName.PRODUCTION)
    except Unmappable:
        return None
    bucket, other = routes.origin(route, key) or ("", "")
    return Written(SideName.PRODUCTION, route.production_bucket, key, bucket, other, 0, "")


def _check(key: str, side: SideName) -> None:
    if "\0" in key:
        raise Unmappable(ReasonKind.KEY_HAS_NUL)
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        raise Unmappable(ReasonKind.KEY_NOT_TEXT) from None
    if size_bytes > MAX_KEY_BYTES:
        verb = "would be" if side is SideName.PRODUCTION else "is"
        raise Unmappable(ReasonKind.KEY_TOO_LONG, side=side, verb=verb, size=size_bytes, limit=MAX_KEY_BYTES)
