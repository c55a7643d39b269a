"""Routes say the same in Python, in PostgreSQL and in DuckDB."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sketchmigrate.core.objects import Location
from sketchmigrate.core.routes import Route, Routes, RoutesClash, ToldBy
from sketchmigrate.core.rule import SideName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.databases import Database

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("%_\\'/é\n"), max_size=9
)
PREFIXES = st.text("ab/%_'é", max_size=4)
BUCKETS = st.sampled_from(["one", "two's"])


@st.composite
def routes_of_any_kind(draw: st.DrawFn) -> Routes:
    """Up to four routes that may stand beside each other; legacy prefixes lie inside each other often."""
    chosen: list[Route] = []
    for each in draw(st.lists(st.builds(Route, BUCKETS, PREFIXES, BUCKETS, PREFIXES), min_size=1, max_size=4)):
        try:
            Routes((*chosen, each))
        except ValueError:
            continue
        chosen.append(each)
    assume(chosen)
    return Routes(tuple(chosen))


def keys_for(routes: Routes) -> st.SearchStrategy[str]:
    """Keys with any of the prefixes, or two of them, or none."""
    fronts = st.sampled_from(["", *(r.legacy_prefix for r in routes.all), *(r.production_prefix for r in routes.all)])
    return st.builds(lambda *parts: "".join(parts), fronts, fronts, TEXTS)


def side_by_hand(routes: Sequence[Route], key: str, bucket: str | None) -> SideName:
    if any(key.startswith(r.legacy_prefix) and bucket in {None, r.legacy_bucket} for r in routes):
        return SideName.LEGACY
    if any(key.startswith(r.production_prefix) and bucket in {None, r.production_bucket} for r in routes):
        return SideName.PRODUCTION
    return SideName.NEITHER


@given(routes_of_any_kind(), st.data())
def test_a_way_forward_leads_back(routes: Routes, data: st.DataObject) -> None:
    key, bucket = data.draw(keys_for(routes)), data.draw(BUCKETS)
    there = routes.forward(key, bucket)
    fitting = [r for r in routes.all if r.legacy_bucket == bucket and key.startswith(r.legacy_prefix)]
    if there is None:
        assert not fitting
    else:
        longest = max(fitting, key=lambda route: len(route.legacy_prefix))
        tail = key[len(longest.legacy_prefix) :]
        assert there == Location(longest.production_bucket, longest.production_prefix + tail)
        assert routes.backward(there.key, there.bucket) == Location(bucket, key)
        assert len(there.key.encode()) - len(key.encode()) <= routes.longer_bytes
    back = routes.backward(key, bucket)
    if back is not None:
        assert routes.forward(back.key, back.bucket) == Location(bucket, key)


@given(routes_of_any_kind(), st.data())
def test_a_side_is_told_by_prefix_and_bucket(routes: Routes, data: st.DataObject) -> None:
    key, bucket = data.draw(keys_for(routes)), data.draw(st.none() | BUCKETS)
    assert routes.side_of(key, bucket) is side_by_hand(routes.all, key, bucket)
    assert pickle.loads(pickle.dumps(routes)).forward(key, bucket) == routes.forward(key, bucket)  # noqa: S301 - ours


@given(routes_of_any_kind(), st.data())
def test_what_a_key_tells_has_one_answer(routes: Routes, data: st.DataObject) -> None:
    """Routes that a key alone tells apart need no bucket."""
    key = data.draw(keys_for(routes))
    try:
        routes.check(ToldBy.KEY)
    except RoutesClash:
        assume(False)  # noqa: FBT003 - hypothesis has it so
    there = routes.forward(key)
    if there is not None:
        assert routes.side_of(there.key) is SideName.PRODUCTION
        back = routes.backward(there.key)
        assert back is not None
        assert routes.forward(back.key, back.bucket) == there


@given(routes_of_any_kind(), st.data())
def test_duckdb_says_the_same(routes: Routes, data: st.DataObject) -> None:
    key, bucket = data.draw(keys_for(routes)), data.draw(st.none() | BUCKETS)
    with duckdb.connect() as database:
        database.execute(routes.duckdb_macros)
        asked = "SELECT side_of(?, bucket := ?), route_of(?, bucket := ?), tail_of(?, bucket := ?)"
        ((side, number, tail),) = database.execute(asked, [key, bucket] * 3).fetchall()
        pair = "legacy_key($1, route := $2), production_key($1, route := $2)"
        asked = f"SELECT {pair}, legacy_bucket(route := $2), production_bucket(route := $2)"
        ((legacy, production, *buckets),) = database.execute(asked, [tail, number]).fetchall()
    assert side == routes.side_of(key, bucket)
    if side == SideName.NEITHER:
        assert (number, tail, legacy, production, buckets) == (None, None, None, None, [None, None])
        return
    route: Route = routes.all[number - 1]
    assert buckets == [route.legacy_bucket, route.production_bucket]
    if side == SideName.LEGACY:
        assert routes.of_legacy(key, bucket) is route
        assert routes.forward(key, bucket) == Location(route.production_bucket, production)
        assert legacy == (key if routes.of_legacy(key, route.legacy_bucket) is route else None)
    else:
        assert routes.of_production(key, bucket) is route
        assert production == key
        back = routes.backward(key, bucket)
        assert legacy == (None if back is None else back.key)


def test_what_is_null_is_on_neither_side() -> None:
    with duckdb.connect() as database:
        database.execute(Routes((Route("one", "", "two", "avatar/"),)).duckdb_macros)
        asked = "SELECT side_of(NULL), route_of(NULL), tail_of(NULL), legacy_key(NULL)"
        assert database.execute(asked).fetchall() == [("neither", None, None, None)]


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_says_the_same(any_database: Database, data: st.DataObject) -> None:
    routes = data.draw(routes_of_any_kind())
    key = data.draw(keys_for(routes))
    given_path = '(SELECT %s::text COLLATE "C" AS path) AS given'
    asked = f"SELECT path LIKE ANY(%s::text[]), path LIKE ANY(%s::text[]) FROM {given_path}"  # noqa: S608 - our own words
    ((is_legacy, is_production),) = any_database.execute(asked, routes.legacy_patterns, routes.production_patterns, key)
    side = SideName.LEGACY if is_legacy else SideName.PRODUCTION if is_production else SideName.NEITHER
    assert side is routes.side_of(key)


def route(legacy: str, production: str, name: str = "") -> Route:
    """Make a route of ``bucket/prefix`` twice."""
    (legacy_bucket, _, legacy_prefix), (production_bucket, _, prefix) = legacy.partition("/"), production.partition("/")
    return Route(legacy_bucket, legacy_prefix, production_bucket, prefix, name)


IMAGES = route("old/image/", "new/avatar/", "images")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (route("old/photo/", "new/avatar/"), "production prefixes of one bucket may not lie inside each other"),
        (route("old/photo/", "new/avatar/x/"), "production prefixes of one bucket may not lie inside each other"),
        (route("old/photo/", "new/"), "production prefixes of one bucket may not lie inside each other"),
        (route("old/image/", "other/x/"), "both begin at the same place"),
        (route("old/photo/", "new/photo/", "images"), "both have the name 'images'"),
    ],
    ids=str,
)
def test_two_routes_that_cannot_stand_beside_each_other(other: Route, said: str) -> None:
    with pytest.raises(RoutesClash) as caught:
        Routes((IMAGES, other))
    assert str(IMAGES) in str(caught.value)
    assert str(other) in str(caught.value)
    assert said in str(caught.value)


def test_a_route_that_leads_nowhere() -> None:
    with pytest.raises(ValueError, match="same place"):
        Routes((route("one/a/", "one/a/"),))
    with pytest.raises(ValueError, match="no routes"):
        Routes(())


@pytest.mark.parametrize(
    ("routes", "refused"),
    [
        ((IMAGES, route("old/image/thumb/", "new/thumb/")), ()),
        ((route("old/image/", "new/image/"),), (ToldBy.KEY,)),
        ((route("old/", "new/"),), (ToldBy.KEY,)),
        ((route("one/image/", "one/image/new/"),), (ToldBy.KEY, ToldBy.BUCKET)),
        ((route("one/image/new/", "one/image/"),), (ToldBy.KEY, ToldBy.BUCKET)),
        ((route("one/a/", "one/b/"), route("one/b/", "one/c/")), (ToldBy.KEY, ToldBy.BUCKET)),
        ((IMAGES, route("older/image/", "new/older/")), (ToldBy.KEY,)),
        ((IMAGES, route("old/photo/", "newer/avatar/")), (ToldBy.KEY,)),
    ],
)
def test_what_tells_the_sides_apart(routes: tuple[Route, ...], refused: tuple[ToldBy, ...]) -> None:
    for told_by in ToldBy:
        if told_by not in refused:
            Routes(routes).check(told_by)
            continue
        with pytest.raises(RoutesClash) as caught:
            Routes(routes).check(told_by)
        assert all(str(each) in str(caught.value) for each in routes)


def test_a_source_chooses_routes_by_name() -> None:
    routes = Routes((IMAGES, route("old/video/", "new/video/", "videos")))
    assert routes.chosen(["images"]).all == (IMAGES,)
    assert routes.chosen([]) is routes
    with pytest.raises(ValueError, match="no move is named 'image'; did you mean 'images'"):
        routes.chosen(["image"])
