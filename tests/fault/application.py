"""An application that lives on while its table is migrated, and an observer who looks whether rows have objects."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.fault.promises import LEGACY, PRODUCTION

if TYPE_CHECKING:
    import threading

    import psycopg

    from tests.fault.promises import World

ROWS = 240
TAKEN = range(41, 51)  # a new avatar under the row's production key, and the row says so: before the tool looks
CONFLICT = range(51, 61)  # the same, but the row does not say so
CHURNED = range(121, ROWS + 1)
UPSERT = "INSERT INTO avatars VALUES (%s, %s, 'user') ON CONFLICT (id) DO UPDATE SET path = excluded.path"


@dataclass
class Application:
    """Writes as applications do: an object first, then the row. It remembers what it wrote."""

    world: World
    connection: psycopg.Connection[tuple[Any, ...]]
    rows: dict[int, str | None] = field(default_factory=dict)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    number: int = 0
    pause_seconds: float = 0.01

    def put(self, bucket: str, key: str) -> None:
        """Store a new avatar."""
        self.number += 1
        body = f"avatar {self.number} of the application".encode()
        self.world.store.put_all(bucket, {key: body})
        self.objects[bucket, key] = body

    def set_path(self, key: int, path: str) -> None:
        """Let a row point at a new avatar; the row may be new."""
        self.connection.execute(UPSERT, [key, path])
        self.rows[key] = path

    def new_avatar(self, key: int) -> None:
        """Store a new avatar as the new version does, under a production key."""
        path = f"{PRODUCTION}new-{key}-{self.number}.png"
        self.put(self.world.store.production_bucket, path)
        self.set_path(key, path)

    def old_avatar(self, key: int) -> None:
        """Store a new avatar as an old version does, under a legacy key."""
        path = f"{LEGACY}old-{key}-{self.number}.png"
        self.put(self.world.store.legacy_bucket, path)
        self.set_path(key, path)

    def delete(self, key: int) -> None:
        """Delete a row; its object stays."""
        self.connection.execute("DELETE FROM avatars WHERE id = %s", [key])
        self.rows[key] = None

    def live(self, stopping: threading.Event) -> None:
        """Change, add and delete rows in no order, until told to stop, with a pause after each.

        Without one it takes the processor from the proxies, which are threads of the same process; and what it writes
        while a test lasts is more work for the tool.
        """
        dice = random.Random(7)
        new_keys = itertools.count(1000)
        while not stopping.wait(self.pause_seconds):
            act = dice.choice([self.new_avatar, self.old_avatar, self.delete])
            key = dice.choice(CHURNED) if act == self.delete or dice.random() < 0.5 else next(new_keys)
            act(key)


def observe(world: World, stopping: threading.Event, *, pause_seconds: float = 0.002) -> int:
    """Pick rows and look for the object that each one names, until told to stop; return how many were found.

    It makes pauses, for the reason that ``Application.live`` has.
    """
    client = world.store.client
    buckets = {LEGACY: world.store.legacy_bucket, PRODUCTION: world.store.production_bucket}
    found = 0
    with world.database.connect() as connection:
        for key in itertools.cycle(range(1, ROWS + 1)):
            if stopping.wait(pause_seconds):
                return found
            path = path_of(connection, key)
            while path is not None:
                try:
                    client.head_object(Bucket=buckets[path.partition("/")[0] + "/"], Key=path)
                    found += 1
                    break
                except ClientError:
                    before, path = path, path_of(connection, key)
                    assert path != before, f"row {key} points at {path}, and nothing is there"
    raise AssertionError


def path_of(connection: psycopg.Connection[tuple[Any, ...]], key: int) -> str | None:
    """Return a row's path; None if there is no such row."""
    row = connection.execute("SELECT path FROM avatars WHERE id = %s", [key]).fetchone()
    return row[0] if row else None
