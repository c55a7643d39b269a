"""Which condition keeps a repair from replacing what is not ours, tried on every store; nothing stays behind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.guard import PUT_LIMIT_BYTES, Guard, SettledGuard, find_guard
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.s3.probe.folder import PROBE_FOLDER, ProbeFolder
from tests.proved import keep_races
from tests.servers.condition_proxy import CompletesIfMatch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stores import Store

EXPECTED = {"rclone": Guard.LOOK, "moto": Guard.PUT, "ceph": Guard.PUT_BARE, "seaweed": Guard.PUT}
NOT_PROVED = "that it holds against a write of the same moment is not proved"


async def find(store: Store, run_dir: Path, *, large: bool = False) -> SettledGuard:
    credentials = CredentialSource.static(store.access_key, store.secret_key)
    async with S3Client(S3Config(endpoint_url=store.endpoint_url), credentials) as client:
        folder = ProbeFolder(client, Location(store.production_bucket, f"avatar/{PROBE_FOLDER}0/"))
        found = await find_guard(folder, str(run_dir), has_lock=False, large=large)
        await folder.clear()
    assert folder.left_behind == []
    assert store.keys(store.production_bucket) == []
    return found


async def test_each_store_is_found_out(store: Store, tmp_path: Path) -> None:
    """SeaweedFS's condition on copies loses races, so its next one is taken; Ceph 16 has none that loses none."""
    if store.name == "moto":  # which takes ten seconds for the races
        keep_races(tmp_path, store)
    found = await find(store, tmp_path)
    guard, words = found.guard, found.words
    assert (guard, found.of_large) == (EXPECTED[store.name], Guard.LOOK)
    if store.name == "ceph":
        assert re.fullmatch(
            rf"{guard}; {NOT_PROVED}: \d+ of [\d,]+ objects stored in the same moment w.* replaced", words
        )
    else:
        assert words == guard


async def test_a_store_that_ignores_the_condition_on_complete_is_found_out(store: Store, tmp_path: Path) -> None:
    """As all of these do. SeaweedFS's on copies is taken to be proved here: then nothing else is tried."""
    keep_races(tmp_path, store)
    found = await find(store, tmp_path, large=True)
    copies = store.name == "seaweed"
    small, large = (Guard.COPY, Guard.COPY) if copies else (EXPECTED[store.name], Guard.LOOK)
    assert (found.of(PUT_LIMIT_BYTES), found.of(PUT_LIMIT_BYTES + 1)) == (small, large)
    assert ("those over 8 MiB with a look before each copy" in found.words) is found.guard.puts


async def test_what_is_too_large_to_be_put_has_a_condition_of_its_own(moto_store: Store, tmp_path: Path) -> None:
    with CompletesIfMatch(moto_store) as proxy:
        store = moto_store.via(proxy.endpoint_url)
        keep_races(tmp_path, store)
        found = await find(store, tmp_path, large=True)
        assert (found.of(PUT_LIMIT_BYTES), found.of(PUT_LIMIT_BYTES + 1)) == (Guard.PUT, Guard.PARTS)
        assert "; those over 8 MiB with CompleteMultipartUpload with If-Match" in found.words
        assert (await find(store, tmp_path)).of_large is Guard.LOOK, "what is not needed is not tried"
