"""What objects have besides their bytes: what is learned of a store from its answers, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import (
    CredentialsError,
    ObjectInstead,
    ObjectMissing,
    S3Busy,
    S3Error,
    S3Malformed,
    S3Refused,
)
from sketchmigrate.core.objects import ObjectInfo
from sketchmigrate.s3.acl import EVERYONE, grant_headers
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.headers import TAG_COUNT
from sketchmigrate.s3.properties import Kept, Properties
from sketchmigrate.s3.wire.xml_subresources import Grant
from tests.unit.s3.scripted import ETAG, SOURCE, TARGET, client_of, error, found, reply, scripted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.s3 import S3Client
    from tests.unit.s3.scripted import Asked, Step

TAGGED = Kept({}, [("a", "1")])
TAGS = reply(200, b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>")
NO_TAGS = reply(200, b"<Tagging><TagSet/></Tagging>")
OBJECT = reply(200, b"a picture", etag=f'"{ETAG}"')
STORED = reply(200, b"", etag=f'"{ETAG}"')
DENIED = error(403, "AccessDenied")
UNTOLD = ObjectInfo(7, ETAG, {})
REQUIRED = Keep(tags="required")


@pytest.mark.parametrize("answer", [OBJECT, error(416, "InvalidRange")], ids=["object", "empty object"])
async def test_a_store_that_takes_the_tags_for_the_object_is_asked_but_once(answer: bytes) -> None:
    """And for no more of the object than tags have."""
    async with scripted(answer) as server, client_of(server.url) as client:
        with pytest.raises(ObjectInstead):
            await client.tags(SOURCE)
    assert server.asked[0].headers["range"] == "bytes=0-65535"


async def test_tags_that_are_cut_short_are_asked_for_again() -> None:
    async with scripted(reply(200, b"<Tagging><TagSet>"), TAGS) as server, client_of(server.url) as client:
        assert await client.tags(SOURCE) == [("a", "1")]


async def read_twice(*script: Step) -> tuple[list[list[tuple[str, str]]], list[Asked]]:
    """Read the tags of two objects whose look told no number."""
    async with scripted(*script) as server, client_of(server.url, retry_seconds=0) as client:
        properties = Properties(client, client)
        found_tags = []
        for _ in range(2):
            try:
                found_tags.append((await properties.of(SOURCE, UNTOLD)).tags)
            except S3Error as refusal:
                found_tags.append([("failed", type(refusal).__name__)])
        return found_tags, server.asked


@pytest.mark.parametrize(
    "answer",
    [OBJECT, error(400, "InvalidArgument"), error(501, "Other"), error(501, "NotImplemented"), DENIED],
    ids=["object", "400", "501", "not implemented", "403"],
)
async def test_a_legacy_store_that_tells_no_tags_is_asked_no_more(answer: bytes) -> None:
    tags, asked = await read_twice(answer)
    assert (tags, len(asked)) == ([[], []], 1)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(500, "InternalError"), S3Busy),
        (error(503, "SlowDown"), S3Busy),
        (error(403, "SignatureDoesNotMatch"), S3Refused),
        (error(404, "NoSuchKey"), ObjectMissing),
        (reply(200, b"<html>"), S3Malformed),
    ],
    ids=["500", "503", "signature", "gone", "a proxy"],
)
async def test_what_passes_or_is_about_one_object_is_not_learned_of_tags(answer: bytes, kind: type[S3Error]) -> None:
    tags, _ = await read_twice(answer, TAGS)
    assert tags == [[("failed", kind.__name__)], [("a", "1")]]


async def test_expired_credentials_say_nothing_of_tags() -> None:
    async with scripted(error(400, "ExpiredToken"), TAGS) as server, client_of(server.url) as client:
        properties = Properties(client, client)
        with pytest.raises(CredentialsError):
            await properties.of(SOURCE, UNTOLD)
        assert (await properties.of(SOURCE, UNTOLD)).tags == [("a", "1")]


async def test_tags_of_which_a_number_is_told_are_not_lost_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(OBJECT) as server, client_of(server.url) as client:
        kept = await Properties(client, client).of(SOURCE, ObjectInfo(7, ETAG, {TAG_COUNT: "1"}))
    assert kept.tags == []
    assert "the tags of legacy objects may not be read (status 200): the new ones have none" in caplog.text


# what production takes, and tells


async def store_twice(*script: Step) -> list[bool]:
    """Store two objects with a tag, and say of each request whether it was sent with that."""
    async with scripted(*script) as server, client_of(server.url, retry_seconds=0) as client:
        properties = Properties(client, client)
        for _ in range(2):
            kept = await properties.of(SOURCE, ObjectInfo(7, ETAG, {TAG_COUNT: "1"}))
            await properties.store(TARGET, kept, lambda headers: put(client, headers))
        return ["x-amz-tagging" in each.headers for each in server.asked if each.method == "PUT"]


async def put(client: S3Client, headers: Mapping[str, str]) -> str:
    return await client.put(TARGET, b"picture", headers)


@pytest.mark.parametrize(
    "refusal", [error(501, "Other"), error(400, "InvalidArgument"), error(405, "Other")], ids=["501", "400", "405"]
)
async def test_a_production_store_that_takes_no_tags_is_sent_none_any_more(
    refusal: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert await store_twice(TAGS, refusal, STORED, STORED) == [True, False, False]
    assert caplog.text.count("production takes no tags") == 1


@pytest.mark.parametrize("refusal", [error(400, "InvalidTag"), DENIED], ids=["400", "403"])
async def test_tags_that_one_object_may_not_have_are_left_away_from_that(refusal: bytes) -> None:
    assert await store_twice(TAGS, refusal, STORED, TAGS, STORED) == [True, False, True]


async def test_a_store_that_has_taken_tags_takes_them() -> None:
    unclear = error(400, "InvalidArgument")
    assert await store_twice(TAGS, STORED, TAGS, unclear, STORED) == [True, True, False]


async def test_a_refusal_that_is_not_for_the_tags_stays_what_it_was() -> None:
    with pytest.raises(S3Error, match="InvalidArgument"):
        await store_twice(TAGS, error(400, "InvalidArgument"), error(400, "InvalidRequest"))


async def see_twice(*script: Step, keep: Keep = Keep()) -> list[str]:  # noqa: B008 - frozen
    """See twice whether an object that was made with a tag has it; return the methods of the requests."""
    async with scripted(*script) as server, client_of(server.url, keep=keep, retry_seconds=0) as client:
        properties = Properties(client, client)
        for _ in range(2):
            await properties.see_with_tags(TARGET, TAGGED, ETAG)
        return [each.method for each in server.asked]


@pytest.mark.parametrize("answer", [DENIED, OBJECT, error(400, "InvalidArgument")], ids=["403", "object", "400"])
async def test_an_object_whose_tags_are_not_told_is_made_all_the_same_unless_they_are_required(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert await see_twice(answer) == ["GET"], "and nobody asks again"
    assert caplog.text.count("production tells no tags") == 1
    with pytest.raises(S3Error):
        await see_twice(answer, keep=REQUIRED)


async def test_tags_that_cannot_be_seen_for_now_are_no_tags_that_are_there() -> None:
    with pytest.raises(S3Busy):
        await see_twice(error(503, "SlowDown"))


async def test_an_object_whose_tags_cannot_be_given_later_is_made_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = error(501, "NotImplemented")
    assert await see_twice(NO_TAGS, found(7), refused) == ["GET", "HEAD", "PUT"]
    assert "production takes no tags (NotImplemented)" in caplog.text
    with pytest.raises(S3Error, match="NotImplemented"):
        await see_twice(NO_TAGS, found(7), refused, keep=REQUIRED)


# grants


def test_grants_leave_the_new_owner_all_rights() -> None:
    assert grant_headers([Grant(EVERYONE, "READ"), Grant("id1", "READ_ACP")], "me") == {
        "x-amz-grant-read": f'uri="{EVERYONE}"',
        "x-amz-grant-read-acp": 'id="id1"',
        "x-amz-grant-full-control": 'id="me"',
    }


@pytest.mark.parametrize(("grantee", "owner"), [("id1", ""), ("", "me"), ('a"b', "me")])
def test_a_grant_that_no_header_can_give_is_refused(grantee: str, owner: str) -> None:
    with pytest.raises(ValueError, match="owner" if not owner else "cannot be written"):
        grant_headers([Grant(grantee, "READ")], owner)


async def test_where_production_tells_no_owner_the_grants_of_single_ids_fail_the_object() -> None:
    """Nobody could be left the rights of the owner."""
    acl = reply(200, b"<AccessControlPolicy><AccessControlList/></AccessControlPolicy>")
    kept = Kept({}, [], frozenset({Grant("id1", "READ")}))
    async with scripted(acl) as server, client_of(server.url) as client:
        with pytest.raises(S3Error, match="tells no owner") as caught:
            await Properties(client, client).store(TARGET, kept, lambda headers: put(client, headers))
    assert "KEEP_ACL" in caught.value.hint
