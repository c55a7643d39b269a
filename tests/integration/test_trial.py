"""A flip that is rolled back names what the table has against it; each is provoked on a real server."""

from __future__ import annotations

import asyncio
import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.outcome import ANOTHER_PATH, LEFT_AS_IT_WAS
from sketchmigrate.migration.flipping import FlipControl
from sketchmigrate.migration.planning import SourceTable
from sketchmigrate.migration.preflight import check_database
from sketchmigrate.migration.trial import Trial, certain_refusals, try_flips
from sketchmigrate.postgres.database import Database as ToolsDatabase
from sketchmigrate.postgres.refusals import Refusals
from sketchmigrate.postgres.trial import HIDDEN
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database

TRIGGER = """
CREATE FUNCTION mind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
CREATE {kind} TRIGGER mind {when} ON avatars {timing} FOR EACH ROW EXECUTE FUNCTION mind()
"""


def trigger(body: str, when: str = "BEFORE UPDATE", kind: str = "", timing: str = "") -> str:
    return TRIGGER.format(body=body, when=when, kind=kind, timing=timing)


AGAIN = "UPDATE avatars SET path = upper(NEW.path) WHERE id = NEW.id AND path <> upper(NEW.path); RETURN NULL;"

WITH_RULE = """
CREATE TABLE noted (id bigint); CREATE RULE note AS ON UPDATE TO avatars DO ALSO INSERT INTO noted VALUES (NEW.id)
"""
FOREIGN_KEY = """
CREATE TABLE known AS SELECT path FROM avatars; ALTER TABLE known ADD PRIMARY KEY (path);
ALTER TABLE avatars ADD CONSTRAINT is_known FOREIGN KEY (path) REFERENCES known DEFERRABLE INITIALLY DEFERRED
"""
PARTITION = """
CREATE TABLE pictures (id bigint NOT NULL, path text) PARTITION BY LIST (left(path, 6));
ALTER TABLE pictures ATTACH PARTITION avatars FOR VALUES IN ('image/')
"""
DOMAIN = """
CREATE DOMAIN image_path AS text CHECK (VALUE LIKE 'image/%'); ALTER TABLE avatars ALTER path TYPE image_path
"""
PUBLISHED = "ALTER TABLE avatars REPLICA IDENTITY NOTHING; CREATE PUBLICATION everything FOR ALL TABLES"

REFUSED = {
    "rule instead": (
        "CREATE RULE no_change AS ON UPDATE TO avatars DO INSTEAD NOTHING",
        "0A000",
        "cannot perform UPDATE RETURNING",
    ),
    "rule also": (WITH_RULE, "0A000", "DO ALSO rules are not supported"),
    "replica identity": (PUBLISHED, "55000", "does not have a replica identity and publishes updates"),
    "check": ("ALTER TABLE avatars ADD CONSTRAINT only_images CHECK (path LIKE 'image/%')", "23514", "only_images"),
    "foreign key": (FOREIGN_KEY, "23503", "is_known"),
    "constraint trigger": (
        trigger("RAISE EXCEPTION 'not so'; ", "AFTER UPDATE", "CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED"),
        "P0001",
        "not so (PL/pgSQL function mind()",
    ),
    "changes it before": (
        trigger("NEW.path := upper(NEW.path); RETURN NEW;"),
        ANOTHER_PATH,
        "another path was stored: 'AVATAR/AVATAR-000.PNG'",
    ),
    "changes it afterwards": (trigger(AGAIN, "AFTER UPDATE"), ANOTHER_PATH, "another path was stored: 'AVATAR/"),
    "deletes it afterwards": (
        trigger("DELETE FROM avatars WHERE id = NEW.id; RETURN NULL;", "AFTER UPDATE"),
        ANOTHER_PATH,
        "takes its path away, or the row itself",
    ),
    "returns NULL": (trigger("RETURN NULL;"), LEFT_AS_IT_WAS, "left the row as it was"),
    "45000": (trigger("RAISE EXCEPTION 'ice' USING ERRCODE = '45000';"), "45000", "ice (PL/pgSQL function mind()"),
    "25006": (trigger("RAISE EXCEPTION 'ice' USING ERRCODE = '25006';"), "25006", "ice"),
    "08000": (trigger("RAISE EXCEPTION 'ice' USING ERRCODE = '08000';"), "08000", "ice"),
    "partition": (PARTITION, "23514", "violates partition constraint"),
    "domain": (DOMAIN, "23514", "image_path"),
    "name": ("ALTER TABLE avatars ALTER path TYPE name", ANOTHER_PATH, "another path was stored: 'avatar/"),
}

