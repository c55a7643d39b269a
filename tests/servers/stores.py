"""S3 servers as the tests see them, and what a test gets of one: a client and two fresh buckets."""

from __future__ import annotations

import contextlib
import secrets
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree as ET

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port
from sketchmigrate.demo.servers import rclone_server as demo_rclone_server

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from xml.etree.ElementTree import Element

REGION = "us-east-1"
MANY = 2_000
"""Of more objects than these several are asked for at once."""


class NoObject(RuntimeError):
    """The server says 404."""


@dataclass(frozen=True, slots=True)
class StoreServer:
    """A running S3 server and the key pair that may do everything there."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str

    def client(
        self, *, access_key: str = "", secret_key: str = "", endpoint_url: str = "", read_timeout_seconds: float = 30
    ) -> Any:
        """Return a boto3 client that tries once, as someone else or by way of a proxy where those are given."""
        return boto3.client(
            "s3",
            endpoint_url=endpoint_url or self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                read_timeout=read_timeout_seconds,
                # The newest checksums are not what older servers (Ceph 16) understand.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it; equal for two looks only if nobody wrote it between them."""

    size_bytes: int
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class Store:
    """A server with two fresh buckets: what a test works on. ``client`` is boto3's.

    ``server`` is how the tool reaches it, perhaps by a proxy or as another user; ``owner`` is how a test does.
    """

    server: StoreServer
    owner: StoreServer
    client: Any
    legacy_bucket: str
    production_bucket: str

    @property
    def name(self) -> str:
        """Which server it is: rclone, moto, seaweed or ceph."""
        return self.server.name

    @property
    def endpoint_url(self) -> str:
        """The server's address, without a closing slash."""
        return self.server.endpoint_url

    @property
    def access_key(self) -> str:
        """The access key id of the user that may do everything."""
        return self.server.access_key

    @property
    def secret_key(self) -> str:
        """Its secret."""
        return self.server.secret_key

    @property
    def takes_any_key(self) -> bool:
        """Whether ``a//b``, ``a/../b`` and names of 1 000 bytes are keys here as on AWS; others refuse some."""
        return self.name not in {"rclone", "seaweed"}

    @property
    def lists_in_order(self) -> bool:
        """Whether listings are in the order of the keys' bytes; SeaweedFS has a folder's where its name would be."""
        return self.name != "seaweed"

    def via(self, endpoint_url: str) -> Store:
        """Return the same store by way of a proxy. The ``client`` stays direct."""
        return replace(self, server=replace(self.server, endpoint_url=endpoint_url))

    def environ(self) -> dict[str, str]:
        """Return the settings that point the tool at this store."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "SKETCH_S3_ENDPOINT_URL": self.endpoint_url,
            "SKETCH_S3_REGION": REGION,
            "SKETCH_LEGACY_BUCKET": self.legacy_bucket,
            "SKETCH_PRODUCTION_BUCKET": self.production_bucket,
        }

    def put_all(self, bucket: str, bodies: Mapping[str, bytes]) -> None:
        """Store objects, each under its exact key. Raises ``RuntimeError`` for what is refused."""
        for _ in self._ask_for_each("PUT", bucket, bodies):
            pass

    def put_many(self, bucket: str, bodies: Mapping[str, bytes]) -> None:
        """Store objects as ``put_all`` does, on several connections where there are thousands."""
        parts = _parts(bodies)
        with ThreadPoolExecutor(len(parts)) as threads:
            for _ in threads.map(lambda keys: self.put_all(bucket, {key: bodies[key] for key in keys}), parts):
                pass

    def delete_all(self, bucket: str, keys: Collection[str]) -> None:
        """Delete objects, a thousand with each request."""
        found = [{"Key": key} for key in keys]
        for first in range(0, len(found), 1000):
            some = found[first : first + 1000]
            self.client.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return every key of the bucket below the prefix."""
        return [key for key, _ in self._listed(bucket, prefix)]

    def listed(self, bucket: str) -> dict[str, StoredObject]:
        """Return every key of the bucket, and what a listing says of its object."""
        return dict(self._listed(bucket))

    def _listed(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, StoredObject]]:
        """List without boto3's parser, which takes most of a millisecond for an object."""
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        with self._asking() as ask:
            while True:
                page = _without_namespaces(ask("GET", f"/{bucket}?{urlencode(query, quote_via=quote, safe='~')}"))
                decode = unquote_plus if page.findtext("EncodingType") == "url" else str
                for found in page.iter("Contents"):
                    size, etag, written = (found.findtext(name, "") for name in ("Size", "ETag", "LastModified"))
                    yield decode(found.findtext("Key", "")), StoredObject(int(size), etag, written)
                if page.findtext("IsTruncated") != "true":
                    break
                query["continuation-token"] = page.findtext("NextContinuationToken", "")

    def body(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def found(self, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
        """Return those of some objects that are there: key and bytes. Where a listing would take minutes."""
        there: dict[str, bytes] = {}
        parts = _parts(keys)
        with ThreadPoolExecutor(len(parts)) as threads:
            for part in threads.map(lambda some: self._found(bucket, some), parts):
                there |= part
        return there

    def _found(self, bucket: str, keys: Collection[str]) -> dict[str, bytes]:
        there: dict[str, bytes] = {}
        with self._asking() as ask:
            for key in keys:
                with contextlib.suppress(NoObject):
                    there[key] = ask("GET", f"/{bucket}/{quote(key, safe='/~')}")
        return there

    def bodies(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return every object of the bucket: its key and its bytes."""
        return dict(self._ask_for_each("GET", bucket, dict.fromkeys(self.keys(bucket, prefix), b"")))

    def _ask_for_each(self, method: str, bucket: str, bodies: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
        """Make a request for each key, with its body; yield what the server says to each."""
        with self._asking() as ask:
            for key, body in bodies.items():
                yield key, ask(method, f"/{bucket}/{quote(key, safe='/~')}", body)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[Callable[..., bytes]]:
        """Give what makes a request, on one connection, and returns what the server says; it has to say 200.

        botocore signs. What boto3 does besides for a request takes several times as long as all of this.
        """
        url = self.owner.endpoint_url
        signer = S3SigV4Auth(Credentials(self.owner.access_key, self.owner.secret_key), "s3", REGION)

        def ask(method: str, path: str, body: bytes = b"") -> bytes:
            request = AWSRequest(method, url + path, data=body)
            signer.add_auth(request)
            connection.request(method, path, body, dict(request.headers.items()))
            reply = connection.getresponse()
            said = reply.read()
            if reply.status != HTTPStatus.OK:
                failure = NoObject if reply.status == HTTPStatus.NOT_FOUND else RuntimeError
                raise failure(f"{method} {path}: {reply.status} {said!r}")
            return said

        with contextlib.closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
            yield ask


def new_buckets(server: StoreServer) -> Store:
    """Make a legacy and a production bucket that nobody else uses; they stay."""
    suffix = secrets.token_hex(6)
    store = Store(server, server, _client_of(server), f"sketch-legacy-{suffix}", f"sketch-production-{suffix}")
    for bucket in (store.legacy_bucket, store.production_bucket):
        store.client.create_bucket(Bucket=bucket)
    return store


@contextlib.contextmanager
def fresh_buckets(server: StoreServer) -> Iterator[Store]:
    """Make a legacy and a production bucket that nobody else uses, and empty and delete them at the end."""
    store = new_buckets(server)
    try:
        yield store
    finally:
        for bucket in (store.legacy_bucket, store.production_bucket):
            store.delete_all(bucket, store.keys(bucket))


def _parts(keys: Collection[str]) -> list[list[str]]:
    """Share keys among a few threads, where they are many."""
    count = 4 if len(keys) > MANY else 1
    every = list(keys)
    return [every[first::count] for first in range(count)]


def _without_namespaces(document: bytes) -> Element:
    root = ET.fromstring(document)  # noqa: S314 # of a server that the tests have started
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


@cache
def _client_of(server: StoreServer) -> Any:
    """Return the client of all its stores: to make one takes longer than to make two buckets."""
    return server.client()


@contextlib.contextmanager
def rclone_server(folder: Path | None = None) -> Iterator[StoreServer]:
    """Run rclone's S3 server, in memory or over a folder."""
    with demo_rclone_server(folder) as running:
        yield StoreServer("rclone", running.endpoint_url, running.access_key, running.secret_key)


@contextlib.contextmanager
def moto_server() -> Iterator[StoreServer]:
    """Run moto's server: wide semantics, slow, any key pair will do."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sketch-moto-") as home:
        script = Path(__file__).with_name("moto_of_one_look.py")
        command = [sys.executable, str(script), "-H", LOOPBACK, "-p", str(port)]
        process = ServerProcess("moto_server", command, log_path=Path(home) / "moto.log")
        try:
            process.start(lambda: accepts_connections(port))
            yield StoreServer("moto", f"http://{LOOPBACK}:{port}", "testkey", "testsecret")
        finally:
            process.stop()
