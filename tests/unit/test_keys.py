"""The codec of keys: each way out leads back to the same key, and keeps the order."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sketchmigrate.ledger.sqlite.writer  # noqa: F401 - with it SQLite is told how a uuid is stored
from sketchmigrate.core.keys import (
    NATIVE_TYPES,
    is_before,
    key_between,
    key_from_stored,
    key_json,
    key_order,
    key_text,
    keys_json,
    stored_key,
)

if TYPE_CHECKING:
    from sketchmigrate.core.reference import Key

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
"""As PostgreSQL has them: no surrogates, no NUL."""

OF_TYPE: dict[str, st.SearchStrategy[Key]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "uuid": st.uuids(),
    "text": TEXTS,
    "character varying": TEXTS,
}
TYPED = st.sampled_from(sorted(OF_TYPE)).flatmap(lambda name: st.tuples(st.just(name), OF_TYPE[name]))
SEVERAL = st.sampled_from(sorted(OF_TYPE)).flatmap(lambda name: st.lists(OF_TYPE[name]))


def test_every_type_that_a_key_column_may_have_is_tried_here() -> None:
    assert OF_TYPE.keys() == NATIVE_TYPES


@given(TYPED)
def test_what_a_ledger_has_is_the_key_again(typed: tuple[str, Key]) -> None:
    key_type, key = typed
    assert key_from_stored(stored_key(key), key_type) == key
    with closing(sqlite3.connect(":memory:")) as database:
        ((stored,),) = database.execute("SELECT ?", [key])
        assert stored == stored_key(key)
    assert key_from_stored(json.loads(key_json(key)), key_type) == key


@given(TYPED)
def test_what_is_shown_can_be_typed(typed: tuple[str, Key]) -> None:
    key_type, key = typed
    assert key_from_stored(key_text(key), key_type) == key


@given(SEVERAL)
def test_sqlite_finds_keys_in_a_json_array(keys: list[Key]) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        found = database.execute("SELECT value FROM json_each(?)", [keys_json(keys)]).fetchall()
    assert [value for (value,) in found] == [stored_key(key) for key in keys]


@given(SEVERAL)
def test_keys_are_in_the_order_of_what_a_ledger_has(keys: list[Key]) -> None:
    in_order = sorted(keys, key=key_order)
    assert [stored_key(key) for key in in_order] == sorted((stored_key(key) for key in keys), key=key_order)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE flip (key NOT NULL)")
        database.executemany("INSERT INTO flip VALUES (?)", [(key,) for key in keys])
        found = database.execute("SELECT key FROM flip ORDER BY key").fetchall()
    assert [key for (key,) in found] == [stored_key(key) for key in in_order]


@given(TYPED.flatmap(lambda typed: st.tuples(st.just(typed[1]), OF_TYPE[typed[0]])), st.integers(0, 8))
def test_a_key_between_two_is_between_them(two: tuple[Key, Key], part: int) -> None:
    first, last = sorted(two, key=key_order)
    key = key_between(first, last, part, 8)
    assert not is_before(key, first)
    assert not is_before(last, key)


@pytest.mark.parametrize(("text", "key_type"), [("x", "bigint"), ("", "integer"), ("1.5", "smallint"), ("5", "uuid")])
def test_what_is_no_key_of_the_column_is_refused(text: str, key_type: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|badly formed"):
        key_from_stored(text, key_type)


@pytest.mark.parametrize("written", ["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11"])
def test_a_uuid_may_be_typed_as_postgresql_takes_it(written: str) -> None:
    assert key_from_stored(written, "uuid") == UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
