"""What outlives a crash (objects, rows, ledgers), who acts on it, and the promises that hold at every moment."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.no_clobber import Means, Strategy
from sketchmigrate.migration.stop import Stop
from sketchmigrate.migration.transfer import Sizes
from sketchmigrate.s3 import IF_ABSENT, R2_IF_ABSENT
from tests.mappings import mapping_of
from tests.simulation.server import TRIGGERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.database import SimulatedConnection
    from tests.simulation.ledger import SimulatedLedger

MAPPING = mapping_of(buckets=("legacy", "production"))
SMALL_BYTES = 16
"""Stands for the 8 MiB up to which an object is put."""

SIZES = Sizes(put_limit_bytes=SMALL_BYTES, first_bytes=SMALL_BYTES // 2)


class Violation(AssertionError):
    """A promise did not hold."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object and who stored it. ``row`` is the row that the application stored it for."""

    body: bytes
    etag: str
    by_tool: bool = False
    row: int | None = None


@dataclass(slots=True)
class Process:
    """One execution of the tool. Once it is dead, nothing that it still tries has an effect."""

    number: int
    crashed: asyncio.Future[None]
    alive: bool = True
    stop: Stop = field(default_factory=Stop)
    connections: list[SimulatedConnection] = field(default_factory=list)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


PROCESS: ContextVar[Process] = ContextVar("PROCESS")
"""Whose task this is: two runs may be at work at once."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a seed stands for: the strategy, what the store honours, and how much happens."""

    strategy: Strategy
    honoured: frozenset[str]
    iterations: int
    batch_size: int
    overwrite: bool
    keeps_versions: bool
    runs_at_once: int
    target_flip_ms: int
    fires_after_update: bool
    has_policies: bool
    is_slowed: bool

    @property
    def guarded(self) -> bool:
        """Whether the store keeps every copy from replacing an object."""
        return self.strategy.means is not Means.CHECK_FIRST and not self.overwrite

    @classmethod
    def of(cls, rng: random.Random, *, is_slowed: bool) -> Scenario:
        """Choose one."""
        means = rng.choice(list(Means))
        r2 = rng.random() < 0.3
        honoured = {
            Means.CONDITIONAL_COPY: {"cf-copy-destination-if-none-match" if r2 else "copy"},
            Means.CONDITIONAL_PUT: {"put"} | ({"complete"} if rng.random() < 0.5 else set()),
            Means.CONDITIONAL_COMPLETE: {"complete"},
            Means.CHECK_FIRST: set(),
        }[means]
        condition = R2_IF_ABSENT if r2 else IF_ABSENT
        parts = "complete" in honoured
        strategy = Strategy(means, "", condition, sends_parts=parts, guards_parts=parts)
        return cls(
            strategy,
            frozenset(honoured),
            iterations=rng.randint(1, 3),
            batch_size=rng.randint(1, 5),
            overwrite=rng.random() < 0.1,
            keeps_versions=rng.random() < 0.4,
            runs_at_once=rng.choice((1, 1, 2)),
            target_flip_ms=rng.choice((20, 10_000)),  # flips of one row, or of as many as a batch has
            fires_after_update=rng.random() < 0.3,
            has_policies=rng.random() < 0.1,
            is_slowed=is_slowed,
        )


