"""The table of the fault tests with its paths written in another shape: SHAPE=url, json, array or text.

``avatars`` is a view then, through which tests and application read and write paths as ever. The tool works on the
table below it, whose values hold more than the path. One in which anything else was changed is no path in the view.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.servers.databases import Database

CONFIG_NAME = "shaped.toml"

_URLS = """
[[urls]]
legacy = "https://old.example.com/{key}"
production = "https://cdn.example.com/{key}"
"""
_URL = (
    "'https://' || CASE left(path, 5) WHEN 'image' THEN 'old' WHEN 'avata' THEN 'cdn' ELSE 'other' END"
    " || '.example.com/' || path"
)
_TABLE = """
CREATE TABLE documents (id bigint PRIMARY KEY, value {type}, owner text NOT NULL DEFAULT '');
CREATE FUNCTION written(path text, id bigint) RETURNS {type} LANGUAGE sql
AS $$ SELECT CASE WHEN path IS NOT NULL THEN {written} END $$;
CREATE FUNCTION found(value {type}) RETURNS text LANGUAGE sql AS $$ SELECT {found} $$;
CREATE VIEW avatars AS SELECT id,
    CASE WHEN written(found(value), id) IS NOT DISTINCT FROM value THEN found(value)
        ELSE 'damaged: ' || value::text END AS path,
    owner
FROM documents;
CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'DELETE' THEN DELETE FROM documents WHERE id = OLD.id; RETURN OLD; END IF;
IF TG_OP = 'INSERT' THEN
    INSERT INTO documents VALUES (NEW.id, written(NEW.path, NEW.id), coalesce(NEW.owner, ''));
ELSE
    UPDATE documents SET value = written(NEW.path, id), owner = NEW.owner WHERE id = OLD.id;
END IF;
RETURN NEW; END $$;
CREATE TRIGGER write INSTEAD OF INSERT OR UPDATE OR DELETE ON avatars FOR EACH ROW EXECUTE FUNCTION write();
"""
_PATHS = """
SELECT id, found(old::{type}), found(new::{type})
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS flip(id, old, new)
"""
_HOST = r"https://(?:old|cdn|other)\.example\.com/"


@dataclass(frozen=True, slots=True)
class Shaped:
    """How a path is written: ``written`` and ``found`` are SQL on ``path`` and ``value``, both on ``id`` as well."""

    shape: str
    type_name: str
    written: str
    found: str
    urls: str = ""

    def create(self, database: Database) -> None:
        """Make the empty table and its view."""
        database.execute(_TABLE.format(type=self.type_name, written=self.written, found=self.found))

    def configure(self, folder: Path) -> Path:
        """Write the settings file of a site."""
        entry = f'[[references]]\ntable = "documents"\nkey = "id"\ncolumn = "value"\nshape = "{self.shape}"\n'
        paths = 'paths = ["$.file"]\n' if self.shape == "json" else ""
        (folder / CONFIG_NAME).write_text(entry + paths + self.urls)
        return folder / CONFIG_NAME

    def paths_of(self, database: Database, values: Iterable[tuple[int, str, str]]) -> set[tuple[int, str, str]]:
        """Return the paths of what a ledger holds: rows of a key and two values."""
        listed = [list(column) for column in zip(*values, strict=True)] or [[], [], []]
        return set(database.execute(_PATHS.format(type=self.type_name), *listed))


_SHAPES = {
    each.shape: each
    for each in (
        Shaped("url", "text", f"{_URL} || '?v=' || id", rf"substring(value from '^{_HOST}([^?]*)\?')", _URLS),
        Shaped(
            "json",
            "jsonb",
            """'{"n": 1.50, "more": ["image", null]}'::jsonb || jsonb_build_object('file', path, 'id', id)""",
            "value ->> 'file'",
        ),
        Shaped("array", "text[]", "ARRAY['other', path, NULL, id::text]", "value[2]"),
        Shaped(
            "text",
            "text",
            f"""'<p>né ' || id || ' <img src="' || {_URL} || '" alt=""></p>'""",
            rf"""substring(value from 'src="{_HOST}([^"]*)"')""",
            _URLS,
        ),
    )
}


def shaped() -> Shaped | None:
    """Return the shape that is asked for, or None: paths are the values."""
    return _SHAPES[name] if (name := os.environ.get("SHAPE")) else None
