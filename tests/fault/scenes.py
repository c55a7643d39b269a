"""What each writing command finds when it begins, made once and set up again for each test: ``Theatre``.

Rows are taken up ten at a time, one iteration after the other, so that a test knows which rows the second one has.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from tests.fault.promises import (
    LEGACY,
    PRODUCTION,
    Before,
    Run,
    World,
    check_finished,
    check_ledgers,
    check_promises,
    check_repaired,
    check_set_back,
    content_of,
    create_table,
    digests,
    make_world,
    production_path,
    rows_of,
)
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.stores import Store

BATCH = 10
ONE_BY_ONE = ("-p", "1", "-b", str(BATCH), "--target-flip-ms", "1000")
"""However slow the machine is, each iteration is one flip."""
COMMANDS = {"migrate": (), "rollback": ("rollback", "--all", "runs"), "repair": ("repair",)}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scene begins with: the table, both buckets, and the runs of the past; ``rows`` legacy avatars at first."""

    rows: int
    table: dict[int, tuple[str | None, str]]
    legacy: dict[str, bytes]
    production: dict[str, bytes]
    runs: Path
    before: Before


@dataclass
class Scene:
    """One command, about to run in a world of its own; an application that will write something meanwhile."""

    command: str
    world: World
    first_row: int
    last_row: int
    taken: int = 0

    @property
    def before(self) -> Before:
        """What is to stay, what the application wrote included."""
        return self.world.before

    def rows_of_iteration(self, number: int) -> range:
        """Return the rows that an iteration (from 1) takes up: a rollback undoes the newest flips first."""
        if self.command == "rollback":
            return range(self.last_row - number * BATCH + 1, self.last_row - (number - 1) * BATCH + 1)
        return range(self.first_row + (number - 1) * BATCH, self.first_row + number * BATCH)

    def keys_of(self, rows: range) -> frozenset[str]:
        """Return the keys that the command asks the store about for these rows: to copy to, or to look at in legacy."""
        paths = [legacy_path(row) for row in rows]
        return frozenset(paths if self.command == "rollback" else map(production_path, paths))

    def start(self, *flags: str, **more: object) -> subprocess.Popen[str]:
        """Start the command; ``more`` is what ``World.start`` takes."""
        return self.world.start(*ONE_BY_ONE, *flags, command=COMMANDS[self.command], **more)  # type: ignore[arg-type]  # passed on as it is

    def finish(self, process: subprocess.Popen[str]) -> Run:
        """Wait for it."""
        return self.world.finish(process)

    def write(self) -> None:
        """Be the application: new avatars for rows before and after the second iteration; a row more, two less."""
        store, database = self.world.store, self.world.database
        early, late = 5, self.last_row - 4
        bodies = {f"{PRODUCTION}new-{row}.png": f"new avatar {row}".encode() for row in (early, late, 1001)}
        rows: dict[int, str | None] = dict(zip((early, late, 1001), bodies, strict=True))
        store.put_all(store.production_bucket, bodies)
        with database.connect() as connection:
            for row in (early, late):
                connection.execute("UPDATE avatars SET path = %s WHERE id = %s", [rows[row], row])
            connection.execute("INSERT INTO avatars VALUES (1001, %s, '')", [rows[1001]])
            for row in (early + 1, late + 1):
                connection.execute("DELETE FROM avatars WHERE id = %s", [row])
                rows[row] = None
        self.world = replace(self.world, before=self.before.overlaid(rows, digests(bodies)))

    def take(self, row: int) -> None:
        """Be the application: a new avatar for one more row. Waits for the row if the command has it locked."""
        key = f"{PRODUCTION}taken-{row}.png"
        body = {key: b"taken by the application"}
        self.world.store.put_all(self.world.store.production_bucket, body)
        self.world.database.execute("UPDATE avatars SET path = %s WHERE id = %s", key, row)
        self.taken += 1
        self.world = replace(self.world, before=self.before.overlaid({row: key}, digests(body)))

    def check_promises(self) -> int:
        """Check what holds at any moment; return how many rows the command has set to the other side."""
        world, back = self.world, self.command == "rollback"
        check_ledgers(world.database, self.before, world.runs, undone=back, ledger_database=world.ledger_database)
        flipped = check_promises(world.database, world.store, self.before)
        return len(self.before.legacy_paths) - flipped if back else flipped

    def check_finished(self) -> None:
        """Check that the command's work is done, and what holds at any moment."""
        check = {"migrate": check_finished, "rollback": check_set_back, "repair": check_repaired}[self.command]
        check(self.world.database, self.world.store, self.before)
        self.check_promises()

    def check_outcomes(self, run: Run) -> None:
        """Check that an undisturbed run, or one as good as that, counted exactly what it did."""
        if self.command == "repair":
            assert run.document["passed"], run.document
            assert run.document["adds_up"]
            assert run.document["rows"]["total"] == len(self.before.rows)
            return
        done = {"migrate": "migrated", "rollback": "restored"}[self.command]
        # of the rows that the application wrote two are in the iteration that is over, two in the one to come
        superseded = 2 + self.taken
        assert run.outcomes == {done: self.last_row - superseded, "superseded": superseded}


