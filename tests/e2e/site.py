"""An application's site as the tests see it: a table, two buckets, a folder to run the tool in; and all its facts."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.proved import keep_races
from tests.tool import on_a_terminal, run, run_directories, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from pathlib import Path

    import pexpect

    from tests.servers.databases import Database
    from tests.servers.stores import Store, StoredObject
    from tests.tool import Finished


NEEDING_A_PERSON = ("missing", "conflict", "failed")


@dataclass(frozen=True, slots=True)
class Facts:
    """The whole of a site at one moment.

    ``rows`` maps a row's id to its path, ``versions`` to the transaction that wrote it (``xmin``).
    """

    rows: dict[int, str | None]
    versions: dict[int, str]
    legacy: dict[str, StoredObject]
    production: dict[str, StoredObject]


@dataclass(frozen=True, slots=True)
class Site:
    """``environ`` is what is set on top of database and store; ``with_environ`` and the like give variants.

    With ``races`` the tool races the store's conditions, which takes up to 10 s; else it finds it on record that none
    was lost.
    """

    database: Database
    store: Store
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    races: bool = False

    def with_environ(self, **environ: str) -> Site:
        """Return the same site with more settings."""
        return replace(self, environ={**self.environ, **environ})

    def at(self, *, database: Database | None = None, store: Store | None = None) -> Site:
        """Return the same site by way of other addresses or users."""
        return replace(self, database=database or self.database, store=store or self.store)

    @property
    def settings(self) -> dict[str, str]:
        """The environment that the tool gets."""
        return {**self.database.environ(), **self.store.environ(), **self.environ}

    def run(self, flags: str, *more: str) -> Finished:
        """Run the tool with flags, given as in a shell, and perhaps more of them that are not to be parted."""
        self._keep_races()
        return run(*flags.split(), *more, environ=self.settings, cwd=self.folder)

    def start(self, flags: str) -> subprocess.Popen[str]:
        """Start the tool; ``finish`` awaits it."""
        self._keep_races()
        return start(*flags.split(), environ=self.settings, cwd=self.folder)

    def on_a_terminal(self, flags: str) -> pexpect.spawn[str]:
        """Start the tool on a terminal."""
        self._keep_races()
        return on_a_terminal(*flags.split(), environ=self.settings, cwd=self.folder)

    def _keep_races(self) -> None:
        if not self.races:
            keep_races(self.folder / "runs", self.store)

    def last_run(self) -> Path:
        """Return the directory of the newest run."""
        return run_directories(self.folder)[-1]

    def fill(self, paths: Iterable[str | None], *, without_object: Iterable[str] = ()) -> None:
        """Make the table with these paths, the first being row 1, and the object that each names, on its side."""
        rows = list(paths)
        self.database.create_avatars(rows)
        absent = set(without_object)
        present = {row for row in rows if row is not None and row not in absent}
        for bucket, side in ((self.store.legacy_bucket, "image/"), (self.store.production_bucket, "avatar/")):
            self.store.put_all(bucket, {path: body_of(path) for path in present if path.startswith(side)})

    def facts(self) -> Facts:
        """Look at everything."""
        table = self.database.execute("SELECT id, path, xmin::text FROM avatars ORDER BY id")
        return Facts(
            rows={row[0]: row[1] for row in table},
            versions={row[0]: row[2] for row in table},
            legacy=self.store.listed(self.store.legacy_bucket),
            production=self.store.listed(self.store.production_bucket),
        )

    def production_bodies(self) -> dict[str, bytes]:
        """Read every object of the production bucket."""
        return self.store.bodies(self.store.production_bucket)

    def legacy_bodies(self) -> dict[str, bytes]:
        """Read every object of the legacy bucket."""
        return self.store.bodies(self.store.legacy_bucket)


def body_of(path: str) -> bytes:
    """Return the content of the object that a path names: of its own, and its own size."""
    name = path.partition("/")[2]
    return f"picture of {name} ".encode() * (1 + len(name) % 7)


def counts(**numbers: int) -> dict[str, int]:
    """What a summary counts, all of which is 0 unless given; ``scanned`` is the sum."""
    outcomes = dict.fromkeys(("migrated", "already", "superseded", "missing", "conflict", "failed"), 0)
    outcomes |= {word: number for word, number in numbers.items() if word in outcomes}
    return {**outcomes, "scanned": sum(outcomes.values()), "copied": numbers.get("copied", 0)}


def problems(site: Site, done: Finished) -> dict[str, tuple[str, str]]:
    """The list of problems of the last run: path to outcome and reason. It has each of them once, and says where."""
    file = site.last_run() / "problems.csv"
    total = sum(done.counts[outcome] for outcome in NEEDING_A_PERSON)
    if not total:
        assert not file.exists()
        return {}
    assert f"Problems:  runs/{site.last_run().name}/problems.csv" in done.out
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len({row["key"] for row in rows}) == len(rows) == total
    table = site.database.paths()
    assert [table[int(row["key"])] for row in rows] == [row["path"] for row in rows]
    return {row["path"]: (row["outcome"], row["reason"]) for row in rows}


def check_refused(done: Finished, code: int, *names: str, hint: bool = True) -> None:
    """It ended with that code, an error that names these things, and perhaps a hint; no traceback; no result."""
    assert done.code == code, done
    error = re.search(r"^error: (.*)$", done.err, re.MULTILINE)
    assert error is not None, done
    for name in names:
        assert name in error[1], done
    assert bool(re.search(r"^hint:  \S", done.err, re.MULTILINE)) is hint, done
    assert "Traceback" not in done.err + done.out
    assert done.out == ""
