"""Pairs of keys by number and tail: the same in Python and in DuckDB, however sources choose their moves."""

from __future__ import annotations

import duckdb
from hypothesis import assume, given
from hypothesis import strategies as st

from sketchmigrate.core.objects import Location
from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName

PREFIXES = st.text("ab/'", max_size=3)
BUCKETS = st.sampled_from(["one", "two's"])
LEGACY, PRODUCTION = SideName.LEGACY, SideName.PRODUCTION


@st.composite
def pairings(draw: st.DrawFn) -> tuple[Pairing, list[Routes]]:
    """Some moves, and what sources have chosen of them."""
    moves: list[Route] = []
    for each in draw(st.lists(st.builds(Route, BUCKETS, PREFIXES, BUCKETS, PREFIXES), min_size=1, max_size=4)):
        try:
            Routes((*moves, each))
        except ValueError:
            continue
        moves.append(each)
    assume(moves)
    some = st.lists(st.sampled_from(moves), min_size=1, unique=True)
    chosen = [Routes(tuple(each)) for each in draw(st.lists(some, max_size=3))]
    return Pairing.of(Routes(tuple(moves)), chosen), chosen


@given(pairings(), st.data())
def test_a_source_pairs_objects_as_its_own_moves_say(made: tuple[Pairing, list[Routes]], data: st.DataObject) -> None:
    pairing, chosen = made
    bucket, key = data.draw(BUCKETS), data.draw(st.text("ab/'x", max_size=6))
    for routes in chosen:
        pair = pairing.pair_of(LEGACY, Location(bucket, key), pairing.family_of(routes))
        if routes.of_legacy(key, bucket) is not None:
            assert pair is not None
            assert pairing.legacy(*pair) == Location(bucket, key)
            assert pairing.production(*pair) == routes.forward(key, bucket)
        pair = pairing.pair_of(PRODUCTION, Location(bucket, key), pairing.family_of(routes))
        if routes.of_production(key, bucket) is not None:
            assert pair is not None
            assert pairing.production(*pair) == Location(bucket, key)
            if pairing.family_of(routes) or routes == pairing.families[0]:
                assert pairing.legacy(*pair) == routes.backward(key, bucket)


@given(pairings(), st.data())
def test_duckdb_says_the_same(made: tuple[Pairing, list[Routes]], data: st.DataObject) -> None:
    pairing, _ = made
    tail = data.draw(st.text("ab/'x", max_size=4))
    with duckdb.connect() as database:
        database.execute(pairing.duckdb_macros)
        for number, _ in enumerate(pairing.routes, start=1):
            asked = (
                "SELECT legacy_bucket(route := $2), legacy_key($1, route := $2), production_bucket(route := $2),"
                " production_key($1, route := $2), counted_route($1, route := $2), counted_tail($1, route := $2),"
                " produced_route($2), is_counted($2)"
            )
            ((old_bucket, old, bucket, key, route, its_tail, produced, is_counted),) = database.execute(
                asked, [tail, number]
            ).fetchall()
            legacy, production = pairing.legacy(number, tail), pairing.production(number, tail)
            assert Location(bucket, key) == production
            assert old == (None if legacy is None else legacy.key)
            assert legacy is None or old_bucket == legacy.bucket
            assert is_counted == (number <= len(pairing.families[0].all))
            if legacy is not None:
                assert (route, its_tail) == pairing.pair_of(LEGACY, legacy), "an object counts once"
            assert (produced, tail) == pairing.pair_of(PRODUCTION, production)
