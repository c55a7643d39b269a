"""The S3 client against every server at hand: rclone, moto and Ceph, with boto3 as the witness."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sketchmigrate.core.errors import BucketMissing, ObjectMissing, PreconditionFailed, S3Refused
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import Caps, CredentialSource, S3Client, S3Config, same_content
from sketchmigrate.s3.multipart import MultipartUpload
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import reply_lost, status
from tests.servers.stores import Store, StoreServer, fresh_buckets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")
MIB = 2**20


def client_of(store: Store, *, access_key: str = "", secret_key: str = "", **config: Any) -> S3Client:
    source = CredentialSource.static(access_key or store.access_key, secret_key or store.secret_key)
    return S3Client(S3Config(endpoint_url=store.endpoint_url, retry_seconds=10, **config), source)


def run(store: Store, scenario: Callable[[S3Client], Awaitable[T]], **config: Any) -> T:
    async def main() -> T:
        async with client_of(store, **config) as client:
            return await scenario(client)

    return uvloop.run(main())


def places(store: Store, key: str) -> tuple[Location, Location]:
    return Location(store.legacy_bucket, key), Location(store.production_bucket, key)


def test_a_large_body_is_in_memory_once(rclone_store: Store) -> None:
    """It comes in pieces, of which no second whole is made."""
    source, _ = places(rclone_store, "image/large.png")
    body = bytes(range(256)) * 2**15
    rclone_store.put_all(source.bucket, {source.key: body})

    async def scenario(client: S3Client) -> int:
        await client.head(source)
        tracemalloc.start()
        try:
            assert await client.get(source, 0, len(body) - 1) == body
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak_bytes

    assert len(body) < run(rclone_store, scenario) < 1.25 * len(body)


def test_put_head_copy_get_list_delete(store: Store) -> None:
    source, target = places(store, "image/a b+c%41 ü'.png")
    body = bytes(range(256)) * 5

    async def scenario(client: S3Client) -> None:
        etag = await client.put(source, body, {"content-type": "image/png", "x-amz-meta-owner": "Zoe"})
        result = await client.copy(source, target)
        assert (result.etag, result.size_bytes) == (etag, None)
        seen, copy = await client.head(source), await client.head(target)
        assert seen.size_bytes == len(body)
        assert copy.headers["content-type"] == "image/png"
        assert copy.headers["x-amz-meta-owner"] == "Zoe"
        assert same_content(seen, copy)
        assert await client.get(target, 3, 9) == body[3:10]
        assert await client.get(target, 0, 10_000) == body
        (page,) = [page async for page in client.list_pages(target.bucket, "image/")]
        assert [(item.key, item.size_bytes, item.etag) for item in page.objects] == [(target.key, len(body), etag)]
        await client.delete(target)
        await client.delete(target)
        with pytest.raises(ObjectMissing):
            await client.head(target)

    run(store, scenario)
    assert store.body(source.bucket, source.key) == body
    assert store.keys(target.bucket) == []


def test_an_object_of_no_bytes_is_copied(store: Store) -> None:
    source, target = places(store, "empty")
    store.put_all(source.bucket, {"empty": b""})

    async def scenario(client: S3Client) -> None:
        await client.copy(source, target)
        assert (await client.head(target)).size_bytes == 0

    run(store, scenario)


def test_a_listing_of_many_pages_is_complete_and_in_the_order_of_bytes(store: Store) -> None:
    names = ["a", "a b", "a+b", "B", "ü", "z", "\U0001f600", "a/b", "%41", "\uff5a"]
    keys = [f"p/{name}-{number}" for name, number in itertools.product(names, range(3))]
    store.put_all(store.legacy_bucket, dict.fromkeys([*keys, "other"], b"x"))

    async def scenario(client: S3Client) -> list[str]:
        listed: list[str] = []
        token: str | None = ""
        while token is not None:
            page = await client.list_page(store.legacy_bucket, "p/", continuation_token=token, max_keys=7)
            listed += [item.key for item in page.objects]
            token = page.next_token
        return listed

    listed = run(store, scenario)
    assert sorted(listed, key=str.encode) == sorted(keys, key=str.encode)
    assert (listed == sorted(keys, key=str.encode)) is store.lists_in_order


def test_a_listing_can_start_after_a_key(store: Store) -> None:
    store.put_all(store.legacy_bucket, dict.fromkeys(["a", "a b", "a+b", "b"], b"x"))

    async def scenario(client: S3Client) -> list[str]:
        page = await client.list_page(store.legacy_bucket, "", start_after="a b")
        return [item.key for item in page.objects]

    assert run(store, scenario) == ["a+b", "b"]


def test_what_is_missing_is_named_by_its_kind(store: Store) -> None:
    source, target = places(store, "nothing/here")
    store.put_all(source.bucket, {"there": b"x"})

    async def scenario(client: S3Client) -> None:
        for attempt in (client.head(source), client.copy(source, target), client.get(source, 0, 9)):
            with pytest.raises(ObjectMissing, match="nothing/here"):
                await attempt
        elsewhere = Location("no-such-bucket-here", "x")
        missing_buckets = [client.list_page(elsewhere.bucket, ""), client.put(elsewhere, b"")]
        if store.name != "seaweed":  # a copy there is an InternalError to it
            missing_buckets.append(client.copy(Location(source.bucket, "there"), elsewhere))
        for missing in missing_buckets:
            with pytest.raises(BucketMissing, match="no-such-bucket-here"):
                await missing
        with pytest.raises(ObjectMissing):  # HEAD cannot tell the difference
            await client.head(elsewhere)

    run(store, scenario)


@pytest.mark.parametrize("server", ["rclone", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_wrong_keys_are_refused_and_say_which_is_wrong(server: str, request: pytest.FixtureRequest) -> None:
    """Not on moto: its server takes any."""
    store: Store = request.getfixturevalue(f"{server}_store")
    for wrong, code in (
        ({"access_key": "nobody"}, "InvalidAccessKeyId"),
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch"),
    ):

        async def scenario(client: S3Client, code: str = code) -> None:
            for attempt in (client.list_page(store.legacy_bucket, ""), client.head(Location(store.legacy_bucket, "x"))):
                with pytest.raises(S3Refused, match=code):
                    await attempt

        run(store, scenario, **wrong)


@pytest.mark.ceph
def test_a_user_without_rights_is_refused(ceph_store: Store) -> None:
    async def scenario(client: S3Client) -> None:
        source, target = places(ceph_store, "x")
        for attempt in (client.list_page(source.bucket, ""), client.put(target, b"x"), client.copy(source, target)):
            with pytest.raises(S3Refused, match="AccessDenied"):
                await attempt

    run(ceph_store, scenario, access_key="otherkey", secret_key="othersecret")


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_a_condition_that_does_not_hold_is_told(server: str, request: pytest.FixtureRequest) -> None:
    store: Store = request.getfixturevalue(f"{server}_store")
    source, _ = places(store, "a")

    async def scenario(client: S3Client) -> None:
        etag = await client.put(source, b"first", {"If-None-Match": "*"})
        with pytest.raises(PreconditionFailed):
            await client.put(source, b"second", {"If-None-Match": "*"})
        assert await client.get(source, 0, 99, if_match=etag) == b"first"
        with pytest.raises(PreconditionFailed):
            await client.get(source, 0, 99, if_match="0" * 32)

    run(store, scenario)


@pytest.mark.parametrize("tags", ["", "kind=avatar&who=a%20b"])
@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_a_large_object_is_copied_in_parts_with_metadata_and_tags(
    server: str, tags: str, request: pytest.FixtureRequest
) -> None:
    """The store would copy it whole: the proxy says what AWS says of more than 5 GB."""
    store: Store = request.getfixturevalue(f"{server}_store")
    source, target = places(store, "large file+1.bin")
    body = bytes(range(256)) * (11 * MIB // 256 + 1)
    store.client.put_object(
        Bucket=source.bucket,
        Key=source.key,
        Body=body,
        ContentType="image/x-large",
        CacheControl="max-age=7",
        Metadata={"owner": "Zoe  Q"},
        Tagging=tags,
    )

    async def scenario(client: S3Client) -> None:
        result = await client.copy(source, target)
        assert result.size_bytes == len(body)
        assert (await client.head(target)).etag == result.etag

    with S3FaultProxy(store.endpoint_url) as proxy:
        proxy.on(status(400, "InvalidRequest"), operation="copy")
        run(store.via(proxy.endpoint_url), scenario, copy_limit_bytes=8 * MIB, part_size_bytes=5 * MIB)
        assert len(proxy.struck) == 1
        assert [request.operation for request in proxy.requests].count("upload_part_copy") == 3
    assert store.body(target.bucket, target.key) == body
    head = store.client.head_object(Bucket=target.bucket, Key=target.key)
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == (
        "image/x-large",
        "max-age=7",
        {"owner": "Zoe  Q"},
    )
    # Ceph says nothing at all of an object without tags.
    source_tags, target_tags = (
        store.client.get_object_tagging(Bucket=place.bucket, Key=place.key).get("TagSet", [])
        for place in (source, target)
    )
    assert len(source_tags) == len(tags.split("&")) - (not tags)
    assert target_tags == source_tags
    assert not store.client.list_multipart_uploads(Bucket=target.bucket).get("Uploads")


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_an_upload_that_is_completed_while_the_run_stops_is_an_object(
    server: str, request: pytest.FixtureRequest
) -> None:
    """On moto the reply is lost; Ceph 16 itself names no ETag in it."""
    store: Store = request.getfixturevalue(f"{server}_store")
    _, target = places(store, "large")

    async def scenario(client: S3Client) -> None:
        upload = await MultipartUpload.begin(client, target, {})
        parts = [await upload.send_part(1, bytes(5 * MIB)), await upload.send_part(2, b"end")]
        client.stop_retrying()
        assert await upload.complete(parts) == (await client.head(target)).etag
        assert client.requests_sent["CompleteMultipartUpload"] == 1
        assert client.requests_sent["ListParts"] == 1, "the reply alone did not tell"

    with S3FaultProxy(store.endpoint_url) as proxy:
        if server == "moto":
            proxy.on(reply_lost(), operation="complete_multipart_upload")
        run(store.via(proxy.endpoint_url), scenario)
        assert server == "ceph" or sum(proxy.hits.values()) == 1


def test_hundreds_of_callers_share_a_few_connections(rclone_store: Store) -> None:
    keys = [f"image/{number}" for number in range(300)]

    async def scenario(client: S3Client) -> None:
        async def move(key: str) -> None:
            source, target = places(rclone_store, key)
            await client.put(source, key.encode())
            await client.copy(source, target)

        async with asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(move(key))
        assert client.requests_sent == {"PutObject": 300, "CopyObject": 300}

    run(rclone_store, scenario, caps=Caps(concurrency=16))
    assert rclone_store.bodies(rclone_store.production_bucket) == {key: key.encode() for key in keys}


# Keys, byte by byte


def fits(key: str) -> bool:
    """Keep to what S3 allows: 1 024 bytes."""
    return len(key.encode()) <= 1024


# S3 takes no NUL.
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)


@pytest.fixture(scope="module")
def moto_keys(moto: StoreServer) -> Iterator[Store]:
    """Two buckets for all the keys that hypothesis thinks of."""
    with fresh_buckets(moto) as store:
        yield store


@pytest.fixture(scope="module")
def ceph_keys(ceph_gateway: StoreServer) -> Iterator[Store]:
    """The same on Ceph."""
    with fresh_buckets(ceph_gateway) as store:
        yield store


async def round_trip(client: S3Client, store: Store, key: str) -> None:
    """Put, find, copy, read, list and delete one key, and see that it is this one and no other."""
    source, target = places(store, key)
    body = key.encode()
    await client.put(source, body)
    try:
        await see_everywhere(client, source, target, body)
    finally:
        await client.delete(target)
        await client.delete(source)
    assert not (await client.list_page(target.bucket, "")).objects
    with pytest.raises(ObjectMissing):
        await client.head(source)


async def see_everywhere(client: S3Client, source: Location, target: Location, body: bytes) -> None:
    await client.copy(source, target)
    assert (await client.head(target)).size_bytes == len(body)
    assert await client.get(target, 0, 2000) == body
    page = await client.list_page(target.bucket, "")
    assert [item.key for item in page.objects] == [target.key]
    page = await client.list_page(target.bucket, target.key)
    assert [item.key for item in page.objects] == [target.key]
    # As the last key of a page it may be in the token as well.
    last = Location(target.bucket, "\U0010ffff")
    await client.put(last, b"")
    try:
        first_page = await client.list_page(target.bucket, "", max_keys=1)
        assert [item.key for item in first_page.objects] == [target.key]
        assert first_page.next_token is not None
        second_page = await client.list_page(target.bucket, "", continuation_token=first_page.next_token)
        assert [item.key for item in second_page.objects] == [last.key]
    finally:
        await client.delete(last)


def exact_keys(function: Callable[..., None]) -> Callable[..., None]:
    """Draw keys, with those that have broken clients before."""
    for key in (
        *("a//b", "/x", "a/../b", "..", ".", "./a", "a/", "//", "a b", "a+b", "%41", "%", "a?b", "a#b", "'\"&<>"),
        *(
            "ü",
            "\U0001f600",
            "\t",
            "\n",
            "\x01",
            "\r",
            "\ufffe",
            "\uffff",
            "\x7f",
            "\x85",
            " a ",
            "~*()!",
            ";,=:@$",
            "\\",
            "x" * 1024,
            "ü" * 512,
        ),
    ):
        function = example(key=key)(function)
    return settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])(
        given(key=KEYS.filter(fits))(function)
    )


@exact_keys
def test_any_key_is_exact_on_moto(moto_keys: Store, key: str) -> None:
    assume("\n" not in key)  # moto's router has no route for it
    run(moto_keys, lambda client: round_trip(client, moto_keys, key))


@pytest.mark.ceph
@exact_keys
def test_any_key_is_exact_on_ceph(ceph_keys: Store, key: str) -> None:
    run(ceph_keys, lambda client: round_trip(client, ceph_keys, key))
