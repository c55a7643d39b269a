"""A run that finds legacy rows by an index of their paths: it leaves none, whatever moves, and counts each once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sketchmigrate.postgres.paging import FEWEST_ROWS
from sketchmigrate.report.logs import LOG_NAME
from tests.e2e.site import body_of
from tests.e2e.test_rollback import document
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.site import Site

FINISHED = 4_000
BY_THE_INDEX = "are found by the index of_paths"


def fill(site: Site, names: Iterable[str], *, without_object: Iterable[str] = ()) -> None:
    """Make a table with a random key in which most rows are done, and an index of the paths of the others.

    Rows are as long as to be in more blocks than there are others.
    """
    legacy, absent = list(names), set(without_object)
    execute = site.database.execute
    execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text, about char(1000) DEFAULT '')")
    execute("ALTER TABLE avatars ALTER about SET STORAGE PLAIN")
    execute("INSERT INTO avatars SELECT md5(n::text)::uuid, 'avatar/done' || n FROM generate_series(1, %s) n", FINISHED)
    execute("INSERT INTO avatars SELECT md5('x' || n)::uuid, 'image/' || n FROM unnest(%s::text[]) n", legacy)
    execute("CREATE INDEX of_paths ON avatars (path text_pattern_ops) WHERE path LIKE 'image/%'")
    with site.database.connect() as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE avatars")
    site.store.put_all(
        site.store.legacy_bucket, {f"image/{name}": body_of(name) for name in legacy if name not in absent}
    )


def test_the_plan_offers_such_an_index_for_a_large_table_with_a_random_key_and_makes_none(site: Site) -> None:
    fill(site, numbered(20))
    assert "no index of the paths" not in site.run("plan").out
    site.database.execute("DROP INDEX of_paths")
    assert "no index of the paths" not in site.run("plan").out, "it is small"
    site.database.execute("UPDATE pg_class SET reltuples = 5e6, relpages = 50000 WHERE relname = 'avatars'")
    told = site.run("plan").out
    offer = """CREATE INDEX CONCURRENTLY ON "avatars" ("path" text_pattern_ops) WHERE "path" LIKE 'image/%';"""
    assert offer in " ".join(told.split())
    of_table = "SELECT indexname FROM pg_indexes WHERE tablename = 'avatars'"
    assert site.database.execute(of_table) == [("avatars_pkey",)]
    assert legacy_rows(site) == set(numbered(20))


def legacy_rows(site: Site) -> set[str]:
    rows = site.database.execute("SELECT path FROM avatars WHERE path LIKE 'image/%'")
    return {path.removeprefix("image/") for (path,) in rows}


def log(site: Site) -> str:
    return (site.last_run() / LOG_NAME).read_text(encoding="utf-8")


def numbered(count: int) -> list[str]:
    return [f"{number:03}.png" for number in range(count)]


@pytest.mark.parametrize("missing", [0, FEWEST_ROWS // 2, FEWEST_ROWS + 20])
def test_it_ends_when_one_look_has_seen_all_that_is_left_and_else_by_the_key(site: Site, missing: int) -> None:
    names = numbered(200)
    fill(site, names, without_object=names[:missing])
    told = document(site.run("-y --json"))
    assert BY_THE_INDEX in log(site)
    outcomes = {word: count for word, count in told["outcomes"].items() if count}
    assert outcomes == {"migrated": 200 - missing} | ({"missing": missing} if missing else {})
    assert told["exit_code"] == bool(missing)
    assert told["passes"] == (3 if missing > FEWEST_ROWS else 2)
    assert legacy_rows(site) == set(names[:missing])


def test_a_row_that_moves_behind_the_pass_is_migrated_by_the_same_run(site: Site) -> None:
    names = numbered(3 * FEWEST_ROWS)
    fill(site, names)
    site.store.put_all(site.store.legacy_bucket, {"image/000-moved.png": body_of("moved")})
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/020.png$")
        process = site.at(store=site.store.via(s3.endpoint_url)).start("-y -b 5 -p 1 --json")
        s3.wait_for_hit("stall")
        site.database.execute("UPDATE avatars SET path = 'image/000-moved.png' WHERE path = %s", f"image/{names[-1]}")
        s3.release()
        done = finish(process)
    assert BY_THE_INDEX in log(site)
    assert (done.code, document(done)["outcomes"]["migrated"], legacy_rows(site)) == (0, len(names), set())


def test_a_limit_counts_and_the_next_run_goes_on(site: Site) -> None:
    fill(site, names := numbered(60))
    first = document(site.run("-y --json -b 10 -p 1 -l 25"))
    assert (first["exit_code"], first["outcomes"]["migrated"]) == (1, 25)
    assert legacy_rows(site) == set(names[25:])
    second = document(site.run("-y --json"))
    assert BY_THE_INDEX in log(site)
    assert (second["exit_code"], second["outcomes"]["migrated"], legacy_rows(site)) == (0, 35, set())


def test_a_dry_run_and_several_processes_go_by_the_key(site: Site) -> None:
    fill(site, numbered(60))
    assert document(site.run("-d --json"))["outcomes"]["migrated"] == 60
    assert BY_THE_INDEX not in log(site)
    assert document(site.run("-y --json --processes 2"))["outcomes"]["migrated"] == 60
    assert BY_THE_INDEX not in log(site)
    assert legacy_rows(site) == set()
