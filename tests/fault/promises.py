"""The promises of the tool, as claims about a database and a store that can be false.

A ``World`` is what a test begins with; ``check_promises`` holds at any moment, ``check_finished`` at the end.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import md5
from typing import TYPE_CHECKING, Any

from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from tests import tool
from tests.fault.shaped import shaped
from tests.patience import PATIENCE_SECONDS
from tests.proved import keep_races

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store

LEGACY, PRODUCTION = "image/", "avatar/"
ROWS = 60
"""Legacy rows of a usual world: three iterations of the size that ``World.start`` gives them."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before the tool came: rows as (path, owner), and the MD5 of every object's bytes.

    ``stale`` are the production objects that a repair may replace by what legacy holds.
    """

    rows: dict[int, tuple[str | None, str]]
    legacy: dict[str, str]
    production: dict[str, str]
    stale: frozenset[str] = frozenset()

    @property
    def legacy_paths(self) -> dict[int, str]:
        """The rows that are to be migrated."""
        return {key: path for key, (path, _) in self.rows.items() if path is not None and path.startswith(LEGACY)}

    def overlaid(self, rows: Mapping[int, str | None], production: Mapping[str, str]) -> Before:
        """Return this as if the application's rows (None: deleted) and objects had always been there: they stay too."""
        kept = {key: row for key, row in self.rows.items() if key not in rows}
        written = {key: (path, self.rows.get(key, (None, ""))[1]) for key, path in rows.items() if path is not None}
        return replace(self, rows=kept | written, production=self.production | dict(production))


def production_path(path: str) -> str:
    """Return where a legacy path belongs."""
    return PRODUCTION + path.removeprefix(LEGACY)


def rows_of(database: Database) -> dict[int, tuple[str | None, str]]:
    """Return the whole table as ``Before`` keeps it."""
    return {key: (path, owner) for key, path, owner in database.execute("SELECT id, path, owner FROM avatars")}


def content_of(store: Store, bucket: str) -> dict[str, str]:
    """Return the MD5 of every object's bytes, as the server computes it of what it holds: it is the ETag of a PUT."""
    return {key: found.etag.strip('"') for key, found in store.listed(bucket).items()}


def check_promises(database: Database, store: Store, before: Before) -> int:
    """Check what holds at any moment, also after a crash; return how many rows have been flipped."""
    rows, production = rows_of(database), content_of(store, store.production_bucket)
    assert content_of(store, store.legacy_bucket) == before.legacy, "the legacy bucket was changed"
    assert rows.keys() == before.rows.keys(), "rows came or went"
    flipped = 0
    for key, (path, owner) in rows.items():
        old_path, old_owner = before.rows[key]
        assert owner == old_owner, f"row {key}: a column that is not ours was changed"
        if path == old_path:
            continue  # a row that is not flipped points at what it pointed at: the legacy bucket was compared above
        assert old_path is not None, f"row {key} had no path"
        assert old_path.startswith(LEGACY), f"row {key} was not on the legacy side"
        assert path == production_path(old_path), f"row {key}: {old_path} became {path}"
        assert production.get(path) == before.legacy[old_path], f"row {key}: its object is absent or has other bytes"
        flipped += 1
    copies = {production_path(key): content for key, content in before.legacy.items()}
    for name, content in production.items():
        if PROBE_FOLDER in name:
            continue  # of a run that was killed before it had cleared its probe away
        as_it_was = content == before.production.get(name, copies.get(name))
        assert as_it_was or (name in before.stale and content == copies[name]), (
            f"production object {name} is neither as it was nor a copy"
        )
    assert production.keys() >= before.production.keys(), "production objects are gone"
    return flipped


def check_finished(database: Database, store: Store, before: Before) -> None:
    """Check the state in which an undisturbed run ends: every legacy row is flipped, and all promises hold."""
    assert check_promises(database, store, before) == len(before.legacy_paths)


def check_set_back(database: Database, store: Store, before: Before) -> None:
    """Check the state in which an undisturbed rollback ends: every row is as it was, and all promises hold."""
    assert check_promises(database, store, before) == 0
    assert rows_of(database) == before.rows


