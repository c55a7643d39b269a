"""From one store into another: an object arrives as it was, at every size that is an edge, whatever befalls it."""

from __future__ import annotations

import asyncio
import re
import threading
import tracemalloc
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import uvloop

from sketchmigrate.core.errors import NotBegun, ObjectExists, ObjectMissing, PreconditionFailed, S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import IF_ABSENT, CredentialSource, S3Client, S3Config
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.etags import digests_of
from sketchmigrate.s3.memory import MemoryBudget
from sketchmigrate.s3.proof import BELIEVED_OBJECTS, READINGS, READINGS_AGAINST
from sketchmigrate.s3.streamed_parts import MIB
from sketchmigrate.s3.streaming import FIRST_BYTES, LARGE_AT_ONCE, Streamer
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sketchmigrate.s3.wire.messages import CopyResult
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

T = TypeVar("T")

KEY, TARGET_KEY = "image/ünïcode+ 1.bin", "avatar/ünïcode+ 1.bin"
WHOLE_BYTES = 6 * MIB
SIZES = [0, 1, FIRST_BYTES, FIRST_BYTES + 1, WHOLE_BYTES, WHOLE_BYTES + 1, 17 * MIB]
PAIRS = [("rclone", "seaweed"), ("seaweed", "moto"), ("moto", "rclone")]
HEADERS = {
    "ContentType": "image/png",
    "CacheControl": "max-age=60",
    "ContentDisposition": 'attachment; filename="a b.png"',
    "ContentLanguage": "de",
    "Metadata": {"owner": "=?UTF-8?B?w7xuw69jb2Rl?=", "n": "1 2"},
}

between_stores = pytest.mark.parametrize(("one", "other"), PAIRS, ids=map("-".join, PAIRS))


