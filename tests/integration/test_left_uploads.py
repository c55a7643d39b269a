"""Uploads that runs have left open, between runs: which are taken over, which are aborted, and which are left alone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.core.rule import SideName
from sketchmigrate.ledger import OpenUpload, new_ledger, place_of
from sketchmigrate.ledger.sqlite.lock import LOCK_NAME, hold_run
from sketchmigrate.migration.record import description
from sketchmigrate.migration.uploads import LeftUploads
from sketchmigrate.sides import Side
from tests.integration.test_streaming import client_of, uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.settings import Settings
    from tests.servers.stores import Store

KEY = "avatar/large.bin"


def begin(store: Store) -> OpenUpload:
    """Begin an upload in the store; return it as a ledger has it."""
    where = {"Bucket": store.production_bucket, "Key": KEY}
    begun = store.client.create_multipart_upload(**where)
    return OpenUpload(store.production_bucket, KEY, begun["UploadId"], "etag", 5, "digest")


def open_ids(store: Store) -> set[str]:
    return {each["UploadId"] for each in uploads(store)}


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@asynccontextmanager
async def run(settings: Settings, store: Store, directory: Path) -> AsyncIterator[tuple[WholeLedger, LeftUploads]]:
    """Be a run that goes on, with this directory."""
    about, stopping = description(settings, "migrate"), asyncio.Event()
    with hold_run(made(directory)):
        async with client_of(store) as client, new_ledger(directory, settings, about, stopping) as ledger:
            side = Side(SideName.PRODUCTION, client, store.production_bucket, "avatar/", store.endpoint_url)
            yield ledger, LeftUploads(settings, directory, side, ledger, lambda _text, _level: None)


async def killed(settings: Settings, store: Store, directory: Path) -> OpenUpload:
    """Leave an upload open, as a run that is over by now."""
    left = begin(store)
    async with run(settings, store, directory) as (ledger, _):
        await ledger.record_upload(left)
    return left


async def test_what_is_left_is_taken_over_and_nothing_of_a_run_that_goes_on(
    settings: Settings, moto_store: Store, tmp_path: Path
) -> None:
    left, own = await killed(settings, moto_store, tmp_path / "1"), begin(moto_store)
    async with run(settings, moto_store, tmp_path / "2") as (ledger, uploads_left):
        await uploads_left.take_over()
        await ledger.record_upload(own)
        async with run(settings, moto_store, tmp_path / "3") as (of_other, others_left):
            await others_left.take_over()
            assert await of_other.claim_upload(*left[:2]) is None
            await others_left.abort()
        assert open_ids(moto_store) == {left.upload_id, own.upload_id}
        assert [await ledger.claim_upload(*left[:2]) for _ in range(2)] == [left, None]


@pytest.mark.parametrize("settings", ["files"], indirect=True)
async def test_those_of_a_run_whose_lock_cannot_be_read_are_left_alone(
    settings: Settings, moto_store: Store, tmp_path: Path
) -> None:
    left = await killed(settings, moto_store, tmp_path / "1")
    lock = tmp_path / "1" / LOCK_NAME
    lock.unlink()
    lock.symlink_to(lock)  # which root cannot read either
    async with run(settings, moto_store, tmp_path / "2") as (ledger, uploads_left):
        await uploads_left.take_over()
        await uploads_left.abort()
        assert await ledger.claim_upload(*left[:2]) is None
    assert open_ids(moto_store) == {left.upload_id}


async def test_two_runs_that_take_over_at_the_same_moment_resume_nothing(
    settings: Settings, moto_store: Store, tmp_path: Path
) -> None:
    """Each sees what the other has written, and the last of them aborts it."""
    left = await killed(settings, moto_store, tmp_path / "1")
    async with run(settings, moto_store, tmp_path / "2") as (ledger, uploads_left):
        async with run(settings, moto_store, tmp_path / "3") as (of_other, _):
            take_over = ledger.take_over_uploads

            async def at_the_same_moment(found: Sequence[OpenUpload]) -> None:
                await of_other.take_over_uploads(found)
                await take_over(found)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ledger, "take_over_uploads", at_the_same_moment)
                await uploads_left.take_over()
            assert await ledger.claim_upload(*left[:2]) is None
            await uploads_left.abort(own=True)
            assert open_ids(moto_store) == {left.upload_id}, "the other run has it on record"
        await uploads_left.abort(own=True)
    assert open_ids(moto_store) == set()


async def test_a_run_aborts_at_its_end_what_its_lost_workers_began(
    settings: Settings, moto_store: Store, tmp_path: Path
) -> None:
    earlier, foreign = await killed(settings, moto_store, tmp_path / "1"), begin(moto_store)
    of_lost, ended = begin(moto_store), begin(moto_store)
    async with run(settings, moto_store, tmp_path / "2") as (_, uploads_left):
        async with place_of(tmp_path / "2", settings).open("w1", asyncio.Event()) as worker:
            await worker.begin_attempt(1, 1, KeyRange(None, 5))
            await worker.record_upload(of_lost)
            await worker.record_upload(ended)
            await worker.record_upload_ended(ended.upload_id)
        await uploads_left.abort(own=True)
        assert open_ids(moto_store) == {earlier.upload_id, foreign.upload_id, ended.upload_id}
        await uploads_left.abort()
    assert open_ids(moto_store) == {foreign.upload_id, ended.upload_id}
    async with run(settings, moto_store, tmp_path / "3") as (ledger, uploads_left):
        await uploads_left.take_over()
        assert await ledger.claim_upload(*earlier[:2]) is None, "it is on record that all have ended"