CERTAIN = {
    "rule instead": ("rules", "no_change (DO INSTEAD)"),
    "rule also": ("rules", "note (DO ALSO)"),
    "replica identity": ("nameless_for", "everything"),
    "check": ("checks", "only_images: CHECK ((path ~~ 'image/%'::text)) refuses 'avatar/avatar-000.png'"),
    "partition": ("checks", "partition of pictures: "),
    "domain": ("column", "image_path refuses 'avatar/avatar-000.png': value for domain image_path violates check"),
    "name": ("column", "name does not hold 'avatar/xxx"),
}
"""Of these the catalog knows as well, in that list."""


def fill(database: Database, rows: int = 24) -> None:
    database.create_avatars(f"image/avatar-{number:03}.png" for number in range(rows))


def both(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, prefix: str = "avatar/", **more: str
) -> tuple[Trial, Refusals]:
    """Make a trial, and ask the catalog."""
    for name, value in {**database.environ(), **more}.items():
        monkeypatch.setenv(name, value)
    settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name, production_prefix=prefix)

    async def ask() -> tuple[Trial, Refusals]:
        tools = ToolsDatabase(settings, stopping=asyncio.Event())
        ((source, table),) = await check_database(tools, [source_of(settings)], for_writing=False)
        found = SourceTable(source, table, mapping_of("image/", prefix), FlipControl.of(settings))
        return await try_flips(tools, found), await certain_refusals(tools, found)

    return asyncio.run(ask())


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_is_named_and_nothing_stays(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    statements, cause, words = REFUSED[kind]
    fill(any_database)
    before = any_database.paths()
    any_database.execute(statements)
    trial, refusals = both(
        any_database, monkeypatch, prefix="avatar/" + "x" * 60 + "/" if kind == "name" else "avatar/"
    )
    assert trial.is_refused, trial
    assert len(trial.tried) == 6
    assert len({each.reference.key for each in trial.tried}) == 6
    assert {each.cause for each in trial.tried} == {cause}
    assert words in trial.tried[0].words
    error = trial.error()
    assert error.exit_code == 3
    assert "row 1 does not take the path 'avatar/" in error.message
    assert "6 rows tried" in error.message
    assert any_database.paths() == before
    told = {field.name: getattr(refusals, field.name) for field in fields(refusals)}
    field, words = CERTAIN.get(kind, ("", ""))
    for name in ("rules", "nameless_for", "checks", "column"):
        if name != field:
            assert told[name] == (), (kind, name)
    if field:
        (said,) = told[field]
        assert said.startswith(words)


def test_a_policy_is_named(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses the new path, and one that hides the row from updates: it looks locked, and is not."""
    fill(any_database)
    reader = any_database.make_user("SELECT, UPDATE ON avatars")
    any_database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    any_database.execute("CREATE POLICY seen ON avatars FOR SELECT USING (true)")
    any_database.execute("CREATE POLICY images ON avatars FOR UPDATE USING (true) WITH CHECK (path LIKE 'image/%')")
    trial, refusals = both(reader, monkeypatch)
    assert trial.is_refused
    assert (trial.tried[0].cause, refusals.policies) == ("42501", ("images", "seen"))
    assert "violates row-level security policy" in trial.tried[0].words
    any_database.execute("ALTER POLICY images ON avatars USING (false)")
    trial, _ = both(reader, monkeypatch)
    assert trial.is_refused
    assert {each.cause for each in trial.tried} == {HIDDEN}


def test_an_audit_trigger_without_rights_is_named(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(any_database)
    any_database.execute("CREATE TABLE audit (id bigint)")
    any_database.execute(trigger("INSERT INTO audit VALUES (NEW.id); RETURN NULL;", "AFTER UPDATE"))
    trial, _ = both(any_database.make_user("SELECT, UPDATE ON avatars"), monkeypatch)
    assert trial.is_refused
    assert trial.tried[0].cause == "42501"
    assert trial.tried[0].words.startswith("permission denied for table audit (PL/pgSQL function mind()")


def test_an_encoding_that_cannot_hold_the_path_is_named(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(postgres) as database:
        database.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            latin = replace(database, name="latin")
            fill(latin)
            trial, refusals = both(latin, monkeypatch, prefix="€/", PGCLIENTENCODING="UTF8")
        finally:
            database.execute("DROP DATABASE latin WITH (FORCE)")
    assert trial.is_refused
    assert trial.tried[0].cause == "22P05"
    assert "has no equivalent in encoding" in trial.tried[0].words
    assert "has no equivalent in encoding" in refusals.column[0]


def test_a_row_that_passes_is_rolled_back_and_timed(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(any_database)
    any_database.execute("CREATE SEQUENCE fired")
    any_database.execute(trigger("PERFORM nextval('fired'), pg_sleep(0.05); RETURN NEW;"))
    before = any_database.execute("SELECT id, path, xmin::text FROM avatars ORDER BY id")
    trial, refusals = both(any_database, monkeypatch)
    (tried,) = trial.tried
    assert not trial.refused
    assert 50 <= tried.milliseconds < 1_000
    assert trial.is_slow
    assert "took 5" in trial.told() or "ms, with all that fires on it" in trial.told()
    assert refusals == Refusals()
    assert any_database.execute("SELECT id, path, xmin::text FROM avatars ORDER BY id") == before
    # what a rollback does not undo, as the docs say: that it was tried is proved by it
    assert any_database.execute("SELECT last_value, is_called FROM fired") == [(1, True)]


def test_a_trigger_that_takes_too_long_is_no_refusal(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database)
    database.execute(trigger("PERFORM pg_sleep(60); RETURN NEW;"))
    trial, _ = both(database, monkeypatch)
    assert (len(trial.tried), trial.refused, trial.is_slow) == (1, (), True)
    assert "was cut short after 2 s" in trial.told()


def test_one_bad_row_is_a_note(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database)
    database.execute("ALTER TABLE avatars ADD CHECK (path <> 'avatar/avatar-000.png')")
    trial, refusals = both(database, monkeypatch)
    assert (len(trial.tried), len(trial.refused), trial.is_refused) == (2, 1, False)
    assert "1 of 2 rows tried refused, so others may pass" in trial.told()
    assert len(refusals.checks) == 1


def test_rows_that_are_not_free_are_passed_over(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database)
    with database.connect() as holder, holder.transaction():
        holder.execute("SELECT * FROM avatars WHERE id <= 3 FOR UPDATE")
        began = time.monotonic()
        trial, _ = both(database, monkeypatch)
        assert [each.reference.key for each in trial.tried] == [4]
        holder.execute("SELECT * FROM avatars FOR UPDATE")
        trial, _ = both(database, monkeypatch)
        assert (trial.tried, trial.left_out) == ((), "no row was free")
        assert trial.told() == "no flip was tried: no row was free"
        assert time.monotonic() - began < 5


def test_what_cannot_be_tried_is_left_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database)
    reader = database.make_user("SELECT ON avatars")
    trial, _ = both(reader, monkeypatch)
    assert trial.left_out == f"user {reader.user} lacks the right to UPDATE"
    writer = database.make_user("SELECT, UPDATE ON avatars")
    database.execute(f"ALTER ROLE {writer.user} SET default_transaction_read_only = on")
    trial, _ = both(writer, monkeypatch)
    assert trial.left_out == "the database takes no writes"
    database.execute("UPDATE avatars SET path = 'avatar/' || id")
    trial, _ = both(database, monkeypatch)
    assert trial.is_done


def test_rows_of_different_places_are_tried(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first legacy row lies behind the first page, where only the planner's statistics lead."""
    database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text)")
    database.execute(
        "INSERT INTO avatars SELECT n, CASE WHEN n <= 20000 THEN 'avatar/' ELSE 'image/' END || n"
        " FROM generate_series(1, 90000) n"
    )
    database.execute("VACUUM ANALYZE avatars")
    database.execute("ALTER TABLE avatars ADD CHECK (path LIKE 'image/%' OR id <= 20000) NOT VALID")
    trial, _ = both(database, monkeypatch)
    keys = [each.reference.key for each in trial.tried]
    assert trial.is_refused
    assert len(keys) == 6
    assert len({int(key) // 10_000 for key in keys}) >= 4, keys


def test_a_check_of_other_columns_and_one_with_a_function(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is evaluated with the row's own values where they may be read; what is called is not called here."""
    fill(database)
    for statement in (
        "ALTER TABLE avatars ADD moved boolean NOT NULL DEFAULT false",
        "ALTER TABLE avatars ADD CONSTRAINT by_side CHECK (moved OR starts_with(path, 'image/'))",
        "CREATE FUNCTION fine(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
        "ALTER TABLE avatars ADD CONSTRAINT called CHECK (fine(path))",
        "ALTER TABLE avatars ADD CONSTRAINT length CHECK (length(path) % 2 < 2)",
    ):
        database.execute(statement)
    _, refusals = both(database, monkeypatch)
    (refused,) = refusals.checks
    assert refused.startswith("by_side: CHECK ((moved OR starts_with(path, 'image/'::text))) refuses 'avatar/")
    assert refusals.unknown_checks == ("called: CHECK (fine(path))",)
    _, refusals = both(database.make_user("SELECT (id, path) ON avatars"), monkeypatch)
    assert refusals.checks == ()
    assert {said.partition(":")[0] for said in refusals.unknown_checks} == {"by_side", "called"}
