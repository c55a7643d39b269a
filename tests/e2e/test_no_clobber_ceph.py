"""On Ceph, which ignores the condition on CopyObject, a live application loses nothing, with the default settings."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site
from tests.tool import finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store

AVATARS = 1000
AT_LEAST = 50
"""Objects that the application has to store while the tool runs, for the test to mean something."""


@dataclass(slots=True)
class Application:
    """Stores new avatars under the production keys of rows in random order, then sets the row, as it always did."""

    site: Site
    seed: int
    stored: dict[str, bytes] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Go on until it is told to stop, or every avatar is new."""
        numbers = list(range(1, AVATARS + 1))
        random.Random(self.seed).shuffle(numbers)
        client, bucket = self.site.store.server.client(), self.site.store.production_bucket
        with self.site.database.connect() as connection:
            for number in numbers:
                if self.stop.is_set():
                    return
                key, body = f"avatar/avatar-{number}.png", f"new picture {number}, seed {self.seed}".encode()
                client.put_object(Bucket=bucket, Key=key, Body=body)
                self.stored[key] = body
                connection.execute("UPDATE avatars SET path = %s WHERE id = %s", (key, number))


@pytest.mark.ceph
def test_a_thousand_avatars_under_an_application_that_stores_new_ones(
    database: Database, ceph_store: Store, tmp_path: Path
) -> None:
    site = Site(database, ceph_store, tmp_path)
    legacy = {f"image/avatar-{number}.png": f"old picture {number}".encode() for number in range(1, AVATARS + 1)}
    database.create_avatars(list(legacy))
    with ThreadPoolExecutor(4) as pool:
        parts = [dict(list(legacy.items())[first::4]) for first in range(4)]
        list(pool.map(lambda part: ceph_store.put_all(ceph_store.legacy_bucket, part), parts))
    application = Application(site, seed=20261122)
    process = site.start("-y --json -b 50 -p 2")
    thread = threading.Thread(target=application.work)
    thread.start()
    try:
        done = finish(process, timeout_seconds=200)
    finally:
        application.stop.set()
        thread.join()
    document = json.loads(done.out)
    assert document["no_clobber"] == "conditional-put", done.err
    assert document["possibly_overwritten"] == 0
    assert len(application.stored) >= AT_LEAST
    assert sum(document["outcomes"].values()) == document["scanned"]
    assert document["outcomes"]["missing"] == document["outcomes"]["failed"] == 0
    # what the application stored is there, each and every one; and what it did not store is the legacy object
    expected = {path.replace("image/", "avatar/"): body for path, body in legacy.items()} | application.stored
    found = ceph_store.bodies(ceph_store.production_bucket)
    assert [key for key, body in application.stored.items() if found[key] != body] == []
    assert found == expected
    # and nothing is left for a second run
    again = json.loads(site.run("-y --json").out)
    assert (again["exit_code"], again["scanned"]) == (0, 0)
    assert set(database.paths().values()) == set(expected)
