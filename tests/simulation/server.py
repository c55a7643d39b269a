"""What of the database outlives its connections: transactions under way, the locks they hold, triggers on rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World

TRIGGERS = ("refuses", "holds back", "stores otherwise", "stores otherwise afterwards")
"""What a trigger does to a row whose path is set to a production path. The last one fires at the transaction's end."""


def otherwise(path: str) -> str:
    """Return what a trigger makes of a path."""
    return f"{path}~"


@dataclass(slots=True)
class Transaction:
    """One of ours. ``number`` is there once it was asked for; from then on its fate is known."""

    world: World
    lock_seconds: float
    number: int | None = None
    changes: dict[int, str] = field(default_factory=dict)
    has_failed: bool = False
    _locked: set[int] = field(default_factory=set)
    _to_fire: set[int] = field(default_factory=set)

    def give_number(self) -> int:
        """Return its number."""
        if self.number is None:
            self.number = len(self.world.transactions) + 1
            self.world.transactions[self.number] = "in progress"
        return self.number

    def lock(self, key: int) -> None:
        """Lock a row until the end."""
        self._locked.add(key)
        self.world.locked_by[key] = self

    def set(self, key: int, path: str) -> str | None:
        """Set a row that is locked; return what it holds then, or None where a trigger left it as it was."""
        trigger = self.world.trigger_on(key, path)
        if trigger:
            self.world.happened[trigger] += 1
        if trigger == "holds back":
            return None
        if trigger == "stores otherwise afterwards":
            self._to_fire.add(key)
        self.changes[key] = otherwise(path) if trigger == "stores otherwise" else path
        self.world.updated.add((key, path))
        return self.changes[key]

    def fire_triggers(self) -> None:
        """Let those do their work that waited for it."""
        for key in self._to_fire:
            self.changes[key] = otherwise(self.changes[key])
        self._to_fire.clear()

    def commit(self) -> None:
        """Make the changes, and free the rows."""
        self.fire_triggers()
        self._end("committed")
        if self.changes:
            self.world.flip(self.changes)

    def roll_back(self) -> None:
        """Free the rows."""
        self._end("aborted")

    def _end(self, fate: str) -> None:
        if self.number is not None:
            self.world.transactions[self.number] = fate
        for key in self._locked:
            del self.world.locked_by[key]
