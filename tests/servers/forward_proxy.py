"""A forward proxy as companies have them, and TLS in front of a server that has none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.servers.http1 import read_reply, read_request
from tests.servers.proxy_thread import ProxyThread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HEAD_END = b"\r\n\r\n"


class ForwardProxy(ProxyThread):
    """Takes CONNECT (counted as ``tunnel``), and requests with a whole URL (``forward``). Use as a context manager.

    ``user_and_password`` it wants, if any; who has none is ``turned away``. ``addresses`` says where names lead.
    """

    def __init__(self, *, user_and_password: str = "", addresses: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self._wanted = f"Basic {b64encode(user_and_password.encode()).decode()}" if user_and_password else ""
        self._addresses = dict(addresses or {})

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves."""
        while True:
            request = await read_request(reader, writer)
            if request is None:
                return
            method, target, _ = request.first_line.split(" ")
            if request.headers.get("proxy-authorization", "") != self._wanted:
                self._record("turned away")
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            if method == "CONNECT":
                self._record("tunnel")
                await self._tunnel(target, reader, writer)
                return
            url = urlsplit(target)
            assert url.scheme == "http", f"{request.first_line} is no request to a proxy"
            self._record("forward")
            to_server, server = await asyncio.open_connection(*self._place(url.netloc))
            path = target.removeprefix(f"http://{url.netloc}").encode()
            head, end, body = request.wire.partition(_HEAD_END)
            lines = [line for line in head.split(b"\r\n")[1:] if not line.lower().startswith(b"proxy-")]
            server.write(b"\r\n".join([f"{method} ".encode() + path + b" HTTP/1.1", *lines]) + end + body)
            reply = await read_reply(to_server, method)
            server.close()
            writer.write(reply.wire)
            await writer.drain()

    async def _tunnel(self, where: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, server = await asyncio.open_connection(*self._place(where))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await join((reader, writer), (from_server, server))

    def _place(self, netloc: str) -> tuple[str, int]:
        name, _, port = netloc.rpartition(":")
        return self.host, self._addresses.get(name) or int(port)


class TlsFront(ProxyThread):
    """TLS in front of a port of this machine."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        super().__init__()
        self._behind = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._welcome, self.host, self.port, ssl=self._context)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, both ways."""
        self._record("connection")
        await join((reader, writer), await asyncio.open_connection(self.host, self._behind))


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def join(one: Ends, other: Ends) -> None:
    """Pass on bytes both ways until one of the two leaves."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    await asyncio.gather(pump(one[0], other[1]), pump(other[0], one[1]))


def own_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that is its own authority, for one host name; return its file and that of its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    wanted = f"-days 2 -subj /CN={name} -addext subjectAltName=DNS:{name} -keyout {key} -out {certificate}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, *wanted.split()], check=True, capture_output=True)  # our own command
    return certificate, key
