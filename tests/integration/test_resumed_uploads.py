"""An upload that a killed run has left open: what is there and proved is kept, and nothing that is not ours is touched.

What the kill leaves is made here as a run makes it, by the same functions and in a real ledger;
``tests/e2e/test_resuming.py`` kills.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.objects import Location
from sketchmigrate.ledger import SqliteLedger
from sketchmigrate.ledger.sqlite.reader import LedgerFile
from sketchmigrate.migration.uploads import LedgerUploads
from sketchmigrate.s3 import IF_ABSENT
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.headers import kept_headers
from sketchmigrate.s3.streamed_parts import MIB
from sketchmigrate.s3.streamed_uploads import BegunFor, open_upload
from tests.integration.test_streaming import (
    KEY,
    TARGET_KEY,
    arrived,
    body_of,
    client_of,
    put,
    put_in_parts,
    streamer,
    uploads,
)
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sketchmigrate.ledger import OpenUpload
    from tests.servers.stores import Store

PART_BYTES = 5 * MIB
"""As large as the memory."""

WHOLE = body_of(2 * PART_BYTES + 100)
"""Of three parts, where legacy's was not made of any."""

CUT = [PART_BYTES, PART_BYTES, 100]


@pytest.fixture
def legacy(seaweed_store: Store) -> Store:
    return seaweed_store


@pytest.fixture(params=["moto", "rclone", pytest.param("ceph", marks=pytest.mark.ceph)])
def production(request: pytest.FixtureRequest) -> Store:
    chosen: Store = request.getfixturevalue(f"{request.param}_store")
    return chosen


def target_in(production: Store) -> Location:
    return Location(production.production_bucket, TARGET_KEY)


async def leave_open(
    legacy: Store, production: Store, folder: Path, parts: Mapping[int, bytes], part_bytes: int
) -> list[OpenUpload]:
    """Begin the upload and send these parts, as a run that is killed then; return what its ledger has of it."""
    async with (
        client_of(legacy) as one,
        client_of(production) as other,
        SqliteLedger(folder / "killed.sqlite", description={}) as ledger,
    ):
        info = await one.head(Location(legacy.legacy_bucket, KEY))
        headers = kept_headers(info.headers, Keep())
        record = LedgerUploads(ledger)
        opened = await open_upload(
            other, target_in(production), headers, partial(BegunFor, info.etag, part_bytes), record
        )
        for number, body in parts.items():
            await opened.upload.send_part(number, body)
    with LedgerFile(folder / "killed.sqlite") as file:
        begun, ended = file.uploads()
    assert (len(begun), ended) == (1, set())
    return begun


async def resume(legacy: Store, production: Store, folder: Path, left: list[OpenUpload]) -> tuple[str, set[str]]:
    """Stream the object in a run that has taken over what was left; return its ETag, and the uploads that ended."""
    async with SqliteLedger(folder / "next.sqlite", description={}) as ledger:
        await ledger.take_over_uploads(left)
        async with streamer(legacy, production, memory_bytes=PART_BYTES) as one:
            one.uploads = LedgerUploads(ledger)
            result = await one.copy(Location(legacy.legacy_bucket, KEY), target_in(production), IF_ABSENT)
    with LedgerFile(folder / "next.sqlite") as file:
        begun, ended = file.uploads()
    assert {each.upload_id for each in begun} <= ended
    return result.etag, ended


def ranges_read(s3: S3FaultProxy) -> int:
    """Return how many parts were read, besides the beginning."""
    return sum(1 for each in s3.requests if each.operation == "get" and "tagging" not in each.query) - 1


async def test_parts_of_legacys_own_cut_are_neither_read_nor_sent_again(
    legacy: Store, production: Store, tmp_path: Path
) -> None:
    body = put_in_parts(legacy, CUT)
    left = await leave_open(legacy, production, tmp_path, {1: body[:PART_BYTES], 3: body[2 * PART_BYTES :]}, PART_BYTES)
    with S3FaultProxy(production.endpoint_url) as s3, S3FaultProxy(legacy.endpoint_url) as read:
        etag, ended = await resume(legacy.via(read.endpoint_url), production.via(s3.endpoint_url), tmp_path, left)
        assert (s3.count("upload_part"), s3.count("create_multipart_upload"), ranges_read(read)) == (1, 0, 1)
    assert arrived(production)["Body"] == body
    assert ended == {left[0].upload_id}
    if production.name != "rclone":  # it makes no object of parts
        assert etag == legacy.client.head_object(Bucket=legacy.legacy_bucket, Key=KEY)["ETag"].strip('"')


