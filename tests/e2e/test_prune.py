"""``runs prune`` deletes what only looked, and nothing on which anything rests."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.ledger.account import ACCOUNT_NAME
from sketchmigrate.ledger.directory import LEDGER_NAME
from sketchmigrate.ledger.sqlite.lock import hold_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site

PATHS = [f"image/{number:02}.png" for number in range(1, 6)]


def age(run: Path, days: float) -> None:
    """Let a run have begun so long ago."""
    path = run / ACCOUNT_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "began_at": time.time() - 86_400 * days}))


def made(site: Site, command: str, code: int, *, days: float = 40) -> Path:
    """Run a command, which is said to have been long ago; return its directory."""
    done = site.run(command)
    assert done.code == code, done
    run = site.last_run()
    age(run, days)
    return run


def insert_row(run: Path, table: str) -> None:
    """Put a row into a table of a run's ledger; of an upload it says that it has not ended."""
    with closing(sqlite3.connect(run / LEDGER_NAME)) as ledger, ledger:
        names = [row[1] for row in ledger.execute(f"PRAGMA table_info({table})")]
        values = ["0" if name == "has_ended" else "'1'" for name in names]
        ledger.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(values)})")  # noqa: S608 - ours


def test_looks_are_deleted_and_all_else_stays(site: Site) -> None:
    site.fill(PATHS)
    looks = [made(site, "plan", 0), made(site, "-s", 0), made(site, "status", 0), made(site, "-d", 0)]
    migrated = made(site, "-y", 0)
    dry = made(site, "-d -y", 0)
    verified = [made(site, "verify", 0), made(site, "verify", 0)]
    late = made(site, "plan", 0, days=3)
    nobody = site.run("runs prune --older-than 30d")
    assert nobody.code == 2, "nobody is there to answer"
    assert "standard input is no terminal" in nobody.err
    assert all(run.exists() for run in (*looks, migrated, dry, *verified, late))
    done = site.run("runs prune --older-than 30d -y --json")
    assert done.code == 0, done
    gone = [*looks, dry, verified[0]]
    assert {each["run"] for each in json.loads(done.out)["deleted"]} == {run.name for run in gone}
    assert [run.exists() for run in gone] == [False] * len(gone)
    assert migrated.exists()
    assert verified[1].exists()
    assert late.exists()
    assert site.run("runs prune --older-than 30d -y").out == "No run of that age has only looked.\n"
    assert site.run("rollback --all runs -y").code == 0, "what is left is enough for the way back"


def test_a_look_with_a_flip_or_an_upload_on_record_or_at_work_stays(site: Site) -> None:
    """Whoever has written into such a ledger, or holds the run: it is not deleted by its command line alone."""
    site.fill(PATHS)
    flipped, uploading, held = (made(site, "-d", 0) for _ in range(3))
    insert_row(flipped, "batch")
    insert_row(uploading, "upload")
    with hold_run(held):
        done = site.run("runs prune --older-than 1d -y")
    assert (done.code, done.out) == (0, "No run of that age has only looked.\n")
    assert all(run.exists() for run in (flipped, uploading, held))


@pytest.mark.parametrize("typed", ["runs prune", "runs --older-than 3d", "runs prune --older-than tomorrow"])
def test_the_age_belongs_to_it(site: Site, typed: str) -> None:
    assert site.run(typed).code == 2
