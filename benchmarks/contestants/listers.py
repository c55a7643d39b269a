"""Who lists: ``python -m benchmarks.contestants.listers WHO ENDPOINT KEYS`` prints what it took as JSON.

``boto3`` with its paginator; ``serial``, our client page by page; ``ranges``, as status, plan and verify list, cut
where the planner's statistics of an evenly filled table would cut. The imports are no part of the time.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import TYPE_CHECKING

import boto3
import uvloop
from botocore.config import Config

from benchmarks import objects
from sketchmigrate.inspect.listing.complete import Extent, list_all
from sketchmigrate.s3 import CredentialSource, ListedObjects, S3Client, S3Config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RANGES = 32
"""So many ranges the statistics cut, for the eight that are listed at once."""


def by_boto3(endpoint_url: str, _keys: int) -> int:
    """List with boto3, and look at what verify needs of each object."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106 # the responder does not ask
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=objects.LEGACY_BUCKET, Prefix=objects.LEGACY_PREFIX)
    return sum(bool(each["Key"] and each["Size"] and each["ETag"]) for page in pages for each in page["Contents"])


async def serial(store: S3Client, _keys: int) -> int:
    """List page by page."""
    found = Extent()
    async for page in store.list_pages(objects.LEGACY_BUCKET, objects.LEGACY_PREFIX):
        await found.take(ListedObjects.of(page.objects))
    return found.objects


async def ranges(store: S3Client, keys: int) -> int:
    """List in ranges."""
    found = Extent()
    step = keys // RANGES
    cuts = [objects.LEGACY_PREFIX + objects.name(number) for number in range(step, keys, step)]
    await list_all(store, objects.LEGACY_BUCKET, objects.LEGACY_PREFIX, found, cuts=cuts, expected=keys)
    return found.objects


def by_ours(how: Callable[[S3Client, int], Awaitable[int]]) -> Callable[[str, int], int]:
    """List with our client."""

    async def listed(endpoint_url: str, keys: int) -> int:
        config = S3Config(endpoint_url=endpoint_url)
        async with S3Client(config, CredentialSource.static("any", "any")) as store:
            return await how(store, keys)

    return lambda endpoint_url, keys: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(listed(endpoint_url, keys))


LISTERS: dict[str, Callable[[str, int], int]] = {
    "boto3": by_boto3,
    "serial": by_ours(serial),
    "ranges": by_ours(ranges),
}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(who: str, endpoint_url: str, keys: int) -> None:
    """List, and print how many keys were found, in how many seconds, with how much CPU time."""
    cpu_before, began = _cpu_seconds(), time.perf_counter()
    found = LISTERS[who](endpoint_url, keys)
    took = {"keys": found, "seconds": time.perf_counter() - began, "cpu_seconds": _cpu_seconds() - cpu_before}
    json.dump(took, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
