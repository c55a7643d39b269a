"""What counts as success, what is tried again, and outcomes that nobody knows."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import (
    BucketMissing,
    ObjectMissing,
    PreconditionFailed,
    S3Busy,
    S3Error,
    S3Malformed,
    S3Refused,
    S3Unreachable,
)
from sketchmigrate.migration.preflight import check_read
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.wire.conditions import if_source_is, if_target_is
from tests.sides import sides_of
from tests.unit.s3.scripted import (
    ETAG,
    SOURCE,
    TARGET,
    Asked,
    Cut,
    Hang,
    client_of,
    copied,
    copy_against,
    copy_document,
    error,
    error_document,
    found,
    reply,
    scripted,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.s3 import S3Client
    from tests.unit.s3.scripted import Step


# 1: success is only a well-formed CopyObjectResult with an ETag


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
def test_a_200_with_an_error_document_is_a_failure_and_tried_again(code: str) -> None:
    assert asyncio.run(copy_against(reply(200, error_document(code)), copied())) == (ETAG, 2)


def test_a_200_with_leading_whitespace_counts() -> None:
    assert asyncio.run(copy_against(reply(200, b" \r\n\n" + copy_document()))) == (ETAG, 1)
    split = copy_document().replace(b"?>\n", b"?>" + b" " * 5000)  # AWS's way to keep a long copy alive
    assert asyncio.run(copy_against(reply(200, split))) == (ETAG, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        copy_document()[:-1],
        copy_document()[:60],
        copy_document(""),
        b"<CopyObjectResult/>",
        b"<html><body>welcome</body></html>",
        copy_document() + b"<Error/>",
        copy_document().replace(b"CopyObjectResult", b"CopyPartResult"),
        b'<!DOCTYPE x [<!ENTITY e "v">]>' + copy_document(),
    ],
)
def test_a_200_that_is_not_a_complete_result_is_tried_again(body: bytes) -> None:
    assert asyncio.run(copy_against(reply(200, body), copied())) == (ETAG, 2)


def test_a_200_that_stays_malformed_is_reported_as_that() -> None:
    with pytest.raises(S3Malformed, match="not well-formed") as caught:
        asyncio.run(copy_against(reply(200, copy_document()[:-1]), retry_seconds=0))
    assert "S3_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "kind"),
    [("AccessDenied", S3Refused), ("NoSuchKey", ObjectMissing), ("NoSuchBucket", BucketMissing)],
)
def test_a_fatal_code_within_a_200_stays_fatal(code: str, kind: type[S3Error]) -> None:
    with pytest.raises(kind, match=f"CopyObject {SOURCE} to {TARGET}: {code}.*REQ1") as caught:
        asyncio.run(copy_against(reply(200, error_document(code)), keep=Keep(tags="required")))
    assert caught.value.code == code


WITHOUT_TAGS = "x-amz-tagging-directive"


async def copied_with(keep: Keep, *script: Step) -> list[bool]:
    """Copy once, and tell of each request whether it asks for a copy without tags."""
    async with scripted(*script) as server, client_of(server.url, keep=keep) as client:
        try:
            await client.copy(SOURCE, TARGET)
        finally:
            asked = [each.headers.get(WITHOUT_TAGS) for each in server.asked]
            assert set(asked) <= {None, "REPLACE"}
            assert not [each for each in server.asked if "x-amz-tagging" in each.headers]
    return [each is not None for each in asked]


def test_what_may_not_be_copied_with_its_tags_is_copied_without(caplog: pytest.LogCaptureFixture) -> None:
    denied = error(403, "AccessDenied")
    assert asyncio.run(copied_with(Keep(), denied, copied())) == [False, True]
    assert "may not be copied with its tags, and was copied without" in caplog.text


def test_no_tags_are_asked_for_where_none_are_kept() -> None:
    assert asyncio.run(copied_with(Keep(tags="no"), copied())) == [True]


@pytest.mark.parametrize(
    ("keep", "script"),
    [
        (Keep(), [error(403, "AccessDenied"), error(403, "AccessDenied")]),
        (Keep(tags="required"), [error(403, "AccessDenied")]),
        (Keep(tags="no"), [error(403, "AccessDenied")]),
        (Keep(), [error(403, "SignatureDoesNotMatch")]),
    ],
    ids=["refused for something else", "tags are required", "there were none", "wrong credentials"],
)
def test_a_refusal_that_is_not_for_the_tags_stays_what_it_was(keep: Keep, script: list[Step]) -> None:
    with pytest.raises(S3Refused, match=r"AccessDenied|SignatureDoesNotMatch"):
        asyncio.run(copied_with(keep, *script))


def test_progress_within_the_result_and_an_etag_without_quotes_are_ceph_and_fine() -> None:
    body = f"<CopyObjectResult><Progress>7</Progress><Progress>9</Progress><ETag>{ETAG}</ETag></CopyObjectResult>"
    assert asyncio.run(copy_against(reply(200, body.encode()))) == (ETAG, 1)


# 2: what is tried again, and when it is given up


@pytest.mark.parametrize(
    "failure",
    [
        Cut(),
        Cut(reset=False),
        Cut(copied()[:30]),
        Cut(copied()[:-20]),
        Cut(copied()[:-20], reset=False),
        *(reply(status) for status in (408, 429, 500, 502, 503, 504)),
        reply(502, b"<html>bad gateway</html>"),
        error(503, "SlowDown"),
        error(500, "InternalError"),
        error(400, "RequestTimeout"),
        error(409, "OperationAborted"),
        error(409, "ConditionalRequestConflict"),
    ],
)
def test_what_passes_is_tried_again(failure: Step) -> None:
    assert asyncio.run(copy_against(failure, copied())) == (ETAG, 2)


@pytest.mark.parametrize(
    "failure",
    [error(403, "AccessDenied"), error(404, "NoSuchBucket"), error(400, "InvalidArgument"), reply(501), reply(404)],
)
def test_what_does_not_pass_is_not_tried_again(failure: Step) -> None:
    with pytest.raises(S3Error):
        asyncio.run(copy_against(failure))


def test_a_skewed_clock_is_set_from_the_reply_and_the_request_signed_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    there = datetime.now(UTC) + timedelta(hours=5)
    refusal = error(403, "RequestTimeTooSkewed", date=format_datetime(there, usegmt=True))

    async def scenario() -> list[Asked]:
        async with scripted(refusal, copied(), copied()) as server, client_of(server.url) as client:
            await client.copy(SOURCE, TARGET)
            await client.copy(SOURCE, TARGET)
            return server.asked

    wrong, right, next_one = asyncio.run(scenario())
    assert wrong.headers["x-amz-date"][:11] != right.headers["x-amz-date"][:11]
    for asked in (right, next_one):
        sent = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(sent - there) < timedelta(seconds=30)
    assert "clock" in caplog.text


def test_a_clock_that_stays_skewed_is_an_error() -> None:
    refusal = error(403, "RequestTimeTooSkewed", date=format_datetime(datetime.now(UTC), usegmt=True))
    with pytest.raises(S3Refused, match="RequestTimeTooSkewed") as caught:
        asyncio.run(copy_against(refusal, refusal))
    assert "clock" in caught.value.hint


@pytest.mark.parametrize(("name", "value"), [("retry_after", "1"), ("x_amz_retry_after", "1000")])
def test_retry_after_is_waited_for(name: str, value: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sketchmigrate.s3")

    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        await copy_against(error(503, "SlowDown", **{name: value}), copied())
        return clock() - began

    assert asyncio.run(scenario()) >= 1
    assert "trying again in 1." in caplog.text


def test_a_long_pause_that_the_store_asks_for_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sketchmigrate.s3.exchange.SAID_SECONDS", 0.05)

    async def scenario() -> None:
        script = [error(503, "SlowDown", x_amz_retry_after="400")] * 3 + [copied()] * 3
        async with scripted(*script) as server, client_of(server.url) as client:
            await asyncio.gather(*(client.copy(SOURCE, TARGET) for _ in range(3)))

    asyncio.run(scenario())
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "SlowDown (so it is, request id REQ1, it asks to wait" in said


def test_pacing_never_gives_an_object_up_while_others_get_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """One object is throttled for three times the retry time; copies of another one succeed meanwhile."""
    monkeypatch.setattr("random.random", lambda: 0.0)  # each pause is the 50 ms that the store asks for
    refusals = 0
    enough = 12

    def answer(asked: Asked) -> bytes:
        nonlocal refusals
        if "slow" in asked.target and refusals < enough:
            refusals += 1
            return error(503, "SlowDown", x_amz_retry_after="50")
        return copied()

    async def scenario() -> None:
        async with scripted(*[answer] * enough, answer) as server, client_of(server.url, retry_seconds=0.2) as client:
            slow = asyncio.create_task(client.copy(SOURCE, type(TARGET)("production", "slow")))
            while not slow.done():
                server.script.append(answer)
                await client.copy(SOURCE, TARGET)
            server.script.clear()
            await slow
            assert sum("slow" in asked.target for asked in server.asked) == enough + 1

    asyncio.run(scenario())


def test_a_store_that_only_throttles_is_given_up_after_the_retry_time() -> None:
    async def scenario() -> None:
        async with scripted() as server, client_of(server.url, retry_seconds=0.3) as client:
            server.script.extend([error(503, "SlowDown")] * 1000)
            with pytest.raises(S3Busy, match="SlowDown"):
                await client.copy(SOURCE, TARGET)
            assert len(server.asked) > 1
            server.script.clear()

    asyncio.run(scenario())


def test_one_object_that_always_fails_does_not_live_on_the_success_of_others() -> None:
    def answer(asked: Asked) -> bytes:
        return error(500, "InternalError") if "broken" in asked.target else copied()

    async def scenario() -> None:
        async with scripted(*[answer] * 100_000) as server, client_of(server.url, retry_seconds=0.3) as client:
            broken = asyncio.create_task(client.copy(SOURCE, type(TARGET)("production", "broken")))
            while not broken.done():
                await client.copy(SOURCE, TARGET)
            with pytest.raises(S3Busy, match="InternalError"):
                await broken
            server.script.clear()

    asyncio.run(scenario())


def test_to_stop_retrying_ends_the_waits_at_once_with_the_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with (
            scripted(error(503, "SlowDown", retry_after="200")) as server,
            client_of(server.url, retry_seconds=300) as client,
        ):
            began_to_wait = asyncio.Event()
            monkeypatch.setattr(logging.getLogger("sketchmigrate.s3.exchange"), "log", lambda *_: began_to_wait.set())
            waiting = asyncio.create_task(client.copy(SOURCE, TARGET))
            await began_to_wait.wait()
            client.stop_retrying()
            with pytest.raises(S3Busy, match="SlowDown"):
                await asyncio.wait_for(waiting, 5)
            assert len(server.asked) == 1

    asyncio.run(scenario())


# 3: an unknown outcome


def test_a_time_out_is_an_unknown_outcome_and_copied_again() -> None:
    assert asyncio.run(copy_against(Hang(), copied(), timeout_seconds=0.2)) == (ETAG, 2)


def test_silence_in_the_middle_of_a_reply_is_a_time_out_too() -> None:
    def begin(asked: Asked) -> bytes:
        del asked
        return copied()[:-10]  # and nothing more, with the connection open

    assert asyncio.run(copy_against(begin, copied(), timeout_seconds=0.2)) == (ETAG, 2)


def test_a_store_that_never_answers_is_unreachable() -> None:
    with pytest.raises(S3Unreachable, match="did not answer in time"):
        asyncio.run(copy_against(Hang(), timeout_seconds=0.1, retry_seconds=0))


def test_a_412_after_a_lost_reply_is_our_own_write_if_the_bytes_are_ours() -> None:
    async def scenario(there: bytes) -> str:
        script: list[Step] = [Cut(), error(412, "PreconditionFailed"), found(len(there))]
        if len(there) == len(b"mine"):
            script.append(reply(206, there, content_range=f"bytes 0-{len(there) - 1}/{len(there)}"))
        async with scripted(*script) as server, client_of(server.url) as client:
            return await client.put(TARGET, b"mine", {"If-None-Match": "*"})

    assert asyncio.run(scenario(b"mine")) == ETAG
    for theirs in (b"their", b"them"):
        with pytest.raises(PreconditionFailed):
            asyncio.run(scenario(theirs))


def test_a_412_at_the_first_attempt_is_someone_elses() -> None:
    async def scenario() -> None:
        async with scripted(error(412, "PreconditionFailed")) as server, client_of(server.url) as client:
            await client.put(TARGET, b"mine", {"If-None-Match": "*"})

    with pytest.raises(PreconditionFailed):
        asyncio.run(scenario())


def test_no_error_is_its_own_cause() -> None:
    """Who follows the causes of one that is, as tracebacks and pickling over machines do, never ends."""

    async def store_what_has_changed(client: S3Client) -> object:
        return await client.put(TARGET, b"mine", {}, if_target_is(ETAG))

    async def copy_what_has_changed(client: S3Client) -> object:
        return await client.copy(SOURCE, TARGET, if_source_is(ETAG))

    async def read_with_a_wrong_key(client: S3Client) -> None:
        await check_read(sides_of(client).legacy, SOURCE, others=False)

    async def scenario(act: Callable[[S3Client], Awaitable[object]], *script: Step) -> BaseException:
        async with scripted(*script) as server, client_of(server.url) as client:
            with pytest.raises(S3Error) as failed:
                await act(client)
            return failed.value

    changed = error(412, "PreconditionFailed")
    unknown = error(403, "InvalidAccessKeyId")
    refused = unknown.partition(b"<?xml")[0]  # HEAD has no body; asked again with GET, the reply tells the code
    for act, script in [
        (store_what_has_changed, [changed]),
        (copy_what_has_changed, [changed]),
        (read_with_a_wrong_key, [refused, unknown]),
    ]:
        seen: list[BaseException] = []
        each: BaseException | None = asyncio.run(scenario(act, *script))
        while each is not None:
            assert each not in seen
            seen.append(each)
            each = each.__cause__
