"""Exit 0 means that nothing is left: neither what row-level security hides, nor what is in a table that inherits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import check_refused, counts
from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

COMMANDS = ["-y", "-d", "-s", "plan", "verify", "repair -y"]
FIRST_LOOK = 1
"""Transactions of the tool before those of the work itself; none is open, so that nothing is locked between them."""


@pytest.fixture
def limited(site: Site) -> Site:
    """Three legacy rows, seen by a user who has just the rights that are needed."""
    site.fill(["image/1.png", "image/2.png", "image/3.png"])
    return site.at(database=site.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars"))


@pytest.fixture
def proxy(site: Site) -> Iterator[PostgresFaultProxy]:
    """A proxy in front of the database."""
    with PostgresFaultProxy(site.database.port) as before:
        yield before


@pytest.mark.parametrize("flags", COMMANDS)
def test_a_table_that_shows_no_row(site: Site, limited: Site, flags: str) -> None:
    site.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    before = site.facts()
    check_refused(limited.run(flags), 1, "row-level security", "avatars", "about 3")
    assert site.facts() == before


def test_a_partitioned_table_that_shows_no_row(site: Site, limited: Site) -> None:
    site.database.execute("ALTER TABLE avatars RENAME TO one")
    site.database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text) PARTITION BY RANGE (id)")
    site.database.execute("ALTER TABLE avatars ATTACH PARTITION one DEFAULT")
    site.database.execute(f"GRANT SELECT, UPDATE ON avatars TO {limited.database.user}")
    site.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    check_refused(limited.run("-y"), 1, "row-level security", "about 3")


def test_an_empty_table_and_one_whose_rows_are_shown_are_not_refused(site: Site, limited: Site) -> None:
    site.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    site.database.execute("CREATE POLICY shown ON avatars USING (id < 3)")
    done = limited.run("-y")
    assert (done.code, done.counts) == (0, counts(migrated=2, copied=2)), done
    assert "Row-level security is on" in done.err
    site.database.execute("TRUNCATE avatars")
    site.database.execute("VACUUM avatars")
    assert limited.run("-y").code == 0


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("-y", "true"),  # no row is hidden: what is looked at is whether it is active
        ("-y", "id < 2"),
        ("-y --processes 2", "id < 2"),
        ("rollback --all runs -y", "id < 2"),
    ],
)
def test_it_becomes_active_in_mid_run(
    site: Site, limited: Site, proxy: PostgresFaultProxy, flags: str, shown: str
) -> None:
    if flags.startswith("rollback"):
        assert limited.run("-y").code == 0

    def switch_on() -> None:
        site.database.execute(f"CREATE POLICY shown ON avatars USING ({shown})")
        site.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")

    proxy.act_at("^BEGIN ISOLATION", switch_on, skip=FIRST_LOOK)
    done = limited.at(database=limited.database.via(proxy.port)).run(flags)
    assert proxy.hits["act"] == 1
    assert done.code == 1, done
    assert "error: row-level security on avatars became active" in done.err
    assert "All migrated" not in done.out
    assert "All set back" not in done.out
    assert done.out.startswith("Finished, but"), done


def test_a_row_that_is_hidden_before_its_flip_is_failed_and_not_called_gone(
    site: Site, limited: Site, proxy: PostgresFaultProxy
) -> None:
    def hide() -> None:
        site.database.execute("CREATE POLICY shown ON avatars USING (id < 2)")
        site.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")

    proxy.act_at("pg_current_xact_id", hide)  # before the UPDATE, which begins with a lock on the table
    done = limited.at(database=limited.database.via(proxy.port)).run("-y --no-trial")
    assert proxy.hits["act"] == 1
    assert (done.code, done.counts) == (1, counts(migrated=1, failed=2, copied=3)), done
    assert done.out.count("deleted, or hidden by a policy") == 2, done


@pytest.mark.parametrize("flags", [*COMMANDS, "rollback --all runs -y"])
def test_a_table_that_others_inherit_from_is_refused(site: Site, limited: Site, flags: str) -> None:
    if flags.startswith("rollback"):
        assert limited.run("-y").code == 0
    site.database.execute('CREATE TABLE "Old ones" () INHERITS (avatars)')
    site.database.execute("CREATE TABLE more () INHERITS (avatars)")
    before = site.facts()
    done = limited.run(flags)
    check_refused(done, 3, '"Old ones", more')
    assert "each by itself" in done.err
    assert site.facts() == before


def test_each_by_itself(site: Site) -> None:
    site.fill(["image/1.png"])
    site.database.execute("CREATE TABLE old (PRIMARY KEY (id)) INHERITS (avatars)")
    site.database.execute("INSERT INTO old VALUES (1, 'image/1.png')")
    done = site.with_environ(SKETCH_DB_TABLE="old").run("-y")
    assert (done.code, done.counts) == (0, counts(migrated=1, copied=1)), done
    assert site.database.execute("SELECT path FROM ONLY avatars") == [("image/1.png",)]


def test_a_child_that_comes_in_mid_run_is_left_alone(site: Site, proxy: PostgresFaultProxy) -> None:
    site.fill(["image/1.png", "image/2.png"])

    def bear() -> None:
        site.database.execute("CREATE TABLE old () INHERITS (avatars)")
        site.database.execute("INSERT INTO old SELECT * FROM ONLY avatars")

    proxy.act_at("^BEGIN ISOLATION", bear, skip=FIRST_LOOK)
    done = site.at(database=site.database.via(proxy.port)).run("-y")
    assert proxy.hits["act"] == 1
    assert (done.code, done.counts) == (0, counts(migrated=2, copied=2)), done
    assert site.database.execute("SELECT path FROM old ORDER BY id") == [("image/1.png",), ("image/2.png",)]
    assert site.database.execute("SELECT path FROM ONLY avatars ORDER BY id") == [("avatar/1.png",), ("avatar/2.png",)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE avatars RENAME path TO key", "DB_PATH_COLUMN"),
        ("ALTER TABLE avatars RENAME TO others", "DB_TABLE"),
        ("DROP TABLE avatars", "DB_TABLE"),
        ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", "schema"),
        ("REVOKE SELECT ON avatars FROM {user}", "sketch-migrate grants"),
    ],
)
def test_what_is_gone_in_mid_run_is_named(
    site: Site, limited: Site, proxy: PostgresFaultProxy, change: str, named: str
) -> None:
    statement = change.replace("{user}", limited.database.user)
    proxy.act_at("^BEGIN ISOLATION", lambda: site.database.execute(statement), skip=FIRST_LOOK)
    done = limited.at(database=limited.database.via(proxy.port)).run("-y")
    assert proxy.hits["act"] == 1
    assert done.code == 3, done
    assert named in done.err.partition("hint:")[2], done
    again = limited.run("-y")
    check_refused(again, 3)
    if named != "sketch-migrate grants":
        assert named in again.err.partition("hint:")[2] or "GRANT USAGE ON SCHEMA" in again.err, again


def test_a_role_that_may_no_longer_log_in_is_not_waited_for(
    site: Site, limited: Site, proxy: PostgresFaultProxy
) -> None:
    def lock_out() -> None:
        site.database.execute(f"ALTER ROLE {limited.database.user} NOLOGIN")
        proxy.cut_all()

    proxy.act_at("^BEGIN ISOLATION", lock_out, skip=FIRST_LOOK)
    done = limited.at(database=limited.database.via(proxy.port)).run("-y")
    assert proxy.hits["cut_all"] > 0
    assert done.code == 3, done
    assert "may not log in" in done.err
    assert "LOGIN" in done.err.partition("hint:")[2]
    check_refused(limited.run("-y"), 3, "may not log in")
