"""Bare pairs of a GET and a PUT, by the tool's own client: what two stores do at most for objects that are streamed.

``python -m benchmarks.pairs ORDER`` carries out a pickled ``PairOrder`` in a process of its own and prints what it took
as JSON.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks import objects
from benchmarks.generator import cpu_seconds
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config

if TYPE_CHECKING:
    from tests.servers.stores import StoreServer


@dataclass(frozen=True, slots=True)
class PairOrder:
    """Read the objects 1 to ``count`` from one server and put each to the other; so many ``at_once``."""

    legacy: StoreServer
    production: StoreServer
    bucket: str
    count: int
    at_once: int


async def _carry_out(order: PairOrder) -> dict[str, object]:
    began, cpu_before = time.perf_counter(), cpu_seconds()
    numbers = iter(range(1, order.count + 1))
    async with _client(order.legacy) as legacy, _client(order.production) as production:

        async def work() -> None:
            for number in numbers:
                name = objects.name(number)
                source = Location(objects.LEGACY_BUCKET, objects.LEGACY_PREFIX + name)
                _, body = await legacy.read_beginning(source, objects.SIZE_BYTES)
                await production.put(Location(order.bucket, objects.PRODUCTION_PREFIX + name), body)

        await asyncio.gather(*(work() for _ in range(order.at_once)))
    seconds, used = time.perf_counter() - began, cpu_seconds() - cpu_before
    return {"seconds": seconds, "cpu_seconds": used, "succeeded": order.count, "failed": 0, "example": ""}


def _client(server: StoreServer) -> S3Client:
    keys = CredentialSource.static(server.access_key, server.secret_key)
    return S3Client(S3Config(endpoint_url=server.endpoint_url), keys)


if __name__ == "__main__":
    json.dump(uvloop.run(_carry_out(pickle.loads(Path(sys.argv[1]).read_bytes()))), sys.stdout)  # noqa: S301 # our own
