"""The value of a row: what PostgreSQL and Python make of several columns, and by what PostgreSQL tells its side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from sketchmigrate.core.layout import Layout, joined
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.array import Array, element_text
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.postgres.row_value import RowValue, ValueColumn, matching
from tests.unit.shapes.site import KEY_TEXTS, KEYS, URLS, WEIRD
from tests.unit.shapes.test_text import BEGINS, ENDS, HOW, WORDS

if TYPE_CHECKING:
    import psycopg

    from sketchmigrate.core.shapes.contract import Shape
    from tests.servers.databases import Database

STORED = st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('\\"/{},é \t\n\x7f\x80%')
COLUMNS = [None, *map(chr, range(1, 0x300)), "\u2028", "\ufeff", "\uffff", "\U0001f600", "null", "", '\\u0041"\\']
VALUE = RowValue(
    ValueColumn('a "%'),
    (ValueColumn("key"), ValueColumn("number", "numeric", is_text=False)),
    (ValueColumn("value"), ValueColumn("old", "boolean", is_text=False)),
)
ON_ANY_SERVER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)


def is_storable(text: str) -> bool:
    """Whether a column can hold it."""
    return "\0" not in text and text.encode(errors="replace").decode() == text


def asked(connection: psycopg.Connection[tuple[Any, ...]], expression: sql.Composable, values: Any) -> Any:
    """Return what an expression gives."""
    ((answer,),) = connection.execute(sql.SQL("SELECT {}").format(expression), values).fetchall()
    return answer


def test_several_columns_are_written_as_the_server_writes_them(any_database: Database) -> None:
    with any_database.connect() as connection:

        def of_server(texts: list[str | None]) -> Any:
            places = sql.SQL(", ").join([sql.SQL("%s::text")] * len(texts))
            return asked(connection, sql.SQL("jsonb_build_array({})::text").format(places), texts)

        for text in COLUMNS:
            assert of_server([text, "x"]) == joined([text, "x"])

        @given(st.lists(st.none() | st.text(STORED), max_size=5))
        @ON_ANY_SERVER
        def check(texts: list[str | None]) -> None:
            assert of_server(texts) == joined(texts)
            assert Layout(has_column=True, sets=(), reads=0).split(of_server(texts)) == texts

        check()


def test_a_flip_sets_what_python_says_and_the_row_then_has_that_value(any_database: Database) -> None:
    """Also where columns are called as nothing should be."""
    any_database.execute('CREATE TABLE t ("a ""%" text, key text, number numeric(9, 2), value text, old boolean)')
    layout = Layout(has_column=True, sets=("it's 100 %", "1.50"), reads=2)
    texts = st.none() | st.text(STORED)
    with any_database.connect() as connection:

        @given(texts, texts, texts, st.none() | st.text(STORED), st.sampled_from([None, True, False]))
        @ON_ANY_SERVER
        def check(column: str | None, key: str | None, value: str | None, new: str | None, old: bool | None) -> None:
            row = [column, key, 1, value, old]
            connection.execute("DELETE FROM t")
            connection.execute("INSERT INTO t VALUES (%s, %s, %s, %s, %s)", row)
            whole = sql.SQL("({} FROM t)").format(sql.SQL("SELECT {}").format(VALUE.value()))
            before = asked(connection, whole, ())
            assert before == joined([column, key, "1.00", value, None if old is None else str(old).lower()])
            after = layout.flipped(before, new)
            given_value, told = sql.Placeholder("value"), {"value": after}
            connection.execute(sql.SQL("UPDATE t SET {}").format(VALUE.assignments(given_value)), told)
            assert asked(connection, whole, ()) == after
            assert layout.is_set(after)
            for expression, expected in (
                ('"a ""%"', new),
                ("t.key || '%'", "it's 100 %%"),
                ("number + 1 -- a comment", "2.50"),
                ("value", value),
                ("NOT old", None if old is None else str(not old).lower()),
            ):
                of_row = sql.SQL("(SELECT {}::text FROM t)").format(VALUE.computed(expression))
                of_value = sql.SQL("{}::text").format(VALUE.computed_from(expression, given_value))
                assert asked(connection, of_row, ()) == expected
                assert asked(connection, of_value, told) == expected

        check()


SPELLED = st.builds(
    lambda key, chars: "".join(f"%{ord(each):02x}" if each in chars and each.isascii() else each for each in key),
    st.builds(str.__add__, st.sampled_from(["image/", "image/", "avatar/", "other/"]), st.text(WEIRD, max_size=4)),
    st.sampled_from(["", "%?#", "im/", "%aeg/"]),
)
HOSTS = st.sampled_from(
    [
        "https://old.example.com/", "HTTPS://Old.Example.COM/", "//old.example.com/", "https://cdn.example.com/",
        "s3://old/", "s3://new/", "https://old.s3.eu-west-1.amazonaws.com/", "https://s3.amazonaws.com/old/",
        "https://new.s3.eu-central-1.amazonaws.com/", "https://elsewhere.example.com/",
    ]
)  # fmt: skip
URL_TEXTS = st.builds(str.__add__, HOSTS, SPELLED)
BODIES = st.lists(
    st.tuples(WORDS, BEGINS, st.sampled_from(sorted(HOW)), URL_TEXTS | KEY_TEXTS, ENDS)
    .map(lambda part: f"{part[0]}{part[1]}{HOW[part[2]](part[3].encode(errors='replace').decode())}{part[4]}"),
    max_size=3,
).map("".join)  # fmt: skip


def arrays_of(references: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Arrays with references as their elements."""
    return st.lists(references, max_size=4).map(lambda keys: "{" + ",".join(map(element_text, keys)) + "}")


