"""Values of several columns: the same text in every session, flipped and set back; and a path that is its own key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.errors import SerializationFailure

from sketchmigrate.core.errors import ReferenceRefused, SettingsError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.migration.flip_outcome import standing
from sketchmigrate.migration.planning import Forward
from sketchmigrate.migration.rollback import WayBack
from sketchmigrate.migration.trial import certain_refusals, check_it_ends, try_flips
from sketchmigrate.postgres.flip import flip, free_or_changed
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.refusals import Refusals
from tests.sources import as_user, looked_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Move
    from tests.servers.databases import Database
    from tests.sources import Looked

ENTRY: dict[str, Any] = {"name": "docs", "table": "docs", "column": "path", "shape": "key"}


@pytest.fixture
def database(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """At the end nothing is set for it any more, so that another test may have it: to make one takes longer."""
    yield as_user(monkeypatch, any_database)
    any_database.execute(f"ALTER DATABASE {any_database.name} RESET ALL")


async def legacy(looked: Looked) -> list[Reference]:
    references = References(looked.session, looked.table)
    return [row async for page in references.legacy_pages(KeyRange(), looked.source.mapping) for row in page.references]


async def planned(looked: Looked) -> list[Move]:
    rows = await legacy(looked)
    return (await Forward(looked.source).plan(rows, References(looked.session, looked.table))).moves


def reset(database: Database, date_style: str, timezone: str) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET datestyle = '{date_style}'")
    database.execute(f"ALTER DATABASE {database.name} SET timezone = '{timezone}'")


TYPES = {
    "timestamptz": ("timestamptz", "2026-02-01 00:30:00+00", "2026-02-01T00:30:00", "'0044-03-15 12:00+00 BC'"),
    "timestamp": ("timestamp", "2026-02-01 00:30:00", "2026-02-01T00:30:00", "'infinity'"),
    "date": ("date", "2026-02-01", "2026-02-01", "'-infinity'"),
    "domain over date": ("day", "2026-02-01", "2026-02-01", "'1999-12-31'"),
    "bytea": ("bytea", r"\x00ff", r"\x00ff", r"'\x5c27'"),
    "enum": ("mood", "new", "new", "'old'"),
    "domain over enum": ("his_mood", "new", "new", "'old'"),
    "citext": ("citext", "New", "New", "'Old'"),
    "varchar": ("varchar(5)", "new", "new", "'old'"),
    "char": ("char(5)", "new", "new", "'old'"),
    "domain over text": ("word", "new", "new", "'old'"),
    "boolean": ("boolean", True, "true", "false"),
    "integer": ("integer", 7, "7", "NULL"),
    "numeric": ("numeric(6, 3)", 1.5, "1.500", "2.250"),
    "uuid": ("uuid", "A" * 32, "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "NULL"),
    "jsonb": ("jsonb", '{"b":1, "a":2}', '{"a": 2, "b": 1}', "NULL"),
    "array": ("text[]", "{a,b}", "{a,b}", "'{\"x y\"}'"),
}


@pytest.mark.parametrize("kind", TYPES)
async def test_a_set_column_of_any_type_goes_there_and_back(database: Database, kind: str) -> None:
    type_name, new, new_text, old = TYPES[kind]
    if kind == "citext":
        if not database.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
            pytest.skip("this server has no citext")
        database.execute("CREATE EXTENSION citext")
    database.execute("CREATE TYPE mood AS ENUM ('old', 'new'); CREATE DOMAIN his_mood AS mood")
    database.execute("CREATE DOMAIN day AS date; CREATE DOMAIN word AS text")
    database.execute(f"CREATE TABLE docs (id int PRIMARY KEY, path text, state {type_name}, kind text)")
    database.execute(f"INSERT INTO docs VALUES (1, 'image/1', {old}, 'a'), (2, 'image/2', {old}, 'b')")  # noqa: S608 - ours
    before = database.execute("SELECT docs::text FROM docs ORDER BY id")
    entry = ENTRY | {"set": {"state": new}, "where": "kind = 'a' AND path LIKE 'image/%'", "reads": ["kind"]}
    reset(database, "German", "Asia/Kathmandu")
    async with looked_at(database, entry) as looked:
        assert looked.table.set_texts == (new_text,)
        (move,) = await planned(looked)
        references = References(looked.session, looked.table)
        assert await references.look_up([1]) == {1: move.reference.path}
    reset(database, "SQL, MDY", "America/New_York")
    async with looked_at(database, entry) as looked:  # the same text in another session
        assert (await planned(looked)) == [move]
        answer = await looked.session.run(flip, looked.table, [move], doing="flipping")
        assert answer.flipped == {1}
    reset(database, "ISO, YMD", "UTC")
    found = database.execute("SELECT path, state::text, kind FROM docs WHERE id = 1")[0]
    assert (found[0], found[2]) == ("avatar/1", "a")
    literal = str(new).lower() if isinstance(new, bool) else new
    is_set = f"SELECT state::text = %s::{type_name}::text FROM docs WHERE id = 1"  # noqa: S608 - ours
    assert database.execute(is_set, literal) == [(True,)]
    async with looked_at(database, entry) as looked:
        assert await References(looked.session, looked.table).look_up([1]) == {1: move.new_path}
        assert await legacy(looked) == []
        back = move._replace(reference=Reference(1, move.new_path), new_path=move.reference.path)
        backwards = looked.table.backwards()
        answer = await looked.session.run(flip, backwards, [back], doing="flipping back")
        assert answer.flipped == {1}
    assert database.execute("SELECT docs::text FROM docs ORDER BY id") == before


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date", "bytea"])
async def test_a_column_that_is_only_read_is_the_same_text_in_every_session(database: Database, kind: str) -> None:
    database.execute(f"CREATE TABLE docs (id int PRIMARY KEY, path text, made {TYPES[kind][0]})")
    database.execute(f"INSERT INTO docs VALUES (1, 'image/1', {TYPES[kind][3]}), (2, 'image/2', NULL)")  # noqa: S608 - ours
    seen = []
    for date_style, timezone in (("German", "Asia/Kathmandu"), ("SQL, MDY", "America/New_York"), ("ISO", "UTC")):
        reset(database, date_style, timezone)
        async with looked_at(database, ENTRY | {"where": "made IS NOT NULL", "reads": ["made"]}) as looked:
            seen.append(await planned(looked))
    assert len(seen[0]) == 1
    assert seen[0] == seen[1] == seen[2]
    async with looked_at(database, ENTRY | {"where": "made IS NOT NULL", "reads": ["made"]}) as looked:
        moves = [move._replace(reference=Reference(2, '["image/2", null]')) for move in seen[0]]
        answer = await looked.session.run(flip, looked.table, [*seen[0], *moves], doing="flipping")
    assert answer.flipped == {1}


async def test_a_value_that_a_type_does_not_take_is_refused(database: Database) -> None:
    database.execute("CREATE TYPE mood AS ENUM ('old')")
    database.execute("CREATE TABLE docs (id int PRIMARY KEY, path text, state mood)")
    with pytest.raises(SettingsError, match="sets state to 'new', which its type does not take: invalid input value"):
        async with looked_at(database, ENTRY | {"set": {"state": "new"}, "where": "state = 'old'"}):
            pass


@pytest.mark.parametrize(
    ("where", "ends"),
    [
        ("store = 'old'", True),
        ("store <> 'new'", True),
        ("store = 'old' OR path LIKE 'image/%'", True),
        ("kind = 'a'", False),
        ("store IN ('old', 'new')", False),
        ("path LIKE '%/1'", False),
    ],
)
async def test_a_condition_has_to_be_false_after_a_flip(database: Database, where: str, ends: bool) -> None:
    database.execute("CREATE TABLE docs (id int PRIMARY KEY, path text, store text, kind text)")
    database.execute("INSERT INTO docs VALUES (1, 'image/1', 'old', 'a'), (2, 'avatar/2', 'new', 'b')")
    entry = ENTRY | {"set": {"store": "new"}, "where": where, "reads": ["kind"]}
    async with looked_at(database, entry) as looked:
        moves = await planned(looked)
        source = replace(looked.source, sample=tuple(move for move in moves if move.reference.key == 1))
        database_reach = looked.reach
        if ends:
            await check_it_ends(database_reach, source)
            assert (await try_flips(database_reach, source)).refused == ()
            return
        for check in (check_it_ends, try_flips):
            with pytest.raises(SettingsError) as refused:
                await check(database_reach, source)
            assert refused.value.exit_code == ExitCode.USAGE
            assert "where of the source 'docs': it holds for row 1 after a flip sets store = 'new'" in str(
                refused.value
            )
    assert database.execute("SELECT path FROM docs ORDER BY id") == [("image/1",), ("avatar/2",)]


async def test_a_condition_without_a_set_may_hold_afterwards(database: Database) -> None:
    database.execute("CREATE TABLE docs (id int PRIMARY KEY, path text, kind text)")
    database.execute("INSERT INTO docs VALUES (1, 'image/1', 'a')")
    async with looked_at(database, ENTRY | {"where": "kind = 'a'", "reads": ["kind"]}) as looked:
        source = replace(looked.source, sample=tuple(await planned(looked)))
        await check_it_ends(looked.reach, source)
        assert (await try_flips(looked.reach, source)).refused == ()


PATH_TYPES = {
    "text": "text PRIMARY KEY",
    "varchar": "varchar(40) PRIMARY KEY",
    "citext": "citext PRIMARY KEY",
    "domain": "word PRIMARY KEY",
    "partitioned": "text PRIMARY KEY",
}


@pytest.fixture(params=PATH_TYPES)
def path_table(request: pytest.FixtureRequest, database: Database) -> Database:
    """A table whose only key is the path."""
    if request.param == "citext":
        if not database.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
            pytest.skip("this server has no citext")
        database.execute("CREATE EXTENSION citext")
    database.execute("CREATE DOMAIN word AS text")
    parts = ""
    if request.param == "partitioned":
        parts = (
            " PARTITION BY RANGE (path); CREATE TABLE a PARTITION OF docs FOR VALUES FROM (MINVALUE) TO ('b');"
            "CREATE TABLE b PARTITION OF docs FOR VALUES FROM ('b') TO (MAXVALUE)"
        )
    database.execute(f"CREATE TABLE docs (path {PATH_TYPES[request.param]}, other text){parts}")
    database.execute("INSERT INTO docs SELECT 'image/' || n, n FROM generate_series(1, 5) n")
    return database


@pytest.mark.parametrize("classic", [True, False])
async def test_a_path_that_is_its_own_key_goes_there_and_back(path_table: Database, classic: bool) -> None:
    names = {"db_table": "docs", "db_key_column": "path", "db_path_column": "path"}
    entry, more = (None, names) if classic else (ENTRY, {})
    before = path_table.execute("SELECT path, other FROM docs ORDER BY other")
    async with looked_at(path_table, entry, **more) as looked:
        assert looked.table.key.is_path
        references = References(looked.session, looked.table)
        moves = await planned(looked)
        assert [move.reference.key for move in moves] == [f"image/{n}" for n in range(1, 6)]
        assert (await try_flips(looked.reach, looked.source)).refused == ()
        answer = await looked.session.run(flip, looked.table, moves[:3], doing="flipping")
        assert answer.flipped == {"image/1", "image/2", "image/3"}
        assert answer.stored == {}
        again = await looked.session.run(flip, looked.table, moves, doing="flipping")
        assert again.flipped == {"image/4", "image/5"}
        assert path_table.execute("SELECT path, other FROM docs ORDER BY other") == [
            (f"avatar/{n}", f"{n}") for n in range(1, 6)
        ]
        path_table.execute("DELETE FROM docs WHERE path = 'avatar/1'")
        path_table.execute("UPDATE docs SET path = 'image/2' WHERE path = 'avatar/2'")
        path_table.execute("UPDATE docs SET path = 'x/3' WHERE path = 'avatar/3'")
        now = await references.look_again(moves)
        told = [
            standing(move, now, unanswered=unanswered, waited=False)[0]
            for move in moves
            for unanswered in (False, True)
        ]
        assert told[0:2] == [Outcome.SUPERSEDED] * 2
        assert told[2:4] == [None] * 2  # it holds the old path, and may be locked
        assert told[4:6] == [Outcome.SUPERSEDED] * 2
        assert told[6:8] == [Outcome.ALREADY, Outcome.MIGRATED]
        rows = [move.reference for move in moves]
        changed = await looked.session.run(free_or_changed, looked.table, rows, doing="looking")
        assert changed == rows  # one is free, the others are not what they were
        path_table.execute("UPDATE docs SET path = 'avatar/' || other")
        back = WayBack(looked.source, None)  # type: ignore[arg-type]  # a ledger is asked of rows of earlier rounds alone
        flips = [(Reference(move.new_path, move.new_path), move.reference.path) for move in moves[1:]]
        turned = await back.prepare(flips, references)
        answer = await looked.session.run(flip, looked.table.backwards(), list(turned.values()), doing="flipping back")
        assert answer.flipped == {f"avatar/{n}" for n in range(2, 6)}
    assert path_table.execute("SELECT path, other FROM docs ORDER BY other") == before[1:]


async def test_a_path_that_is_its_own_key_and_is_taken_is_refused_alone(path_table: Database) -> None:
    path_table.execute("INSERT INTO docs VALUES ('avatar/2', 'x')")
    async with looked_at(path_table, ENTRY) as looked:
        moves = await planned(looked)
        with pytest.raises(ReferenceRefused, match="duplicate key"):
            await looked.session.run(flip, looked.table, moves, doing="flipping", is_flip=True)
        others = [move for move in moves if move.reference.key != "image/2"]
        answer = await looked.session.run(flip, looked.table, others, doing="flipping", is_flip=True)
        assert answer.flipped == {"image/1", "image/3", "image/4", "image/5"}


async def test_what_a_trigger_makes_of_a_path_that_is_its_own_key_is_seen(database: Database) -> None:
    database.execute("CREATE TABLE docs (path text PRIMARY KEY)")
    database.execute("INSERT INTO docs VALUES ('image/1'), ('image/2')")
    database.execute(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.path = 'avatar/1' THEN UPDATE docs SET path = 'x' WHERE path = NEW.path; END IF; RETURN NULL; END $$"
    )
    database.execute("CREATE TRIGGER t AFTER UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION f()")
    async with looked_at(database, ENTRY) as looked:
        answer = await looked.session.run(flip, looked.table, await planned(looked), doing="flipping")
    assert answer.flipped == {"image/2"}
    assert answer.stored == {"image/1": None}


async def test_an_update_that_waits_for_a_row_that_moves_fails_and_a_flip_that_meets_one_does_not(
    path_table: Database,
) -> None:
    moves_rows = bool(path_table.execute("SELECT 1 FROM pg_partitioned_table"))

    def update() -> str:
        try:
            path_table.execute("UPDATE docs SET other = 'by the application' WHERE path = 'image/1'")
        except SerializationFailure as error:
            return str(error)
        return ""

    async def flip_while_it_waits(connection: AsyncConnection, looked: Looked, moves: list[Move]) -> str:
        assert (await flip(connection, looked.table, moves)).flipped == {"image/1"}
        waiting = asyncio.create_task(asyncio.to_thread(update))
        while not path_table.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"):  # noqa: ASYNC110 - the server's word
            await asyncio.sleep(0.01)  # until the server has it wait
        async with looked.reach.session() as session:  # which passes it over meanwhile
            answer = await session.run(flip, looked.table, moves, doing="flipping", is_flip=True)
        assert not answer.flipped
        await connection.commit()
        return await waiting

    async with looked_at(path_table, ENTRY) as looked:
        moves = [move for move in await planned(looked) if move.reference.key == "image/1"]
        assert looked.table.moves_rows is moves_rows
        async with await looked.reach.connect() as connection:
            await connection.execute("BEGIN")
            said = await flip_while_it_waits(connection, looked, moves)
        assert ("already moved to another partition" in said) is moves_rows
        assert any("already moved to another partition" in notice for notice in looked.table.notices) is moves_rows
        assert (await References(looked.session, looked.table).look_again(moves)).paths == {"image/1": "avatar/1"}


async def test_a_path_with_set_columns_can_be_its_own_key(database: Database) -> None:
    database.execute("CREATE TABLE docs (path text PRIMARY KEY, store text)")
    database.execute("INSERT INTO docs VALUES ('image/1', 'old'), ('image/2', 'new')")
    entry = ENTRY | {"set": {"store": "new"}, "where": "store = 'old'"}
    async with looked_at(database, entry) as looked:
        references = References(looked.session, looked.table)
        (move,) = await planned(looked)
        source = replace(looked.source, sample=(move,))
        await check_it_ends(looked.reach, source)
        assert (await try_flips(looked.reach, source)).refused == ()
        answer = await looked.session.run(flip, looked.table, [move], doing="flipping")
        assert answer.flipped == {"image/1"}
        assert (await references.look_again([move])).paths == {"image/1": move.new_path}
    assert database.execute("SELECT * FROM docs ORDER BY 1") == [("avatar/1", "new"), ("image/2", "new")]


async def test_what_the_catalogue_makes_certain_is_judged_by_the_path_alone(database: Database) -> None:
    database.execute("CREATE TABLE docs (id int PRIMARY KEY, path varchar(9) CHECK (path <> 'avatar/2'), store text)")
    database.execute("INSERT INTO docs VALUES (1, 'image/1', 'old')")
    entry = ENTRY | {"set": {"store": "a rather long name"}, "where": "store = 'old'"}
    async with looked_at(database, entry) as looked:
        assert await certain_refusals(looked.reach, looked.source) == Refusals()
        database.execute("UPDATE docs SET path = 'image/2'")
        (refused,) = (await certain_refusals(looked.reach, looked.source)).checks
        assert refused.endswith("refuses 'avatar/2'")
