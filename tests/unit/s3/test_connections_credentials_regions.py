"""Connections that servers close, credentials that expire, regions that turn out to be others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest

from sketchmigrate.core.errors import CredentialsError, ObjectMissing, S3Refused
from sketchmigrate.s3 import CredentialSource
from sketchmigrate.s3.wire import pool, transport
from sketchmigrate.s3.wire.addressing import Origin
from sketchmigrate.s3.wire.sigv4 import Credentials
from tests.unit.s3.scripted import (
    ETAG,
    SOURCE,
    TARGET,
    Asked,
    Cut,
    client_of,
    copied,
    copy_against,
    copy_document,
    error,
    found,
    reply,
    scripted,
)

# 4: idle connections and DNS


def test_connections_are_kept_and_the_last_one_used_is_taken_first() -> None:
    async def scenario() -> list[int]:
        async with scripted(*[copied()] * 6) as server, client_of(server.url) as client:
            await asyncio.gather(client.copy(SOURCE, TARGET), client.copy(SOURCE, TARGET))
            for _ in range(4):
                await client.copy(SOURCE, TARGET)
            return [asked.connection for asked in server.asked]

    first, second, *rest = asyncio.run(scenario())
    assert {first, second} == {0, 1}
    assert len(set(rest)) == 1


@pytest.mark.parametrize(
    ("told", "connections"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 1),  # as rclone says it: neither a length nor an end is announced
        (b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n", 2),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", 2),
    ],
)
def test_a_head_of_nothing_keeps_its_connection_unless_it_is_said_to_end(told: bytes, connections: int) -> None:
    async def scenario() -> int:
        async with scripted(told, told) as server, client_of(server.url) as client:
            for _ in range(2):
                with pytest.raises(ObjectMissing):
                    await client.head(TARGET)
            return server.connections

    assert asyncio.run(scenario()) == connections


def test_a_stale_connection_is_replaced_by_a_fresh_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketchmigrate.s3.retry.Patience.pause_seconds", lambda *_: pytest.fail("it waited"))

    async def scenario() -> list[int]:
        async with scripted(copied(), copied(), Cut(reset=False), copied()) as server, client_of(server.url) as client:
            await asyncio.gather(client.copy(SOURCE, TARGET), client.copy(SOURCE, TARGET))
            await client.copy(SOURCE, TARGET)
            return [asked.connection for asked in server.asked]

    assert asyncio.run(scenario())[-1] == 2  # a third connection, although another idle one was there


def test_idle_connections_are_closed_before_the_server_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(pool, "SWEEP_SECONDS", 0.02)

    async def scenario() -> int:
        async with scripted(copied(), copied()) as server, client_of(server.url) as client:
            await client.copy(SOURCE, TARGET)
            await asyncio.wait_for(server.gone.wait(), 5)
            await client.copy(SOURCE, TARGET)
            return server.connections

    assert asyncio.run(scenario()) == 2


def test_a_sweep_spares_a_connection_that_was_just_made() -> None:
    async def scenario() -> bool:
        async with scripted() as server:
            connections = pool.Pool(60, ssl.create_default_context)
            connection = await connections.connect(Origin("127.0.0.1", server.port, tls=False))
            connection.sweep(connections.loop.time(), 60)
            spared = connection.usable
            await connections.close()
            return spared

    assert asyncio.run(scenario())


def test_an_idle_time_below_the_usual_five_seconds() -> None:
    assert transport.IDLE_SECONDS + pool.SWEEP_SECONDS <= 5


def test_the_name_is_resolved_anew_for_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_server_that_closes_after_each_reply_is_served_well() -> None:
    async def scenario() -> int:
        async with (
            scripted(reply(200, copy_document(), connection="close"), copied()) as server,
            client_of(server.url) as client,
        ):
            for _ in range(2):
                await client.copy(SOURCE, TARGET)
            assert len(server.asked) == 2
            return server.connections

    assert asyncio.run(scenario()) == 2


# 5: credentials that expire


def test_expired_credentials_are_refreshed_once_for_all_and_the_requests_sent_again() -> None:
    loaded: list[Credentials] = []

    def load() -> Credentials:
        loaded.append(Credentials("AKID", "secret", f"token-{len(loaded)}"))
        return loaded[-1]

    def answer(asked: Asked) -> bytes:
        return error(400, "ExpiredToken") if asked.headers["x-amz-security-token"] == "token-0" else copied()

    async def scenario() -> None:
        source = CredentialSource(load, renewable=True)
        async with scripted(*[answer] * 20) as server, client_of(server.url, source) as client:
            await asyncio.gather(*(client.copy(SOURCE, TARGET) for _ in range(10)))
            assert [asked.headers["x-amz-security-token"] for asked in server.asked].count("token-1") == 10

    asyncio.run(scenario())
    assert len(loaded) == 2


def test_credentials_are_renewed_ahead_of_their_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sketchmigrate.s3.credentials.CHECK_SECONDS", 0.0)
    tokens = iter(range(100))

    async def scenario() -> list[str]:
        source = CredentialSource(lambda: Credentials("A", "s", f"token-{next(tokens)}"), renewable=True)
        async with scripted(copied(), copied()) as server, client_of(server.url, source) as client:
            for _ in range(2):
                await client.copy(SOURCE, TARGET)
            return [asked.headers["x-amz-security-token"] for asked in server.asked]

    first, second = asyncio.run(scenario())
    assert first != second


def test_static_credentials_that_expire_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(CredentialsError, match="expired") as caught:
        asyncio.run(copy_against(error(400, "ExpiredToken")))
    assert "profile" in caught.value.hint


def test_a_refresh_that_brings_the_same_credentials_is_an_error() -> None:
    async def scenario() -> None:
        source = CredentialSource(lambda: Credentials("A", "s", "t"), renewable=True)
        async with scripted(error(400, "ExpiredToken")) as server, client_of(server.url, source) as client:
            await client.copy(SOURCE, TARGET)

    with pytest.raises(CredentialsError, match="not renewed"):
        asyncio.run(scenario())


def test_a_head_that_is_refused_finds_out_that_the_token_expired() -> None:
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
def test_the_region_named_is_followed_once_remembered_and_told(
    redirect: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> list[str]:
        async with scripted(redirect, copied(), copied()) as server, client_of(server.url) as client:
            for _ in range(2):
                await client.copy(SOURCE, TARGET)
            return [asked.headers["authorization"].split("/")[2] for asked in server.asked]

    assert asyncio.run(scenario()) == ["us-east-1", "eu-central-1", "eu-central-1"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is in region eu-central-1, not us-east-1" in caplog.text


def test_many_requests_redirected_at_once_all_arrive(caplog: pytest.LogCaptureFixture) -> None:
    def answer(asked: Asked) -> bytes:
        if "/us-east-1/" in asked.headers["authorization"]:
            return error(301, "PermanentRedirect", x_amz_bucket_region="eu-central-1")
        return copied()

    async def scenario() -> None:
        async with scripted(*[answer] * 20) as server, client_of(server.url) as client:
            await asyncio.gather(*(client.copy(SOURCE, TARGET) for _ in range(10)))

    asyncio.run(scenario())
    assert len(caplog.records) == 1


def test_a_head_learns_the_region_from_the_header() -> None:
    async def scenario() -> int:
        script = [reply(400, x_amz_bucket_region="eu-west-1"), found(3)]
        async with scripted(*script) as server, client_of(server.url) as client:
            return (await client.head(SOURCE)).size_bytes

    assert asyncio.run(scenario()) == 3


def test_a_head_refused_in_the_right_region_is_explained_all_the_same() -> None:
    async def scenario() -> None:
        script = [reply(403, x_amz_bucket_region="us-east-1"), error(403, "SignatureDoesNotMatch")]
        async with scripted(*script) as server, client_of(server.url) as client:
            await client.head(SOURCE)

    with pytest.raises(S3Refused, match="SignatureDoesNotMatch"):
        asyncio.run(scenario())


def test_the_host_named_is_followed() -> None:
    async def scenario() -> None:
        async with scripted(copied()) as there:
            moved = reply(307, location=f"http://127.0.0.1:{there.port}/production/avatar/a.png")
            async with scripted(moved) as here, client_of(here.url) as client:
                assert (await client.copy(SOURCE, TARGET)).etag == ETAG
            assert there.asked[0].target == "/production/avatar/a.png"
            assert there.asked[0].headers["host"] == f"127.0.0.1:{there.port}"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ([reply(301)], ""),
        ([error(400, "AuthorizationHeaderMalformed")], ""),
        ([error(301, "PermanentRedirect", x_amz_bucket_region=region) for region in ("a-b-1", "a-b-2")], "a-b-2"),
    ],
)
def test_a_redirect_without_a_name_or_a_second_one_is_an_error(script: list[bytes], named: str) -> None:
    """A region that nobody named cannot be hinted at; and one setting cannot name the regions of two buckets."""
    with pytest.raises(S3Refused) as caught:
        asyncio.run(copy_against(*script))
    if named:
        assert named in caught.value.hint
        assert "two regions of AWS, leave S3_ENDPOINT_URL empty" in caught.value.hint
    else:
        assert caught.value.hint == ""


def test_two_buckets_in_two_regions_are_asked_each_in_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """No word of it sends anybody from one S3_REGION to the other and back."""
    moved = [error(301, "PermanentRedirect", x_amz_bucket_region=region) for region in ("eu-west-1", "ap-south-1")]

    async def scenario() -> list[str]:
        async with scripted(moved[0], found(3), moved[1], copied(), found(3), copied()) as server:
            async with client_of(server.url) as client:
                for _ in range(2):
                    await client.head(SOURCE)
                    await client.copy(SOURCE, TARGET)
            return [asked.headers["authorization"].split("/")[2] for asked in server.asked]

    regions = asyncio.run(scenario())
    assert regions == ["us-east-1", "eu-west-1", "us-east-1", "ap-south-1", "eu-west-1", "ap-south-1"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert not any("set S3_REGION" in line for line in told)
