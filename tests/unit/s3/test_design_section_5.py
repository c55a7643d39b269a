"""DESIGN.md, section 5: what a robust S3 copy client handles, item by item (1-6; the rest in files of their own)."""

from __future__ import annotations

import asyncio
import logging
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from sketch_migrate.errors import (
    BucketMissing,
    CredentialsError,
    ObjectMissing,
    PreconditionFailed,
    S3Busy,
    S3Error,
    S3Malformed,
    S3Refused,
    S3Unreachable,
)
from sketch_migrate.s3 import CredentialSource, transport
from sketch_migrate.s3.sigv4 import Credentials
from tests.unit.s3.scripted import (
    ETAG,
    SOURCE,
    TARGET,
    Asked,
    Cut,
    Hang,
    client_of,
    copied,
    copy_document,
    error,
    error_document,
    found,
    reply,
    scripted,
)

if TYPE_CHECKING:
    from tests.unit.s3.scripted import Step


async def copy_against(*script: Step, **config: Any) -> tuple[str, int]:
    """Copy once against a script, all of which must be used; return the ETag and the number of attempts."""
    async with scripted(*script) as server, client_of(server.url, **config) as client:
        result = await client.copy(SOURCE, TARGET)
        assert result.attempts == len(server.asked)
        return result.etag, result.attempts


# 1: success is only a well-formed CopyObjectResult with an ETag


@pytest.mark.parametrize("code", ["InternalError", "SlowDown", "ServiceUnavailable"])
def test_5_1_a_200_with_an_error_document_is_a_failure_and_tried_again(code: str) -> None:
    assert asyncio.run(copy_against(reply(200, error_document(code)), copied())) == (ETAG, 2)


def test_5_1_a_200_with_leading_whitespace_counts() -> None:
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
def test_5_1_a_200_that_is_not_a_complete_result_is_tried_again(body: bytes) -> None:
    assert asyncio.run(copy_against(reply(200, body), copied())) == (ETAG, 2)


def test_5_1_a_200_that_stays_malformed_is_reported_as_that() -> None:
    with pytest.raises(S3Malformed, match="not well-formed") as caught:
        asyncio.run(copy_against(reply(200, copy_document()[:-1]), retry_seconds=0))
    assert "S3_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "kind"),
    [("AccessDenied", S3Refused), ("NoSuchKey", ObjectMissing), ("NoSuchBucket", BucketMissing)],
)
def test_5_1_a_fatal_code_within_a_200_stays_fatal(code: str, kind: type[S3Error]) -> None:
    with pytest.raises(kind, match=f"CopyObject {SOURCE} to {TARGET}: {code}.*REQ1") as caught:
        asyncio.run(copy_against(reply(200, error_document(code))))
    assert caught.value.code == code


def test_5_1_progress_within_the_result_and_an_etag_without_quotes_are_ceph_and_fine() -> None:
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
def test_5_2_what_passes_is_tried_again(failure: Step) -> None:
    assert asyncio.run(copy_against(failure, copied())) == (ETAG, 2)


@pytest.mark.parametrize(
    "failure",
    [error(403, "AccessDenied"), error(404, "NoSuchBucket"), error(400, "InvalidArgument"), reply(501), reply(404)],
)
def test_5_2_what_does_not_pass_is_not_tried_again(failure: Step) -> None:
    with pytest.raises(S3Error):
        asyncio.run(copy_against(failure))


