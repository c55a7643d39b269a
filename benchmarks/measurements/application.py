"""What an application feels of a migration: alone and beside it, in turn, with and without something in the way."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import DeadlockDetected
from psycopg.sql import SQL, Identifier

from benchmarks.application import HELD_EVERY, MIXED, PLAIN, Felt, Load, Order, felt_during
from benchmarks.contestants import tool
from benchmarks.contestants.contest import Site
from benchmarks.processes import CommandFailed, on_core, succeeded
from benchmarks.servers.responding import responding_store
from benchmarks.servers.table import table as running_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.processes import Usage
    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

ROWS_PER_SECOND = 3_000
"""The tool is held to that, or it and the database would fill the machine, and the application would wait for that."""

PATIENCE_SECONDS = 60
"""So long a run may take beyond the time that its rows take at that rate; then it is killed."""

STALL_SECONDS = 20
_SETTLING_SECONDS = 1
"""After the stall has begun: what the ledger had on record by then is flipped still."""

_BETWEEN_TABLES_SECONDS = 0.2
"""Long enough for an iteration to come as far as it can before it meets the table that stalls already."""

_LOOK_SECONDS = 0.1
_LEDGER_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Situation:
    """What is in the way: rows that others hold, a trigger on each new path, a ledger that does not answer.

    A table that it is slow to write to has ``fewer`` times fewer rows.
    """

    name: str
    held_seconds: float = 0.0
    trigger_seconds: float = 0.0
    ledger_stalls: bool = False
    fewer: int = 1
    retry_seconds: int = 600
    load: Load = MIXED


UNDISTURBED = Situation("nothing in the way")
HELD_A_MOMENT = Situation("rows held for 1.5 s", held_seconds=1.5)
HELD_THROUGHOUT = Situation("rows held throughout", held_seconds=3600, retry_seconds=3)
SLOW_TRIGGER = Situation("a trigger of 10 ms a row", trigger_seconds=0.01, fewer=15)
STALLED_LEDGER = Situation("the ledger stalls for 20 s", trigger_seconds=0.001, ledger_stalls=True, fewer=2)
"""With flips that take a while, so that the stall comes in the middle of one."""

SITUATIONS = (UNDISTURBED, HELD_A_MOMENT, HELD_THROUGHOUT, SLOW_TRIGGER, STALLED_LEDGER)

APART = Situation("on cores of their own", load=PLAIN)
"""The database and the application on one core, the tool and the store on another: as on machines of their own."""


@dataclass(frozen=True, slots=True)
class Stall:
    """While the ledger did not answer: how many rows were flipped, and for how many seconds the tool had locks."""

    flipped: int
    locked_seconds: float


@dataclass(frozen=True, slots=True)
class Beside:
    """What an application felt alone, then beside a run; how that ended (-9: it took too long and was killed).

    ``left`` are legacy rows that nobody held.
    """

    situation: str
    alone: Felt
    during: Felt
    seconds: float
    exit_code: int
    migrated: int
    left: int
    stall: Stall | None

    @property
    def rows_per_second(self) -> float:
        """Rows for each second of the whole process, Python's start included."""
        return self.migrated / self.seconds


@dataclass(frozen=True, slots=True)
class Apart:
    """A database on a core of its own, and a store on another, on which this process and all that it starts are too."""

    table: Table
    store: RespondingStore
    database_core: int


