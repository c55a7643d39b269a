"""Which keys go where: several prefixes in buckets of one side, and those of the other that take their place. Pure.

A ``Route`` is one entry of MOVES; ``core.mapping.Move`` is the step of one reference along it. What routes say in
Python they say in SQL as well, for PostgreSQL and for DuckDB: ``tests/integration/test_routes.py`` holds the three
against each other.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations, product
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.objects import Location
from sketchmigrate.core.rule import SideName, like_pattern, sql_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class ToldBy(IntEnum):
    """What tells a source's legacy references from its production ones."""

    KEY = 1
    """The key alone: a column of keys."""

    BUCKET = 2
    """The key and its bucket: URLs of a store."""

    OTHERWISE = 3
    """Something beside the key: a column that ``set`` changes, or the host of a URL."""


class RoutesClash(ValueError):
    """Two routes that are each right and wrong together; the text names both."""


class Place(NamedTuple):
    """Where objects lie: all keys of a bucket with a prefix."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def holds(self, other: Place) -> bool:
        """Whether all keys of another place are of this one too."""
        return self.bucket == other.bucket and other.prefix.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class Route:
    """Keys with one prefix in one bucket, and the prefix and bucket that take their place. Prefixes may be empty."""

    legacy_bucket: str
    legacy_prefix: str
    production_bucket: str
    production_prefix: str
    name: str = ""

    def __str__(self) -> str:
        way = (
            f"s3://{self.legacy_bucket}/{self.legacy_prefix} -> s3://{self.production_bucket}/{self.production_prefix}"
        )
        return f"{self.name} ({way})" if self.name else way

    def place(self, side: SideName) -> Place:
        """Return where its objects of a side lie."""
        if side is SideName.LEGACY:
            return Place(self.legacy_bucket, self.legacy_prefix)
        return Place(self.production_bucket, self.production_prefix)

    def production(self, legacy_key: str) -> Location:
        """Return where the object of a legacy key of this route goes."""
        return Location(self.production_bucket, self.production_prefix + legacy_key[len(self.legacy_prefix) :])

    def legacy(self, production_key: str) -> Location:
        """Return where the object of a production key of this route comes from."""
        return Location(self.legacy_bucket, self.legacy_prefix + production_key[len(self.production_prefix) :])


_ByLength = tuple[tuple[int, dict[str, Route]], ...]
"""Routes by a prefix, the longest first: looked up by as many cuts of the key as prefixes have lengths."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Several routes; of those whose prefix a key has, the longest counts.

    With ``bucket`` None any bucket will do, as for a row that holds a key and nothing more; ``check`` says whether
    that is enough. A key that is on both sides is a legacy one. Raises ``RoutesClash``, and ``ValueError`` without any.
    """

    all: tuple[Route, ...]
    _legacy: dict[str | None, _ByLength] = field(init=False, repr=False, compare=False)
    _production: dict[str | None, _ByLength] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.all:
            raise ValueError("there are no routes")
        for route in self.all:
            if (route.legacy_bucket, route.legacy_prefix) == (route.production_bucket, route.production_prefix):
                raise ValueError(f"{route}: legacy and production are the same place")
        for one, other in combinations(self.all, 2):
            if one.name and one.name == other.name:
                raise RoutesClash(f"{one} and {other}: both have the name {one.name!r}")
            if (one.legacy_bucket, one.legacy_prefix) == (other.legacy_bucket, other.legacy_prefix):
                raise RoutesClash(f"{one} and {other}: both begin at the same place")
            if one.production_bucket == other.production_bucket:
                refuse_nested(one, other, "of one bucket ")
        legacy = _tables(self.all, lambda route: (route.legacy_bucket, route.legacy_prefix))
        production = _tables(self.all, lambda route: (route.production_bucket, route.production_prefix))
        object.__setattr__(self, "_legacy", legacy)
        object.__setattr__(self, "_production", production)

    def check(self, told_by: ToldBy) -> None:
        """Make sure that a source tells sides and routes apart by what it has. Raises ``RoutesClash``."""
        if told_by is ToldBy.KEY:
            for one, other in combinations(self.all, 2):
                if one.legacy_prefix == other.legacy_prefix:
                    raise RoutesClash(f"{one} and {other}: one legacy prefix in two buckets, and a key names no bucket")
                refuse_nested(one, other, "")
        if told_by is ToldBy.OTHERWISE:
            return
        for one, other in product(self.all, repeat=2):
            reaches = told_by is ToldBy.KEY or one.production_bucket == other.legacy_bucket
            if reaches and nested(one.production_prefix, other.legacy_prefix):
                again = "its legacy prefix" if one is other else f"the legacy prefix of {other}"
                raise RoutesClash(
                    f"production keys of {one} would match {again} again, and nothing else tells what is done"
                )

    def chosen(self, names: Sequence[str]) -> Routes:
        """Return those of these names; of none, all. Raises ``ValueError`` for a name that no route has."""
        by_name = {route.name: route for route in self.all if route.name}
        for name in names:
            if name not in by_name:
                close = difflib.get_close_matches(name, by_name, n=1)
                raise ValueError(f"no move is named {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
        return Routes(tuple(by_name[name] for name in dict.fromkeys(names))) if names else self

    def of_legacy(self, key: str, bucket: str | None = None) -> Route | None:
        """Return the route that a legacy key takes, or None."""
        return _longest(self._legacy, key, bucket)

    def of_production(self, key: str, bucket: str | None = None) -> Route | None:
        """Return the route at whose end a production key is, or None."""
        return _longest(self._production, key, bucket)

    def side_of(self, key: str, bucket: str | None = None) -> SideName:
        """Return the side that a key is on."""
        if self.of_legacy(key, bucket) is not None:
            return SideName.LEGACY
        return SideName.NEITHER if self.of_production(key, bucket) is None else SideName.PRODUCTION

    def forward(self, key: str, bucket: str | None = None) -> Location | None:
        """Return where the object of a legacy key goes; None for a key that no route has."""
        route = self.of_legacy(key, bucket)
        return None if route is None else route.production(key)

    def backward(self, key: str, bucket: str | None = None) -> Location | None:
        """Return where the object of a production key comes from; None where no legacy key leads there.

        That is so for a key that no route has, and for one whose legacy key would take a route with a longer prefix.
        """
        route = self.of_production(key, bucket)
        return None if route is None else self.origin(route, key)

    def origin(self, route: Route, key: str) -> Location | None:
        """Return where a production key of this route comes from; None where no legacy key leads there."""
        place = route.legacy(key)
        return place if self.of_legacy(place.key, place.bucket) is route else None

    def places(self, side: SideName) -> tuple[Place, ...]:
        """Return where the objects of a side lie; what lies inside another place is not named by itself."""
        all_of_them = [route.place(side) for route in self.all]
        return tuple(
            place
            for at, place in enumerate(all_of_them)
            if not any(other.holds(place) for number, other in enumerate(all_of_them) if number != at)
        )

    @property
    def longer_bytes(self) -> int:
        """How many bytes a production key has more than its legacy key, at most."""
        return max(len(r.production_prefix.encode()) - len(r.legacy_prefix.encode()) for r in self.all)

    @property
    def legacy_patterns(self) -> list[str]:
        """PostgreSQL's patterns for LIKE ANY, under the collation "C", for keys on the legacy side."""
        return _patterns(route.legacy_prefix for route in self.all)

    @property
    def production_patterns(self) -> list[str]:
        """The same for the production side; a key that is on both is a legacy one, which is asked first."""
        return _patterns(route.production_prefix for route in self.all)

    @property
    def duckdb_macros(self) -> str:
        """What makes DuckDB's ``side_of``, ``route_of``, ``tail_of`` (a path), and ``legacy_key`` and so on (a tail).

        The first three take ``bucket := …`` as well. A pair of keys is a ``route`` (from 1) and a ``tail``:
        ``legacy_key`` and ``production_key`` take a tail, and ``route := …`` unless it is the first one; so do
        ``legacy_bucket`` and ``production_bucket``.
        ``legacy_key`` is NULL where no legacy key leads to the production key of that pair. NULL is on neither side.
        """
        numbered = list(enumerate(self.all, start=1))
        both = [
            (_has(prefix, bucket), side, number, len(prefix))
            for side in ("legacy", "production")
            for number, prefix, bucket in sorted(
                ((n, getattr(r, f"{side}_prefix"), getattr(r, f"{side}_bucket")) for n, r in numbered),
                key=lambda each: -len(each[1]),
            )
        ]
        return "\n".join(
            (
                macro("side_of(path, bucket := NULL)", ((has, f"'{side}'") for has, side, *_ in both), "'neither'"),
                macro("route_of(path, bucket := NULL)", ((has, str(number)) for has, _, number, _ in both)),
                macro("tail_of(path, bucket := NULL)", ((has, f"substr(path, {size + 1})") for has, *_, size in both)),
                macro(
                    "legacy_key(tail, route := 1)",
                    (
                        (f"route = {n}{not_longer(route, self.all)}", f"{sql_literal(route.legacy_prefix)} || tail")
                        for n, route in numbered
                    ),
                ),
                of_route("production_key(tail, route := 1)", [r.production_prefix for r in self.all], " || tail"),
                of_route("legacy_bucket(route := 1)", [r.legacy_bucket for r in self.all]),
                of_route("production_bucket(route := 1)", [r.production_bucket for r in self.all]),
            )
        )


