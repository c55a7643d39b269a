"""What answers is not S3, or not there: addresses, TLS, and the messages that a newcomer meets."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sketchmigrate.core.errors import (
    BucketMissing,
    ObjectMissing,
    S3Error,
    S3Malformed,
    S3Refused,
    S3Unreachable,
    SettingsError,
)
from sketchmigrate.s3 import CredentialSource
from tests.unit.s3.scripted import ETAG, SOURCE, TARGET, Cut, client_of, copied, error, found, reply, scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.s3.scripted import Step

RUNNERS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "store.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("run", RUNNERS)
def test_tls_is_verified_with_a_file_of_ones_own(run: Any, certificate: Path) -> None:
    async def scenario(ca_bundle: str) -> None:
        async with scripted(copied(), tls=server_tls(certificate)) as server:
            try:
                async with client_of(server.url, ca_bundle=ca_bundle) as client:
                    assert (await client.copy(SOURCE, TARGET)).etag == ETAG
            finally:
                server.script.clear()

    run(scenario(str(certificate)))
    with pytest.raises(S3Unreachable, match=r"127\.0\.0\.1:\d+: the certificate cannot be verified") as caught:
        run(scenario(""))
    assert "S3_CA_BUNDLE" in caught.value.hint


def test_a_ca_bundle_that_cannot_be_read_is_a_settings_error(tmp_path: Path) -> None:
    async def scenario(path: Path) -> None:
        async with client_of("https://127.0.0.1:1", ca_bundle=str(path)) as client:
            await client.head(SOURCE)

    (tmp_path / "nonsense.pem").write_text("this is no certificate")
    for path in (tmp_path / "absent.pem", tmp_path / "nonsense.pem"):
        with pytest.raises(SettingsError, match="S3_CA_BUNDLE"):
            asyncio.run(scenario(path))


@pytest.mark.parametrize("run", RUNNERS)
def test_tls_to_a_server_that_speaks_plain_http(run: Any) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    async def scenario() -> None:
        listener = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, client_of(f"https://127.0.0.1:{port}", retry_seconds=0) as client:
            await client.list_page("b", "")

    with pytest.raises(S3Unreachable, match="no TLS connection") as caught:
        run(scenario())
    assert "http://" in caught.value.hint


@pytest.mark.parametrize("run", RUNNERS)
def test_plain_http_to_a_server_that_speaks_tls(run: Any, certificate: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(tls=server_tls(certificate)) as server,
            client_of(server.url.replace("https", "http"), retry_seconds=0) as client,
        ):
            await client.list_page("b", "")

    with pytest.raises((S3Malformed, S3Unreachable)) as caught:
        run(scenario())
    assert "S3_ENDPOINT_URL" in caught.value.hint


GO_ON_TLS = Cut(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", reset=False)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (Cut(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", reset=False), "S3_ENDPOINT_URL"),
        (Cut(b"\x15\x03\x01\x00\x02\x02\x0a", reset=False), "https://"),
        (GO_ON_TLS, "https://"),
        (reply(200, b"<!doctype html><html><body>hello</body></html>"), "S3_ENDPOINT_URL"),
        (reply(404, b"<html>404</html>"), "S3_ENDPOINT_URL"),
        (reply(200, b'{"status":"up"}'), "S3_ENDPOINT_URL"),
        (reply(200, b""), "S3_ENDPOINT_URL"),
        (reply(405), "S3_ENDPOINT_URL"),
    ],
)
@pytest.mark.parametrize("run", RUNNERS)
def test_what_is_not_s3_is_said_to_be_that(run: Any, answer: Step, hint: str) -> None:
    async def scenario() -> None:
        async with scripted(answer) as server, client_of(server.url, retry_seconds=0) as client:
            await client.list_page("b", "")

    with pytest.raises(S3Malformed) as caught:
        run(scenario())
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("run", RUNNERS)
def test_what_speaks_before_it_is_asked_is_not_s3(run: Any) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n")
        await reader.read()
        writer.close()

    async def scenario() -> None:
        listener = await asyncio.start_server(banner, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, client_of(f"http://127.0.0.1:{port}", retry_seconds=0) as client:
            await client.list_page("b", "")

    with pytest.raises(S3Malformed, match=r"does not speak HTTP; it said b'SSH-2\.0"):
        run(scenario())


def test_a_head_that_is_answered_by_some_web_server_is_not_an_object() -> None:
    async def scenario() -> None:
        async with scripted(reply(200)) as server, client_of(server.url, retry_seconds=0) as client:
            await client.head(SOURCE)

    with pytest.raises(S3Malformed):
        asyncio.run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
def test_nobody_listens(run: Any) -> None:
    async def scenario() -> None:
        async with scripted() as server:
            url = server.url
        async with client_of(url, retry_seconds=300) as client:
            await client.retrying(0).head(SOURCE)

    with pytest.raises(S3Unreachable, match=r"127\.0\.0\.1:\d+: the connection was refused"):
        run(scenario())


@pytest.mark.parametrize("run", RUNNERS)
@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70])
def test_the_host_does_not_exist(run: Any, host: str) -> None:
    async def scenario() -> None:
        async with client_of(f"http://{host}:9000") as client:
            await client.retrying(0).head(SOURCE)

    with pytest.raises(S3Unreachable, match=f"{host}:9000: "):
        run(scenario())


def test_another_patience_is_the_same_client_otherwise() -> None:
    async def scenario() -> None:
        async with scripted(found(1), found(1)) as server, client_of(server.url) as client:
            await client.retrying(0).head(SOURCE)
            await client.head(SOURCE)
            assert server.connections == 1
            assert client.requests_sent == {"HeadObject": 2}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(403, "AccessDenied"), S3Refused, ""),
        (error(403, "InvalidAccessKeyId"), S3Refused, "AWS_ACCESS_KEY_ID"),
        (error(403, "SignatureDoesNotMatch"), S3Refused, "AWS_SECRET_ACCESS_KEY"),
        (reply(403, b"<html>proxy says no</html>"), S3Refused, ""),
        (error(404, "NoSuchBucket"), BucketMissing, "bucket"),
    ],
)
def test_refusals_name_the_operation_the_place_and_what_to_do(answer: bytes, kind: type[S3Error], words: str) -> None:
    async def scenario() -> None:
        async with scripted(answer) as server, client_of(server.url) as client:
            await client.list_page("photos", "image/")

    with pytest.raises(kind, match="ListObjectsV2 s3://photos") as caught:
        asyncio.run(scenario())
    assert words in caught.value.hint
    assert bool(words) is bool(caught.value.hint)
    assert b"proxy" not in answer or "proxy says no" in caught.value.message


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Access Denied", ""),
        (
            (
                "User: u is not authorized to perform: s3:ListBucket on resource: arn because no"
                " identity-based policy allows the s3:ListBucket action"
            ),
            "identity-based policy allows s3:ListBucket",
        ),
        (
            (
                "User: u is not authorized to perform: s3:PutObject on resource: arn with an explicit"
                " deny in a resource-based policy"
            ),
            "A resource-based policy denies this",
        ),
        (
            (
                "User: u is not authorized to perform: kms:GenerateDataKey on resource: key because no resource-based"
                " policy allows the kms:GenerateDataKey action"
            ),
            "allows kms:GenerateDataKey",
        ),
    ],
)
def test_a_denial_is_hinted_at_only_where_the_store_tells_its_cause(said: str, hint: str) -> None:
    async def scenario() -> None:
        body = f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>".encode()
        async with scripted(reply(403, body)) as server, client_of(server.url) as client:
            await client.list_page("photos", "image/")

    with pytest.raises(S3Refused) as caught:
        asyncio.run(scenario())
    assert said[:100] in caught.value.message
    assert hint in caught.value.hint
    assert bool(hint) is bool(caught.value.hint)


def test_a_refused_head_tells_the_code_that_its_own_reply_could_not() -> None:
    async def scenario() -> None:
        async with scripted(reply(403), error(403, "SignatureDoesNotMatch")) as server, client_of(server.url) as client:
            await client.head(SOURCE)

    with pytest.raises(S3Refused, match="SignatureDoesNotMatch"):
        asyncio.run(scenario())


def test_a_missing_object_is_that_and_nothing_else() -> None:
    async def scenario() -> None:
        async with scripted(reply(404)) as server, client_of(server.url) as client:
            await client.head(SOURCE)

    with pytest.raises(ObjectMissing, match=f"HeadObject {SOURCE}"):
        asyncio.run(scenario())


def test_no_secret_is_in_any_error() -> None:
    """A server echoes what it was sent; a message must not."""
    said = "<StringToSign>the-secret</StringToSign><CanonicalRequest>the-token</CanonicalRequest>"

    async def scenario() -> None:
        source = CredentialSource.static("AKID", "the-secret", "the-token")
        script = error(403, "SignatureDoesNotMatch", said)
        async with scripted(script) as server, client_of(server.url, source) as client:
            assert "the-secret" not in repr(vars(source)) + repr(source)
            await client.list_page("b", "")

    with pytest.raises(S3Refused) as caught:
        asyncio.run(scenario())
    shown = f"{caught.value} {caught.value.hint} {caught.value!r} {caught.value.__cause__!r}"
    assert "the-secret" not in shown
    assert "the-token" not in shown


def test_session_token_and_requester_pays_are_sent_and_signed() -> None:
    async def scenario() -> dict[str, str]:
        source = CredentialSource.static("AKID", "s", "the-token")
        async with scripted(copied()) as server, client_of(server.url, source, requester_pays=True) as client:
            await client.copy(SOURCE, TARGET)
            return server.asked[0].headers

    headers = asyncio.run(scenario())
    assert headers["x-amz-security-token"] == "the-token"
    assert headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer;x-amz-security-token" in headers["authorization"]


@pytest.mark.parametrize("run", RUNNERS)
def test_heads_share_a_connection_although_their_replies_tell_a_length(run: Any) -> None:
    async def scenario() -> int:
        async with scripted(*[found(7)] * 5, copied()) as server, client_of(server.url) as client:
            for _ in range(5):
                assert (await client.head(SOURCE)).size_bytes == 7
            await client.copy(SOURCE, TARGET)
            return server.connections

    assert run(scenario()) == 1


def test_an_interim_reply_is_passed_over() -> None:
    async def scenario() -> None:
        async with scripted(b"HTTP/1.1 100 Continue\r\n\r\n" + copied()) as server, client_of(server.url) as client:
            await client.copy(SOURCE, TARGET)
            assert len(server.asked) == 1

    asyncio.run(scenario())


def test_the_headers_are_those_of_the_reply_that_follows_an_interim_one() -> None:
    hints = b'HTTP/1.1 103 Early Hints\r\nETag: "early"\r\nx-amz-meta-a: early\r\n\r\n'
    told = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: "e"\r\nX-Amz-Meta-A: 1\r\nx-amz-meta-a: 2\r\n\r\n'

    async def scenario() -> None:
        async with scripted(hints + told) as server, client_of(server.url) as client:
            info = await client.head(SOURCE)
        assert (info.etag, info.size_bytes, info.headers["x-amz-meta-a"]) == ("e", 7, "1, 2")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "fine"),
    [
        (reply(206, b"abc", content_range="bytes 2-4/10"), True),
        (reply(206, b"abc", content_range="bytes 2-4/*"), True),
        (reply(206, b"ab", content_range="bytes 2-3/4"), True),
        (reply(206, b"ab", content_range="bytes 2-3/10"), False),
        (reply(206, b"abc", content_range="bytes 0-2/10"), False),
        (reply(206, b"abc"), False),
        (reply(206, b"abcd", content_range="bytes 2-4/10"), False),
        (reply(200, b"abc", etag='"e"'), False),
    ],
)
def test_a_range_is_exactly_what_was_asked_for_or_an_error(answer: bytes, fine: bool) -> None:
    async def scenario() -> bytes:
        async with scripted(answer) as server, client_of(server.url, retry_seconds=0) as client:
            return await client.get(SOURCE, 2, 4)

    if fine:
        assert asyncio.run(scenario()) in (b"abc", b"ab")
    else:
        with pytest.raises(S3Error):
            asyncio.run(scenario())


def test_a_header_with_a_line_break_is_not_sent() -> None:
    async def scenario() -> None:
        async with scripted() as server, client_of(server.url) as client:
            with pytest.raises(ValueError, match="line break"):
                await client.put(TARGET, b"", {"x-amz-meta-a": "1\r\nx-amz-acl: public-read"})
            assert not server.asked

    asyncio.run(scenario())