class Theatre:
    """Two buckets in which every scene of a module is played, and the settings, each made when it is first needed."""

    def __init__(self, postgres: PostgresServer, store: Store, folder: Path) -> None:
        self._postgres, self._store, self._folder = postgres, store, folder
        self._settings: dict[str, Setting] = {}
        self._numbers = count()

    def scene(self, command: str, database: Database, cwd: Path) -> Scene:
        """Set a scene up in a fresh database and an empty folder."""
        setting = self._settings.get(command)
        if setting is None:
            setting = self._settings[command] = self._make(command)
        store = self._store
        create_table(database, setting.table)
        fill(store, store.legacy_bucket, setting.legacy)
        fill(store, store.production_bucket, setting.production)
        if setting.runs.exists():
            shutil.copytree(setting.runs, cwd / "runs")
        first_row = BATCH + 1 if command == "repair" else 1
        return Scene(command, World(database, store, setting.before, cwd), first_row, setting.rows)

    def _make(self, command: str) -> Setting:
        """Play what comes before: for a rollback a migration, for a repair a part of one, and changes in legacy."""
        rows = 4 * BATCH if command == "repair" else 3 * BATCH
        cwd = self._folder / f"{command} {next(self._numbers)}"
        cwd.mkdir()
        store = self._store
        with fresh_database(self._postgres) as database:
            for bucket in (store.legacy_bucket, store.production_bucket):
                fill(store, bucket, {})
            world = make_world(database, store, cwd, legacy_rows=rows)
            before, stale = world.before, frozenset[str]()
            if command == "rollback":
                assert world.migrate(*ONE_BY_ONE).code == 0
            if command == "repair":
                assert world.migrate(*ONE_BY_ONE, "-l", str(BATCH)).code == 1
                changed = {legacy_path(row): f"changed avatar {row}".encode() for row in range(1, BATCH + 1)}
                store.put_all(store.legacy_bucket, changed)
                stale = frozenset(map(production_path, changed))
            legacy, production = store.bodies(store.legacy_bucket), store.bodies(store.production_bucket)
            table = rows_of(database)
        home = before.rows if command == "rollback" else table
        return Setting(
            rows, table, legacy, production, world.runs, Before(home, digests(legacy), digests(production), stale)
        )


def legacy_path(row: int) -> str:
    """Return the path that ``make_world`` gives to a legacy row."""
    return f"{LEGACY}{'2019/' * ((row - 1) % 5 == 0)}avatar-{row - 1}.png"


def fill(store: Store, bucket: str, bodies: dict[str, bytes]) -> None:
    """Let a bucket hold exactly these objects."""
    present, wanted = content_of(store, bucket), digests(bodies)
    store.delete_all(bucket, present.keys() - wanted.keys())
    store.put_all(bucket, {key: bodies[key] for key in wanted if present.get(key) != wanted[key]})