def nested(one: str, other: str) -> bool:
    """Whether some text begins with both."""
    return one.startswith(other) or other.startswith(one)


def refuse_nested(one: Route, other: Route, whose: str) -> None:
    """Raise ``RoutesClash`` where a production key could be at the end of both."""
    if nested(one.production_prefix, other.production_prefix):
        prefixes = f"{one.production_prefix!r} and {other.production_prefix!r}"
        raise RoutesClash(f"{one} and {other}: production prefixes {whose}may not lie inside each other: {prefixes}")


def _tables(routes: Iterable[Route], start_of: Callable[[Route], tuple[str, str]]) -> dict[str | None, _ByLength]:
    found: dict[str | None, dict[int, dict[str, Route]]] = {}
    for route in routes:
        bucket, prefix = start_of(route)
        for each in (bucket, None):
            found.setdefault(each, {}).setdefault(len(prefix), {}).setdefault(prefix, route)
    return {bucket: tuple(sorted(lengths.items(), reverse=True)) for bucket, lengths in found.items()}


def _longest(tables: dict[str | None, _ByLength], key: str, bucket: str | None) -> Route | None:
    for length, by_prefix in tables.get(bucket, ()):
        route = by_prefix.get(key[:length])
        if route is not None:
            return route
    return None


def _patterns(prefixes: Iterable[str]) -> list[str]:
    """Return patterns for prefixes, without those that a shorter one covers."""
    needed: list[str] = []
    for prefix in sorted(prefixes):  # one comes behind all that it begins with
        if not needed or not prefix.startswith(needed[-1]):
            needed.append(prefix)
    return [like_pattern(prefix) for prefix in needed]