def check_repaired(database: Database, store: Store, before: Before) -> None:
    """Check the state in which an undisturbed repair ends: migrated, and nothing that a row names is stale."""
    check_finished(database, store, before)
    production = content_of(store, store.production_bucket)
    named = {path for path in database.paths().values() if path in before.stale}
    assert named, "no row names a stale object: nothing is proved"
    for name in named:
        assert production[name] == before.legacy[LEGACY + name.removeprefix(PRODUCTION)], f"{name} is stale"


def check_ledgers(
    database: Database, before: Before, runs: Path, *, undone: bool = False, ledger_database: Database | None = None
) -> None:
    """Check that some run's ledger names every row that was flipped, with its old and its new path.

    With ``undone``, that it names every row that was set back: all had been flipped. ``ledger_database`` is where
    ledgers are that are no files.
    """
    recorded: set[tuple[int, str, str]] = set()
    for file in runs.glob("*/ledger*.sqlite"):
        with closing(sqlite3.connect(file)) as ledger:
            if ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'flip'").fetchone():
                recorded.update(ledger.execute("SELECT key, old_path, new_path FROM flip"))
    if ledger_database is not None:
        recorded.update(ledger_database.execute("SELECT key, old_path, new_path FROM sketch_ledger.flip"))
    if (shape := shaped()) is not None:
        recorded = shape.paths_of(database, recorded)
    paths = database.paths()
    for key, legacy_path in before.legacy_paths.items():
        old_path, new_path = production_path(legacy_path) if undone else legacy_path, paths[key]
        assert new_path == old_path or (key, old_path, new_path) in recorded, f"row {key} was changed unrecorded"


@dataclass(frozen=True, slots=True)
class Run:
    """How a run of the tool ended, with what it said as JSON."""

    code: int
    document: dict[str, Any]
    err: str

    @property
    def outcomes(self) -> dict[str, int]:
        """The outcomes that occurred, by name. They add up to the scan."""
        outcomes: dict[str, int] = self.document["outcomes"]
        assert sum(outcomes.values()) == self.document["scanned"]
        return {name: count for name, count in outcomes.items() if count}

    @property
    def reasons(self) -> dict[int, str]:
        """Why the entries that need a person do (the first twenty), by row."""
        return {problem["key"]: problem["reason"] for problem in self.document["problems"]}


@dataclass(frozen=True, slots=True)
class World:
    """A database and a store of the test's own, what was in them, and the folder in which the tool runs.

    ``environ`` is what the tool's process gets besides the settings, and ``ledger_database`` where that makes it keep
    its ledgers.
    """

    database: Database
    store: Store
    before: Before
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    ledger_database: Database | None = None

    @property
    def runs(self) -> Path:
        """Where the runs' directories are made."""
        return self.cwd / "runs"

    def start(
        self,
        *flags: str,
        command: Sequence[str] = (),
        database: Database | None = None,
        store: Store | None = None,
        **settings: object,
    ) -> subprocess.Popen[str]:
        """Start a migration, or a ``command``: small iterations, JSON.

        ``database`` and ``store`` are ways to reach ours by a proxy; ``settings`` are named as in ``lib/config.py``, in
        lower case. Nothing is tried first, so that the first update is that of an iteration.
        """
        keep_races(self.runs, store or self.store)
        config = () if (shape := shaped()) is None else ("--config", str(shape.configure(self.cwd)))
        trial = () if command and command[0] != "repair" else ("--no-trial",)
        environment = {
            **(database or self.database).environ(),
            **(store or self.store).environ(),
            **{f"SKETCH_{name.upper()}": str(value) for name, value in settings.items()},
            **self.environ,
        }
        words = (*command, "-y", "--json", "-p", "2", "-b", "20", *trial, *flags, *config)
        looks = bool(command) and command[0] != "rollback"
        return tool.start(*words, environ=environment, cwd=self.cwd, to_the_end=looks)

    def finish(self, process: subprocess.Popen[str], *, timeout_seconds: float = PATIENCE_SECONDS) -> Run:
        """Wait for a migration. It never shows a traceback, nor what a library has to say at its end."""
        done = tool.finish(process, timeout_seconds=timeout_seconds)
        assert "Traceback" not in done.err, done.err
        assert "leaked" not in done.err, done.err
        assert done.out, done.err
        return Run(done.code, json.loads(done.out), done.err)

    def migrate(
        self,
        *flags: str,
        command: Sequence[str] = (),
        database: Database | None = None,
        store: Store | None = None,
        **settings: object,
    ) -> Run:
        """Run a migration, or a ``command``, to its end."""
        return self.finish(self.start(*flags, command=command, database=database, store=store, **settings))

    def check_promises(self) -> int:
        """Check what holds at any moment, the ledgers included; return how many rows have been flipped."""
        check_ledgers(self.database, self.before, self.runs, ledger_database=self.ledger_database)
        return check_promises(self.database, self.store, self.before)

    def check_finished(self) -> None:
        """Check that everything is migrated."""
        check_ledgers(self.database, self.before, self.runs, ledger_database=self.ledger_database)
        check_finished(self.database, self.store, self.before)

    def check_resumed(self) -> None:
        """Run it again, undisturbed: it ends where an undisturbed first run ends."""
        again = self.migrate()
        assert again.code == 0, again.err
        assert again.outcomes.keys() <= {"migrated", "already"}  # already: what a killed run had sent arrived late
        self.check_finished()


