"""What the database is set to, and what its table is made of: encodings, collations, names, lengths, several hosts."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.demo.process import free_port
from tests.e2e.site import Site, check_refused, counts
from tests.servers import pgbouncer
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database, Databases
    from tests.servers.stores import Store

BAD = {"SQL_ASCII": "e9", "WIN1252": "81"}
"""Bytes that are no UTF-8, nor the encoding of any character of Unicode."""


def stored(database: Database) -> dict[object, bytes]:
    """Return the table as it is stored."""
    rows = database.execute("SELECT id, textsend(path) FROM avatars")
    return {key.decode() if isinstance(key, bytes) else key: path for key, path in rows}


@pytest.fixture(params=list(BAD))
def strange_site(
    request: pytest.FixtureRequest, postgres: PostgresServer, rclone_store: Store, tmp_path: Path
) -> Iterator[Site]:
    """Rows 1 to 4, of which 2 is not text; 4 has a letter that is two bytes in UTF-8."""
    with fresh_database(postgres, encoding=request.param) as database:
        site = Site(database, rclone_store, tmp_path)
        letter = "ü".encode("cp1252" if request.param == "WIN1252" else "utf-8")
        site.fill(["image/1.png", None, "image/3.png", None])
        for key, path in ((2, b"image/" + bytes.fromhex(BAD[request.param])), (4, b"image/" + letter)):
            database.execute(
                "UPDATE avatars SET path = convert_from(%s, getdatabaseencoding()) WHERE id = %s", path, key
            )
        rclone_store.put_all(rclone_store.legacy_bucket, {"image/ü": b"umlaut"})
        yield site


def test_a_path_that_is_not_utf8_is_failed_and_stays_while_the_others_go_on(strange_site: Site) -> None:
    before = stored(strange_site.database)
    planned = strange_site.run("plan")
    assert planned.code == 1, planned
    dry = strange_site.run("-d")
    assert dry.counts == tried(migrated=3, failed=1), dry
    done = strange_site.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=3, failed=1, copied=3)), done
    assert "Traceback" not in done.err
    after = stored(strange_site.database)
    assert after[2] == before[2]
    assert after[4] == before[4].replace(b"image", b"avatar")
    with (strange_site.last_run() / "problems.csv").open(encoding="utf-8", newline="") as lines:
        (problem,) = csv.DictReader(lines)
    assert (problem["key"], problem["outcome"]) == ("2", "failed")
    assert "UTF-8" in problem["reason"]
    assert strange_site.run("-y").counts == counts(failed=1)
    status = strange_site.run("-st")
    assert status.code == 0, status
    assert status.tech_status.endswith(",1,3,4\n") or status.tech_status.endswith(",1,3,4")
    verified = strange_site.run("verify")
    assert verified.code == 1, verified
    assert "unmigrated" in verified.out
    back = strange_site.run("rollback --all runs -y")
    assert back.code == 0, back
    assert stored(strange_site.database) == before


def test_a_key_that_is_not_utf8(postgres: PostgresServer, rclone_store: Store, tmp_path: Path) -> None:
    with fresh_database(postgres, encoding="SQL_ASCII") as database:
        site = Site(database, rclone_store, tmp_path)
        database.execute("CREATE TABLE avatars (id text PRIMARY KEY, path text)")
        for key in (b"a", b"k\xe9", b"z"):
            database.execute(
                "INSERT INTO avatars VALUES (convert_from(%s, 'SQL_ASCII'), 'image/' || get_byte(%s, 0))", key, key
            )
        paths = {f"image/{ord(letter)}" for letter in "akz"}
        rclone_store.put_all(rclone_store.legacy_bucket, {path: path.encode() for path in paths})
        for flags in ("plan", "-s"):
            done = site.run(flags)
            assert "error" not in done.err, done
        for flags in ("-y --processes 2", "-y"):
            done = site.run(flags)
            assert (done.code, done.counts["failed"]) == (1, 1), done
        rows = database.execute("SELECT convert_to(path, 'SQL_ASCII') FROM avatars ORDER BY id COLLATE \"C\"")
        assert [path for (path,) in rows] == [b"avatar/97", b"image/107", b"avatar/122"]
        assert site.run("verify").code == 1


def test_a_prefix_that_the_database_cannot_hold(postgres: PostgresServer, rclone_store: Store, tmp_path: Path) -> None:
    with fresh_database(postgres, encoding="LATIN1") as database:
        site = Site(database, rclone_store, tmp_path).with_environ(SKETCH_PRODUCTION_PREFIX="avat€r/")
        site.fill(["image/1.png", "image/2.png"])
        before = stored(database)
        check_refused(site.run("-y"), 3, "trial flip", "has no equivalent in encoding")
        done = site.run("-y -p 1 --no-trial")
        assert (done.code, done.counts["failed"]) == (1, 2), done
        assert "Note: The database's encoding LATIN1 has not all of PRODUCTION_PREFIX" in done.err
        assert "Traceback" not in done.err
        assert stored(database) == before
        assert site.run("-s").code == 0
        assert site.run("plan").code in {0, 1}
        assert site.run("verify").code == 1
        wrong = site.with_environ(SKETCH_PRODUCTION_PREFIX="avatar/", SKETCH_LEGACY_PREFIX="im€ge/")
        check_refused(wrong.run("-y"), 3, "LATIN1", "LEGACY_PREFIX")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_what_role_and_environment_say_of_the_encoding_does_not_count(
    postgres: PostgresServer, rclone_store: Store, tmp_path: Path, encoding: str
) -> None:
    with fresh_database(postgres, encoding=encoding) as database:
        site = Site(database, rclone_store, tmp_path, {"PGCLIENTENCODING": encoding})
        site.fill(["image/ü.png", "image/2.png"])
        limited = database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
        database.execute(f"ALTER ROLE {limited.user} SET client_encoding = 'LATIN1'")
        done = site.at(database=limited).run("-y")
        assert (done.code, done.counts) == (0, counts(migrated=2, copied=2)), done
        assert "avatar/ü.png" in site.production_bodies()
        assert site.at(database=limited).run("verify").code == 0


def test_a_nondeterministic_collation(debian_databases: Databases, rclone_store: Store, tmp_path: Path) -> None:
    with debian_databases.fresh() as database:
        site = Site(database, rclone_store, tmp_path)
        site.fill(["image/A.png", "image/a.png", "avatar/c.png", None])
        database.execute(
            "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
        database.execute("ALTER TABLE avatars ALTER path TYPE text COLLATE any_case")
        whole_sequence(site, rows=2)


def test_percent_signs_in_names(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(9)])
    database = site.database
    database.execute('ALTER TABLE avatars RENAME id TO "%(key)s"; ALTER TABLE avatars RENAME path TO "100%"')
    database.execute('ALTER TABLE avatars RENAME TO "%s"')
    names = {"SKETCH_DB_TABLE": "%s", "SKETCH_DB_KEY_COLUMN": "%(key)s", "SKETCH_DB_PATH_COLUMN": "100%"}
    named = site.with_environ(**names, SKETCH_RANGE_ROWS="3")
    limited = replace(named, database=database.make_user())
    for statement in named.run(f"grants migrate --role {limited.database.user}").out.splitlines():
        if statement.startswith("GRANT"):
            database.execute(statement)
    whole_sequence(limited, rows=9, flags="--processes 2")


def test_a_text_key_with_percent_signs(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(3)])
    site.database.execute("ALTER TABLE avatars ALTER id TYPE text USING '100%' || id || '%s'")
    whole_sequence(site, rows=3)


@pytest.mark.parametrize(("key_type", "key"), [("bigint", -(2**63)), ("integer", -(2**31)), ("smallint", -(2**15))])
def test_the_smallest_key(site: Site, key_type: str, key: int) -> None:
    site.fill(["image/1.png"])  # and no other: a page ends with it, and the next one begins behind it
    site.database.execute(f"ALTER TABLE avatars ALTER id TYPE {key_type}")
    site.database.execute("UPDATE avatars SET id = %s", key)
    whole_sequence(site, rows=1)


def tried(**numbers: int) -> dict[str, int]:
    """What a dry run counts: it says nothing of copies."""
    return {word: number for word, number in counts(**numbers).items() if word != "copied"}


def whole_sequence(site: Site, *, rows: int, flags: str = "") -> None:
    """Plan, try, migrate, verify and set back: each of the rows, and no other."""
    assert site.run("-s").code == 0
    planned = site.run("plan")
    assert planned.code == 0, planned
    assert site.run(f"-d {flags}").counts == tried(migrated=rows)
    done = site.run(f"-y {flags}")
    assert (done.code, done.counts) == (0, counts(migrated=rows, copied=rows)), done
    verified = site.run("verify")
    assert verified.code == 0, verified
    back = site.run("rollback --all runs -y")
    assert back.code == 0, back
    assert site.run("-d").counts == tried(migrated=rows)


@pytest.mark.parametrize(
    ("makes", "path"),
    [
        ("CREATE DOMAIN short AS varchar(15); CREATE DOMAIN made AS short", "image/12345678 "),
        ("CREATE DOMAIN made AS name", "image/" + "x" * 57),
        ("CREATE DOMAIN made AS name", "image/x" + "ü" * 28),
    ],
)
def test_a_path_that_a_domain_or_a_name_would_cut(
    any_database: Database, rclone_store: Store, tmp_path: Path, makes: str, path: str
) -> None:
    site = Site(any_database, rclone_store, tmp_path)
    site.fill([path, "image/2.png"])
    any_database.execute(makes)
    any_database.execute("ALTER TABLE avatars ALTER path TYPE made")
    planned = site.run("plan")
    assert planned.code == 1, planned
    assert "path too long" in planned.out
    done = site.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=1, failed=1, copied=1)), done
    assert "the column holds" in done.out
    assert any_database.paths() == {1: path, 2: "avatar/2.png"}
    assert list(site.production_bodies()) == ["avatar/2.png"]


@pytest.mark.parametrize("one_port", [True, False])
def test_several_hosts(site: Site, one_port: bool) -> None:
    site.fill(["image/1.png"])
    port = str(site.database.port)
    hosts = "127.0.0.2,127.0.0.1" if one_port else "127.0.0.1,127.0.0.1"
    several = site.with_environ(SKETCH_DB_HOST=hosts, SKETCH_DB_PORT=port if one_port else f"{free_port()},{port}")
    done = several.run("-y")
    assert (done.code, done.counts) == (0, counts(migrated=1, copied=1)), done


@pytest.mark.parametrize(
    ("hosts", "ports"), [("a,b,c", "5432,5433"), ("a", "5432,5433"), ("a,b", "5432,"), ("a,b", "1,x"), ("a", "70000")]
)
def test_ports_that_are_not_those_of_the_hosts(untouched_site: Site, hosts: str, ports: str) -> None:
    wrong = untouched_site.with_environ(SKETCH_DB_HOST=hosts, SKETCH_DB_PORT=ports)
    check_refused(wrong.run("-y"), 2, "DB_PORT")
    by_libpq = untouched_site.with_environ(SKETCH_DB_HOST="", PGHOST=hosts, SKETCH_DB_PORT=ports)
    check_refused(by_libpq.run("-y"), 2, "DB_PORT")


def test_the_host_that_takes_writes_is_chosen(site: Site) -> None:
    if reason := pgbouncer.why_not():
        pytest.skip(reason)
    site.fill(["image/1.png"])
    one = site.database
    with pgbouncer.pgbouncer(one, "session", connect_query="'SET default_transaction_read_only = on'") as port:
        hosts = {"SKETCH_DB_HOST": f"{one.host},{one.host}", "SKETCH_DB_PORT": f"{port},{one.port}"}
        check_refused(site.with_environ(**hosts).run("-y"), 3, "read-only")
        done = site.with_environ(**hosts, PGTARGETSESSIONATTRS="read-write").run("-y")
    assert (done.code, done.counts) == (0, counts(migrated=1, copied=1)), done
