"""A run begins where the last one was, and passes what is finished afterwards; nothing is missed by that."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.report.logs import LOG_NAME
from tests.e2e.site import Site, body_of, counts
from tests.e2e.sources_site import UNUSED, make
from tests.e2e.test_rollback import document
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS, DONE = 20, 10
ONE_BY_ONE = "-y -b 5 -p 1"

KEYS = {
    "bigint": "id bigint PRIMARY KEY",
    "uuid": "id uuid PRIMARY KEY",
    "text": "id text PRIMARY KEY",
    "timestamptz": "id timestamptz PRIMARY KEY",
    "two columns": "tenant int, number text, PRIMARY KEY (tenant, number)",
}
VALUES = {
    "bigint": "10 * n",
    "uuid": "md5(n::text)::uuid",
    "text": "CASE n %% 2 WHEN 0 THEN 'b' ELSE 'A' END || n",
    "timestamptz": "timestamptz '2026-03-01 12:00:00.5+02' + 10 * n * interval '1 day'",
    "two columns": "n %% 3, 'n' || n",
}
LOWEST = {
    "bigint": "-1",
    "uuid": "'00000000-0000-0000-0000-000000000000'",
    "text": "''",
    "timestamptz": "'1999-01-01'",
    "two columns": "-1, ''",
}


OF_TWO_COLUMNS = """
[[moves]]
legacy = "s3://{legacy}/image/"
production = "s3://{production}/avatar/"

