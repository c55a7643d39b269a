"""A pool of connections closes whatever happened to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from sketchmigrate.s3.wire.addressing import Origin
from sketchmigrate.s3.wire.pool import Pool

if TYPE_CHECKING:
    from tests.servers.stores import Store

STEPS = range(12)
"""Turns of the event loop until the connection is there, and some."""


@pytest.mark.parametrize("steps", STEPS)
def test_it_closes_after_a_connection_was_cancelled_while_it_was_made(rclone_store: Store, steps: int) -> None:
    host, _, port = rclone_store.endpoint_url.removeprefix("http://").partition(":")

    async def cancel_and_close() -> None:
        pool = Pool(60, lambda: pytest.fail("no TLS here"))
        task = asyncio.create_task(pool.connect(Origin(host, int(port), tls=False)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(pool.close(), 10)

    uvloop.run(cancel_and_close())
