"""A server that is not what it should be, or wants what it is not given: said in a sentence, and nothing is changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import socketserver
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.demo.servers import PostgresServer, postgres_server
from tests.e2e.site import check_refused
from tests.servers.databases import DEBIAN_PROGRAMS, FAST_AND_LOOSE, Database
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site


@pytest.fixture
def site(untouched_site: Site) -> Site:
    """A site that no test here may change."""
    return untouched_site


@pytest.fixture
def tls_postgres(tmp_path: Path) -> Iterator[tuple[PostgresServer, Path]]:
    """Debian's PostgreSQL, which lets nobody in without TLS; and the file of its certificate."""
    if not DEBIAN_PROGRAMS.exists():
        pytest.skip("the PostgreSQL of the wheel was built without TLS, and Debian's is not installed")
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    wanted = (
        f"-days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout {key.name} -out {certificate.name}"
    )
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *wanted.split()]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    with postgres_server(programs=DEBIAN_PROGRAMS, options=FAST_AND_LOOSE) as server:
        with server.connect() as connection:
            ((folder, rules),) = connection.execute(
                "SELECT current_setting('data_directory'), current_setting('hba_file')"
            ).fetchall()
            for file in (certificate, key):
                installed = Path(shutil.copy(file, folder))
                os.chown(installed, Path(rules).stat().st_uid, Path(rules).stat().st_gid)
                installed.chmod(0o600)
            Path(rules).write_text("hostssl all all all scram-sha-256\n", encoding="utf-8")
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("SELECT pg_reload_conf()")
        yield server, certificate


def test_a_database_that_wants_tls(site: Site, tls_postgres: tuple[PostgresServer, Path]) -> None:
    server, certificate = tls_postgres
    there = site.at(database=Database(server.host, server.port, server.dbname, server.user, server.password))
    done = there.with_environ(SKETCH_DB_SSLMODE="disable").run("-y")
    check_refused(done, 3, "encrypted connection", f"127.0.0.1:{server.port}")
    assert "DB_SSLMODE" in done.err
    strict = there.with_environ(SKETCH_DB_SSLMODE="verify-full")
    done = strict.run("-y")
    check_refused(done, 3, "encrypted connection", f"127.0.0.1:{server.port}")
    assert "PGSSLROOTCERT" in done.err
    # the connection is made: what is missing now is the table
    for trusting in (there, there.with_environ(SKETCH_DB_SSLMODE="require")):
        check_refused(trusting.run("-y"), 3, "there is no table avatars")
    check_refused(strict.with_environ(PGSSLROOTCERT=str(certificate)).run("-y"), 3, "there is no table avatars")


@contextlib.contextmanager
def served(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Run a TCP server for the length of the block; give its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"J\0\0\0\n8.0.36\0", b"SSH-2.0-OpenSSH_9.2p1\r\n"], ids=repr
)
def test_a_port_of_something_else(site: Site, greeting: bytes) -> None:
    class Greet(socketserver.BaseRequestHandler):
        """Say something to whoever says something, and hang up."""

        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(greeting)

    with served(Greet) as port:
        check_refused(site.with_environ(SKETCH_DB_PORT=str(port)).run("-y"), 3, "not PostgreSQL", f"127.0.0.1:{port}")


class _NotS3(BaseHTTPRequestHandler):
    """A web server, but not that of a store."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer as web servers do."""
        page = b"<!DOCTYPE html><html><body>Welcome!</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def test_an_endpoint_that_is_no_store(site: Site) -> None:
    with served(_NotS3) as port:
        wrong = site.with_environ(SKETCH_S3_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        done = wrong.run("-y")
    check_refused(done, 3, site.store.legacy_bucket, "Welcome")
    assert "S3_ENDPOINT_URL" in done.err


def wrong_region(named: str) -> Answer:
    region = f"<Region>{named}</Region>" if named else ""
    document = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message>{region}</Error>"
    return Answer("wrong_region", 400, document.encode())


def test_a_wrong_region_that_the_store_does_not_name(site: Site) -> None:
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(wrong_region(""))
        done = site.at(store=site.store.via(s3.endpoint_url)).run("-y")
        assert s3.hits["wrong_region"] > 0
    check_refused(done, 3, site.store.legacy_bucket, "AuthorizationHeaderMalformed", hint=False)


def test_a_wrong_region_that_the_store_names_is_followed_and_said(site: Site) -> None:
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(wrong_region("eu-north-1"), when=lambda request: "/us-east-1/s3/" in request.headers["authorization"])
        done = site.at(store=site.store.via(s3.endpoint_url)).run("-st")
        assert s3.hits["wrong_region"] == 2  # once for each bucket
    assert (done.code, done.tech_status) == (0, "tech_status 2,1,2,1,3"), done
    assert f"bucket {site.store.legacy_bucket} is in region eu-north-1" in done.err
    assert "set S3_REGION" not in done.err, "the other bucket may be in another region"
