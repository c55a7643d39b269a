"""``discover``: every column that mentions legacy and no other, by samples and in full, and what covers it."""

from __future__ import annotations

import json
import re
import signal
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.settings import Settings
from sketchmigrate.settings.files import ValueOrigin
from sketchmigrate.settings.lists import read_lists
from tests.e2e.site import check_refused
from tests.servers.databases import Databases, fresh_database
from tests.servers.many_tables import BUCKET, FOUND, TABLES, make
from tests.tool import finish, run, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from sketchmigrate.settings.entries import ReferenceEntry
    from tests.e2e.site import Site
    from tests.servers.databases import Database
    from tests.tool import Finished

ORIGINS = {"references": ValueOrigin("references", "pasted.toml")}


@pytest.fixture(scope="module", params=["databases", "debian_databases"])
def many(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The schema of many tables, on each flavour of PostgreSQL. Nobody changes it."""
    of_server: Databases = request.getfixturevalue(request.param)
    with of_server.fresh() as database:
        make(database)
        yield database


def discover(database: Database, folder: Path, *flags: str, **environ: str) -> Finished:
    return run("discover", *flags, environ={**database.environ(), **environ}, cwd=folder)


def document(done: Finished) -> dict[str, Any]:
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def rows(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(each["table"], each["column"]): each["rows"] for each in found["columns"]}


def read_back(toml: str) -> tuple[ReferenceEntry, ...]:
    return read_lists(Settings(**tomllib.loads(toml)), ORIGINS).references


@pytest.mark.parametrize("flags", [(), ("--full",)])
def test_it_finds_all_and_nothing_else(many: Database, tmp_path: Path, flags: tuple[str, ...]) -> None:
    found = document(discover(many, tmp_path, "--json", *flags))
    assert rows(found) == FOUND
    assert found["tables"] == TABLES
    assert found["complete"] is True
    assert found["naming"] == found["not_looked_at"] == found["too_long"] == []
    assert all(each["is_counted"] for each in found["columns"]), "small tables are read whole"


def test_it_says_of_each_what_bears_on_it(many: Database, tmp_path: Path) -> None:
    columns = {
        (each["table"], each["column"]): each for each in document(discover(many, tmp_path, "--json"))["columns"]
    }
    odd = columns['"Odd ""Names"".100%"', "Object Key %"]
    assert (odd["key"], odd["indexes"], odd["triggers"]) == (["The Id"], ["odd index"], ["odd trigger"])
    assert odd["type_name"] == "object_key"
    assert odd["examples"] == ["image/odd 1.png", "image/odd 2.png"]
    assert columns["documents", "attachment"]["key"] == ["tenant_id", "id"]
    assert columns["events", "payload"]["key"] == ["day", "id"]
    assert columns["app.logs", "line"]["key"] == ["number"]
    assert columns["avatars", "path"]["covered_by"] == ["avatars.path"]
    assert columns["pictures", "url"]["indexes"] == ["pictures_url_key"]


def test_what_it_prints_is_read_back_and_covers_all(many: Database, tmp_path: Path) -> None:
    done = discover(many, tmp_path, "--full")
    assert done.code == 0, done
    before, entries = done.out.split("To cover it, in a settings file in TOML:\n")
    assert "Columns with legacy references" in before
    said = {(each.table, each.column): (each.shape, each.value, each.paths) for each in read_back(entries)}
    assert said == {
        ("avatars", "path"): ("key", "", ()),
        ("pictures", "url"): ("url", "", ()),
        ("documents", "attachment"): ("json", "", ("$.derivatives.*.id", "$.file.id")),
        ("galleries", "keys"): ("array", "", ()),
        ("posts", "body"): ("text", "", ()),
        ("posts", "bare"): ("text", "key", ()),
        ('"Odd ""Names"".100%"', "Object Key %"): ("key", "", ()),
        ("events", "payload"): ("json", "url", ("$.shots[*].src",)),
        ("app.logs", "line"): ("text", "", ()),
    }


def test_schemas_are_chosen_by_name(many: Database, tmp_path: Path) -> None:
    found = document(discover(many, tmp_path, "--json", "--schema", "app"))
    assert rows(found) == {("app.logs", "line"): 7}
    check_refused(discover(many, tmp_path, "--schema", "apps"), 3, "'apps'")


def test_nothing_is_written(many: Database, tmp_path: Path) -> None:
    assert discover(many, tmp_path, "--full", PGOPTIONS="-c default_transaction_read_only=on").code == 0


def test_what_may_not_be_read_is_named(database: Database, tmp_path: Path) -> None:
    database.create_avatars(["image/1.png"])
    database.execute("CREATE TABLE secrets (id int PRIMARY KEY, open text, hidden text)")
    database.execute("CREATE SCHEMA closed")
    database.execute("CREATE TABLE closed.files (path text)")
    database.execute("GRANT SELECT ON closed.files TO PUBLIC")
    limited = database.make_user("SELECT ON avatars", "SELECT (id, open) ON secrets")
    found = document(discover(limited, tmp_path, "--json"))
    assert rows(found) == {("avatars", "path"): 1}
    assert found["unreadable"] == [
        {"table": "closed.files", "column": "path"},
        {"table": "secrets", "column": "hidden"},
    ]
    assert found["complete"] is False
    assert "secrets.hidden" in discover(limited, tmp_path, "--full").out
    assert rows(document(discover(limited, tmp_path, "--json", "--db-table", "closed.files"))) == {
        ("avatars", "path"): 1
    }


@pytest.mark.parametrize("flags", [(), ("--full",)])
def test_a_locked_table_is_named_and_not_waited_for(database: Database, tmp_path: Path, flags: tuple[str, ...]) -> None:
    database.create_avatars(["image/1.png"])
    database.execute("CREATE TABLE busy (id int PRIMARY KEY, path text)")
    with database.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE busy")
        found = document(discover(database, tmp_path, "--json", *flags, SKETCH_DB_RETRY_SECONDS="600"))
    assert rows(found) == {("avatars", "path"): 1}
    (busy,) = found["not_looked_at"]
    assert busy["table"] == "busy"
    assert re.search(r"lock timeout; the lock is held by pid \d+ \(user ", busy["why"])
    assert found["complete"] is False


def test_what_row_level_security_hides_is_said(database: Database, tmp_path: Path) -> None:
    database.create_avatars(["image/1.png", "image/2.png"])
    database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    database.execute("CREATE POLICY first ON avatars USING (id = 1)")
    found = document(discover(database.make_user("SELECT ON avatars"), tmp_path, "--json", "--full"))
    assert (found["hidden"], found["complete"]) == (["avatars"], False)
    assert rows(found) == {("avatars", "path"): 1}


def test_what_cannot_be_migrated_is_named_with_the_reason(database: Database, tmp_path: Path) -> None:
    database.create_avatars(["image/1.png"])
    database.execute("ALTER TABLE avatars ADD name text GENERATED ALWAYS AS (path || '!') STORED")
    database.execute("CREATE MATERIALIZED VIEW seen AS SELECT path FROM avatars")
    found = document(discover(database, tmp_path, "--json"))
    assert rows(found) == {("avatars", "path"): 1}
    assert {(each["table"], each["column"], each["why"].partition(":")[0]) for each in found["not_migrated"]} == {
        ("avatars", "name", "a generated column"),
        ("seen", "", "a materialized view"),
    }


def test_a_table_without_a_key_has_no_entry_and_is_counted(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE heap (path text)")
    database.execute("INSERT INTO heap SELECT 'image/' || n || '.png' FROM generate_series(1, 30000) AS n")
    done = discover(database, tmp_path, "--full")
    assert "heap.path (text): 30,000 rows, a key" in done.out
    assert "no entry: nothing that is unique and never NULL" in done.out
    assert read_back(done.out.split("in TOML:\n")[1]) == ()


def test_a_sample_estimates_and_full_counts(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text)")
        connection.execute(
            "INSERT INTO avatars SELECT n, CASE n % 4 WHEN 0 THEN 'image/' ELSE 'avatar/' END || n || repeat('x', 50)"
            " FROM generate_series(1, 60000) AS n"
        )
        connection.execute("ANALYZE")
    (sampled,) = document(discover(database, tmp_path, "--json"))["columns"]
    assert not sampled["is_counted"]
    assert 14_000 < sampled["rows"] < 16_000
    (counted,) = document(discover(database, tmp_path, "--json", "--full"))["columns"]
    assert (counted["rows"], counted["is_counted"]) == (15_000, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(database: Database, tmp_path: Path, number: signal.Signals) -> None:
    database.create_avatars(["image/1.png"] * 500)
    database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    database.execute("CREATE POLICY slow ON avatars USING (pg_sleep(0.05) IS NOT NULL)")
    user = database.make_user("SELECT ON avatars")
    process = start("discover", "--full", environ=user.environ(), cwd=tmp_path)
    statement = "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND query ~ 'ILIKE' AND state = 'active'"
    while not database.execute(statement, user.user):
        assert process.poll() is None
    process.send_signal(number)
    done = finish(process, timeout_seconds=20)
    assert done.code == 128 + number, done
    assert "error: stopped at once" in done.err
    assert done.out == ""


def test_a_column_that_names_the_bucket_is_told(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE blobs (id int PRIMARY KEY, key text, store text)")
    database.execute("INSERT INTO blobs VALUES (1, 'abc', %s)", BUCKET)
    found = document(discover(database, tmp_path, "--json"))
    assert (found["columns"], found["references"]) == ([], "")
    assert [(each["table"], each["column"], each["rows"]) for each in found["naming"]] == [("blobs", "store", 1)]
    assert "No column that was read mentions legacy." in discover(database, tmp_path).out


def test_nothing_is_printed_to_paste_where_all_is_covered(database: Database, tmp_path: Path) -> None:
    database.create_avatars(["image/1.png", "avatar/2.png"])
    done = discover(database, tmp_path)
    assert "Each of them is in a source." in done.out
    assert "[[references]]" not in done.out


def test_texts_in_another_encoding(postgres: PostgresServer, tmp_path: Path) -> None:
    with fresh_database(postgres, encoding="LATIN1") as database:
        database.execute("CREATE TABLE avatars (id text PRIMARY KEY, path text)")
        database.execute("INSERT INTO avatars VALUES ('é', 'image/é.png'), ('z', 'image/z')")
        for flags in ((), ("--full",)):
            (column,) = document(discover(database, tmp_path, "--json", *flags))["columns"]
            assert (column["rows"], column["examples"]) == (2, ["image/z", "image/é.png"])


def test_a_database_that_is_not_there_is_told_at_once(database: Database, tmp_path: Path) -> None:
    check_refused(discover(database, tmp_path, "--db-name", "nothing_like_it"), 3, "no such database")


def test_plan_and_verify_say_what_no_source_covers(site: Site) -> None:
    site.fill(["avatar/1.png", "image/2.png"])
    site.database.execute("CREATE TABLE notes (id int PRIMARY KEY, picture text)")
    site.database.execute("INSERT INTO notes VALUES (1, 'image/2.png')")
    planned = site.run("plan --json")
    (finding,) = [each for each in json.loads(planned.out)["findings"] if each["kind"] == "mentioned elsewhere"]
    assert (finding["count"], finding["severity"]) == (1, "note")
    assert "notes.picture" in finding["what_to_do"]
    assert site.run("-y").code == 0
    assert site.run("verify").code == 0
    found = site.run("verify --discover")
    assert found.code == 1
    assert "NOT AS IT SHOULD BE" in found.out
    assert "Discovery   1 column mentions legacy" in found.out
    assert "  notes.picture: 1 row" in found.out
    site.database.execute("UPDATE notes SET picture = 'see:s3://' || %s || '/image/2.png'", site.store.legacy_bucket)
    found = site.run("verify --discover")
    assert found.code == 1
    assert "NOT AS IT SHOULD BE: 0 dangling, 0 unmigrated, 0 different, legacy mentioned in 1 column" in found.out
    assert "  notes.picture: 1 row, in a way that no source reads" in found.out
    site.database.execute("DELETE FROM notes")
    clean = site.run("verify --discover --json")
    assert clean.code == 0
    assert json.loads(clean.out)["discovery"]["columns"] == []
    certificate = (site.last_run() / "certificate.txt").read_text()
    assert "Discovery   no column that this role can read mentions legacy (" in certificate
