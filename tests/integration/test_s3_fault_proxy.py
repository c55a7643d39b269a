"""The fault proxy in front of S3 really does what it says; without that, tests of faults prove nothing."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError, ResponseStreamingError

from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.stores import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.http1 import S3Request
    from tests.servers.s3_faults import Answer
    from tests.servers.stores import Store

SOURCE, TARGET = "image/a b+c%41ü.png", "avatar/a b+c%41ü.png"


@pytest.fixture
def proxy(rclone_store: Store) -> Iterator[S3FaultProxy]:
    with S3FaultProxy(rclone_store.endpoint_url) as running:
        yield running


@pytest.fixture
def client(rclone_store: Store, proxy: S3FaultProxy) -> Any:
    """boto3 by way of the proxy, trying once; the legacy object is there."""
    rclone_store.put_all(rclone_store.legacy_bucket, {SOURCE: b"legacy bytes"})
    return rclone_store.server.client(endpoint_url=proxy.endpoint_url)


@contextmanager
def raw_connection(proxy: S3FaultProxy) -> Iterator[socket.socket]:
    """A bare socket to the proxy, so that every byte and every reset shows."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        yield connection


def copy(client: Any, store: Store) -> None:
    source = {"Bucket": store.legacy_bucket, "Key": SOURCE}
    client.copy_object(Bucket=store.production_bucket, Key=TARGET, CopySource=source)


def raw_copy(store: Store) -> tuple[int, bytes]:
    """Copy without boto3's opinions; return the status and the body as they arrive."""
    url = f"{store.endpoint_url}/{store.production_bucket}/{quote(TARGET)}"
    headers = {"x-amz-copy-source": f"{store.legacy_bucket}/{quote(SOURCE)}"}
    request = AWSRequest("PUT", url, headers)
    S3SigV4Auth(Credentials(store.access_key, store.secret_key), "s3", REGION).add_auth(request)
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("PUT", urlsplit(url).path, headers=dict(request.headers))
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply.status, body