async def test_parts_of_another_cut_are_read_and_not_sent_again(
    legacy: Store, production: Store, tmp_path: Path
) -> None:
    put(legacy, WHOLE)
    parts = {1: WHOLE[:PART_BYTES], 2: WHOLE[PART_BYTES : 2 * PART_BYTES]}
    left = await leave_open(legacy, production, tmp_path, parts, PART_BYTES)
    with S3FaultProxy(production.endpoint_url) as s3, S3FaultProxy(legacy.endpoint_url) as read:
        await resume(legacy.via(read.endpoint_url), production.via(s3.endpoint_url), tmp_path, left)
        assert (s3.count("upload_part"), s3.count("create_multipart_upload"), ranges_read(read)) == (1, 0, 3)
    assert arrived(production)["Body"] == WHOLE


@pytest.mark.parametrize("is_cut_alike", [True, False], ids=["cut alike", "not cut alike"])
async def test_a_bit_flipped_in_a_part_that_is_there_is_caught(
    legacy: Store, moto_store: Store, tmp_path: Path, is_cut_alike: bool
) -> None:
    """By the ETag of the whole, which tells of no part in particular; or by the part's own, as it is read."""
    body = put_in_parts(legacy, CUT) if is_cut_alike else WHOLE
    if not is_cut_alike:
        put(legacy, body)
    damaged = body[: PART_BYTES - 1] + bytes([body[PART_BYTES - 1] ^ 1])
    left = await leave_open(
        legacy, moto_store, tmp_path, {1: damaged, 2: body[PART_BYTES : 2 * PART_BYTES]}, PART_BYTES
    )
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        await resume(legacy, moto_store.via(s3.endpoint_url), tmp_path, left)
        sent, aborted = s3.count("upload_part"), s3.count("abort_multipart_upload")
    assert (sent, aborted) == ((1 + 3, 1) if is_cut_alike else (2, 0))
    assert arrived(moto_store)["Body"] == body
    assert uploads(moto_store) == []


async def test_a_part_that_was_cut_short_is_sent_again(legacy: Store, moto_store: Store, tmp_path: Path) -> None:
    body = put_in_parts(legacy, CUT)
    left = await leave_open(legacy, moto_store, tmp_path, {1: body[:PART_BYTES], 2: body[PART_BYTES:-MIB]}, PART_BYTES)
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        await resume(legacy, moto_store.via(s3.endpoint_url), tmp_path, left)
        assert (s3.count("upload_part"), s3.count("abort_multipart_upload")) == (2, 0)
    assert arrived(moto_store)["Body"] == body


REFUSED = s3_faults.status(403, "AccessDenied")


@pytest.mark.parametrize("why", ["replaced", "other headers", "other parts", "not listed", "gone", "earlier edition"])
async def test_what_cannot_be_resumed_is_aborted_and_begun_anew(
    legacy: Store, moto_store: Store, tmp_path: Path, why: str
) -> None:
    body = put_in_parts(legacy, CUT)
    part_bytes = PART_BYTES + 1 if why == "other parts" else PART_BYTES
    left = await leave_open(legacy, moto_store, tmp_path, {1: body[:part_bytes]}, part_bytes)
    if why == "replaced":
        body = put_in_parts(legacy, [*CUT[:-1], 200])
    elif why == "other headers":
        copy = {"Bucket": legacy.legacy_bucket, "Key": KEY}
        legacy.client.copy_object(
            **copy, CopySource=copy, MetadataDirective="REPLACE", ContentType="image/png", Metadata={"n": "2"}
        )
    elif why == "gone":
        where = {"Bucket": moto_store.production_bucket, "Key": TARGET_KEY}
        moto_store.client.abort_multipart_upload(**where, UploadId=left[0].upload_id)
    elif why == "earlier edition":
        left = [left[0]._replace(part_bytes=0, headers_sha256="")]
    theirs = {"Bucket": moto_store.production_bucket, "Key": TARGET_KEY}
    foreign = moto_store.client.create_multipart_upload(**theirs)["UploadId"]
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        if why == "not listed":
            s3.on(REFUSED, operation="list_parts", times=None)
        _, ended = await resume(legacy, moto_store.via(s3.endpoint_url), tmp_path, left)
        assert s3.count("create_multipart_upload") == 1
        assert s3.hits[REFUSED.name] == (why == "not listed")
    found = arrived(moto_store)
    assert found["Body"] == body
    assert found["Metadata"] == ({"n": "2"} if why == "other headers" else {})
    assert left[0].upload_id in ended
    assert [each["UploadId"] for each in uploads(moto_store)] == [foreign], "whose it is is not known"


async def test_an_upload_is_resumed_by_one_alone(legacy: Store, moto_store: Store, tmp_path: Path) -> None:
    put_in_parts(legacy, CUT)
    left = await leave_open(legacy, moto_store, tmp_path, {}, PART_BYTES)
    async with SqliteLedger(tmp_path / "next.sqlite", description={}) as ledger:
        await ledger.take_over_uploads(left)
        claimed = [await LedgerUploads(ledger).claim(target_in(moto_store)) for _ in range(2)]
    assert [each and each.upload_id for each in claimed] == [left[0].upload_id, None]
