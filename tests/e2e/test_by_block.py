"""A run over a table with a random key reads it block by block, leaves no row, whatever moves, and ends by the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.report.logs import LOG_NAME
from tests.e2e.site import body_of
from tests.e2e.test_rollback import document
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site

ROWS = 400
BLOCK_BY_BLOCK = "are found block by block"


def fill(site: Site) -> list[str]:
    """Make a table with a random key, whose first blocks have room for other rows; return the names of its objects."""
    names = [f"{number:03}.png" for number in range(ROWS)]
    execute = site.database.execute
    execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text, about char(500) DEFAULT '')")
    execute("ALTER TABLE avatars ALTER about SET STORAGE PLAIN")
    paths = [f"image/{name}" for name in names]
    gone = [each for path in paths[:40] for each in (f"gone {path}", path)]
    execute("INSERT INTO avatars SELECT md5(path)::uuid, path FROM unnest(%s::text[]) path", [*gone, *paths[40:]])
    execute("DELETE FROM avatars WHERE path LIKE 'gone %'")
    with site.database.connect() as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE avatars")
    site.store.put_all(site.store.legacy_bucket, {f"image/{name}": body_of(name) for name in names})
    return names


def left(site: Site) -> int:
    (row,) = site.database.execute("SELECT count(*) FROM avatars WHERE path NOT LIKE 'avatar/%'")
    return int(row[0])


def log(site: Site) -> str:
    return (site.last_run() / LOG_NAME).read_text(encoding="utf-8")


def test_all_rows_are_migrated_and_the_last_pass_is_by_the_key(site: Site) -> None:
    fill(site)
    told = document(site.run("-y --json"))
    assert BLOCK_BY_BLOCK in log(site)
    assert (told["exit_code"], told["passes"], told["outcomes"]["migrated"], left(site)) == (0, 2, ROWS, 0)
    again = document(site.run("-y --json"))
    assert (again["exit_code"], again["outcomes"]["migrated"]) == (0, 0)
    assert BLOCK_BY_BLOCK in log(site)
    assert again["passes"] == 2, "that nothing was found block by block proves nothing"


def test_a_row_that_moves_behind_the_pass_is_migrated_by_the_same_run(site: Site) -> None:
    names = fill(site)
    block = "SELECT (ctid::text::point)[0]::int FROM avatars WHERE path = %s"
    ((read,),) = site.database.execute(block, "image/040.png")
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/010.png$")
        process = site.at(store=site.store.via(s3.endpoint_url)).start("-y -b 5 -p 1 --json")
        s3.wait_for_hit("stall")
        path = f"image/{names[-60]}"  # whose block is full
        before = site.database.execute(block, path)[0][0]
        site.database.execute("UPDATE avatars SET about = 'moved' WHERE path = %s", path)
        after = site.database.execute(block, path)[0][0]
        s3.release()
        done = finish(process)
    assert after < read < before, "it moved to what was read"
    told = document(done)
    assert BLOCK_BY_BLOCK in log(site)
    assert (done.code, told["outcomes"]["migrated"], told["passes"], left(site)) == (0, ROWS, 3, 0)


def test_a_limit_counts_and_the_next_run_goes_on(site: Site) -> None:
    fill(site)
    first = document(site.run("-y --json -b 10 -p 1 -l 25"))
    assert (first["exit_code"], first["outcomes"]["migrated"], left(site)) == (1, 25, ROWS - 25)
    second = document(site.run("-y --json"))
    assert (second["exit_code"], second["outcomes"]["migrated"], left(site)) == (0, ROWS - 25, 0)


def test_a_dry_run_and_several_processes_go_by_the_key(site: Site) -> None:
    fill(site)
    assert document(site.run("-d --json"))["outcomes"]["migrated"] == ROWS
    assert BLOCK_BY_BLOCK not in log(site)
    assert document(site.run("-y --json --processes 2"))["outcomes"]["migrated"] == ROWS
    assert BLOCK_BY_BLOCK not in log(site)
    assert left(site) == 0
