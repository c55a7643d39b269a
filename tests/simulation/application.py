"""The application that stays live: it stores an object before the row that names it, and never uses a name again.

Now and then it holds a row for a while, in a transaction that may set it at its end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.simulation.world import production_path

HOLD_SECONDS = (0.05, 0.5, 5, 40, 300)
"""Some are shorter than the tool waits for a row alone, some longer than it waits at all."""

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.world import World


class Application:
    """Does one thing at a time; ``act`` until nothing is left to do."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._actions_left = world.rng.choice((0, 2, 6, 12))
        self._stored: list[tuple[int, str]] = []  # rows that are still to be set to objects that are stored
        self._next_key = 100

    def act(self) -> None:
        """Do something, if there is still something to do."""
        if self._stored and self._rng.random() < 0.5:
            self._set_row(*self._stored.pop(self._rng.randrange(len(self._stored))))
        elif self._actions_left:
            self._actions_left -= 1
            rows = [key for key in self._world.rows if key not in self._world.locked_by]
            deeds: list[Callable[[int], None]] = [self._insert]
            if rows:
                deeds += [self._replace, self._replace, self._change, self._delete, self._hold, self._hold]
            self._rng.choice(deeds)(self._rng.choice(rows) if rows else 0)

    def finish(self) -> None:
        """Set the rows of all objects that are stored, and do nothing more."""
        self._actions_left = 0
        while self._stored:
            self._set_row(*self._stored.pop())

    def _set_row(self, key: int, path: str) -> None:
        if key in self._world.locked_by:
            self._stored.append((key, path))  # the database makes it wait
        elif key in self._world.rows or key >= self._next_key:
            self._next_key = max(self._next_key, key + 1)
            self._world.set_row(key, path)

    def _hold(self, key: int) -> None:
        """A transaction that takes its time: a lock, and perhaps an UPDATE at its end."""
        seconds = self._rng.choice(HOLD_SECONDS)
        self._world.trace.append(f"application: holds row {key} for {seconds} s")
        self._world.happened["the application holds a row"] += 1
        self._world.locked_by[key] = self
        asyncio.get_running_loop().call_later(seconds, self._let_go, key)

    def _let_go(self, key: int) -> None:
        del self._world.locked_by[key]
        self._world.trace.append(f"application: lets go of row {key}")
        mine = [stored for stored in self._stored if stored[0] == key]
        if mine and self._rng.random() < 0.5:
            self._stored.remove(mine[0])
            self._set_row(*mine[0])
            self._world.check()

    def _insert(self, _: int) -> None:
        """A new user, by an old version of the application or by a new one."""
        side = self._rng.choice(("image/", "avatar/"))
        key = self._next_key + len(self._stored)
        self._store(key, side + self._world.new_name())

    def _replace(self, key: int) -> None:
        """A new picture: mostly under the name that ours gets."""
        path = self._world.rows[key]
        if path.startswith("image/") and self._rng.random() < 0.7:
            self._store(key, production_path(path))
        else:
            self._store(key, self._rng.choice(("image/", "avatar/")) + self._world.new_name())

    def _store(self, key: int, path: str) -> None:
        bucket = "legacy" if path.startswith("image/") else "production"
        self._world.trace.append(f"application: stores {path} for row {key}")
        self._world.store(bucket, path, self._world.new_body(), row=key)
        self._stored.append((key, path))

    def _change(self, key: int) -> None:
        """A new picture in the place of the old one."""
        path = self._world.rows[key]
        bucket = "legacy" if path.startswith("image/") else "production"
        if (bucket, path) in self._world.objects:
            self._world.trace.append(f"application: changes {path} of row {key}")
            self._world.store(bucket, path, self._world.new_body(), row=key)

    def _delete(self, key: int) -> None:
        """A user is gone, and a legacy object that no other row names as well."""
        path = self._world.rows.pop(key)
        del self._world.intended[key]
        self._world.trace.append(f"application: deletes row {key} of {path}")
        named = {*self._world.rows.values(), *(path for _, path in self._stored)}
        if path.startswith("image/") and path not in named and self._rng.random() < 0.5:
            self._world.objects.pop(("legacy", path), None)
