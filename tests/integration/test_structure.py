"""What is found out about the table before it is touched: what an UPDATE locks and fires, how long a path may be."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

from sketchmigrate.core.errors import DatabaseRefused
from sketchmigrate.inspect.findings import Severity, table_findings
from sketchmigrate.postgres.catalog import read_facts, read_sizes
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.faults import translate
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.refusals import Refusals, read_refusals
from sketchmigrate.postgres.statistics import count_blocks
from sketchmigrate.postgres.trial import is_possible
from sketchmigrate.settings import Settings
from tests.mappings import source_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.catalog import TableFacts
    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database

PLAIN = "CREATE TABLE avatars (id bigint PRIMARY KEY, path text, other text)"
PARTED = (
    "CREATE TABLE avatars (id bigint PRIMARY KEY, path text, other text) PARTITION BY RANGE (id);"
    "CREATE TABLE part (other text, path text, id bigint NOT NULL);"  # in another order than the parent
    "ALTER TABLE avatars ATTACH PARTITION part FOR VALUES FROM (0) TO (10)"
)
FUNCTION = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"


def settings_of(database: Database, monkeypatch: pytest.MonkeyPatch, **more: object) -> Settings:
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)
    values = {"db_host": database.host, "db_port": database.port, "db_name": database.name, **more}
    return Settings(**values)  # type: ignore[arg-type]  # the test's own values, by name


async def inspected(settings: Settings) -> Table:
    async with await Reach(settings, stopping=asyncio.Event()).connect() as connection:
        return await inspect_table(connection, source_of(settings), for_writing=True)


async def facts_of(settings: Settings) -> TableFacts:
    async with await Reach(settings, stopping=asyncio.Event()).connect() as connection, connection.transaction():
        return await read_facts(connection, await inspect_table(connection, source_of(settings), for_writing=False))


@pytest.mark.parametrize(
    ("table", "index", "is_unique"),
    [
        (PLAIN, "", False),
        (PLAIN, "CREATE INDEX ON avatars (path)", False),
        (PLAIN, "CREATE UNIQUE INDEX ON avatars (path)", True),
        (PLAIN, "ALTER TABLE avatars ADD UNIQUE (path) DEFERRABLE INITIALLY DEFERRED", True),
        (PLAIN, "CREATE UNIQUE INDEX ON avatars (other, path)", True),
        (PLAIN, "CREATE UNIQUE INDEX ON avatars (path) INCLUDE (other)", True),
        (PLAIN, "CREATE UNIQUE INDEX ON avatars (other) INCLUDE (path)", False),
        (PLAIN, "CREATE UNIQUE INDEX ON avatars (path) WHERE other IS NULL", False),
        (PLAIN, "CREATE UNIQUE INDEX ON avatars (path, lower(other))", False),
        (PARTED, "", False),
        (PARTED, "CREATE UNIQUE INDEX ON avatars (id, path)", True),
        (PARTED, "CREATE UNIQUE INDEX ON part (path)", True),
        (PARTED, "CREATE UNIQUE INDEX ON part (other)", False),
    ],
)
async def test_an_update_takes_the_strongest_lock_where_we_say_so(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, table: str, index: str, is_unique: bool
) -> None:
    any_database.execute(f"{table}; {index}")
    any_database.execute("INSERT INTO avatars VALUES (1, 'image/1', 'x')")
    found = await inspected(settings_of(any_database, monkeypatch))
    assert found.path_is_unique is is_unique
    assert found.is_partitioned is (table == PARTED)
    with any_database.connect() as one, any_database.connect() as other, one.transaction(force_rollback=True):
        one.execute("UPDATE avatars SET path = 'avatar/1'")
        # a key share lock, as a foreign key's check takes it, is held up by the strongest lock alone
        free = other.execute("SELECT FROM avatars FOR KEY SHARE SKIP LOCKED").fetchall()
    assert bool(free) is not is_unique


@pytest.mark.parametrize(
    ("table", "trigger", "after", "named"),
    [
        (PLAIN, "", False, False),
        (PLAIN, "CREATE TRIGGER t BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION f()", False, True),
        (PLAIN, "CREATE TRIGGER t AFTER INSERT OR DELETE ON avatars FOR EACH ROW EXECUTE FUNCTION f()", False, False),
        (PLAIN, "CREATE TRIGGER t AFTER UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION f()", True, True),
        (PLAIN, "CREATE TRIGGER t AFTER UPDATE OF path ON avatars FOR EACH ROW EXECUTE FUNCTION f()", True, True),
        (PLAIN, "CREATE TRIGGER t AFTER UPDATE OF other ON avatars FOR EACH ROW EXECUTE FUNCTION f()", False, False),
        (PLAIN, "CREATE TRIGGER t AFTER UPDATE ON avatars FOR EACH STATEMENT EXECUTE FUNCTION f()", True, True),
        (
            PLAIN,
            (
                "CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON avatars DEFERRABLE INITIALLY DEFERRED"
                " FOR EACH ROW EXECUTE FUNCTION f()"
            ),
            True,
            True,
        ),
        (
            PLAIN,
            (
                "CREATE TRIGGER t AFTER UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION f();"
                "ALTER TABLE avatars DISABLE TRIGGER t"
            ),
            False,
            False,
        ),
        (
            PLAIN,
            (
                "ALTER TABLE avatars ADD UNIQUE (path);"
                "ALTER TABLE avatars ADD FOREIGN KEY (other) REFERENCES avatars (path) ON UPDATE CASCADE"
            ),
            False,
            False,
        ),
        (PARTED, "CREATE TRIGGER t AFTER UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION f()", True, True),
        (PARTED, "CREATE TRIGGER t AFTER UPDATE OF path ON part FOR EACH ROW EXECUTE FUNCTION f()", True, True),
        (PARTED, "CREATE TRIGGER t AFTER UPDATE OF other ON part FOR EACH ROW EXECUTE FUNCTION f()", False, False),
    ],
)
async def test_what_fires_on_a_flip_is_known(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, table: str, trigger: str, after: bool, named: bool
) -> None:
    any_database.execute(f"{table}; {FUNCTION}; {trigger}")
    settings = settings_of(any_database, monkeypatch)
    found, facts = await inspected(settings), await facts_of(settings)
    assert found.fires_after_update is after
    assert found.notices == (("Triggers fire on each flip: t.",) if named else ())
    assert (facts.triggers, facts.after_triggers) == (("t",) if named else (), ("t",) if after else ())
    told = [each.what_to_do for each in table_findings(facts, Refusals(), None) if each.kind == "trigger"]
    assert [text.rpartition(": ")[2] for text in told] == (["t (AFTER)"] if after else ["t"] if named else [])


@pytest.mark.parametrize("change", ["DROP TABLE avatars", "ALTER TABLE avatars RENAME path TO way"])
@pytest.mark.parametrize("question", ["facts", "sizes", "refusals", "trial", "blocks"])
async def test_a_table_that_goes_away_in_between_is_named(
    database: Database, monkeypatch: pytest.MonkeyPatch, question: str, change: str
) -> None:
    if question == "blocks" and "RENAME" in change:
        pytest.skip("it asks for no column")
    database.create_avatars(["image/1"])
    settings = settings_of(database, monkeypatch)
    table = await inspected(settings)
    database.execute(change)
    asks: dict[str, Callable[[AsyncConnection], Awaitable[object]]] = {
        "facts": partial(read_facts, table=table),
        "sizes": partial(read_sizes, table=table),
        "refusals": partial(read_refusals, table=table, sample=[]),
        "trial": partial(is_possible, table=table),
        "blocks": partial(count_blocks, table=table),
    }
    async with Reach(settings, stopping=asyncio.Event()).session() as session:
        with pytest.raises(DatabaseRefused, match="is not there any more") as caught:
            await session.run(asks[question], doing="looking")
    assert "DB_TABLE" in caught.value.hint


async def test_who_has_locked_the_table_does_not_hold_the_look_at_it_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_avatars(["image/1"])
    database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    limited = database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    settings = settings_of(limited, monkeypatch)
    with database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE avatars IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(10):
            found = await inspected(settings)
    assert found.hides_rows


async def test_a_partition_by_itself_has_its_parents_triggers(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = "CREATE TRIGGER t AFTER UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION f()"
    any_database.execute(f"{PARTED}; {FUNCTION}; {trigger}")
    found = await inspected(settings_of(any_database, monkeypatch, db_table="part"))
    assert found.fires_after_update
    assert not found.is_partitioned


@pytest.mark.parametrize(
    ("column", "chars", "size_bytes"),
    [
        ("text", None, None),
        ("varchar", None, None),
        ("varchar(20)", 20, None),
        ("char(1)", 1, None),
        ("name", None, 63),
        ("of_15", 15, None),
        ("of_of_15", 15, None),
        ("of_any", None, None),
        ("of_name", None, 63),
    ],
)
async def test_how_long_a_path_may_be(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, column: str, chars: int | None, size_bytes: int | None
) -> None:
    any_database.execute(
        "CREATE DOMAIN of_15 AS varchar(15); CREATE DOMAIN of_of_15 AS of_15 CHECK (VALUE <> '');"
        "CREATE DOMAIN of_any AS varchar; CREATE DOMAIN of_name AS name"
    )
    any_database.execute(f"CREATE TABLE avatars (id bigint PRIMARY KEY, path {column})")
    found = await inspected(settings_of(any_database, monkeypatch))
    assert (found.max_path_chars, found.max_path_bytes) == (chars, size_bytes)


@pytest.mark.parametrize(
    ("index", "kind", "severity"),
    [
        ("CREATE UNIQUE INDEX ON avatars (path)", "unique index", Severity.NOTE),
        ("CREATE UNIQUE INDEX ON avatars (path) INCLUDE (other)", "unique index", Severity.NOTE),
        ("CREATE UNIQUE INDEX ON avatars (path, other)", "unique index", Severity.LOOK),
        ("CREATE UNIQUE INDEX ON avatars (lower(path))", "unique index", Severity.LOOK),
        ("CREATE UNIQUE INDEX ON avatars (other) WHERE path <> ''", "unique index", Severity.LOOK),
        ("CREATE UNIQUE INDEX ON avatars (other) INCLUDE (path)", "index", Severity.NOTE),
    ],
)
async def test_what_plan_says_of_an_index(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, index: str, kind: str, severity: Severity
) -> None:
    any_database.execute(f"{PLAIN}; {index}")
    found = table_findings(await facts_of(settings_of(any_database, monkeypatch)), Refusals(), None)
    assert [(each.kind, each.severity) for each in found if "index" in each.kind] == [(kind, severity)]


@pytest.mark.parametrize(
    ("makes", "what"),
    [
        ("CREATE VIEW avatars AS SELECT * FROM t", "a view"),
        ("CREATE MATERIALIZED VIEW avatars AS SELECT * FROM t", "a materialized view"),
        (
            (
                "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
                " CREATE FOREIGN TABLE avatars (id int, path text) SERVER s"
            ),
            "a foreign table",
        ),
        ("CREATE INDEX avatars ON t (path)", "an index"),
        ("CREATE SEQUENCE avatars", "a sequence"),
        ("CREATE TYPE avatars AS (id int, path text)", "a type"),
    ],
)
async def test_what_is_no_table_is_called_what_it_is(
    database: Database, monkeypatch: pytest.MonkeyPatch, makes: str, what: str
) -> None:
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, path text); {makes}")
    with pytest.raises(DatabaseRefused, match=f"avatars is {what}, not a table") as caught:
        await inspected(settings_of(database, monkeypatch))
    assert caught.value.hint


async def test_a_table_of_that_name_in_another_schema_is_named(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute('CREATE SCHEMA "Other"; CREATE TABLE "Other".avatars (id int PRIMARY KEY, path text)')
    with pytest.raises(DatabaseRefused, match="no table avatars") as caught:
        await inspected(settings_of(database, monkeypatch))
    assert "Other.avatars" in caught.value.hint
    limited = database.make_user()
    for name in ("avatars", "Other.avatars"):
        with pytest.raises(DatabaseRefused) as caught:
            await inspected(settings_of(limited, monkeypatch, db_table=name))
        assert caught.value.hint.startswith(f'GRANT USAGE ON SCHEMA "Other" TO {limited.user}')


def test_a_right_that_a_trigger_lacks_is_not_called_ours(database: Database) -> None:
    database.create_avatars(["image/1"])
    database.execute("CREATE TABLE audit (path text)")
    body = "BEGIN INSERT INTO audit VALUES (NEW.path); RETURN NEW; END"
    database.execute(f"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
    database.execute("CREATE TRIGGER t BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION note()")
    limited = database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        limited.execute("UPDATE avatars SET path = 'avatar/1'")
    ours = translate(caught.value, "flipping")
    assert "table audit" in ours.message
    assert "trigger" in ours.hint
    assert "README" not in ours.hint
