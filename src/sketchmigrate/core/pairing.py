"""Numbers the routes of all sources, so that a number and a tail are a pair of keys, in Python and in DuckDB. Pure.

Most often each source takes a key the same way. One that has chosen moves, and left one out whose legacy prefix lies
inside that of a chosen one, takes some keys another way: then its routes have numbers of their own, as a further
family, and an object that several families have a way for is a member of a pair in each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.core.routes import macro, not_longer, of_route
from sketchmigrate.core.rule import BOTH_SIDES, SideName, sql_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from sketchmigrate.core.routes import Route, Routes


_OF_ONE_FAMILY = """
CREATE OR REPLACE TEMP MACRO is_counted(route) AS true;
CREATE OR REPLACE TEMP MACRO counted_route(tail, route := 1) AS route;
CREATE OR REPLACE TEMP MACRO counted_tail(tail, route := 1) AS tail;
CREATE OR REPLACE TEMP MACRO produced_route(route) AS route;
"""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Families of routes; the first has all moves. The routes have numbers from 1, one family behind the other."""

    families: tuple[Routes, ...]

    @classmethod
    def of(cls, routes: Routes, chosen: Iterable[Routes] = ()) -> Self:
        """Return that of all moves, and of what sources have chosen of them."""
        families = [routes]
        for each in chosen:
            if each not in families and not _are_alike(routes, each):
                families.append(each)
        return cls(tuple(families))

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes, in the order of their numbers."""
        return tuple(route for family in self.families for route in family.all)

    def family_of(self, routes: Routes) -> int:
        """Return the family to which the routes of a source belong."""
        return self.families.index(routes) if routes in self.families else 0

    def pair_of(self, side: SideName, place: Location, family: int = 0) -> tuple[int, str] | None:
        """Return the number and the tail of an object's pair, None for one that no route has."""
        routes = self.families[family]
        find = routes.of_legacy if side is SideName.LEGACY else routes.of_production
        if (route := find(place.key, place.bucket)) is None:
            return None
        before = sum(len(other.all) for other in self.families[:family])
        return before + routes.all.index(route) + 1, place.key[len(route.place(side).prefix) :]

    def pairs_of(self, side: SideName, place: Location) -> Iterator[tuple[int, str]]:
        """Yield the pairs of an object, of each family that has one."""
        for family in range(len(self.families)):
            if (pair := self.pair_of(side, place, family)) is not None:
                yield pair

    def legacy(self, route: int, tail: str) -> Location | None:
        """Return where the legacy object of a pair is; None where no legacy key leads to the production key."""
        for family in self.families:
            if route <= len(family.all):
                way = family.all[route - 1]
                return family.origin(way, way.production_prefix + tail)
            route -= len(family.all)
        raise IndexError(route)

    def production(self, route: int, tail: str) -> Location:
        """Return where the production object of a pair is."""
        way = self.routes[route - 1]
        return Location(way.production_bucket, way.production_prefix + tail)

    @property
    def duckdb_key(self) -> str:
        """What makes the key of a ``side``, a ``route`` and a ``tail`` in DuckDB, without any macro; else NULL."""
        sides = []
        for side in BOTH_SIDES:
            whens = (
                f"WHEN {number} THEN {sql_literal(route.place(side).prefix)}"
                for number, route in enumerate(self.routes, start=1)
            )
            sides.append(f"WHEN '{side.value}' THEN CASE route {' '.join(whens)} END")
        return f"CASE side {' '.join(sides)} END || tail"

    @property
    def duckdb_macros(self) -> str:
        """What makes the macros of ``Routes``, and of the further families those that take a tail or a route.

        Of an object that several families have, one pair counts: that of the first. ``is_counted(route)`` says whether
        a route is one of these. Of any pair, ``counted_route`` and ``counted_tail`` (of a tail and a ``route := …``)
        give the one that counts for its legacy object, and ``produced_route(route)``, with the same tail, the one that
        counts for its production object.
        """
        first, *others = self.families
        if not others:
            return first.duckdb_macros + _OF_ONE_FAMILY
        numbered = list(enumerate(self.routes, start=1))
        families = [family for family in self.families for _ in family.all]
        legacy_keys = [
            (f"route = {n}{not_longer(route, family.all)}", f"{sql_literal(route.legacy_prefix)} || tail")
            for (n, route), family in zip(numbered, families, strict=True)
        ]
        of_first = f"route <= {len(first.all)}"
        its_key = "(legacy_key(tail, route := route), bucket := legacy_bucket(route := route))"
        return "\n".join(
            (
                first.duckdb_macros,
                macro("legacy_key(tail, route := 1)", legacy_keys),
                of_route("production_key(tail, route := 1)", [r.production_prefix for _, r in numbered], " || tail"),
                of_route("legacy_bucket(route := 1)", [r.legacy_bucket for _, r in numbered]),
                of_route("production_bucket(route := 1)", [r.production_bucket for _, r in numbered]),
                f"CREATE OR REPLACE TEMP MACRO is_counted(route) AS {of_first};",
                macro("counted_route(tail, route := 1)", [(of_first, "route")], f"route_of{its_key}"),
                macro("counted_tail(tail, route := 1)", [(of_first, "tail")], f"tail_of{its_key}"),
                macro(
                    "produced_route(route)",
                    [(f"route = {n}", str(first.all.index(r) + 1)) for n, r in numbered if n > len(first.all)],
                    "route",
                ),
            )
        )


def _are_alike(routes: Routes, chosen: Routes) -> bool:
    """Whether the chosen ones of some routes take each key as all of them do."""
    left_out = [each.place(SideName.LEGACY) for each in routes.all if each not in chosen.all]
    taken = [each.place(SideName.LEGACY) for each in chosen.all]
    return not any(place.holds(other) for place in taken for other in left_out)
