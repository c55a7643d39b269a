"""An application that lives on while its table is migrated, and knows at each moment what has to be there."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from tests.fault.promises import LEGACY, PRODUCTION, Before, digests, production_path

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from tests.fault.promises import World

PAUSE_SECONDS = 0.02
TRANSACTION_ROWS = 6
LONGEST_HOLD_SECONDS = 2.0
MOST_LEGACY_AVATARS = 40
"""In a round: a run ends only when nobody makes legacy rows any more."""

STALE_ROWS = 8

_UPSERT = "INSERT INTO avatars VALUES (%s, %s, 'user') ON CONFLICT (id) DO UPDATE SET path = excluded.path"
_OWNER = "UPDATE avatars SET owner = %s WHERE id = %s"


class Live:
    """Acts at random, one act after the other, in a thread of its own. Use as a context manager.

    It writes as applications do: an object first, under a new name, then its row. It sets another column, also of
    several rows in one transaction and in either order, and holds rows for a while. An error ends it, a deadlock
    included, and is raised in ``paused``.
    """

    def __init__(self, world: World, dice: random.Random) -> None:
        self.writes = 0
        self.holds = 0
        self.makes_legacy_rows = True
        self._world = world
        self._dice = dice
        self._rows = dict(world.before.rows)
        self._legacy, self._production = dict(world.before.legacy), dict(world.before.production)
        self._stale: frozenset[str] = frozenset()
        self._untouched: frozenset[int] = frozenset()
        self._held: frozenset[int] = frozenset()
        self._held_until = 0.0
        self._numbers = itertools.count(1)
        self._new_keys = itertools.count(1000)
        self._legacy_avatars = 0
        self._acting = threading.Lock()
        self._over = threading.Event()
        self._error: Exception | None = None
        self._connection, self._holding = world.database.connect(), world.database.connect()
        self._thread = threading.Thread(target=self._live, name="application", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()
        self._holding.close()

    @contextmanager
    def paused(self) -> Iterator[World]:
        """Let it do nothing for the length of the block; give the world as it left it. It holds no row then."""
        with self._acting:
            if self._error is not None:
                raise self._error
            self._release()
            before = Before(dict(self._rows), dict(self._legacy), dict(self._production), self._stale)
            yield replace(self._world, before=before)

    def replace_legacy_objects(self) -> None:
        """Store other bytes under the legacy keys of some rows that are migrated: there is something to repair."""
        with self.paused() as world:
            now = world.database.paths()  # it may have made legacy rows since the migration
            legacy_paths = {
                row: path for row, path in world.before.legacy_paths.items() if now[row] == production_path(path)
            }
            chosen = self._dice.sample(sorted(legacy_paths), STALE_ROWS)
            bodies = {legacy_paths[row]: f"changed avatar of row {row}".encode() for row in chosen}
            for row in chosen:
                path = legacy_paths[row]
                self._rows[row] = (production_path(path), self._rows[row][1])
                self._production[production_path(path)] = self._legacy[path]
            world.store.put_all(world.store.legacy_bucket, bodies)
            self._legacy |= digests(bodies)
            self._stale = frozenset(map(production_path, bodies))
            self._untouched = frozenset(chosen)

    def _live(self) -> None:
        acts: list[Callable[[], None]] = [
            *(self._new_avatar, self._new_avatar, self._old_avatar, self._delete),
            *(self._set_owner, self._set_owner, self._set_owners, self._set_owners, self._hold),
        ]
        while not self._over.wait(PAUSE_SECONDS):
            with self._acting:
                try:
                    if self._held and time.monotonic() > self._held_until:
                        self._release()
                    self._dice.choice(acts)()
                except Exception as error:  # noqa: BLE001 # raised in ``paused``, in the thread of who looks
                    self._error = error
                    return

    def _choose(self, count: int) -> list[int]:
        """Choose rows that are there and that this application does not hold itself, in either order."""
        free = sorted(self._rows.keys() - self._held - self._untouched)
        first = self._dice.randrange(len(free) - count)
        rows = free[first : first + count]
        return rows if self._dice.random() < 1 / 2 else rows[::-1]

    def _choose_or_make(self) -> int:
        return next(self._new_keys) if self._dice.random() < 1 / 3 else self._choose(1)[0]

    def _new_avatar(self) -> None:
        """Store a new avatar as the new version does, under a production key."""
        path = f"{PRODUCTION}new-{next(self._numbers)}.png"
        body = {path: f"avatar {path} of the application".encode()}
        self._world.store.put_all(self._world.store.production_bucket, body)
        self._production |= digests(body)
        self._set_path(path)

    def _old_avatar(self) -> None:
        """Store a new avatar as an old version does, under a legacy key."""
        if not self.makes_legacy_rows or self._legacy_avatars >= MOST_LEGACY_AVATARS:
            return
        self._legacy_avatars += 1
        path = f"{LEGACY}old-{next(self._numbers)}.png"
        body = {path: f"avatar {path} of the application".encode()}
        self._world.store.put_all(self._world.store.legacy_bucket, body)
        self._legacy |= digests(body)
        self._set_path(path)

    def _set_path(self, path: str) -> None:
        row = self._choose_or_make()
        self._connection.execute(_UPSERT, [row, path])
        self._rows[row] = (path, self._rows.get(row, ("", "user"))[1])
        self.writes += 1

    def _delete(self) -> None:
        (row,) = self._choose(1)
        self._connection.execute("DELETE FROM avatars WHERE id = %s", [row])
        del self._rows[row]
        self.writes += 1

    def _set_owner(self) -> None:
        self._set_owners(1)

    def _set_owners(self, count: int = TRANSACTION_ROWS) -> None:
        rows = self._choose(count)
        owner = f"user {next(self._numbers)}"
        with self._connection.transaction():
            for row in rows:
                self._connection.execute(_OWNER, [owner, row])
        self._rows |= {row: (self._rows[row][0], owner) for row in rows}
        self.writes += count

    def _hold(self) -> None:
        if self._held:
            return
        rows = self._choose(self._dice.randint(1, TRANSACTION_ROWS))
        self._holding.execute("BEGIN")
        self._holding.execute("SELECT FROM avatars WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [rows])
        self._held, self.holds = frozenset(rows), self.holds + len(rows)
        self._held_until = time.monotonic() + self._dice.uniform(0, LONGEST_HOLD_SECONDS)

    def _release(self) -> None:
        if self._held:
            self._holding.execute("ROLLBACK")
            self._held = frozenset()
