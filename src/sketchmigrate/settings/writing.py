"""Settings as TOML, for a person to paste or for a file: what is written here is read back the same. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sketchmigrate.settings.entries import MoveEntry, ReferenceEntry


def written_table(parts: Iterable[str]) -> str:
    """Write a table's name so that ``settings.table_name`` takes it apart into these parts."""
    quoted = ('"' + part.replace('"', '""') + '"' if {'"', "."} & set(part) else part for part in parts)
    return ".".join(quoted)


def toml_value(value: object) -> str:
    """Write a text, a number, true or false, or a list of these. A character that cannot be seen is escaped."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    return '"' + "".join(map(_written, value)) + '"'


def _written(character: str) -> str:
    if character in {'"', "\\"}:
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def toml_lines(values: Mapping[str, object]) -> list[str]:
    """Write settings, or the fields of an entry, a line each."""
    return [f"{name} = {toml_value(value)}" for name, value in values.items()]


def comment(text: str) -> list[str]:
    """Write a text as lines of comment, whatever is in it."""
    return [f"# {_visible(line)}".rstrip() for line in text.split("\n")]


def _visible(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)


def reference_toml(entry: ReferenceEntry) -> str:
    """Write an entry of REFERENCES, without what is a default."""
    said = entry.model_dump(exclude_defaults=True)
    order = [name for name in type(entry).model_fields if name in said]
    return "\n".join(["[[references]]", *toml_lines({name: said[name] for name in order})])


def move_toml(entry: MoveEntry) -> str:
    """Write an entry of MOVES."""
    sides = {"legacy": entry.legacy, "production": entry.production}
    places: dict[str, object] = {side: f"s3://{place.bucket}/{place.key}" for side, place in sides.items()}
    return "\n".join(["[[moves]]", *toml_lines(places | ({"name": entry.name} if entry.name else {}))])