[[references]]
table = "avatars"
key = ["tenant", "number"]
column = "path"
shape = "key"
"""


def with_flags(site: Site, key: str) -> tuple[Site, str]:
    """Return the site, and the flags of a run over a table with this key."""
    if key != "two columns":
        return site, ONE_BY_ONE
    text = OF_TWO_COLUMNS.format(legacy=site.store.legacy_bucket, production=site.store.production_bucket)
    (site.folder / "two.toml").write_text(text, encoding="utf-8")
    return site.with_environ(**UNUSED), f"{ONE_BY_ONE} --config two.toml"


def fill(site: Site, key: str, rows: int = ROWS) -> list[str]:
    """Make the table; return its legacy paths in the order of the key."""
    execute = site.database.execute
    execute("DROP TABLE IF EXISTS avatars")
    execute(f"CREATE TABLE avatars ({KEYS[key]}, path text)")
    execute(f"INSERT INTO avatars SELECT {VALUES[key]}, 'image/' || n || '.png' FROM generate_series(1, %s) n", rows)  # noqa: S608 - ours
    execute("ANALYZE avatars")
    put(site, [f"image/{n}.png" for n in range(1, rows + 1)])
    order = "tenant, number" if key == "two columns" else "id"
    return [path for (path,) in execute(f"SELECT path FROM avatars ORDER BY {order}")]  # noqa: S608 - ours


def put(site: Site, paths: Sequence[str]) -> None:
    site.store.put_all(site.store.legacy_bucket, {path: body_of(path) for path in paths})


def flipped(site: Site) -> list[str]:
    """Return the names of the rows that are in production, in the order in which they were set."""
    rows = site.database.execute("SELECT path FROM avatars WHERE path LIKE 'avatar/%%' ORDER BY xmin::text::bigint, 1")
    return [path.removeprefix("avatar/") for (path,) in rows]


def names(paths: Sequence[str]) -> set[str]:
    return {path.removeprefix("image/") for path in paths}


def set_back(site: Site, path: str) -> None:
    """Have the application write a legacy path again, as after a restored row."""
    site.database.execute("UPDATE avatars SET path = %s WHERE path = %s", path, path.replace("image", "avatar"))


@pytest.mark.parametrize("key", KEYS)
def test_it_begins_behind_the_last_flip_and_finds_what_is_before_it(site: Site, key: str) -> None:
    paths = fill(site, key)
    site, flags = with_flags(site, key)
    assert site.run(f"{flags} -l {DONE}").code == 1
    assert set(flipped(site)) == names(paths[:DONE])
    set_back(site, paths[1])
    put(site, ["image/new.png"])
    site.database.execute(f"INSERT INTO avatars VALUES ({LOWEST[key]}, 'image/new.png')")  # noqa: S608 - ours
    done = site.run(flags)
    assert (done.code, done.counts) == (0, counts(migrated=ROWS - DONE + 2, copied=ROWS - DONE + 1)), done
    order = flipped(site)
    assert len(order) == ROWS + 1
    of_this_run = order[DONE - 1 :]
    assert set(of_this_run[:DONE]) == names(paths[DONE:])
    assert set(of_this_run[DONE:]) == names([paths[1], "image/new.png"])
    again = site.run(flags)
    assert (again.code, again.counts) == (0, counts())


def test_what_is_before_it_is_left_to_the_pass_that_has_to_come(site: Site) -> None:
    paths = fill(site, "bigint")
    assert site.run(f"{ONE_BY_ONE} -l {DONE}").code == 1
    set_back(site, paths[1])
    told = document(site.run(f"{ONE_BY_ONE} --json"))
    assert (told["exit_code"], told["outcomes"]["migrated"]) == (0, ROWS - DONE + 1)
    assert told["passes"] == 3, "what is behind it; all, with the one before it; nothing"
    set_back(site, paths[1])
    told = document(site.run(f"{ONE_BY_ONE} --json"))
    assert (told["outcomes"]["migrated"], told["passes"]) == (1, 2), "nothing is behind it: all of it at once"


def test_with_its_ledger_in_a_database_as_well(ledgers_kept: Site) -> None:
    site = ledgers_kept
    paths = fill(site, "bigint")
    assert site.run(f"{ONE_BY_ONE} -l {DONE}").code == 1
    set_back(site, paths[1])
    assert site.run(f"{ONE_BY_ONE} -l {DONE}").code == 1, "one is left, before where it began"
    assert set(flipped(site)) == names(paths) - names([paths[1]])
    assert site.run(ONE_BY_ONE).code == 0
    assert set(flipped(site)) == names(paths)


@pytest.mark.parametrize("flags", [ONE_BY_ONE, f"{ONE_BY_ONE} --processes 2 --range-rows 10"])
def test_after_a_kill_it_goes_on_where_that_was(site: Site, flags: str) -> None:
    paths = fill(site, "bigint")
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/18.png$")
        killed = site.at(store=site.store.via(s3.endpoint_url)).start(flags)
        s3.wait_for_hit("stall")
        s3.wait_until(lambda: len(flipped(site)) >= DONE)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        killed.communicate()
    before = flipped(site)
    set_back(site, paths[0])
    done = site.run(flags)
    left = ROWS - len(before) + 1
    assert (done.code, done.counts["scanned"], done.counts["migrated"]) == (0, left, left), done
    assert set(flipped(site)) == names(paths)
    assert "Beginning behind row " in (site.last_run() / LOG_NAME).read_text(encoding="utf-8")


def test_several_processes_take_the_ranges_from_there_on(site: Site) -> None:
    rows, done, range_rows = 100, 60, 10
    paths = fill(site, "bigint", rows)
    assert site.run(f"{ONE_BY_ONE} -l {done}").code == 1
    set_back(site, paths[0])
    shared = site.run(f"{ONE_BY_ONE} --processes 2 --range-rows {range_rows}")
    assert (shared.code, shared.counts["scanned"], shared.counts["migrated"]) == (0, rows - done + 1, rows - done + 1)
    order = flipped(site)
    assert set(order) == names(paths)
    # the first range is begun when all behind the last flip were, of which at most one is still at work
    assert order.index("1.png") >= done - 1 + (rows - done) - 2 * range_rows


@pytest.mark.parametrize("key", ["text", "two columns"])
def test_so_they_do_where_only_the_database_puts_keys_in_order(site: Site, key: str) -> None:
    paths = fill(site, key)
    site, flags = with_flags(site, key)
    assert site.run(f"{flags} -l {DONE}").code == 1
    set_back(site, paths[1])
    shared = site.run(f"{flags} --processes 2 --range-rows 5")
    assert (shared.code, shared.counts["scanned"], shared.counts["migrated"]) == (0, DONE + 1, DONE + 1), shared
    assert set(flipped(site)) == names(paths)


def test_what_is_on_record_of_another_table_or_of_rows_that_are_gone_does_no_harm(site: Site) -> None:
    fill(site, "text")
    assert site.run(ONE_BY_ONE).code == 0
    for key in ("bigint", "timestamptz", "uuid", "bigint"):  # whose last key is none of the next table's
        paths = fill(site, key)
        done = site.run(ONE_BY_ONE)
        assert (done.code, done.counts["migrated"]) == (0, ROWS), (key, done)
        assert set(flipped(site)) == names(paths)
    site.database.execute("DELETE FROM avatars WHERE id > 100")
    site.database.execute("UPDATE avatars SET path = replace(path, 'avatar', 'image')")
    beyond = site.run(ONE_BY_ONE)
    assert (beyond.code, beyond.counts["migrated"]) == (0, 10), beyond
    site.database.execute("ALTER TABLE avatars ALTER id TYPE smallint")
    site.database.execute("UPDATE avatars SET path = replace(path, 'avatar', 'image')")
    assert site.run(ONE_BY_ONE).counts["migrated"] == 10


def test_of_several_sources_it_begins_in_the_one_where_the_last_run_was(site: Site) -> None:
    sources = make(site, rows := 4)
    assert sources.run(f"{ONE_BY_ONE} -b 1 -l {2 * rows + 2}").code == 1, "two rows of the third source are left"
    execute = site.database.execute
    execute("UPDATE members SET path = 'image/m1.png' WHERE number = 1")
    document = sources.document(f"{ONE_BY_ONE} -b 1 -l 2")
    assert document["outcomes"]["migrated"] == 2
    assert execute("SELECT count(*) FROM documents WHERE attachment::text LIKE '%%image/%%'") == [(0,)]
    assert execute("SELECT count(*) FROM members WHERE path LIKE 'image/%%'") == [(1,)]
    document = sources.document(ONE_BY_ONE)
    assert (document["exit_code"], document["outcomes"]["migrated"]) == (0, 3 * rows + 1)
    assert not any(sources.document(ONE_BY_ONE)["outcomes"].values())
