"""Closer looks at single references: at what the listings made suspicious, and at the bytes where that is asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sketch_migrate.errors import MigrateError, ObjectMissing, PreconditionFailed
from sketch_migrate.model import Location
from sketch_migrate.postgres.extract import current_paths
from sketch_migrate.reconcile.standing import SUSPECTS, Standing, standing_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sketch_migrate.model import ObjectInfo
    from sketch_migrate.postgres.connection import Connection, Database, Session
    from sketch_migrate.postgres.references import Table
    from sketch_migrate.reconcile.evidence import Evidence, EvidenceSite
    from sketch_migrate.s3 import S3Client

MOST_SECOND_LOOKS = 100_000
"""Where more than that looks wrong, it is not the application's doing, and a person need not wait for an hour."""

LOOKS_AT_ONCE = 500
STREAMS = 12
PIECE_BYTES = 4 * 2**20
"""Objects are hashed in pieces of this size: with both sides of so many streams it takes 96 MB."""


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at single rows and objects of a site. ``count`` is told what is looked at and how many so far."""

    evidence: Evidence
    site: EvidenceSite
    database: Database
    table: Table
    store: S3Client
    count: Callable[[str, int], None]

    async def second_look(self) -> int:
        """Judge the suspects anew by their rows and objects as they are now; return how many were looked at."""
        question = "SELECT key, path, side, tail, standing FROM verdict WHERE list_contains(?, standing) LIMIT ?"
        done = 0
        async with self.database.session() as session:
            async for rows in self.evidence.stream(
                question, [[suspect.value for suspect in SUSPECTS], MOST_SECOND_LOOKS]
            ):
                for first in range(0, len(rows), LOOKS_AT_ONCE):
                    suspects = rows[first : first + LOOKS_AT_ONCE]
                    paths = await self._paths(session, [key for key, *_ in suspects])
                    looks = await _all([self._judge(suspect, paths.get(suspect[0])) for suspect in suspects])
                    await self.evidence.insert("look", looks)
                    done += len(suspects)
                    self.count("second looks", done)
        await self.evidence.script("look")
        return done

    async def compare_bytes(self, percent: float) -> int:
        """Hash both objects of so many percent of the migrated references, and return how many those were.

        Which they are depends on the key alone, so that the same ones are taken each time.
        """
        question = (
            "SELECT key, tail, legacy_bytes, legacy_etag, production_etag FROM verdict"
            " WHERE standing IN ('equal', 'same size') AND hash(tail) % 1000000 < ?"
        )
        done = 0
        free = asyncio.Semaphore(STREAMS)
        async for rows in self.evidence.stream(question, [round(percent * 10_000)]):
            for first in range(0, len(rows), LOOKS_AT_ONCE):
                pairs = rows[first : first + LOOKS_AT_ONCE]
                await self.evidence.insert("look", await _all([self._compare(pair, free) for pair in pairs]))
                done += len(pairs)
                self.count("objects compared", done)
        await self.evidence.script("look")
        return done

    async def _paths(self, session: Session, keys: list[str]) -> dict[str, str | None]:
        async def read(connection: Connection) -> dict[str, str | None]:
            return await current_paths(connection, self.table, keys)

        return await session.run(read, doing="looking at references once more")

    async def _judge(self, suspect: tuple[Any, ...], path_now: str | None) -> tuple[Any, ...]:
        key, path, side, tail, standing = suspect
        if path_now != path:
            return key, Standing.CHANGED.value, "", None, None, None, None
        source, target = self._both(tail)
        legacy, production = await self._head(source), await self._head(target)
        now, proof = standing_of(side, legacy, production, was=Standing(standing))
        return (key, now.value, proof, *_seen(legacy), *_seen(production))

    async def _compare(self, pair: tuple[Any, ...], free: asyncio.Semaphore) -> tuple[Any, ...]:
        key, tail, size_bytes, legacy_etag, production_etag = pair
        source, target = self._both(tail)
        async with free:
            try:
                same = await self._hash(source, size_bytes, legacy_etag) == await self._hash(
                    target, size_bytes, production_etag
                )
            except (ObjectMissing, PreconditionFailed):
                return key, Standing.CHANGED.value, "", None, None, None, None
        now = Standing.EQUAL if same else Standing.DIFFERENT
        return key, now.value, "bytes" if same else "", size_bytes, legacy_etag, size_bytes, production_etag

    async def _hash(self, location: Location, size_bytes: int, etag: str) -> bytes:
        hashed = sha256()
        for first in range(0, size_bytes, PIECE_BYTES):
            last = min(first + PIECE_BYTES, size_bytes) - 1
            hashed.update(await self.store.get(location, first, last, if_match=etag))
        return hashed.digest()

    async def _head(self, location: Location) -> ObjectInfo | None:
        try:
            return await self.store.head(location)
        except ObjectMissing:
            return None

    def _both(self, tail: str) -> tuple[Location, Location]:
        return (
            Location(self.site.legacy_bucket, self.site.legacy_prefix + tail),
            Location(self.site.production_bucket, self.site.production_prefix + tail),
        )


def _seen(info: ObjectInfo | None) -> tuple[int | None, str | None]:
    return (info.size_bytes, info.etag) if info else (None, None)


async def _all(works: Sequence[Awaitable[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """Await all of them side by side; the first error ends the others. The client bounds the requests in flight."""

    async def one(work: Awaitable[tuple[Any, ...]]) -> tuple[Any, ...]:
        return await work

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(work)) for work in works]
    except* MigrateError as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