@contextlib.contextmanager
def servers_apart() -> Iterator[Apart]:
    """Run both for the length of the block, each on one of the first two cores. Raises ``CommandFailed``."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:  # noqa: PLR2004 # one for each
        raise CommandFailed("there are no two cores", hint=f"This process may run on the core {cores[0]} alone.")
    with contextlib.ExitStack() as opened:
        with on_core(cores[0]):
            table = opened.enter_context(running_table())
        opened.enter_context(on_core(cores[1]))
        yield Apart(table, opened.enter_context(responding_store()), cores[0])


def measure_application(
    situation: Situation, store: RespondingStore, table: Table, rows: int, *, core: int | None = None
) -> Beside:
    """Let an application write to a table for as long as its migration takes, and then beside it.

    It has the ``core``, if one is said.
    """
    rows //= situation.fewer
    order = Order(table.database.conninfo, rows, situation.held_seconds, situation.load, core)
    usual_seconds = rows * situation.fewer / ROWS_PER_SECOND
    _fill(table, situation, rows)
    alone, _ = felt_during(order, lambda: time.sleep(usual_seconds))
    _fill(table, situation, rows)
    store.counted()  # forgets what was stored
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as home, ThreadPoolExecutor() as threads:
        site = Site(store, table, rows, Path(home))
        settings = _settings(situation, site)
        stalling = threads.submit(_stall_ledger, table) if situation.ledger_stalls else None
        longest_seconds = usual_seconds + PATIENCE_SECONDS + STALL_SECONDS * situation.ledger_stalls
        during, usage = felt_during(order, lambda: _run(site, settings, round(longest_seconds)))
        stall = stalling.result() if stalling else None
    (migrated, left), *_ = table.database.execute(
        "SELECT count(*) FILTER (WHERE path LIKE 'avatar/avatar-%%'),"
        " count(*) FILTER (WHERE path LIKE 'image/%%' AND (%s = 0 OR id %% %s <> 0)) FROM avatars",
        int(situation.held_seconds),
        HELD_EVERY,
    )
    return Beside(
        situation=situation.name,
        alone=alone,
        during=during,
        seconds=usage.wall_seconds,
        exit_code=usage.exit_code,
        migrated=migrated,
        left=left,
        stall=stall,
    )


def _fill(table: Table, situation: Situation, rows: int) -> None:
    """Make the table anew, with a column that counts how often the application has written each row."""
    execute = table.database.execute
    table.fill(rows)
    execute("ALTER TABLE avatars ADD COLUMN seen bigint NOT NULL DEFAULT 0")
    if situation.trigger_seconds:
        execute(
            "CREATE OR REPLACE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN PERFORM pg_sleep({situation.trigger_seconds}); RETURN NEW; END'"
        )
        execute("CREATE TRIGGER pause BEFORE UPDATE OF path ON avatars FOR EACH ROW EXECUTE FUNCTION pause()")


def _settings(situation: Situation, site: Site) -> Mapping[str, str]:
    settings = {
        "SKETCH_MAX_REQUESTS_PER_SECOND": str(ROWS_PER_SECOND),
        "SKETCH_DB_RETRY_SECONDS": str(situation.retry_seconds),
    }
    if not situation.ledger_stalls:
        return settings
    database = site.table.database
    database.execute("DROP SCHEMA IF EXISTS sketch_ledger CASCADE")
    settings |= {
        "SKETCH_MAX_REQUESTS_PER_SECOND": str(
            2 * ROWS_PER_SECOND
        ),  # without a condition each object is looked at first
        "SKETCH_LEDGER_URL": f"postgresql://{database.host}:{database.port}/{database.name}",
        "SKETCH_LEDGER_USER": database.user,
        "SKETCH_LEDGER_PASS": database.password,
    }
    succeeded(tool.run(site, command=("ledger", "init"), more=settings), "ledger init")
    return settings


def _run(site: Site, settings: Mapping[str, str], timeout_seconds: int) -> Usage:
    """Run the tool. That it leaves rows is a figure, and so is that it does not come to its end."""
    usage = tool.run(site, "-y", more=settings, timeout_seconds=timeout_seconds)
    if usage.exit_code == 1 and "outcomes" not in json.loads(usage.out or "{}"):
        raise CommandFailed("the tool failed", hint=usage.err[-2000:])
    return usage


def _stall_ledger(table: Table) -> Stall:
    """Lock the ledger's tables once rows are flipped, for a while; tell what the tool did to the table meanwhile."""
    with table.database.connect() as looking, psycopg.connect(table.database.conninfo) as locking:
        _wait_for_flips(looking)
        _lock_ledger(locking)
        until = time.monotonic() + STALL_SECONDS
        time.sleep(_SETTLING_SECONDS)
        flipped, looks = _flipped(looking), 0
        while time.monotonic() < until:
            looks += _tool_has_locks(looking)
            time.sleep(_LOOK_SECONDS)
        return Stall(len(_flipped(looking) - flipped), looks * _LOOK_SECONDS)


def _wait_for_flips(looking: psycopg.Connection[tuple[Any, ...]]) -> None:
    deadline = time.monotonic() + _LEDGER_PATIENCE_SECONDS
    while not _flipped(looking):
        if time.monotonic() > deadline:
            raise CommandFailed("the tool flips nothing", hint=f"for {_LEDGER_PATIENCE_SECONDS} s, with LEDGER_URL set")
        time.sleep(_LOOK_SECONDS)


def _lock_ledger(locking: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Lock all its tables, one by one; begin again where the tool has got in between.

    The notes that an iteration strikes out last (``unsettled``) come first: whoever does that in the middle of a flip
    is caught at it.
    """
    while True:
        try:
            locking.execute("SET LOCAL deadlock_timeout = '50ms'")  # whoever looks first gives way
            tables = locking.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'sketch_ledger' ORDER BY 1 DESC"
            )
            for (name,) in tables.fetchall():
                locking.execute(SQL("LOCK TABLE {}").format(Identifier("sketch_ledger", name)))
                time.sleep(_BETWEEN_TABLES_SECONDS)
        except DeadlockDetected:
            locking.rollback()
        else:
            return


def _flipped(looking: psycopg.Connection[tuple[Any, ...]]) -> set[int]:
    return {key for (key,) in looking.execute("SELECT id FROM avatars WHERE path LIKE 'avatar/avatar-%'")}


def _tool_has_locks(looking: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Whether a session of the tool has the table's lock that goes with the lock of a row, as far as one can see."""
    statement = (
        "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = 'avatars'::regclass AND granted"
        " AND mode IN ('RowShareLock', 'RowExclusiveLock') AND application_name = 'sketch-migrate'"
    )
    return bool(looking.execute(statement).fetchall())