SPELLED_OTHERWISE = {"": "", "/": "\\/", "i": "\\u0069", "m": "\\u006D", "s": "\\u0073"}


def documents_of(references: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Documents with references as their members, escaped in one way or another."""
    members = st.lists(references, max_size=3)
    documents = references | members | members.map(lambda texts: dict(zip("abc", texts, strict=False)))
    written = st.builds(json.dumps, documents, ensure_ascii=st.booleans())
    return st.builds(
        lambda text, char: text.replace(char, SPELLED_OTHERWISE[char]) if char else text,
        written,
        st.sampled_from(sorted(SPELLED_OTHERWISE)),
    )


JSON_PATHS = ("$.*", "$[*]", "$")
SHAPES: dict[str, tuple[Shape, st.SearchStrategy[str]]] = {
    "key": (Whole(KEYS), KEY_TEXTS),
    "url": (Whole(URLS), URL_TEXTS),
    "array of keys": (Array(KEYS), arrays_of(KEY_TEXTS)),
    "array of urls": (Array(URLS), arrays_of(URL_TEXTS)),
    "json of keys": (Json(KEYS, JSON_PATHS), documents_of(KEY_TEXTS)),
    "json of urls": (Json(URLS, JSON_PATHS), documents_of(URL_TEXTS)),
    "text": (Text(URLS), BODIES),
    "text with keys": (Text(URLS, KEYS), BODIES),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("side", [SideName.LEGACY, SideName.PRODUCTION])
def test_what_holds_a_reference_matches_the_patterns_of_its_side(
    any_database: Database, kind: str, side: SideName
) -> None:
    shape, values = SHAPES[kind]
    patterns = shape.patterns(side)
    condition, parameters = matching(sql.SQL("%(value)s::text"), patterns, side.value)
    met = [0, 0]
    with any_database.connect() as connection:

        @given(values.filter(is_storable))
        @ON_ANY_SERVER
        def check(value: str) -> None:
            reading = shape.read(value)
            holds = any(slot.side is side for slot in reading.slots)
            holds = holds or (side is SideName.LEGACY and reading.failure is not None)
            matches = asked(connection, condition, {**parameters, "value": value})
            met[holds] += 1
            assert matches or not holds, quote(value)
            if patterns.is_exact and side is SideName.LEGACY:
                assert matches is holds

        for _ in range(5):
            check()
            if all(met):
                break
    assert all(met), "some hold one, and some hold none"