def body_of(size_bytes: int) -> bytes:
    return (b"0123456789abcdef" * (size_bytes // 16 + 1))[:size_bytes]


def client_of(store: Store, **config: Any) -> S3Client:
    keys = CredentialSource.static(store.access_key, store.secret_key)
    return S3Client(S3Config(endpoint_url=store.endpoint_url, retry_seconds=5, **config), keys)


@asynccontextmanager
async def streamer(
    legacy: Store, production: Store, *, memory_bytes: int = 64 * MIB, keep: Keep | None = None
) -> AsyncIterator[Streamer]:
    async with client_of(legacy) as one, client_of(production, keep=keep or Keep()) as other:
        budget = MemoryBudget(memory_bytes)
        yield Streamer(one, other, budget, whole_bytes=WHOLE_BYTES)
        assert budget.try_to_take(memory_bytes), "all that was held is given back"


def stream(legacy: Store, production: Store, *conditions: tuple[str, str], **more: Any) -> CopyResult:
    """Bring the object."""

    async def main() -> CopyResult:
        async with streamer(legacy, production, **more) as one:
            source, target = Location(legacy.legacy_bucket, KEY), Location(production.production_bucket, TARGET_KEY)
            return await one.copy(source, target, *conditions)

    return uvloop.run(main())


def put(store: Store, body: bytes, **more: Any) -> None:
    store.client.put_object(Bucket=store.legacy_bucket, Key=KEY, Body=body, **more)


def put_in_parts(store: Store, sizes: list[int]) -> bytes:
    """Make the legacy object of parts of these sizes, and return its bytes."""
    where = {"Bucket": store.legacy_bucket, "Key": KEY}
    upload = store.client.create_multipart_upload(**where)["UploadId"]
    body, parts = body_of(sum(sizes)), []
    for number, size in enumerate(sizes, start=1):
        first = sum(sizes[: number - 1])
        sent = store.client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body[first : first + size])
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    store.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    return body


def arrived(production: Store) -> dict[str, Any]:
    """Return what production has."""
    found: dict[str, Any] = production.client.get_object(Bucket=production.production_bucket, Key=TARGET_KEY)
    return found | {"Body": found["Body"].read()}


def own_metadata(found: dict[str, Any]) -> dict[str, str]:
    """Return user metadata, but for what rclone's server adds; stores write the names as they like."""
    return {name.lower(): value for name, value in found["Metadata"].items() if name.lower() != "mtime"}


def uploads(store: Store) -> list[dict[str, Any]]:
    found = store.client.list_multipart_uploads(Bucket=store.production_bucket)
    return list(found.get("Uploads", []))


@pytest.fixture
def pair(one: str, other: str, request: pytest.FixtureRequest) -> tuple[Store, Store]:
    return request.getfixturevalue(f"{one}_store"), request.getfixturevalue(f"{other}_store")


@between_stores
@pytest.mark.parametrize("size_bytes", SIZES)
def test_it_arrives_as_it_was(pair: tuple[Store, Store], size_bytes: int) -> None:
    legacy, production = pair
    put(legacy, body_of(size_bytes), **HEADERS)
    result = stream(legacy, production, IF_ABSENT)
    found = arrived(production)
    assert found["Body"] == body_of(size_bytes)
    assert (result.size_bytes, result.in_parts) == (size_bytes, size_bytes > WHOLE_BYTES)
    assert result.etag == found["ETag"].strip('"'), "as a look shows it, whatever was said when it was made"
    before = legacy.client.head_object(Bucket=legacy.legacy_bucket, Key=KEY)
    if not result.in_parts:
        assert found["ETag"] == before["ETag"]
    kept = ("ContentType", "CacheControl", "ContentDisposition", "ContentLanguage")
    assert {name: found.get(name) for name in kept} == {name: before.get(name) for name in kept}
    metadata = own_metadata(before)
    assert own_metadata(found) == metadata
    assert metadata["n"] == "1 2"


@between_stores
@pytest.mark.parametrize("sizes", [[5 * MIB, 5 * MIB, 100], [7 * MIB, 6 * MIB], [6 * MIB]], ids=str)
def test_parts_are_cut_as_legacys_were(pair: tuple[Store, Store], sizes: list[int]) -> None:
    legacy, production = pair
    body = put_in_parts(legacy, sizes)
    before = legacy.client.head_object(Bucket=legacy.legacy_bucket, Key=KEY)
    stream(legacy, production)
    found = arrived(production)
    assert found["Body"] == body
    if legacy.server.name == "seaweed":  # moto tells a part's own ETag, and rclone's server makes none of parts
        assert before["ETag"].endswith(f'-{len(sizes)}"')
        assert found["ETag"] == before["ETag"]


def test_tags_come_along(moto_store: Store, seaweed_store: Store) -> None:
    put(moto_store, b"tagged", Tagging="a=1&b=%C3%BC")
    stream(moto_store, seaweed_store)  # moto tells their number
    tags = seaweed_store.client.get_object_tagging(Bucket=seaweed_store.production_bucket, Key=TARGET_KEY)["TagSet"]
    assert sorted((tag["Key"], tag["Value"]) for tag in tags) == [("a", "1"), ("b", "ü")]


def test_tags_that_no_read_tells_are_asked_for(moto_store: Store, seaweed_store: Store) -> None:
    """The store may tell tags, and not their number: then each object is asked."""
    put(moto_store, b"tagged", Tagging="a=1")
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        s3.on(s3_faults.Edit("no count", reply=lambda wire: wire.replace(b"x-amz-tagging-count", b"x-amz-nothing")))
        stream(moto_store.via(s3.endpoint_url), seaweed_store)
    tags = seaweed_store.client.get_object_tagging(Bucket=seaweed_store.production_bucket, Key=TARGET_KEY)["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}]


@pytest.mark.parametrize("size_bytes", [10, WHOLE_BYTES + 1])
def test_a_store_without_tags_gets_none_and_that_is_said(
    moto_store: Store, seaweed_store: Store, caplog: pytest.LogCaptureFixture, size_bytes: int
) -> None:
    put(moto_store, body_of(size_bytes), Tagging="a=1")
    with S3FaultProxy(seaweed_store.endpoint_url) as s3:
        refused = s3_faults.status(501, "NotImplemented")
        s3.on(refused, times=None, when=lambda request: "x-amz-tagging" in request.headers)
        stream(moto_store, seaweed_store.via(s3.endpoint_url))
        assert s3.hits[refused.name] == 1
    assert arrived(seaweed_store)["Body"] == body_of(size_bytes)
    assert "production takes no tags (NotImplemented): the objects lose theirs" in caplog.text


def test_what_waits_for_its_turn_is_not_begun_by_a_stop(rclone_store: Store, seaweed_store: Store) -> None:
    """Of a dozen objects in parts four are under way."""
    names = [f"large-{number}" for number in range(12)]
    for name in names:
        rclone_store.client.put_object(
            Bucket=rclone_store.legacy_bucket, Key=f"image/{name}", Body=body_of(WHOLE_BYTES + 1)
        )
    stopping = threading.Event()

    async def main(endpoint_url: str, s3: S3FaultProxy) -> list[CopyResult | BaseException]:
        async with streamer(rclone_store, seaweed_store.via(endpoint_url)) as one:
            one.is_stopping = stopping.is_set
            copies = [
                asyncio.create_task(
                    one.copy(
                        Location(rclone_store.legacy_bucket, f"image/{name}"),
                        Location(seaweed_store.production_bucket, f"avatar/{name}"),
                    )
                )
                for name in names
            ]
            await asyncio.to_thread(s3.wait_for_hit, "stall", LARGE_AT_ONCE)
            stopping.set()
            s3.release()
            return await asyncio.gather(*copies, return_exceptions=True)

    with S3FaultProxy(seaweed_store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), operation="create_multipart_upload")
        done = uvloop.run(main(s3.endpoint_url, s3))
    assert len([each for each in done if not isinstance(each, BaseException)]) == LARGE_AT_ONCE
    assert {type(each) for each in done if isinstance(each, BaseException)} == {NotBegun}
    assert len(seaweed_store.keys(seaweed_store.production_bucket)) == LARGE_AT_ONCE
    assert uploads(seaweed_store) == []


@pytest.mark.parametrize("size_bytes", [10, WHOLE_BYTES + 1])
def test_nothing_is_replaced(rclone_store: Store, seaweed_store: Store, size_bytes: int) -> None:
    put(rclone_store, body_of(size_bytes))
    bucket = seaweed_store.production_bucket
    seaweed_store.client.put_object(Bucket=bucket, Key=TARGET_KEY, Body=b"the application's")
    with pytest.raises(ObjectExists):
        stream(rclone_store, seaweed_store, IF_ABSENT)
    assert arrived(seaweed_store)["Body"] == b"the application's"
    assert uploads(seaweed_store) == []
    stream(rclone_store, seaweed_store)
    assert arrived(seaweed_store)["Body"] == body_of(size_bytes)


def test_what_is_missing_is_told_as_such(rclone_store: Store, seaweed_store: Store) -> None:
    with pytest.raises(ObjectMissing):
        stream(rclone_store, seaweed_store)


@pytest.mark.parametrize("size_bytes", [10, FIRST_BYTES + 10, WHOLE_BYTES + 1])
def test_a_bit_flipped_on_the_way_here_is_read_again(
    rclone_store: Store, seaweed_store: Store, size_bytes: int
) -> None:
    """Caught by legacy's ETag, which is the MD5 of the bytes."""
    put(rclone_store, body_of(size_bytes))
    with S3FaultProxy(rclone_store.endpoint_url) as s3:
        s3.on(s3_faults.flipped_reply(), operation="get", times=1)
        stream(rclone_store.via(s3.endpoint_url), seaweed_store)
        assert s3.hits["flipped reply"] == 1
    assert arrived(seaweed_store)["Body"] == body_of(size_bytes)
    assert uploads(seaweed_store) == []


@pytest.mark.parametrize("size_bytes", [10, FIRST_BYTES + 10])
def test_what_comes_damaged_each_time_is_refused(rclone_store: Store, seaweed_store: Store, size_bytes: int) -> None:
    put(rclone_store, body_of(size_bytes))
    changes = iter(range(256))

    def damage(request: S3Request) -> None:
        if request.operation == "get":
            put(rclone_store, body_of(size_bytes)[:-1] + bytes([next(changes)]))

    with S3FaultProxy(rclone_store.endpoint_url) as s3:
        s3.before_request = damage
        s3.on(s3_faults.flipped_reply(), operation="get", times=None)
        with pytest.raises(S3Error, match=r"at 5 attempts|was replaced"):
            stream(rclone_store.via(s3.endpoint_url), seaweed_store)
        assert s3.hits["flipped reply"] >= 5
    assert seaweed_store.keys(seaweed_store.production_bucket) == []


def test_what_comes_damaged_alike_is_not_believed(rclone_store: Store, seaweed_store: Store) -> None:
    """Once an ETag of the store was that of the bytes, they all are."""
    put(rclone_store, b"as it is")
    other = Location(rclone_store.legacy_bucket, "image/other.bin")
    rclone_store.client.put_object(Bucket=other.bucket, Key=other.key, Body=b"another one")

    async def main(endpoint_url: str) -> None:
        async with streamer(rclone_store.via(endpoint_url), seaweed_store) as one:
            await one.copy(other, Location(seaweed_store.production_bucket, "avatar/other.bin"))
            await one.copy(
                Location(rclone_store.legacy_bucket, KEY), Location(seaweed_store.production_bucket, TARGET_KEY)
            )

    with S3FaultProxy(rclone_store.endpoint_url) as s3:
        s3.on(s3_faults.flipped_reply(), operation="get", key=re.escape(KEY), times=None)
        with pytest.raises(S3Error, match="has not the ETag or checksum that the store tells, at 5"):
            uvloop.run(main(s3.endpoint_url))
    assert seaweed_store.keys(seaweed_store.production_bucket) == ["avatar/other.bin"]


@pytest.mark.parametrize("size_bytes", [10, FIRST_BYTES + 10])
def test_a_store_whose_etags_are_of_something_else_is_read_until_it_is_believed(
    moto_store: Store, seaweed_store: Store, size_bytes: int
) -> None:
    put(moto_store, body_of(size_bytes))
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        s3.on(s3_faults.other_etags(), times=None)
        stream(moto_store.via(s3.endpoint_url), seaweed_store)
        reads = [each for each in s3.requests if each.operation == "get" and "tagging" not in each.query]
        assert len(reads) == READINGS_AGAINST * (1 if size_bytes <= FIRST_BYTES else 2)
    assert arrived(seaweed_store)["Body"] == body_of(size_bytes)


def test_such_a_store_is_known_after_some_objects(moto_store: Store, seaweed_store: Store) -> None:
    keys = [f"image/{number}.png" for number in range(BELIEVED_OBJECTS + 3)]
    moto_store.put_all(moto_store.legacy_bucket, {key: key.encode() for key in keys})

    async def main(endpoint_url: str) -> None:
        async with streamer(moto_store.via(endpoint_url), seaweed_store) as one:
            for key in keys:
                target = Location(seaweed_store.production_bucket, key.replace("image", "avatar"))
                await one.copy(Location(moto_store.legacy_bucket, key), target)

    with S3FaultProxy(moto_store.endpoint_url) as s3:
        s3.on(s3_faults.other_etags(), times=None)
        uvloop.run(main(s3.endpoint_url))
        reads = Counter(each.key for each in s3.requests if each.operation == "get" and "tagging" not in each.query)
    assert [reads[key] for key in keys] == [READINGS_AGAINST] * BELIEVED_OBJECTS + [READINGS] * 3


@pytest.mark.parametrize("times", [1, 2, 3])
def test_readings_that_are_damaged_alike_are_not_believed_against_the_etag(
    rclone_store: Store, seaweed_store: Store, times: int
) -> None:
    """It is the first object of a run: nothing is known of the store's ETags yet."""
    put(rclone_store, body_of(10))
    with S3FaultProxy(rclone_store.endpoint_url) as s3:
        s3.on(s3_faults.flipped_reply(), operation="get", key=re.escape(KEY), times=times)
        stream(rclone_store.via(s3.endpoint_url), seaweed_store)
        assert s3.hits["flipped reply"] == times
    assert arrived(seaweed_store)["Body"] == body_of(10)


@pytest.mark.parametrize("size_bytes", [10, FIRST_BYTES + 10, WHOLE_BYTES + 1])
@pytest.mark.parametrize("target", ["seaweed", "moto", "rclone"])
def test_a_bit_flipped_on_the_way_there_is_sent_again(
    target: str, rclone_store: Store, size_bytes: int, request: pytest.FixtureRequest
) -> None:
    """Caught by the store, by the checksum that goes with the body, or by us, by the ETag of the reply."""
    production: Store = request.getfixturevalue(f"{target}_store")
    put(rclone_store, body_of(size_bytes))
    with S3FaultProxy(production.endpoint_url) as s3:
        operation = "put" if size_bytes <= WHOLE_BYTES else "upload_part"
        s3.on(s3_faults.flipped_request(), operation=operation, times=1)
        stream(rclone_store, production.via(s3.endpoint_url), IF_ABSENT)
        assert s3.hits["flipped request"] == 1
    assert arrived(production)["Body"] == body_of(size_bytes)


@pytest.mark.parametrize("size_bytes", [FIRST_BYTES + 10, WHOLE_BYTES + 1])
def test_what_is_replaced_while_it_is_read_is_read_anew(
    moto_store: Store, seaweed_store: Store, size_bytes: int
) -> None:
    put(moto_store, b"x" * size_bytes)
    seen: list[str] = []

    def replace(request: S3Request) -> None:
        if request.operation == "get":
            seen.append(request.key)
            if len(seen) == 2:
                put(moto_store, body_of(size_bytes))

    with S3FaultProxy(moto_store.endpoint_url) as s3:
        s3.before_request = replace
        stream(moto_store.via(s3.endpoint_url), seaweed_store)
    assert len(seen) > 2
    assert arrived(seaweed_store)["Body"] == body_of(size_bytes)
    assert uploads(seaweed_store) == []


def test_what_is_replaced_each_time_is_given_up(moto_store: Store, seaweed_store: Store) -> None:
    size_bytes = FIRST_BYTES + 10
    put(moto_store, b"0" * size_bytes)
    versions = 0

    def replace(request: S3Request) -> None:
        nonlocal versions
        if request.operation == "get":
            versions += 1
            put(moto_store, str(versions % 10).encode() * size_bytes)

    with S3FaultProxy(moto_store.endpoint_url) as s3:
        s3.before_request = replace
        with pytest.raises(PreconditionFailed, match="was replaced while it was read"):
            stream(moto_store.via(s3.endpoint_url), seaweed_store)
    assert seaweed_store.keys(seaweed_store.production_bucket) == []


def test_many_large_objects_stay_within_the_memory(rclone_store: Store, seaweed_store: Store) -> None:
    """Twelve objects of 20 MiB at once, within 24 MiB: the bodies are all that is large."""
    body, objects, memory_bytes = body_of(20 * MIB), 12, 24 * MIB
    for number in range(objects):
        rclone_store.client.put_object(Bucket=rclone_store.legacy_bucket, Key=f"image/{number}", Body=body)

    async def main() -> int:
        async with streamer(rclone_store, seaweed_store, memory_bytes=memory_bytes) as one:
            tracemalloc.start()
            await asyncio.gather(
                *(
                    one.copy(
                        Location(rclone_store.legacy_bucket, f"image/{number}"),
                        Location(seaweed_store.production_bucket, f"avatar/{number}"),
                    )
                    for number in range(objects)
                )
            )
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return peak_bytes

    assert uvloop.run(main()) < 1.25 * memory_bytes
    for number in range(objects):
        assert seaweed_store.body(seaweed_store.production_bucket, f"avatar/{number}") == body


@pytest.mark.parametrize("moment", ["upload_part", "complete_multipart_upload"])
def test_a_stop_aborts_what_it_began(rclone_store: Store, seaweed_store: Store, moment: str) -> None:
    put(rclone_store, body_of(17 * MIB))

    async def main(endpoint_url: str, s3: S3FaultProxy) -> None:
        async with streamer(rclone_store, seaweed_store.via(endpoint_url)) as one:
            copying = asyncio.create_task(
                one.copy(
                    Location(rclone_store.legacy_bucket, KEY), Location(seaweed_store.production_bucket, TARGET_KEY)
                )
            )
            await asyncio.to_thread(s3.wait_for_hit, "stall")
            copying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await copying

    with S3FaultProxy(seaweed_store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), operation=moment)
        uvloop.run(main(s3.endpoint_url, s3))
        assert s3.count("abort_multipart_upload") == 1
    assert uploads(seaweed_store) == []
    assert seaweed_store.keys(seaweed_store.production_bucket) == []


