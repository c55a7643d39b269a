"""Whatever the means, an object arrives as it was: content, headers, metadata, tags, at every size that is an edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest
import uvloop

from sketchmigrate.core.errors import ObjectMissing, PreconditionFailed
from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.no_clobber import Means, Strategy
from sketchmigrate.migration.transfer import FIRST_BYTES, MIB, PUT_LIMIT_BYTES, Taken, transfer_of
from sketchmigrate.s3 import R2_IF_ABSENT, CopyResult, CredentialSource, S3Client, S3Config
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import status
from tests.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

T = TypeVar("T")

SIZES = [0, 1, FIRST_BYTES, FIRST_BYTES + 1, PUT_LIMIT_BYTES, PUT_LIMIT_BYTES + 1, 11 * MIB]
KEY = "image/ünïcode+ 1.bin"
TARGET_KEY = "avatar/ünïcode+ 1.bin"

on_stores_with_tags = pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
by_every_means = pytest.mark.parametrize("means", list(Means))


def run(store: Store, scenario: Callable[[S3Client], Awaitable[T]]) -> T:
    async def main() -> T:
        source = CredentialSource.static(store.access_key, store.secret_key)
        config = S3Config(
            endpoint_url=store.endpoint_url, retry_seconds=5, part_size_bytes=5 * MIB, copy_limit_bytes=MIB
        )
        async with S3Client(config, source) as client:
            return await scenario(client)

    return uvloop.run(main())


def move_of(store: Store) -> Move:
    source, target = Location(store.legacy_bucket, KEY), Location(store.production_bucket, TARGET_KEY)
    return Move(Reference(1, KEY), TARGET_KEY, source, target)


def place(store: Store, means: Means, *, asks_for_tags: bool = False, guards_parts: bool = True) -> CopyResult | Taken:
    strategy = Strategy(
        means, "for a test", sends_parts=guards_parts, guards_parts=guards_parts, asks_for_tags=asks_for_tags
    )
    return run(store, lambda client: transfer_of(sides_of(client), client, strategy).bring(move_of(store)))


def body_of(size_bytes: int) -> bytes:
    return (bytes(range(251)) * (size_bytes // 251 + 1))[:size_bytes]


@on_stores_with_tags
@by_every_means
@pytest.mark.parametrize("size_bytes", SIZES)
def test_an_object_arrives_as_it_was(
    server: str, means: Means, size_bytes: int, request: pytest.FixtureRequest
) -> None:
    store: Store = request.getfixturevalue(f"{server}_store")
    body = body_of(size_bytes)
    store.client.put_object(
        Bucket=store.legacy_bucket,
        Key=KEY,
        Body=body,
        ContentType="image/x-edge",
        CacheControl="max-age=7",
        ContentDisposition='attachment; filename="a b.png"',
        ContentLanguage="de",
        Metadata={"owner": "Zoe  Q", "empty": ""},
        Tagging="kind=avatar&who=a%20b",
    )
    placed = place(store, means)
    assert isinstance(placed, CopyResult)
    assert placed.size_bytes in {size_bytes, None}
    assert placed.guarded == (means is not Means.CHECK_FIRST)
    head = store.client.head_object(Bucket=store.production_bucket, Key=TARGET_KEY)
    assert head["ETag"].strip('"') == placed.etag
    assert (head["ContentType"], head["CacheControl"], head["ContentLanguage"]) == ("image/x-edge", "max-age=7", "de")
    assert head["ContentDisposition"] == 'attachment; filename="a b.png"'
    legacy = store.client.head_object(Bucket=store.legacy_bucket, Key=KEY)
    assert head["Metadata"] == legacy["Metadata"]
    assert legacy["Metadata"]["owner"] == "Zoe  Q"
    assert store.body(store.production_bucket, TARGET_KEY) == body
    tags = store.client.get_object_tagging(Bucket=store.production_bucket, Key=TARGET_KEY)["TagSet"]
    assert sorted(tag["Value"] for tag in tags) == ["a b", "avatar"]
    assert not store.client.list_multipart_uploads(Bucket=store.production_bucket).get("Uploads")


@by_every_means
@pytest.mark.parametrize("size_bytes", [1, FIRST_BYTES + 1, PUT_LIMIT_BYTES + 1])
def test_what_is_there_already_stays(moto_store: Store, means: Means, size_bytes: int) -> None:
    moto_store.put_all(moto_store.legacy_bucket, {KEY: body_of(size_bytes)})
    moto_store.put_all(moto_store.production_bucket, {TARGET_KEY: b"theirs"})
    if means is Means.CONDITIONAL_COPY:  # which moto ignores: a store that honours it answers so
        with S3FaultProxy(moto_store.endpoint_url) as proxy:
            proxy.on(status(412, "PreconditionFailed"), operation="copy", when=lambda r: "if-none-match" in r.headers)
            outcome = place(moto_store.via(proxy.endpoint_url), means)
    else:
        outcome = place(moto_store, means)
    assert isinstance(outcome, Taken)
    assert not outcome.perhaps_ours
    assert moto_store.body(moto_store.production_bucket, TARGET_KEY) == b"theirs"
    assert not moto_store.client.list_multipart_uploads(Bucket=moto_store.production_bucket).get("Uploads")


@pytest.mark.ceph
def test_a_large_object_is_copied_whole_where_parts_would_not_be_guarded(ceph_store: Store) -> None:
    """Under a key whose part copies Ceph 16 does not find."""
    body = body_of(PUT_LIMIT_BYTES + 1)
    move = Move(
        Reference(1, "image/%41"),
        "avatar/%41",
        Location(ceph_store.legacy_bucket, "image/%41"),
        Location(ceph_store.production_bucket, "avatar/%41"),
    )
    ceph_store.put_all(ceph_store.legacy_bucket, {"image/%41": body})
    strategy = Strategy(Means.CONDITIONAL_PUT, "for a test", guards_parts=False)
    placed = run(ceph_store, lambda client: transfer_of(sides_of(client), client, strategy).bring(move))
    assert isinstance(placed, CopyResult)
    assert not placed.guarded  # so that a row which changes meanwhile is looked into
    assert ceph_store.bodies(ceph_store.production_bucket) == {"avatar/%41": body}


@by_every_means
def test_without_a_legacy_object_it_says_so(store: Store, means: Means) -> None:
    with pytest.raises(ObjectMissing):
        place(store, means)
    assert store.keys(store.production_bucket) == []


def test_tags_that_a_read_does_not_tell_of_are_asked_for(moto_store: Store) -> None:
    moto_store.client.put_object(Bucket=moto_store.legacy_bucket, Key=KEY, Body=b"x")
    with S3FaultProxy(moto_store.endpoint_url) as proxy:
        through = moto_store.via(proxy.endpoint_url)
        place(through, Means.CONDITIONAL_PUT)
        assert not [each for each in proxy.requests if "tagging" in each.query]
        moto_store.client.delete_object(Bucket=moto_store.production_bucket, Key=TARGET_KEY)
        place(through, Means.CONDITIONAL_PUT, asks_for_tags=True)
        assert len([each for each in proxy.requests if "tagging" in each.query]) == 1


def test_tags_that_may_not_be_read_are_not_dropped_in_silence(
    moto_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    moto_store.client.put_object(Bucket=moto_store.legacy_bucket, Key=KEY, Body=b"x", Tagging="a=b")
    with S3FaultProxy(moto_store.endpoint_url) as proxy:
        proxy.on(status(403, "AccessDenied"), when=lambda r: "tagging" in r.query)
        place(moto_store.via(proxy.endpoint_url), Means.CONDITIONAL_PUT)
    assert "the tags of legacy objects may not be read (AccessDenied): the new ones have none" in caplog.text
    place_of = {"Bucket": moto_store.production_bucket, "Key": TARGET_KEY}
    assert moto_store.client.get_object_tagging(**place_of)["TagSet"] == []


@pytest.mark.parametrize(
    ("means", "size_bytes", "operation"),
    [
        (Means.CONDITIONAL_PUT, FIRST_BYTES + 1, "get"),
        (Means.CONDITIONAL_PUT, PUT_LIMIT_BYTES + 1, "upload_part_copy"),
        (Means.CONDITIONAL_COMPLETE, 100, "upload_part_copy"),
    ],
)
def test_a_source_that_is_replaced_meanwhile_is_not_mixed(
    moto_store: Store, means: Means, size_bytes: int, operation: str
) -> None:
    moto_store.put_all(moto_store.legacy_bucket, {KEY: body_of(size_bytes)})
    seen: list[int] = []

    def replace_source(request: S3Request) -> None:
        if request.operation == operation:
            seen.append(request.number)
            if len(seen) == (2 if operation == "get" else 1):
                moto_store.put_all(moto_store.legacy_bucket, {KEY: bytes(size_bytes)})

    with S3FaultProxy(moto_store.endpoint_url) as proxy:
        proxy.before_request = replace_source
        with pytest.raises(PreconditionFailed, match="was replaced while"):
            place(moto_store.via(proxy.endpoint_url), means)
    assert moto_store.keys(moto_store.production_bucket) == []
    assert not moto_store.client.list_multipart_uploads(Bucket=moto_store.production_bucket).get("Uploads")


def test_a_condition_on_a_copy_in_parts_is_kept_at_its_end(moto_store: Store) -> None:
    """What is over 5 GB is copied in parts: the condition of CopyObject becomes that of Complete."""
    moto_store.put_all(moto_store.legacy_bucket, {KEY: body_of(11 * MIB)})
    move = move_of(moto_store)
    with S3FaultProxy(moto_store.endpoint_url) as proxy:
        proxy.on(status(400, "InvalidRequest"), operation="copy")

        async def scenario(client: S3Client) -> None:
            await client.copy(move.source, move.target, R2_IF_ABSENT)

        run(moto_store.via(proxy.endpoint_url), scenario)
        (complete,) = [each for each in proxy.requests if each.operation == "complete_multipart_upload"]
        assert complete.headers["if-none-match"] == "*"
    assert moto_store.body(moto_store.production_bucket, TARGET_KEY) == body_of(11 * MIB)
