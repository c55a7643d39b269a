"""Shapes read what a server writes, and write what it would write itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.json import Json
from tests.unit.shapes.site import KEYS, PLAIN, check_slots, is_legal, moved

if TYPE_CHECKING:
    import psycopg

    from tests.servers.databases import Database

STORED = st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from(
    '\\"/{},é \t\n\v\f\r\u00a0'
)
TEXTS = st.sampled_from(["", "NULL", "null", "nULLs", "{}", "a b"]) | st.builds(
    str.__add__,
    st.sampled_from(["image/", "image/thumb/", 'ava"tar\\/', "small pics/", "imag", ""]),
    st.text(STORED, max_size=6),
)
ELEMENTS = st.none() | TEXTS
ON_ANY_SERVER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


def asked(connection: psycopg.Connection[tuple[Any, ...]], question: str, *values: object) -> Any:
    """Return the one value of an answer."""
    ((answer,),) = connection.execute(sql.SQL(question), values).fetchall()
    return answer


def moved_if_it_can_be(text: str | None) -> str | None:
    """Return a legacy key as it is in production, and what cannot be moved as it is."""
    return text if text is None else moved(text) or text


@pytest.mark.parametrize("kind", ["text[]", "varchar[]"])
def test_an_array_is_what_the_server_would_write(any_database: Database, kind: str) -> None:
    rows = st.integers(1, 3).flatmap(
        lambda size: st.lists(st.lists(ELEMENTS, min_size=size, max_size=size), max_size=3)
    )
    arrays = st.lists(ELEMENTS, max_size=5) | rows
    with any_database.connect() as connection:

        @given(arrays, st.integers(-3, 3), st.integers(-3, 3))
        @ON_ANY_SERVER
        def check(array: list[Any], first: int, second: int) -> None:
            value = asked(connection, f"SELECT %s::{kind}::text", array)
            if array:
                bounds = f"[{first}:{first + len(array) - 1}]"
                if isinstance(array[0], list):
                    bounds += f"[{second}:{second + len(array[0]) - 1}]"
                value = asked(connection, f"SELECT %s::{kind}::text", f"{bounds}={value}")
            new = check_slots(Array(KEYS), value)
            assert asked(connection, f"SELECT %s::{kind}::text", new) == new
            nested = [[moved_if_it_can_be(each) for each in row] if isinstance(row, list) else row for row in array]
            expected = [each if isinstance(each, list) else moved_if_it_can_be(each) for each in nested]
            assert asked(connection, f"SELECT %s::{kind}", new) == expected
            dimensions = [asked(connection, f"SELECT array_dims(%s::{kind})", each) for each in (value, new)]
            assert dimensions[0] == dimensions[1]

        check()


NAMES = st.sampled_from(["id", "a", 'q"', "é", ""]) | st.text(STORED, max_size=3)
DOCUMENTS = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.sampled_from([1e5, 0.1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_a_document_is_what_the_server_would_write(any_database: Database, kind: str) -> None:
    with any_database.connect() as connection:

        @given(DOCUMENTS, TEXTS, st.booleans())
        @ON_ANY_SERVER
        def check(document: Any, reference: str, ascii_only: bool) -> None:
            whole = {"other": document, "id": reference, "1.00": 1}
            value = asked(connection, f"SELECT %s::{kind}::text", json.dumps(whole, ensure_ascii=ascii_only, indent=1))
            new = check_slots(Json(KEYS, ("$.id",)), value)
            assert asked(connection, f"SELECT %s::{kind}::text", new) == new
            assert asked(connection, f"SELECT %s::{kind} ->> 'id'", new) == moved_if_it_can_be(reference)
            assert json.loads(new) == {**whole, "id": moved_if_it_can_be(reference)}

        check()


def test_the_last_of_two_members_of_one_name_counts_as_on_the_server(database: Database) -> None:
    value = '{"id": "image/1", "x": 1.00, "id": "image/2", "x": 1.0}'
    new = check_slots(Json(KEYS, ("$.id",)), value)
    with database.connect() as connection:
        assert asked(connection, "SELECT %s::json ->> 'id'", value) == "image/2"
        assert asked(connection, "SELECT %s::json ->> 'id'", new) == moved("image/2")
        assert asked(connection, "SELECT %s::jsonb ->> 'id'", new) == moved("image/2")
    assert new.startswith('{"id": "image/1", "x": 1.00, ')


def test_a_key_of_the_greatest_length_fits(database: Database) -> None:
    with database.connect() as connection:
        for size in range(1008, 1022):
            key = "image/" + "é" * (size // 2)
            value = asked(connection, "SELECT ARRAY[%s, %s]::text", key, key)
            new = asked(connection, "SELECT %s::text[]", check_slots(Array(KEYS), value))
            there = 'ava"tar\\/' + key.removeprefix("image/")
            assert new == ([there] * 2 if is_legal(there) else [key] * 2)


def test_an_element_is_quoted_where_the_server_quotes_it(any_database: Database) -> None:
    with any_database.connect() as connection:
        for char in [*map(chr, range(1, 256)), "\u2003", "\u3000", "\ufeff"]:
            value = asked(connection, "SELECT ARRAY[%s, %s]::text", f"image/{char}", char)
            assert check_slots(Array(KeyNotation(PLAIN)), value) == value.replace("image/", "avatar/")