def opaque(wire: bytes) -> bytes:
    """Write the ETag so that it looks like no MD5, as those of some stores."""
    return re.sub(rb'(?i)(\r\netag: "?)([0-9a-f]{32})', rb"\1opaque-\2", wire)


def with_another_checksum(wire: bytes) -> bytes:
    return re.sub(rb"(?i)(\r\nx-amz-checksum-sha256: )....", rb"\1AAAA", wire)


OPAQUE = s3_faults.Edit("opaque ETags", reply=opaque)
OPAQUE_AND_FLIPPED = s3_faults.Edit("damaged", reply=lambda wire: s3_faults.flipped_reply().reply(opaque(wire)))


def is_of_body(request: S3Request) -> bool:
    return request.operation == "get" and "tagging" not in request.query


@pytest.mark.parametrize("name", ["SHA256", "SHA1", "CRC32"])
def test_what_no_etag_proves_is_proved_by_the_checksum_that_legacys_store_tells(
    seaweed_store: Store, moto_store: Store, name: str
) -> None:
    """It is read once over plain HTTP; a bit that is flipped on the way is caught."""
    put(seaweed_store, body_of(1000), ChecksumAlgorithm=name)
    with S3FaultProxy(seaweed_store.endpoint_url) as s3:
        s3.on(OPAQUE_AND_FLIPPED, when=is_of_body, skip=1, times=1)
        s3.on(OPAQUE, times=None)
        results = [stream(seaweed_store.via(s3.endpoint_url), moto_store) for _ in range(2)]
        assert s3.hits["damaged"] == 1
        assert len(list(filter(is_of_body, s3.requests))) == 1 + 2
    assert [each.read_checksum for each in results] == ["", ""]
    assert arrived(moto_store)["Body"] == body_of(1000)


