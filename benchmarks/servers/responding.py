"""The responder in a process of its own, as a store to migrate on."""

from __future__ import annotations

import contextlib
import json
import pickle
import ssl
import subprocess
import tempfile
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.stores import StoreServer

from benchmarks.processes import PYTHON, PYTHON_ENVIRON, child_environ
from benchmarks.servers.responder import Conduct
from benchmarks.servers.stores import BenchStore
from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

BEHIND_LATENCY = 256
"""Connections of the generator there: it looks and deletes, which is not measured."""

_CERTIFICATE = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
    *("-subj", f"/CN={LOOPBACK}", "-addext", f"subjectAltName=IP:{LOOPBACK}"),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a responder was asked for since the counts were last read: by operation, and by second (503 or not)."""

    requests: dict[str, int]
    received_bytes: int
    accepted: dict[int, int]
    refused: dict[int, int]
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class RespondingStore(BenchStore):
    """A responder as a store."""

    def counted(self) -> Counted:
        """Return the counts, and have them begin again."""
        context = ssl.create_default_context(cafile=self.ca_bundle) if self.ca_bundle else None
        request = urllib.request.Request(f"{self.server.endpoint_url}/-/counts", method="POST")  # noqa: S310 # our own
        with urllib.request.urlopen(request, context=context) as reply:  # noqa: S310 # our own
            found = json.load(reply)
        for seconds in ("accepted", "refused"):
            found[seconds] = {int(second): count for second, count in found[seconds].items()}
        return Counted(**found)


@contextlib.contextmanager
def responding_store(
    *,
    latency_ms: int = 0,
    requests_per_second: float = 0,
    tls: bool = False,
    honours_conditions: bool = True,
    count: int = 0,
    prefix_limits: tuple[tuple[bytes, float], ...] = (),
    later_latency_ms: int = 0,
    turn_seconds: float = 0,
) -> Iterator[RespondingStore]:
    """Run a responder for the length of the block, with a certificate of its own for TLS.

    The legacy objects 1 to ``count`` can be read there.
    """
    conduct = Conduct(
        free_port(),
        latency_ms / 1000,
        requests_per_second,
        honours_conditions=honours_conditions,
        objects=count,
        prefix_limits=prefix_limits,
        later_latency_seconds=later_latency_ms / 1000,
        turn_seconds=turn_seconds,
    )
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        home = Path(name)
        certificate = home / "certificate.pem"
        if tls:
            files = ("-keyout", home / "key.pem", "-out", certificate)
            subprocess.run([*_CERTIFICATE, *files], check=True, capture_output=True)
            both = home / "both.pem"
            both.write_bytes(certificate.read_bytes() + (home / "key.pem").read_bytes())
            conduct = replace(conduct, certificate=str(both))
        (home / "conduct").write_bytes(pickle.dumps(conduct))
        process = ServerProcess(
            "the responder",
            [*PYTHON, "-m", "benchmarks.servers.responder", home / "conduct"],
            log_path=home / "log",
            environ={**child_environ(), **PYTHON_ENVIRON},
        )
        try:
            process.start(lambda: accepts_connections(conduct.port))
            url = f"{'https' if tls else 'http'}://{LOOPBACK}:{conduct.port}"
            server = StoreServer("responder", url, "any", "any")
            store = RespondingStore(server, "sketch-production-s3", str(certificate) if tls else "")
            yield replace(store, connections=BEHIND_LATENCY) if latency_ms else store
        finally:
            process.stop()


@contextlib.contextmanager
def responding_pair(count: int, *, latency_ms: int) -> Iterator[RespondingStore]:
    """Run a responder with the legacy objects 1 to ``count``, and another one that they go to, behind a latency."""
    with responding_store(latency_ms=latency_ms, count=count) as legacy, responding_store(latency_ms=latency_ms) as one:
        yield replace(one, legacy=legacy.server)