def test_5_2_a_skewed_clock_is_set_from_the_reply_and_the_request_signed_again(
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


def test_5_2_a_clock_that_stays_skewed_is_an_error() -> None:
    refusal = error(403, "RequestTimeTooSkewed", date=format_datetime(datetime.now(UTC), usegmt=True))
    with pytest.raises(S3Refused, match="RequestTimeTooSkewed") as caught:
        asyncio.run(copy_against(refusal, refusal))
    assert "clock" in caught.value.hint


@pytest.mark.parametrize(("name", "value"), [("retry_after", "1"), ("x_amz_retry_after", "1000")])
def test_5_2_retry_after_is_waited_for(name: str, value: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sketch_migrate.s3")

    async def scenario() -> float:
        clock = asyncio.get_running_loop().time
        began = clock()
        await copy_against(error(503, "SlowDown", **{name: value}), copied())
        return clock() - began

    assert asyncio.run(scenario()) >= 1
    assert "trying again in 1." in caplog.text


def test_5_2_pacing_never_gives_an_object_up_while_others_get_through(monkeypatch: pytest.MonkeyPatch) -> None:
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
            assert (await slow).attempts == enough + 1

    asyncio.run(scenario())


def test_5_2_a_store_that_only_throttles_is_given_up_after_the_retry_time() -> None:
    async def scenario() -> None:
        async with scripted() as server, client_of(server.url, retry_seconds=0.3) as client:
            server.script.extend([error(503, "SlowDown")] * 1000)
            with pytest.raises(S3Busy, match="SlowDown"):
                await client.copy(SOURCE, TARGET)
            assert len(server.asked) > 1
            server.script.clear()

    asyncio.run(scenario())


def test_5_2_one_object_that_always_fails_does_not_live_on_the_success_of_others() -> None:
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


def test_5_2_to_stop_retrying_ends_the_waits_at_once_with_the_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with (
            scripted(error(503, "SlowDown", retry_after="200")) as server,
            client_of(server.url, retry_seconds=300) as client,
        ):
            began_to_wait = asyncio.Event()
            monkeypatch.setattr(
                logging.getLogger("sketch_migrate.s3.exchange"), "debug", lambda *_: began_to_wait.set()
            )
            waiting = asyncio.create_task(client.copy(SOURCE, TARGET))
            await began_to_wait.wait()
            client.stop_retrying()
            with pytest.raises(S3Busy, match="SlowDown"):
                await asyncio.wait_for(waiting, 5)
            assert len(server.asked) == 1

    asyncio.run(scenario())


# 3: an unknown outcome


def test_5_3_a_time_out_is_an_unknown_outcome_and_copied_again() -> None:
    assert asyncio.run(copy_against(Hang(), copied(), timeout_seconds=0.2)) == (ETAG, 2)


def test_5_3_silence_in_the_middle_of_a_reply_is_a_time_out_too() -> None:
    def begin(asked: Asked) -> bytes:
        del asked
        return copied()[:-10]  # and nothing more, with the connection open

    assert asyncio.run(copy_against(begin, copied(), timeout_seconds=0.2)) == (ETAG, 2)


def test_5_3_a_store_that_never_answers_is_unreachable() -> None:
    with pytest.raises(S3Unreachable, match="did not answer in time"):
        asyncio.run(copy_against(Hang(), timeout_seconds=0.1, retry_seconds=0))


def test_5_3_a_412_after_a_lost_reply_is_our_own_write_if_the_bytes_are_ours() -> None:
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


def test_5_3_a_412_at_the_first_attempt_is_someone_elses() -> None:
    async def scenario() -> None:
        async with scripted(error(412, "PreconditionFailed")) as server, client_of(server.url) as client:
            await client.put(TARGET, b"mine", {"If-None-Match": "*"})

    with pytest.raises(PreconditionFailed):
        asyncio.run(scenario())


# 4: idle connections and DNS


def test_5_4_connections_are_kept_and_the_last_one_used_is_taken_first() -> None:
    async def scenario() -> list[int]:
        async with scripted(*[copied()] * 6) as server, client_of(server.url) as client:
            await asyncio.gather(client.copy(SOURCE, TARGET), client.copy(SOURCE, TARGET))
            for _ in range(4):
                await client.copy(SOURCE, TARGET)
            return [asked.connection for asked in server.asked]

    first, second, *rest = asyncio.run(scenario())
    assert {first, second} == {0, 1}
    assert len(set(rest)) == 1


def test_5_4_a_stale_connection_is_replaced_by_a_fresh_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketch_migrate.s3.retry.Patience.pause_seconds", lambda *_: pytest.fail("it waited"))

    async def scenario() -> list[int]:
        async with scripted(copied(), copied(), Cut(reset=False), copied()) as server, client_of(server.url) as client:
            await asyncio.gather(client.copy(SOURCE, TARGET), client.copy(SOURCE, TARGET))
            result = await client.copy(SOURCE, TARGET)
            assert result.attempts == 2
            return [asked.connection for asked in server.asked]

    assert asyncio.run(scenario())[-1] == 2  # a third connection, although another idle one was there


def test_5_4_idle_connections_are_closed_before_the_server_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(transport, "SWEEP_SECONDS", 0.02)

    async def scenario() -> int:
        async with scripted(copied(), copied()) as server, client_of(server.url) as client:
            await client.copy(SOURCE, TARGET)
            await asyncio.wait_for(server.gone.wait(), 5)
            await client.copy(SOURCE, TARGET)
            return server.connections

    assert asyncio.run(scenario()) == 2


def test_5_4_an_idle_time_below_the_usual_five_seconds() -> None:
    assert transport.IDLE_SECONDS + transport.SWEEP_SECONDS <= 5


def test_5_4_the_name_is_resolved_anew_for_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store moves: its name points to another address after the first connection broke."""
    resolve = socket.getaddrinfo
    addresses: list[tuple[str, int]] = []

    def moving(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        return (
            resolve(*addresses.pop(0), *rest, **named) if host == "store.test" else resolve(host, port, *rest, **named)
        )

    monkeypatch.setattr(socket, "getaddrinfo", moving)

    async def scenario() -> tuple[int, int]:
        async with (
            scripted(copied(), Cut()) as old,
            scripted(copied()) as new,
            client_of("http://store.test") as client,
        ):
            addresses.extend([("127.0.0.1", old.port), ("127.0.0.1", new.port)])
            await client.copy(SOURCE, TARGET)
            await client.copy(SOURCE, TARGET)
            return len(old.asked), len(new.asked)

    assert asyncio.run(scenario()) == (2, 1)


def test_5_4_a_server_that_closes_after_each_reply_is_served_well() -> None:
    async def scenario() -> int:
        async with (
            scripted(reply(200, copy_document(), connection="close"), copied()) as server,
            client_of(server.url) as client,
        ):
            for _ in range(2):
                assert (await client.copy(SOURCE, TARGET)).attempts == 1
            return server.connections

    assert asyncio.run(scenario()) == 2


# 5: credentials that expire


def test_5_5_expired_credentials_are_refreshed_once_for_all_and_the_requests_sent_again() -> None:
    loaded: list[Credentials] = []

    def load() -> Credentials:
        loaded.append(Credentials("AKID", "secret", f"token-{len(loaded)}"))
        return loaded[-1]

    def answer(asked: Asked) -> bytes:
        return error(400, "ExpiredToken") if asked.headers["x-amz-security-token"] == "token-0" else copied()

    async def scenario() -> None:
        source = CredentialSource(load, renewable=True)
        async with scripted(*[answer] * 20) as server, client_of(server.url, source) as client:
            results = await asyncio.gather(*(client.copy(SOURCE, TARGET) for _ in range(10)))
            assert {result.attempts for result in results} == {2}

    asyncio.run(scenario())
    assert len(loaded) == 2


def test_5_5_credentials_are_renewed_ahead_of_their_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketch_migrate.s3.credentials.CHECK_SECONDS", 0.0)
    tokens = iter(range(100))

    async def scenario() -> list[str]:
        source = CredentialSource(lambda: Credentials("A", "s", f"token-{next(tokens)}"), renewable=True)
        async with scripted(copied(), copied()) as server, client_of(server.url, source) as client:
            for _ in range(2):
                await client.copy(SOURCE, TARGET)
            return [asked.headers["x-amz-security-token"] for asked in server.asked]

    first, second = asyncio.run(scenario())
    assert first != second


def test_5_5_static_credentials_that_expire_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(CredentialsError, match="expired") as caught:
        asyncio.run(copy_against(error(400, "ExpiredToken")))
    assert "profile" in caught.value.hint


def test_5_5_a_refresh_that_brings_the_same_credentials_is_an_error() -> None:
    async def scenario() -> None:
        source = CredentialSource(lambda: Credentials("A", "s", "t"), renewable=True)
        async with scripted(error(400, "ExpiredToken")) as server, client_of(server.url, source) as client:
            await client.copy(SOURCE, TARGET)

    with pytest.raises(CredentialsError, match="not renewed"):
        asyncio.run(scenario())


def test_5_5_a_head_that_is_refused_finds_out_that_the_token_expired() -> None:
    """A reply to HEAD names no code; the object's first byte is asked for instead."""
    tokens = iter(range(100))

    async def scenario() -> list[str]:
        source = CredentialSource(lambda: Credentials("A", "s", f"token-{next(tokens)}"), renewable=True)
        async with (
            scripted(reply(400), error(400, "ExpiredToken"), found(3)) as server,
            client_of(server.url, source) as client,
        ):
            assert (await client.head(SOURCE)).size_bytes == 3
            return [asked.method for asked in server.asked]

    assert asyncio.run(scenario()) == ["HEAD", "GET", "HEAD"]


# 6: regions and redirects


@pytest.mark.parametrize(
    "redirect",
    [
        error(301, "PermanentRedirect", x_amz_bucket_region="eu-central-1"),
        error(400, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>"),
        error(307, "TemporaryRedirect", x_amz_bucket_region="eu-central-1"),
    ],
)
def test_5_6_the_region_named_is_followed_once_remembered_and_told(
    redirect: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> list[str]:
        async with scripted(redirect, copied(), copied()) as server, client_of(server.url) as client:
            for _ in range(2):
                await client.copy(SOURCE, TARGET)
            return [asked.headers["authorization"].split("/")[2] for asked in server.asked]

    assert asyncio.run(scenario()) == ["us-east-1", "eu-central-1", "eu-central-1"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "S3_REGION=eu-central-1" in caplog.text


def test_5_6_many_requests_redirected_at_once_all_arrive(caplog: pytest.LogCaptureFixture) -> None:
    def answer(asked: Asked) -> bytes:
        if "/us-east-1/" in asked.headers["authorization"]:
            return error(301, "PermanentRedirect", x_amz_bucket_region="eu-central-1")
        return copied()

    async def scenario() -> None:
        async with scripted(*[answer] * 20) as server, client_of(server.url) as client:
            await asyncio.gather(*(client.copy(SOURCE, TARGET) for _ in range(10)))

    asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_5_6_a_head_learns_the_region_from_the_header() -> None:
    async def scenario() -> int:
        script = [reply(400, x_amz_bucket_region="eu-west-1"), found(3)]
        async with scripted(*script) as server, client_of(server.url) as client:
            return (await client.head(SOURCE)).size_bytes

    assert asyncio.run(scenario()) == 3


def test_5_6_a_head_refused_in_the_right_region_is_explained_all_the_same() -> None:
    async def scenario() -> None:
        script = [reply(403, x_amz_bucket_region="us-east-1"), error(403, "SignatureDoesNotMatch")]
        async with scripted(*script) as server, client_of(server.url) as client:
            await client.head(SOURCE)

    with pytest.raises(S3Refused, match="SignatureDoesNotMatch"):
        asyncio.run(scenario())


def test_5_6_the_host_named_is_followed() -> None:
    async def scenario() -> None:
        async with scripted(copied()) as there:
            moved = reply(307, location=f"http://127.0.0.1:{there.port}/production/avatar/a.png")
            async with scripted(moved) as here, client_of(here.url) as client:
                assert (await client.copy(SOURCE, TARGET)).etag == ETAG
            assert there.asked[0].target == "/production/avatar/a.png"
            assert there.asked[0].headers["host"] == f"127.0.0.1:{there.port}"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "script",
    [
        [reply(301)],
        [error(400, "AuthorizationHeaderMalformed")],
        [error(301, "PermanentRedirect", x_amz_bucket_region=region) for region in ("a-b-1", "a-b-2")],
    ],
)
def test_5_6_a_redirect_without_a_name_or_a_second_one_is_an_error(script: list[bytes]) -> None:
    with pytest.raises(S3Refused) as caught:
        asyncio.run(copy_against(*script))
    assert "S3_REGION" in caught.value.hint
