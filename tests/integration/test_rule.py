"""A rule says the same in Python, in PostgreSQL and in DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sketchmigrate.core.rule import Rule, SideName

if TYPE_CHECKING:
    from tests.servers.databases import Database

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("%_\\'/é\n"), max_size=9
)
RULES = st.builds(Rule, TEXTS, TEXTS)


def paths_for(rule: Rule) -> st.SearchStrategy[str]:
    """Paths with either prefix, or a part of it, or none."""
    fronts = st.sampled_from([rule.legacy_prefix, rule.production_prefix, rule.legacy_prefix[:-1], ""])
    return st.builds(str.__add__, fronts, TEXTS)


@given(RULES, st.data())
def test_a_pair_leads_there_and_back(rule: Rule, data: st.DataObject) -> None:
    tail = data.draw(TEXTS)
    assert rule.forward(rule.legacy_key(tail)) == rule.production_key(tail)
    assert rule.backward(rule.production_key(tail)) == rule.legacy_key(tail)
    assert rule.longer_bytes == len(rule.production_key(tail).encode()) - len(rule.legacy_key(tail).encode())


def test_a_key_of_another_side_is_refused() -> None:
    rule = Rule("image/", "avatar/")
    with pytest.raises(ValueError, match="'avatar/a' does not begin with 'image/'"):
        rule.forward("avatar/a")
    with pytest.raises(ValueError, match="'image/a' does not begin with 'avatar/'"):
        rule.backward("image/a")


@given(RULES, st.data())
def test_duckdb_says_the_same(rule: Rule, data: st.DataObject) -> None:
    path, tail = data.draw(paths_for(rule)), data.draw(TEXTS)
    with duckdb.connect() as database:
        database.execute(rule.duckdb_macros)
        asked = "SELECT side_of(?), tail_of(?), legacy_key(?), production_key(?)"
        (found,) = database.execute(asked, [path, path, tail, tail]).fetchall()
    side = rule.side_of(path)
    prefix = {SideName.LEGACY: rule.legacy_prefix, SideName.PRODUCTION: rule.production_prefix}.get(side)
    assert found == (
        side,
        None if prefix is None else path[len(prefix) :],
        rule.legacy_key(tail),
        rule.production_key(tail),
    )


def test_what_is_null_is_on_neither_side() -> None:
    with duckdb.connect() as database:
        database.execute(Rule("image/", "avatar/").duckdb_macros)
        assert database.execute("SELECT side_of(NULL), tail_of(NULL)").fetchall() == [("neither", None)]


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_says_the_same(any_database: Database, data: st.DataObject) -> None:
    rule = data.draw(RULES)
    path = data.draw(paths_for(rule))
    asked = 'SELECT path LIKE %s, path LIKE %s FROM (SELECT %s::text COLLATE "C" AS path) AS given'
    ((is_legacy, is_production),) = any_database.execute(asked, rule.legacy_pattern, rule.production_pattern, path)
    side = SideName.LEGACY if is_legacy else SideName.PRODUCTION if is_production else SideName.NEITHER
    assert side is rule.side_of(path)
