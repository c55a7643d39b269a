"""One round: a fresh world, whose commands are killed again and again under faults and a live application."""

from __future__ import annotations

import random
import signal
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import tool
from tests.fault.promises import make_world, with_ledger
from tests.fault.scenes import COMMANDS, Scene
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.stores import fresh_buckets
from tests.soak.live import Live
from tests.soak.orders import Orders
from tests.soak.story import Story
from tests.soak.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.soak.servers import Servers

LONGEST_RUN_SECONDS = 90
ENDINGS = {0, 1, 3, 128 + signal.SIGTERM}
"""How a run may end under faults: done; with entries that were locked for too long; without a server; by an order."""

PATIENCE = {"lock_timeout_ms": 100, "db_retry_seconds": 10, "s3_timeout_seconds": 5, "range_rows": 40}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round is about, as the dice have it."""

    store: str
    database: str
    ledger_in_database: bool
    rows: int
    commands: tuple[str, ...]
    kills: int

    @classmethod
    def chosen(cls, dice: random.Random, servers: Servers) -> Plan:
        """Choose."""
        return cls(
            store=dice.choice(servers.stores),
            database=dice.choice(servers.databases),
            ledger_in_database=dice.random() < 1 / 4,
            rows=dice.randint(60, 160),
            commands=dice.choice([("migrate",), ("migrate", "rollback"), ("migrate", "repair")]),
            kills=dice.randint(3, 8),
        )


@dataclass(slots=True)
class Played(Story):
    """What has happened in a round, as far as it came."""

    kills: int = 0
    runs: int = 0
    orders: int = 0
    faults: int = 0
    writes: int = 0
    rows_held: int = 0


def play(servers: Servers, seed: str, folder: Path, played: Played) -> None:
    """Play the round of a seed, in an empty folder. Raises ``AssertionError`` or whatever else is not as promised."""
    dice = random.Random(seed)
    plan = Plan.chosen(dice, servers)
    played.story.append(str(plan))
    databases = servers.databases_of(plan.database)
    with ExitStack() as stack:
        database = stack.enter_context(databases.fresh())
        store = stack.enter_context(fresh_buckets(servers.store(plan.store)))
        world = make_world(database, store, folder, legacy_rows=plan.rows)
        if plan.ledger_in_database:
            world = with_ledger(world, stack.enter_context(databases.fresh()))
        s3 = stack.enter_context(S3FaultProxy(store.endpoint_url, seed=dice.randrange(2**32)))
        postgres = stack.enter_context(PostgresFaultProxy(database.port))
        trouble = Trouble(s3, postgres, dice)
        live = stack.enter_context(Live(world, random.Random(f"{seed} application")))
        try:
            for command in plan.commands:
                _Command(command, live, trouble, dice, played).play(plan.kills)
        finally:
            played.faults = trouble.faults
            played.writes, played.rows_held = live.writes, live.holds


@dataclass(frozen=True, slots=True)
class _Command:
    """A command of a round: killed some times, then run to its end in peace."""

    name: str
    live: Live
    trouble: Trouble
    dice: random.Random
    played: Played

    def play(self, kills: int) -> None:
        self.live.makes_legacy_rows = self.name != "rollback"  # nobody sets back what was never migrated
        if self.name == "repair":
            self.live.replace_legacy_objects()
        with self._paused() as scene:
            if self.name == "rollback" and (ledger := scene.world.ledger_database) is not None:
                ledger.execute("UPDATE sketch_ledger.run SET alive_at = NULL")  # those that were killed are long silent
        for _ in range(kills):
            with self._paused() as scene:
                work = len(scene.before.legacy_paths) - scene.check_promises()
            if self._disturbed(scene, work):
                self.played.kills += 1
            elif not work:
                break
        with self._paused() as scene:
            scene.check_promises()
            self.played.story.append(f"{self.name} in peace")
            done = scene.world.migrate(command=COMMANDS[self.name])
            self.played.runs += 1
            assert done.code == 0, done.err
            scene.check_finished()

    def _disturbed(self, scene: Scene, work: int) -> bool:
        """Run it under faults; say whether it was killed."""
        flags = self._flags()
        database, store = scene.world.database, scene.world.store
        process = scene.world.start(
            *flags,
            command=COMMANDS[self.name],
            database=database.via(self.trouble.postgres.port),
            store=store.via(self.trouble.s3.endpoint_url),
            **PATIENCE,
        )
        self.played.runs += 1
        try:
            chosen = self.trouble.begin(process, work=work)
            self.played.story.append(f"{self.name} {' '.join(flags)} with {work} rows to do; {chosen}")
            with Orders(scene.world.runs, process, random.Random(self.dice.random())) as orders:
                done = tool.finish(process, timeout_seconds=LONGEST_RUN_SECONDS)
            self.played.orders += orders.given + orders.refused
        finally:
            process.kill()
            self.trouble.end()
        self.played.story.append(f"ended with {done.code}")
        assert "Traceback" not in done.err, done.err
        assert done.code in ENDINGS or done.code == -signal.SIGKILL, f"ended with {done.code}: {done.err}"
        return done.code == -signal.SIGKILL

    def _flags(self) -> Sequence[str]:
        flags = ["-p", str(self.dice.randint(1, 4)), "-b", str(self.dice.randint(3, 30))]
        if self.name == "migrate" and self.dice.random() < 1 / 4:
            flags += ["--processes", "2"]
        return flags

    @contextmanager
    def _paused(self) -> Iterator[Scene]:
        with self.live.paused() as world:
            yield Scene(self.name, world, 1, len(world.before.rows))
