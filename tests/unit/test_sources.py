"""The sources that settings describe."""

from __future__ import annotations

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.expression import Computed
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.core.source import Source
from sketchmigrate.settings import Settings
from sketchmigrate.settings.sources import routes_of, sources_of

MOVES = (
    {"legacy": "s3://old-s3/image/", "production": "s3://new-s3/avatar/", "name": "images"},
    {"legacy": "s3://old-s3/file/", "production": "s3://new-s3/files/", "name": "files"},
)
IMAGES = Route("old-s3", "image/", "new-s3", "avatar/", "images")
FILES = Route("old-s3", "file/", "new-s3", "files/", "files")


def test_the_classic_settings_are_one_source() -> None:
    settings = Settings(db_table="s.files", db_key_column="n", db_path_column="p", legacy_prefix="a/")
    routes = Routes((Route("sketch-legacy-s3", "a/", "sketch-production-s3", "avatar/"),))
    (source,) = sources_of(settings)
    assert source == Source(
        "s.files.p", 0, "s.files", ("n",), "p", Whole(KeyNotation(routes)), "key", routes, is_classic=True
    )
    assert routes_of(settings) == routes
    assert (source.columns, source.is_plain, source.sides_by_row) == (("p",), True, False)
    assert [source.setting(what) for what in ("table", "key", "column")] == [
        "DB_TABLE", "DB_KEY_COLUMN", "DB_PATH_COLUMN",
    ]  # fmt: skip


def test_moves_alone_are_those_of_the_classic_source() -> None:
    settings = Settings(moves=MOVES)
    (source,) = sources_of(settings)
    assert source.routes == routes_of(settings) == Routes((IMAGES, FILES))
    assert (source.table, source.column, source.is_classic) == ("avatars", "path", True)


def test_each_entry_is_a_source_in_its_place() -> None:
    references = (
        {"table": "a", "column": "p", "shape": "key", "moves": ["files"]},
        {"table": "b", "column": "p", "shape": "array", "partial": True},
        {"table": "c", "column": "p", "shape": "json", "paths": ["$.id"], "where": "x", "reads": ["x"]},
        {"table": "d", "column": "p", "shape": "text", "name": "body", "key": ["t", "n"]},
        {
            "table": "e",
            "expression": "'image/' || n",
            "shape": "expression",
            "set": {"store": "new", "done": True},
            "where": "store = 'old'",
            "reads": ["n", "store"],
            "also_move": "ARRAY['image/' || n || '-s']",
        },
    )
    sources = sources_of(Settings(moves=MOVES, references=references))
    assert [(each.name, each.number, each.table) for each in sources] == [
        ("a.p", 0, "a"), ("b.p", 1, "b"), ("c.p", 2, "c"), ("body", 3, "d"), ("e.expression", 4, "e"),
    ]  # fmt: skip
    assert [type(each.shape) for each in sources] == [Whole, Array, Json, Text, Computed]
    assert [each.shape_name for each in sources] == ["key", "array", "json", "text", "expression"]
    assert [each.routes.all for each in sources] == [(FILES,), *[(IMAGES, FILES)] * 4]
    assert [each.key for each in sources] == [(), (), (), ("t", "n"), ()]
    assert [each.columns for each in sources] == [("p",), ("p",), ("p", "x"), ("p",), ("store", "done", "n")]
    assert [each.is_plain for each in sources] == [True, True, False, True, False]
    assert [each.sides_by_row for each in sources] == [False] * 4 + [True]
    assert [each.partial for each in sources] == [False, True, False, False, False]
    last = sources[-1]
    assert (last.sets, last.where) == ((("store", "new"), ("done", True)), "store = 'old'")
    assert (last.expression, last.also_move) == ("'image/' || n", "ARRAY['image/' || n || '-s']")
    assert not any(each.is_classic for each in sources)
    assert sources[3].setting("key") == "key of the source 'body'"