class World:
    """The store's objects, the table's rows, what is on record, and the promises about them."""

    def __init__(self, seed: int, clock: Clock = SYSTEM) -> None:
        self.clock = clock
        self.rng = random.Random(seed)
        self.scenario = Scenario.of(self.rng, is_slowed=seed % 3 == 0)  # by the seed: what others stand for stays
        self.begins_anywhere = seed % 2 == 0  # by the seed as well: runs have a position, and perhaps an index
        self.trace: list[str] = []
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.rows: dict[int, str] = {}
        self.intended: dict[int, str] = {}  # what the application set last
        self.locked_by: dict[int, object] = {}  # a transaction of ours, or the application
        self.transactions: dict[int, str] = {}  # by their numbers: what became of them
        self.triggers: dict[int, str] = {}  # by row: the rows that cannot be flipped
        self.on_record: set[tuple[int, str, str]] = set()
        self.no_more_denied: set[tuple[int, str]] = set()  # flips on record that came to nothing
        self.updated: set[tuple[int, str]] = set()  # by the tool, committed or not
        self.happened: Counter[str] = Counter()  # faults, and what else shows that a situation was met
        self.flipped: set[tuple[int, str]] = set()  # those that were committed
        self.looked_at: set[tuple[int, str]] = set()  # seen with another path than this, when a run looked last
        self.writes = 0
        self.versions: dict[tuple[str, str], list[StoredObject]] = {}  # the newest first
        self.lost: dict[str, StoredObject] = {}  # by production key: the application's objects that a copy replaced
        self.ever_lost: set[str] = set()
        self.reported: set[str] = set()  # production keys
        self.asserted: set[str] = set()  # those of them that could be looked at
        self.ledgers: list[SimulatedLedger] = []
        self.processes = 0
        self.violated = ""
        self.quiet = False  # nothing is left to come in between
        self.undisturbed = True  # no run was killed, nor stopped by an error
        self.faults_left = self.rng.choice((0, 1, 3, 8))
        self.crashes_left = self.rng.choice((0, 0, 1, 2))
        self.act: Callable[[], None] = lambda: None
        self._names = 0
        self._gone_from_start: set[str] = set()
        self._legacy_bodies: dict[str, set[bytes]] = {}  # by name: all that the legacy object ever held
        self._was_equal: set[str] = set()  # production keys that once held one of these
        self._populate()

    # -- the passing of time

    async def step(self, what: str) -> None:
        """Let others come first; then the application may act, or the process may die.

        Whatever changes a row or takes an object away is followed by ``check``.
        """
        process = PROCESS.get()
        self._see_alive(process)
        if self.quiet:
            return
        if self.rng.random() < 0.6:
            await asyncio.sleep(self.rng.random())
        self._see_alive(process)
        self.trace.append(f"{process.number}: {what}")
        if self.rng.random() < 0.2:
            self.act()
            self.check()
        if self.crashes_left and self.rng.random() < 0.03:
            self.crash(process)
            self._see_alive(process)

    def crash(self, process: Process) -> None:
        """Kill a process. The database rolls back what it had not committed."""
        self.crashes_left -= 1
        self.undisturbed = False
        self.trace.append(f"{process.number}: CRASH")
        process.alive = False
        self.happened["CRASH"] += 1
        for connection in process.connections:
            connection.closed = True
            connection.end_transaction()
        process.crashed.set_result(None)

    def _see_alive(self, process: Process) -> None:
        if not process.alive:
            raise asyncio.CancelledError

    def fault(self, *kinds: str) -> str:
        """Return which of these faults happens now; mostly none: an empty text."""
        if not self.faults_left or self.rng.random() > 0.12:
            return ""
        self.faults_left -= 1
        kind = self.rng.choice(kinds)
        self.trace.append(f"FAULT {kind}")
        self.happened[kind] += 1
        return kind

    def later(self, effect: Callable[[], object]) -> None:
        """Let a request take effect some time after its sender has given it up, dead or alive."""

        def take_effect() -> None:
            self.trace.append("a lost request takes effect")
            effect()
            self.check()

        asyncio.get_running_loop().call_later(self.rng.random() * 4, take_effect)

    # -- objects

    def new_name(self) -> str:
        """Return a name that was never used."""
        self._names += 1
        return f"{self._names}.png"

    def new_body(self) -> bytes:
        """Return a content that is nowhere else; large ones only where the store can guard them."""
        self._names += 1
        large = self.scenario.strategy.guards_parts or self.scenario.strategy.means is not Means.CONDITIONAL_PUT
        return f"{self._names:05}".encode() * self.rng.randint(1, 5 if large else 3)

    def store(self, bucket: str, key: str, body: bytes, *, row: int | None = None, etag: str = "") -> None:
        """Store an object on behalf of the application."""
        self.put((bucket, key), StoredObject(body, etag or digest(body), row=row))

    def put(self, place: tuple[str, str], stored: StoredObject) -> None:
        """Store an object, whoever asks for it."""
        bucket, key = place
        before = self.objects.get(place)
        if stored.by_tool:
            self.writes += 1
            self.hold(bucket == "production", f"the tool wrote {place}")
            if before is not None and not before.by_tool and before.body != stored.body:
                self.hold(not self.scenario.guarded, f"the application's object {key} was replaced")
                self.lost[key] = before
                self.ever_lost.add(key)
            else:
                self.hold(not self.scenario.guarded or before is None, f"{key} was replaced")
        else:
            self.lost.pop(key, None)
        self.objects[place] = stored
        self.versions.setdefault(place, []).insert(0, stored)
        name = key.partition("/")[2]
        if bucket == "legacy":
            self._legacy_bodies.setdefault(name, set()).add(stored.body)
        production = self.objects.get(("production", f"avatar/{name}"))
        if production and production.body in self._legacy_bodies.get(name, ()):
            self._was_equal.add(f"avatar/{name}")

    # -- rows

    def trigger_on(self, key: int, path: str) -> str:
        """Return what a trigger does to a row that is set to a path, or an empty text."""
        return self.triggers.get(key, "") if path.startswith("avatar/") else ""

    def set_row(self, key: int, path: str) -> None:
        """Set or insert a row on behalf of the application."""
        self.trace.append(f"application: row {key} = {path}")
        self.rows[key] = self.intended[key] = path

    def flip(self, changes: dict[int, str]) -> None:
        """Commit what the tool updated."""
        self.trace.append(f"committed: {changes}")
        for key, path in changes.items():
            self.writes += 1
            self.rows[key] = path
            self.flipped.add((key, path))
            there = path in self._was_equal or ("legacy", path) in self.objects
            self.hold(there, f"row {key} was flipped to {path}, which never held the legacy object")
        self.check()

    # -- promises

    def hold(self, promise: bool, otherwise: str) -> None:
        """Raise ``Violation`` where a promise does not hold."""
        if not promise:
            self.trace.append(f"VIOLATION {otherwise}")
            self.violated = self.violated or otherwise  # whoever swallows the exception
            raise Violation(otherwise)

    def check(self) -> None:
        """See that every row points at an object, and that each holds what it may hold."""
        self.hold(self.rows.keys() == self.intended.keys(), "a row came or went")
        for key, path in self.rows.items():
            bucket = "legacy" if path.startswith("image/") else "production"
            there = (bucket, path) in self.objects or path in self._gone_from_start
            self.hold(there, f"row {key} points at {path}, which is not there")
            intended = self.intended[key]
            if path != intended:
                ours = intended.startswith("image/") and path == production_path(intended)
                self.hold(
                    ours or self._back(key, path, intended),
                    f"row {key} was set to {path}, but the application set it to {intended}",
                )
                self.hold((key, intended, path) in self.on_record, f"the flip of row {key} is not on record")

    def _back(self, key: int, path: str, intended: str) -> bool:
        """Whether a row may have been set back to this path although the application had set it itself.

        What it sets to the very path that we had set is no change that a rollback could see; nor is a flip that was
        put on record by a run which did not live to learn what became of it. And a run has one word on each row: what
        it said of a flip to another path before that is forgotten.
        """
        if (key, intended) in self.no_more_denied:
            return path == f"image/{intended.partition('/')[2]}"
        recorded = not self.undisturbed and (key, path, intended) in self.on_record
        return path == f"image/{intended.partition('/')[2]}" and ((key, intended) in self.updated or recorded)

    def check_end(self) -> None:
        """See that only what cannot be migrated is left, and that what a copy replaced was reported."""
        for key, path in self.rows.items():
            legacy = self.objects.get(("legacy", path))
            if path.startswith("image/") and legacy is not None and key not in self.triggers:
                production = self.objects.get(("production", production_path(path)))
                taken = production is not None and production.body != legacy.body
                self.hold(taken and not self.scenario.overwrite, f"row {key} was left at {path}")
        if self.scenario.overwrite:
            return
        for path, lost in self.lost.items():
            row = lost.row
            # where the tool had set the row the same way before the application did, nothing tells the two apart
            by_its_row = (
                row is not None and self.rows.get(row) == path and (row, path) not in self.flipped | self.looked_at
            )
            by_its_version = self.scenario.keeps_versions and self.undisturbed
            # a killed run may not have put on record what it had copied, so that it is compared with the legacy object
            changed = not self.undisturbed and len(self._legacy_bodies.get(path.partition("/")[2], ())) > 1
            noticeable = (by_its_row and not changed) or by_its_version
            self.hold(not noticeable or path in self.reported, f"{path} of row {row} was replaced and not reported")
        for path in self.asserted:
            # nor can anything be said where there is no legacy object to compare it with
            unknowable = ("legacy", f"image/{path.partition('/')[2]}") not in self.objects
            self.hold(path in self.ever_lost or unknowable, f"{path} was reported as overwritten, and was not")

    def check_back(self) -> None:
        """See that every row that the tool had flipped is back where its legacy object is there."""
        for key, path in self.rows.items():
            back = (
                path == self.intended[key]
                or path.startswith("image/")
                or ("legacy", self.intended[key]) not in self.objects
            )
            self.hold(back, f"row {key} was not set back from {path} to {self.intended[key]}")

    def _populate(self) -> None:
        for key in range(1, self.rng.randint(2, 9)):
            name = self.new_name()
            body = self.new_body()
            kind = self.rng.random()
            etag = f"{md5(body, usedforsecurity=False).hexdigest()}-1" if self.rng.random() < 0.2 else digest(body)
            if kind < 0.1:
                self._gone_from_start.add(f"image/{name}")
            else:
                self.store("legacy", f"image/{name}", body, etag=etag)
            if 0.1 <= kind < 0.2:
                self.store("production", f"avatar/{name}", body)
            elif 0.2 <= kind < 0.3:
                self.store("production", f"avatar/{name}", self.new_body()[::-1])
            shared = self.rows and self.rng.random() < 0.15
            self.rows[key] = self.rng.choice(list(self.rows.values())) if shared else f"image/{name}"
            if self.rng.random() < 0.1:
                self.triggers[key] = self.rng.choice(TRIGGERS if self.scenario.fires_after_update else TRIGGERS[:3])
        self.intended = dict(self.rows)


def production_path(legacy_path: str) -> str:
    """Return the path that a row gets."""
    return MAPPING.move(Reference(0, legacy_path)).new_path


def digest(body: bytes) -> str:
    """Return the ETag of an object that was put whole."""
    return md5(body, usedforsecurity=False).hexdigest()