def _has(prefix: str, bucket: str) -> str:
    return f"starts_with(path, {sql_literal(prefix)}) AND (bucket IS NULL OR bucket = {sql_literal(bucket)})"


def not_longer(route: Route, routes: Iterable[Route]) -> str:
    """Write that a legacy key of this route has no longer prefix of another one."""
    longer = (
        other.legacy_prefix[len(route.legacy_prefix) :]
        for other in routes
        if other is not route
        and other.legacy_bucket == route.legacy_bucket
        and other.legacy_prefix.startswith(route.legacy_prefix)
    )
    return "".join(f" AND NOT starts_with(tail, {sql_literal(each)})" for each in longer)


def macro(signature: str, whens: Iterable[tuple[str, str]], otherwise: str = "NULL") -> str:
    """Write a macro of DuckDB that gives what stands behind the first of the conditions that holds."""
    cases = "\n".join(f"    WHEN {when} THEN {then}" for when, then in whens)
    return f"CREATE OR REPLACE TEMP MACRO {signature} AS CASE\n{cases}\n    ELSE {otherwise}\nEND;"


def of_route(signature: str, texts: Iterable[str], more: str = "") -> str:
    """Write a macro that gives a text of a route, and perhaps more, by its number."""
    return macro(signature, ((f"route = {n}", f"{sql_literal(text)}{more}") for n, text in enumerate(texts, start=1)))
