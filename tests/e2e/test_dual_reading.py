"""The nginx of docs/dual-reading.md serves each object from the side that has it, while rows are moved and after."""

from __future__ import annotations

import re
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import botocore
import pytest

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.stores import Store

PAGE = (Path(__file__).parents[2] / "docs" / "dual-reading.md").read_text(encoding="utf-8")
PROGRAM = Path("/usr/sbin/nginx")
CERTIFICATES = Path(botocore.__file__).with_name("cacert.pem")
ODD = ("a b.png", "a+b.png", "100%.png", "q?x.png", "a%2Bb.png", "Grüße.png")


def configuration(store: Store, port: int) -> str:
    """Return the page's servers, with the test's store and buckets, and without TLS."""
    found: list[str] = re.findall(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (text,) = found
    address = urlsplit(store.endpoint_url).netloc
    for before, after in (
        ("server s3.example.com:443;", f"server {address};"),
        ("https://", "http://"),
        ("s3.example.com", address),
        ("sketch-legacy-s3", store.legacy_bucket),
        ("sketch-production-s3", store.production_bucket),
        ("/etc/ssl/certs/ca-certificates.crt", str(CERTIFICATES)),
        ("listen 8080;", f"listen {LOOPBACK}:{port};"),
    ):
        assert before in text, before
        text = text.replace(before, after)
    return text


@pytest.fixture
def port(moto_store: Store, tmp_path: Path) -> Iterator[int]:
    """The port of the page's nginx, before two buckets that anybody may read."""
    if not PROGRAM.exists():
        pytest.skip(f"nginx is not installed: no {PROGRAM}")
    chosen = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "\n".join(f"{kind}_temp_path {tmp_path / kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path / 'pid'}; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {folders}\n{configuration(moto_store, chosen)} }}\n"
    )
    command: list[str | Path] = [PROGRAM, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr"]
    server = ServerProcess("nginx", command, log_path=tmp_path / "nginx.log")
    server.start(lambda: accepts_connections(chosen))
    try:
        yield chosen
    finally:
        server.stop()


def put(store: Store, bucket: str, *keys: str) -> None:
    """Store objects that anybody may read, each with its bucket and key as content."""
    for key in keys:
        store.client.put_object(Bucket=bucket, Key=key, Body=f"{bucket}/{key}".encode(), ACL="public-read")


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request(method, path, headers={"Authorization": "Basic of the application", "Cookie": "session=1"})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def test_each_object_comes_from_the_side_that_has_it(port: int, moto_store: Store) -> None:
    legacy, production = moto_store.legacy_bucket, moto_store.production_bucket
    put(moto_store, legacy, "image/old.png", "image/both.png", "image/hidden.png")
    put(moto_store, production, "avatar/new.png", "avatar/both.png")
    moto_store.client.put_object(Bucket=production, Key="avatar/hidden.png", Body=b"nobody may read it")

    assert ask(port, "/files/old.png") == (200, f"{legacy}/image/old.png")
    assert ask(port, "/files/new.png") == (200, f"{production}/avatar/new.png")
    assert ask(port, "/files/both.png") == (200, f"{production}/avatar/both.png"), "production first"
    assert ask(port, "/files/hidden.png") == (200, f"{legacy}/image/hidden.png"), "403 is AWS for absent"
    assert ask(port, "/files/gone.png")[0] == 404
    assert ask(port, "/files/old.png", "HEAD") == (200, "")

    assert ask(port, "/image/both.png") == (200, f"{legacy}/image/both.png"), "what the row says"
    assert ask(port, "/avatar/both.png") == (200, f"{production}/avatar/both.png")
    assert ask(port, "/avatar/old.png")[0] == 404, "a row of production has its object there, or nowhere"


def test_names_pass_as_they_are_and_nothing_but_reading_does(port: int, moto_store: Store) -> None:
    legacy = moto_store.legacy_bucket
    put(moto_store, legacy, *(f"image/{name}" for name in ODD))
    for name in ODD:
        assert ask(port, f"/files/{quote(name)}?any=query") == (200, f"{legacy}/image/{name}")
        assert ask(port, f"/image/{quote(name)}") == (200, f"{legacy}/image/{name}")
    for method in ("PUT", "DELETE", "POST"):
        assert ask(port, f"/files/{quote(ODD[0])}", method)[0] == 405
    for path in ("/files/../files/x", "/files/%2e%2e/x", "/image/a/../x"):
        assert ask(port, path)[0] == 400
    assert moto_store.keys(legacy) == sorted(f"image/{name}" for name in ODD)