def test_a_checksum_of_what_was_read_is_kept_where_nothing_tells(moto_store: Store, seaweed_store: Store) -> None:
    put(moto_store, body_of(10))
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        s3.on(OPAQUE, times=None)
        result = stream(moto_store.via(s3.endpoint_url), seaweed_store)
    assert result.read_checksum == digests_of(body_of(10)).md5
    assert arrived(seaweed_store)["Body"] == body_of(10)


def test_a_body_goes_with_its_sha256_where_etags_tell_nothing(rclone_store: Store, seaweed_store: Store) -> None:
    """SeaweedFS compares it, and repeats it; the first object shows that its ETags do not tell."""
    put(rclone_store, body_of(10))
    with S3FaultProxy(seaweed_store.endpoint_url) as s3:
        s3.on(OPAQUE, operation="put", times=None)

        async def main() -> None:
            async with streamer(rclone_store, seaweed_store.via(s3.endpoint_url)) as one:
                for number in range(3):
                    target = Location(seaweed_store.production_bucket, f"avatar/{number}")
                    await one.copy(Location(rclone_store.legacy_bucket, KEY), target)

        uvloop.run(main())
        sent = [each.headers for each in s3.requests if each.operation == "put"]
    assert ["x-amz-checksum-sha256" in headers for headers in sent] == [False, True, True]
    assert ["content-md5" in headers for headers in sent] == [True, False, False]
    assert set(seaweed_store.bodies(seaweed_store.production_bucket).values()) == {body_of(10)}


@pytest.mark.parametrize("size_bytes", [10, WHOLE_BYTES + 1])
def test_what_a_reply_shows_to_be_stored_damaged_is_sent_again(
    rclone_store: Store, seaweed_store: Store, size_bytes: int
) -> None:
    """The whole object on the condition that it is still the damaged one; a part takes the place of the other."""
    put(rclone_store, body_of(size_bytes))
    operation = "put" if size_bytes <= WHOLE_BYTES else "upload_part"
    other = s3_faults.Edit("other checksum", reply=with_another_checksum)
    with S3FaultProxy(seaweed_store.endpoint_url) as s3:
        s3.on(other, operation=operation, times=1)

        async def main() -> None:
            async with streamer(rclone_store, seaweed_store.via(s3.endpoint_url)) as one:
                one.production.compare_checksums()
                target = Location(seaweed_store.production_bucket, TARGET_KEY)
                await one.copy(Location(rclone_store.legacy_bucket, KEY), target, IF_ABSENT)

        uvloop.run(main())
        assert s3.hits["other checksum"] == 1
        assert s3.count(operation) == 2
    assert arrived(seaweed_store)["Body"] == body_of(size_bytes)
