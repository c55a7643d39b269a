"""Settings that the tool writes are read back the same."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sketchmigrate.settings.entries import MoveEntry, ReferenceEntry
from sketchmigrate.settings.values import table_name
from sketchmigrate.settings.writing import comment, move_toml, reference_toml, toml_lines, written_table

ANY = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\.%[]#=\n\x7f'), min_size=1, max_size=8)


@given(
    st.dictionaries(st.sampled_from("abc"), ANY | st.integers(-9, 2**40) | st.booleans() | st.lists(ANY, max_size=2))
)
def test_values_of_every_kind_are_read_back(values: dict[str, object]) -> None:
    assert tomllib.loads("\n".join(toml_lines(values))) == values


@given(ANY, st.lists(ANY, max_size=2, unique=True), ANY, st.sampled_from(["key", "url", "json", "array", "text"]))
def test_an_entry_is_read_back(table: str, key: list[str], column: str, shape: str) -> None:
    said = {"table": written_table([table]), "key": key, "column": column, "shape": shape}
    said |= {"paths": ['$.a["b c"].*']} if shape == "json" else {}
    try:
        entry = ReferenceEntry.model_validate(said)
    except ValidationError:
        return  # settings have no such name
    (read,) = tomllib.loads(reference_toml(entry))["references"]
    assert ReferenceEntry.model_validate(read) == entry
    assert table_name(entry.table) == (table,)


@given(
    st.lists(
        ANY.filter(lambda part: part.strip() and len(part.encode()) < 64 and "\0" not in part), min_size=1, max_size=2
    )
)
def test_a_table_of_any_name_is_taken_apart_as_it_was(parts: list[str]) -> None:
    assert table_name(written_table(parts)) == tuple(parts)


@pytest.mark.parametrize("prefix", ["", "a b/", "ü%/", 'quo"ted/'])
def test_a_move_is_read_back(prefix: str) -> None:
    move = MoveEntry.model_validate({"legacy": f"s3://old/{prefix}", "production": "s3://new/x/", "name": "pictures"})
    (read,) = tomllib.loads(move_toml(move))["moves"]
    assert MoveEntry.model_validate(read) == move


@given(st.text())
def test_a_comment_is_nothing_but_a_comment(text: str) -> None:
    lines = comment(text)
    assert len(lines) == text.count("\n") + 1
    written = "\n".join([*lines, "a = 1"])
    assert tomllib.loads(written) == {"a": 1}
    assert all(line.isprintable() for line in lines)