def with_ledger(world: World, ledger: Database) -> World:
    """Let the runs of a world keep their ledgers in a database."""
    environ = {
        "SKETCH_LEDGER_URL": f"postgresql://{ledger.host}:{ledger.port}/{ledger.name}",
        "SKETCH_LEDGER_USER": ledger.user,
        "SKETCH_LEDGER_PASS": ledger.password,
    }
    made = tool.run("ledger", "init", environ=environ, cwd=world.cwd)
    assert made.code == 0, made.err
    return replace(world, environ=environ, ledger_database=ledger)


def make_world(database: Database, store: Store, cwd: Path, *, legacy_rows: int = ROWS) -> World:
    """Fill a fresh database and fresh buckets: legacy rows, some of them in sub-folders, and rows that are not ours."""
    paths = [f"{LEGACY}{'2019/' * (number % 5 == 0)}avatar-{number}.png" for number in range(legacy_rows)]
    done = [f"{PRODUCTION}done-{number}.png" for number in range(5)]
    halfway = paths[legacy_rows // 2]  # copied by someone, its row still legacy
    all_paths = [*paths, *done, None, "", "elsewhere/a.png"]
    create_table(database, {number: (path, f"user {number}") for number, path in enumerate(all_paths, start=1)})
    legacy = {path: f"png of {path}".encode() for path in [*paths, "image/of-nobody.png", "other.txt"]}
    production = {path: f"png of {path}".encode() for path in done} | {production_path(halfway): legacy[halfway]}
    store.put_all(store.legacy_bucket, legacy)
    store.put_all(store.production_bucket, production)
    before = Before(rows_of(database), digests(legacy), digests(production))
    assert content_of(store, store.legacy_bucket) == before.legacy  # its ETags are what we take them for
    return World(database, store, before, cwd)


def create_table(database: Database, rows: Mapping[int, tuple[str | None, str]]) -> None:
    """Make the table of avatars, and fill it."""
    if (shape := shaped()) is None:
        database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text, owner text NOT NULL DEFAULT '')")
    else:
        shape.create(database)
    with database.connect() as connection:
        with connection.cursor().copy("COPY avatars FROM STDIN") as copy:
            for key, (path, owner) in rows.items():
                copy.write_row((key, path, owner))
        connection.execute("ANALYZE")


def digests(bodies: Mapping[str, bytes]) -> dict[str, str]:
    """Return the MD5 of each body, as ``content_of`` does."""
    return {key: md5(body, usedforsecurity=False).hexdigest() for key, body in bodies.items()}
