"""The flips of a run as CSV: exact, in order, and enough to undo the run by hand as docs/safety.md says."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.demo.servers import postgres_programs
from tests.e2e.site import check_refused

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.servers.databases import Databases

SAFETY = Path(__file__).parents[2] / "docs" / "safety.md"
ODD = [
    "image/1.png",
    'image/a "quoted", name\r\n.png',
    "image/é ☃.png",
    "image/ ' $1 \\ %s.png",
    "image/\\.\n\\.\nx.png",
]


def avatar(path: str) -> str:
    return path.replace("image/", "avatar/", 1)


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def flips_of(paths: list[str]) -> list[list[str]]:
    return [["avatars.path", str(key), path, avatar(path)] for key, path in enumerate(paths, start=1)]


@pytest.mark.parametrize("kind", ["one file", "files of workers", "database"])
def test_the_flips_that_came_about_are_printed_the_newest_last(site: Site, databases: Databases, kind: str) -> None:
    paths = [f"image/{number}.png" for number in range(1, 8)]
    site.fill([*paths, "image/gone.png"], without_object=["image/gone.png"])
    with databases.fresh() as ledger:
        if kind == "database":
            url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
            site = site.with_environ(SKETCH_LEDGER_URL=url)
            assert site.run("ledger init").code == 0
        assert (
            site.run("-y -p 1 -b 2" + (" --processes 2 --range-rows 2" if kind == "files of workers" else "")).code == 1
        )
        run = site.last_run()
        before = {file: file.read_bytes() for file in site.folder.glob("runs/*/*.sqlite")}
        done = site.run(f"ledger export runs/{run.name}")
        assert (done.code, done.err) == (0, "")
        header, *flips = read(done.out)
        assert header == ["source", "key", "old", "new"]
        assert (sorted(flips) if kind == "files of workers" else flips) == flips_of(paths)
        assert {file: file.read_bytes() for file in before} == before
        assert site.last_run() == run, "it makes no run of its own"
        to_file = site.run(f"ledger export --output flips.csv --json runs/{run.name}")
        assert json.loads(to_file.out)["flips"] == 7
        assert (site.folder / "flips.csv").read_bytes().decode() == done.out
        assert (site.folder / "flips.csv").stat().st_mode & 0o777 == 0o600
        check_refused(site.run(f"ledger export --output flips.csv runs/{run.name}"), 2, "flips.csv is there already")
        assert (site.folder / "flips.csv").read_bytes().decode() == done.out
        missing = site.run(f"ledger export --output nowhere/flips.csv runs/{run.name}")
        assert (missing.code, "nowhere/flips.csv cannot be written" in missing.err) == (4, True)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("export", "export needs the directory of a run"),
        ("export runs/x --json", "give --output a file"),
        ("list runs/x", "only export takes a run and --output"),
        ("export runs/x", "there is no runs/x|holds no ledger.sqlite"),
    ],
)
def test_what_makes_no_sense_is_refused(site: Site, typed: str, said: str) -> None:
    done = site.run(f"ledger {typed}")
    assert (done.code, bool(re.search(said, done.err))) == (2, True), done


def test_a_run_is_undone_by_hand_as_the_page_says(site: Site) -> None:
    """But for what the application has changed since. The commands are those of docs/safety.md."""
    page = SAFETY.read_text().partition("## Undoing by hand")[2]
    ((export, script),) = re.findall(r"```bash\n(.*?)\n\npsql .*?<<'SQL'\n(.*?)SQL\n```", page, re.DOTALL)
    site.fill([*ODD, "image/changed.png", "image/deleted.png"])
    before = site.facts()
    assert site.run("-y").code == 0
    changed, deleted = len(ODD) + 1, len(ODD) + 2
    site.database.execute("UPDATE avatars SET path = 'avatar/new.png' WHERE id = %s", changed)
    site.database.execute("DELETE FROM avatars WHERE id = %s", deleted)
    (words,) = re.findall(r"^sketch-migrate (ledger export) \S+ > undo\.csv$", export)
    exported = site.run(f"{words} --output undo.csv runs/{site.last_run().name}")  # a pipe of Python's has no \r\n
    assert exported.code == 0, exported
    psql: list[str | Path] = [postgres_programs() / "psql", "-X", "-v", "ON_ERROR_STOP=1", site.database.conninfo]
    done = subprocess.run(psql, input=script, cwd=site.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    expected = {key: before.rows[key] for key in before.rows.keys() - {deleted}} | {changed: "avatar/new.png"}
    assert site.facts().rows == expected
