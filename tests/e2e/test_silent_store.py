"""A store that does not answer: said while it lasts, in every command, without a time that is left."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site, counts
from tests.servers import s3_faults as faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.stores import fresh_buckets
from tests.tool import finish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.databases import Databases
    from tests.servers.stores import StoreServer


@pytest.fixture
def another_site(databases: Databases, rclone: StoreServer, tmp_path: Path) -> Iterator[Site]:
    """A second site, where a run waits while one waits at the first."""
    folder = tmp_path / "another"
    folder.mkdir()
    with databases.fresh() as database, fresh_buckets(rclone) as store:
        yield Site(database, store, folder)


def test_a_silent_store_is_named_and_so_is_its_return_and_a_pause_that_it_asks_for_is_no_silence(
    site: Site, another_site: Site
) -> None:
    """The one that asks for a pause is what limits."""
    site.fill([f"image/{number}.png" for number in range(20)])
    another_site.fill(["image/1.png"])
    with S3FaultProxy(site.store.endpoint_url) as silent, S3FaultProxy(another_site.store.endpoint_url) as busy:
        mine = site.at(store=site.store.via(silent.endpoint_url))
        silent.on(faults.stall(16), operation="copy", times=20)
        # the first listings are those of the checks before
        silent.on(faults.stall(16), operation="list", when=lambda request: "max-keys=1000" in request.target, times=2)
        busy.on(faults.status(503, retry_after="16"), operation="copy", times=1)
        pausing = another_site.at(store=another_site.store.via(busy.endpoint_url)).start("-yw")
        running, looking = mine.start("-yw"), mine.start("-s")
        paused, *seen = [finish(process) for process in (pausing, running, looking)]
    assert silent.hits["stall"] == 22
    assert (seen[0].code, seen[0].counts) == (0, counts(migrated=20, copied=20)), seen[0]
    assert seen[1].code == 0, seen[1]
    for done in seen:
        assert "Warning: The store has not answered for 10 s" in done.err, done
        assert "; the store has not answered for" in done.err, done
        assert "Warning: The store answers again, after" in done.err, done
        assert "0:00 left" not in done.err
    assert (paused.code, paused.counts) == (0, counts(migrated=1, copied=1)), paused
    assert "it asks to wait 16 s" in paused.err
    assert "answer" not in paused.err, paused
    assert set(re.findall("limit: (.*)", paused.err)) == {"s3 (503)"}, paused


def test_every_command_says_it_of_the_first_request_on(site: Site) -> None:
    commands = ("-s", "-d", "plan", "verify", "manifest", "repair -y", "probe", "rollback -d --all runs")
    site.fill([f"image/{number}.png" for number in range(4)])
    assert site.run("-yw").code == 0
    assert site.run("verify").code == 0
    with ExitStack() as opened:
        proxies = [opened.enter_context(S3FaultProxy(site.store.endpoint_url)) for _ in commands]
        for proxy in proxies:
            proxy.on(faults.stall(12), times=1)
        running = [
            site.at(store=site.store.via(proxy.endpoint_url)).start(command)
            for command, proxy in zip(commands, proxies, strict=True)
        ]
        seen = dict(zip(commands, [finish(process) for process in running], strict=True))
    assert [proxy.hits["stall"] for proxy in proxies] == [1] * len(commands)
    for command, done in seen.items():
        assert "Warning: The store has not answered for 10 s; requests under way: " in done.err, (command, done)
        assert "Warning: The store answers again, after 1" in done.err, (command, done)
