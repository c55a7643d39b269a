"""A fence refuses exactly the writes that leave a row legacy, as the pages of a run have it, and no other."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.inspect.fence import look_at_fences
from sketchmigrate.postgres.fence import NoFence, fence_of, read_fences
from sketchmigrate.postgres.references import References
from tests.sources import as_user, looked_at

if TYPE_CHECKING:
    from tests.servers.databases import Database

PREFIX = "50%_a'\"\\/"
"""Has all that LIKE, SQL and JSON give a meaning."""

MOVES = [
    {"legacy": "s3://old/image/", "production": "s3://new/avatar/"},
    {"legacy": f"s3://old/{PREFIX}", "production": "s3://new/other/"},
]
ROWS = 250
DICE = random.Random(17)
TEXTS = ["image/1.png", "image/", "image", "IMAGE/1.png", " image/1.png", "avatar/image/1.png", "", "50x_a'\"\\/1", "é"]
TEXTS += [f"{PREFIX}1.png", f"x{PREFIX}", "50%_a'\"\\\\/1", "null", "{image/1.png}", '"image/1.png"', "image/" * 300]


def text() -> str | None:
    return DICE.choice([*TEXTS, None])


def array() -> str | None:
    flat = [text() for _ in range(DICE.randrange(4))]
    nested = [[text(), text()] for _ in range(DICE.randrange(3))]
    return DICE.choice([flat, nested, None])  # type: ignore[return-value]  # psycopg writes it


def document(depth: int = 3) -> Any:
    """A document whose members have the names of the paths, at right places and at wrong ones."""
    kind = DICE.random()
    if depth == 0 or kind < 0.3:
        return DICE.choice([*TEXTS, None, 7, 1.5, True])
    if kind < 0.5:
        return [document(depth - 1) for _ in range(DICE.randrange(3))]
    names = ("file", "more", "list", "a b", "0", "other")
    return {DICE.choice(names): document(depth - 1) for _ in range(DICE.randrange(4))}


PATHS = ["$", "$.file", "$.more.*", "$.list[*].file", '$["a b"][0]', "$.more.*.file.*"]
SERVICE: dict[str, Any] = {"where": "service = 'old' -- as it was", "set": {"service": "new"}}
CASES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "key": ("text", {"shape": "key"}, text),
    "varchar": ("varchar(2000)", {"shape": "key"}, text),
    "array": ("text[]", {"shape": "array"}, array),
    "array of varchar": ("varchar(2000)[]", {"shape": "array"}, array),
    "json": ("jsonb", {"shape": "json", "paths": PATHS}, lambda: json.dumps(document())),
    "told by the row": ("text", {"shape": "key", **SERVICE}, text),
    "urls told by the row": ("text", {"shape": "url", **SERVICE}, text),
    "a condition": ("text", {"shape": "key", "where": "docs.service <> 'gone'", "reads": ["service"]}, text),
}


@pytest.fixture
def database(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    return as_user(monkeypatch, any_database)


def urls_of(more: dict[str, Any]) -> list[dict[str, str]]:
    return [{"legacy": "https://o/{key}", "production": "https://n/{key}"}] if more["shape"] in {"url", "text"} else []


def entry_of(more: dict[str, Any]) -> dict[str, Any]:
    return {"name": "docs", "table": "docs", "column": "value %", "key": "id", **more}


def fill(database: Database, kind: str, values: list[Any]) -> None:
    database.execute(f"""CREATE TABLE docs (id int PRIMARY KEY, "value %" {kind}, service text, note int DEFAULT 0)""")
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            b"""INSERT INTO docs VALUES (%s, %s, %s)""",
            [(at, value, ("old", "new", "gone", None)[at % 4]) for at, value in enumerate(values)],
        )


def refused(database: Database, statement: str) -> set[int]:
    """Return for which rows a statement is refused by the fence; any other error is one of the test."""
    found = set()
    with database.connect() as connection:
        for row in range(ROWS):
            try:
                connection.execute(statement.format(row=row).encode())
            except psycopg.errors.CheckViolation:
                found.add(row)
    return found


@pytest.mark.parametrize("case", CASES)
async def test_it_refuses_what_a_page_calls_legacy_and_nothing_else(database: Database, case: str) -> None:
    kind, more, value = CASES[case]
    fill(database, kind, [value() for _ in range(ROWS)])
    async with looked_at(database, entry_of(more), moves=MOVES, urls=urls_of(more)) as looked:
        pages = References(looked.session, looked.table).legacy_pages(KeyRange(), looked.source.mapping)
        legacy = {row.key async for page in pages for row in page.references}
        assert 0 < len(legacy) < ROWS, "the values are of both kinds"
        fence = fence_of(looked.source.source, looked.table)
        assert await looked.session.run(read_fences, looked.table, doing="looking") == ()
        database.execute(fence.add)
        assert await looked.session.run(read_fences, looked.table, doing="looking") == (fence.name,)
        assert refused(database, "UPDATE docs SET note = note + 1 WHERE id = {row}") == legacy
        again = 'INSERT INTO docs SELECT id + 1000, "value %", service FROM docs WHERE id = {row}'
        assert refused(database, again) == legacy
        database.execute(fence.drop)
        assert await looked.session.run(read_fences, looked.table, doing="looking") == ()
        assert refused(database, "UPDATE docs SET note = note + 1 WHERE id = {row}") == set()


@pytest.mark.parametrize(
    ("kind", "more", "why"),
    [
        ("text", {"shape": "url"}, "URLs only roughly"),
        ("text", {"shape": "text"}, "shape 'text'"),
        ("json", {"shape": "json", "paths": ["$.file"]}, "of type json"),
        ("text", {"shape": "key", "where": "service IN (SELECT 'old')"}, "subquery"),
    ],
)
async def test_there_is_none_that_is_only_roughly_right(
    database: Database, kind: str, more: dict[str, Any], why: str
) -> None:
    fill(database, kind, [])
    reads = {"reads": ["service"]} if "where" in more else {}
    entry = entry_of({**more, **reads})
    async with looked_at(database, entry, moves=MOVES[:1], urls=urls_of(more)) as looked:
        with pytest.raises(NoFence, match=why):
            fence_of(looked.source.source, looked.table)


async def test_the_rows_of_all_sources_that_can_have_one_are_told_as_they_are_counted(database: Database) -> None:
    fill(database, "text", [f"avatar/{number}" for number in range(5)])
    database.execute("ANALYZE docs")
    fenced, none = entry_of({"shape": "key"}), entry_of({"shape": "text"})
    heard: list[tuple[int, int | None]] = []
    async with (
        looked_at(database, fenced, moves=MOVES) as one,
        looked_at(database, none, moves=MOVES, urls=urls_of(none)) as other,
    ):
        sources = [one.source, other.source, one.source]
        found = await look_at_fences(one.reach, sources, lambda rows, total: heard.append((rows, total)))
    assert heard == [(5, 10), (10, 10)]
    assert [each.fence is None for each in found] == [False, True, False]


async def test_partitions_have_it_and_a_view_has_none(database: Database) -> None:
    fill(database, "text", ["avatar/1.png"])
    database.execute("""CREATE TABLE parts (id int PRIMARY KEY, "value %" text) PARTITION BY RANGE (id)""")
    database.execute("CREATE TABLE part PARTITION OF parts DEFAULT")
    async with looked_at(database, entry_of({"shape": "key", "table": "parts"}), moves=MOVES) as looked:
        database.execute(fence_of(looked.source.source, looked.table).add)
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("""INSERT INTO part VALUES (7, 'image/7.png')""")
    database.execute("CREATE VIEW shown AS SELECT * FROM docs")
    async with looked_at(database, entry_of({"shape": "key", "table": "shown"}), moves=MOVES) as looked:
        with pytest.raises(NoFence, match="is a view"):
            fence_of(looked.source.source, looked.table)


async def test_only_what_is_called_so_and_is_on_our_columns_is_one(database: Database) -> None:
    fill(database, "text", ["avatar/1.png"])
    for name, column in (("fence_01234567", "value %"), ("fence_0123456", "value %"), ("fence_76543210", "note")):
        database.execute(f"""ALTER TABLE docs ADD CONSTRAINT sketch_migrate_{name} CHECK ("{column}" IS NOT NULL)""")
    async with looked_at(database, entry_of({"shape": "key"}), moves=MOVES) as looked:
        found = await looked.session.run(read_fences, looked.table, doing="looking")
    assert found == ("sketch_migrate_fence_01234567",)