def read_until_closed(connection: socket.socket) -> tuple[bytes, bool]:
    """Return what arrives, and whether the end was a reset."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        return received, True
    return received, False


def was_copied(store: Store) -> bool:
    return store.keys(store.production_bucket) == [TARGET]


def test_without_rules_everything_passes_exactly(store: Store) -> None:
    with S3FaultProxy(store.endpoint_url) as proxy:
        client = store.server.client(endpoint_url=proxy.endpoint_url)
        client.put_object(Bucket=store.legacy_bucket, Key=SOURCE, Body=b"x" * 200_000)
        copy(client, store)
        assert client.head_object(Bucket=store.production_bucket, Key=TARGET)["ContentLength"] == 200_000
        assert client.get_object(Bucket=store.production_bucket, Key=TARGET)["Body"].read() == b"x" * 200_000
        assert [o["Key"] for o in client.list_objects_v2(Bucket=store.production_bucket)["Contents"]] == [TARGET]
        client.delete_object(Bucket=store.production_bucket, Key=TARGET)
    assert [request.operation for request in proxy.requests] == ["put", "copy", "head", "get", "list", "delete"]
    assert [request.key for request in proxy.requests] == [SOURCE, TARGET, TARGET, TARGET, "", TARGET]
    assert not proxy.hits
    assert not was_copied(store)


@pytest.mark.parametrize(("code", "s3_code"), [(503, "SlowDown"), (500, "InternalError"), (409, "OperationAborted")])
def test_a_status(rclone_store: Store, proxy: S3FaultProxy, client: Any, code: int, s3_code: str) -> None:
    proxy.on(s3_faults.status(code, s3_code, retry_after="7"), operation="copy")
    with pytest.raises(ClientError, match=s3_code) as caught:
        copy(client, rclone_store)
    metadata = caught.value.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]["retry-after"]) == (code, "7")
    assert proxy.hits == {f"status_{code}": 1}
    assert not was_copied(rclone_store)


def test_a_status_for_a_head_has_no_body_and_the_connection_goes_on(proxy: S3FaultProxy) -> None:
    proxy.on(s3_faults.status(503), times=2)
    with raw_connection(proxy) as connection:
        for _ in range(2):
            connection.sendall(b"HEAD /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
            head = connection.recv(65536)
            assert head.startswith(b"HTTP/1.1 503 ")
            assert head.endswith(b"\r\n\r\n")
    assert proxy.hits == {"status_503": 2}


@pytest.mark.parametrize("forwarded", [False, True])
@pytest.mark.parametrize(
    ("make", "beginning", "end"),
    [
        (s3_faults.error_inside_200, b"\n   \n<?xml", b"</Error>"),
        (s3_faults.truncated_200, b"<?xml", b""),
        (s3_faults.empty_200, b"", b""),
    ],
)
def test_a_200_that_is_none(
    rclone_store: Store,
    proxy: S3FaultProxy,
    make: Callable[..., Answer],
    beginning: bytes,
    end: bytes,
    *,
    forwarded: bool,
) -> None:
    rclone_store.put_all(rclone_store.legacy_bucket, {SOURCE: b"legacy bytes"})
    proxy.on(make(forwarded=forwarded), operation="copy")
    status, body = raw_copy(rclone_store.via(proxy.endpoint_url))  # boto3 would retell it as a 500
    assert status == 200
    assert body.startswith(beginning)
    assert body.endswith(end)
    assert b"</CopyObjectResult>" not in body
    assert proxy.hits == {make().name: 1}
    assert was_copied(rclone_store) is forwarded


def test_reset_before_the_server_sees_it(rclone_store: Store, proxy: S3FaultProxy, client: Any) -> None:
    proxy.on(s3_faults.reset_before(), operation="copy")
    with pytest.raises(ConnectionClosedError):
        copy(client, rclone_store)
    assert proxy.hits == {"reset_before": 1}
    assert not was_copied(rclone_store)


def test_reset_within_the_reply(rclone_store: Store, proxy: S3FaultProxy, client: Any) -> None:
    rclone_store.put_all(rclone_store.legacy_bucket, {"big": b"x" * 100_000})
    proxy.on(s3_faults.reset_within(), operation="get")
    body = client.get_object(Bucket=rclone_store.legacy_bucket, Key="big")["Body"]
    with pytest.raises((ResponseStreamingError, ConnectionError)):
        body.read()
    assert proxy.hits == {"reset_within": 1}


def test_reset_after_the_reply(rclone_store: Store, proxy: S3FaultProxy) -> None:
    proxy.on(s3_faults.reset_after())
    with raw_connection(proxy) as connection:
        connection.sendall(f"GET /{rclone_store.legacy_bucket} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received, was_reset = read_until_closed(connection)
    assert received.startswith(b"HTTP/1.1 400")  # unsigned; and all of it arrived
    assert received.endswith(b"</Error>")
    assert was_reset
    assert proxy.hits == {"reset_after": 1}


def test_success_with_the_reply_lost(rclone_store: Store, proxy: S3FaultProxy, client: Any) -> None:
    proxy.on(s3_faults.reply_lost(), operation="copy")
    with pytest.raises(ConnectionClosedError):
        copy(client, rclone_store)
    assert proxy.hits == {"reply_lost": 1}
    assert was_copied(rclone_store)


@pytest.mark.parametrize("after_server", [False, True])
def test_a_stall_holds_until_it_is_released(
    rclone_store: Store, proxy: S3FaultProxy, client: Any, *, after_server: bool
) -> None:
    proxy.on(s3_faults.stall(after_server=after_server), operation="copy")
    copying = threading.Thread(target=copy, args=(client, rclone_store))
    copying.start()
    proxy.wait_for_hit("stall")
    assert copying.is_alive()
    assert was_copied(rclone_store) is after_server
    proxy.release()
    copying.join()
    assert was_copied(rclone_store)


def test_a_request_that_was_stalled_arrives_though_its_client_gave_up(rclone_store: Store, proxy: S3FaultProxy) -> None:
    rclone_store.put_all(rclone_store.legacy_bucket, {SOURCE: b"legacy bytes"})
    proxy.on(s3_faults.stall(), operation="copy")
    impatient = rclone_store.server.client(endpoint_url=proxy.endpoint_url, read_timeout_seconds=0.2)
    with pytest.raises(ReadTimeoutError):
        copy(impatient, rclone_store)
    assert not was_copied(rclone_store)
    arrived = threading.Event()
    proxy.after_reply = lambda _: arrived.set()
    proxy.release()
    assert arrived.wait(20)
    assert was_copied(rclone_store)


def test_a_delay_passes(rclone_store: Store, proxy: S3FaultProxy, client: Any) -> None:
    proxy.on(s3_faults.delay(0.1), operation="copy")
    started = time.monotonic()
    copy(client, rclone_store)
    assert time.monotonic() - started >= 0.1
    assert proxy.hits == {"delay": 1}
    assert was_copied(rclone_store)


def test_rules_choose_by_operation_key_header_count_and_chance(
    rclone_store: Store, proxy: S3FaultProxy, client: Any
) -> None:
    def statuses() -> list[int]:
        codes = []
        for key in ["a", "b"] * 4:
            try:
                client.put_object(Bucket=rclone_store.legacy_bucket, Key=key, Body=b"", Metadata={"name": key})
                codes.append(200)
            except ClientError as error:
                codes.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return codes

    proxy.on(s3_faults.status(503), operation="head")
    assert statuses() == [200] * 8
    rule = proxy.on(s3_faults.status(503), operation="put", key="^b$", skip=1, times=2)
    assert statuses() == [200, 200, 200, 503, 200, 503, 200, 200]
    assert (rule.seen, rule.done) == (4, 2)
    proxy.clear()
    proxy.on(s3_faults.status(500), when=lambda request: request.headers.get("x-amz-meta-name") == "a")
    assert statuses() == [500, 200] * 4
    proxy.clear()
    proxy.on(s3_faults.status(500), probability=0.5)
    assert 0 < statuses().count(500) < 8


def test_hooks_act_in_the_window(rclone_store: Store, proxy: S3FaultProxy, client: Any) -> None:
    seen: list[tuple[str, str, bool]] = []

    def look(when: str) -> Any:
        return lambda request: seen.append((when, request.operation, was_copied(rclone_store)))

    async def look_in_the_loop(request: S3Request) -> None:
        seen.append(("before", request.operation, False))

    proxy.before_request, proxy.after_reply = look("before"), look("after")
    copy(client, rclone_store)
    assert seen == [("before", "copy", False), ("after", "copy", True)]
    proxy.before_request, proxy.after_reply = look_in_the_loop, None
    client.head_object(Bucket=rclone_store.production_bucket, Key=TARGET)
    assert seen[2:] == [("before", "head", False)]


def test_a_server_that_is_gone_shows_as_a_reset_and_a_wait_gives_up(rclone_store: Store) -> None:
    with S3FaultProxy("http://127.0.0.1:1") as proxy:
        client = rclone_store.server.client(endpoint_url=proxy.endpoint_url)
        with pytest.raises(ConnectionClosedError):
            client.list_objects_v2(Bucket="bucket")
        with pytest.raises(TimeoutError, match="did not happen"):
            proxy.wait_for_hit("stall", timeout_seconds=0.01)


def test_an_error_in_a_hook_fails_the_test() -> None:
    def broken(request: S3Request) -> None:
        raise ValueError(request.operation)

    def provoke() -> None:
        with S3FaultProxy("http://127.0.0.1:1") as proxy, raw_connection(proxy) as connection:
            proxy.before_request = broken
            connection.sendall(b"HEAD /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until_closed(connection)

    with pytest.raises(ExceptionGroup, match="S3FaultProxy failed"):
        provoke()
