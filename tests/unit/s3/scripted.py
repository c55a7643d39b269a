"""A server on a real socket that says what a script tells it to, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

SOURCE = Location("legacy", "image/a.png")
TARGET = Location("production", "avatar/a.png")
ETAG = "9b2cf535f27731c974343645a3985328"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived. ``connection`` counts from 0."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Say this much and break the connection: with a reset, or in the orderly way."""

    said: bytes = b""
    reset: bool = True


@dataclass(frozen=True, slots=True)
class Drip:
    """Say something, then a piece every so often: as many times, and then the end; else until the client goes away."""

    said: bytes
    piece: bytes
    seconds: float = 0.0
    times: int | None = None
    end: bytes = b""


class Hang:
    """Say nothing until the client goes away."""


Step: TypeAlias = "bytes | Cut | Drip | Hang | Callable[[Asked], bytes]"


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """Write a reply; ``retry_after="1"`` becomes the header ``retry-after: 1``."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Told\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


def error(status: int, code: str, extra: str = "", **headers: str) -> bytes:
    """Write an S3 error."""
    return reply(status, error_document(code, extra), **headers)


def error_document(code: str, extra: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>so it is</Message>{extra}'
        f"<RequestId>REQ1</RequestId></Error>"
    ).encode()


def copied(etag: str = ETAG) -> bytes:
    """Write the success of a copy."""
    return reply(200, copy_document(etag))


def copy_document(etag: str = ETAG) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<LastModified>2026-11-22T18:00:00.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag></CopyObjectResult>"
    ).encode()


def found(size_bytes: int, etag: str = ETAG, **headers: str) -> bytes:
    """Write the success of a HEAD: a length without a body."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f'HTTP/1.1 200 OK\r\ncontent-length: {size_bytes}\r\netag: "{etag}"\r\n{lines}\r\n'.encode()


@dataclass(slots=True)
class ScriptedServer:
    """What was asked, and how many connections there were. ``gone`` is set whenever a client closes one."""

    script: list[Step]
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    scheme: str = "http"
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """The endpoint to give to the client."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        connection = self.connections
        self.connections += 1
        try:
            while await self._answer(reader, writer, connection):
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
        first, *lines = head.split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, target, headers, body, connection)
        self.asked.append(asked)
        step = self.script.pop(0) if self.script else error(418, "ScriptIsOver")
        if isinstance(step, Hang):
            await reader.read()
            self.gone.set()
            return False
        if isinstance(step, Drip):
            writer.write(step.said)
            for _ in repeat(None) if step.times is None else repeat(None, step.times):
                writer.write(step.piece)
                await writer.drain()
                await asyncio.sleep(step.seconds)
            writer.write(step.end)
            return True
        if isinstance(step, Cut):
            writer.write(step.said)
            if step.said:
                await writer.drain()
            if step.reset:
                writer.transport.abort()
            return False
        writer.write(step if isinstance(step, bytes) else step(asked))
        return True


@asynccontextmanager
async def scripted(*script: Step, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Run a server for the length of the block; all of its script must have been played by then."""
    server = ScriptedServer(list(script), scheme="https" if tls else "http")
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server
    assert server.script == []


def client_of(url: str, source: CredentialSource | None = None, **config: Any) -> S3Client:
    """Make a client with little patience."""
    settings: dict[str, Any] = {"retry_seconds": 5.0, "timeout_seconds": 5.0, **config}
    return S3Client(S3Config(endpoint_url=url, **settings), source or CredentialSource.static("AKID", "the-secret"))


async def copy_against(*script: Step, **config: Any) -> tuple[str, int]:
    """Copy once against a script, all of which must be used; return the ETag and the number of attempts."""
    async with scripted(*script) as server, client_of(server.url, **config) as client:
        result = await client.copy(SOURCE, TARGET)
        return result.etag, len(server.asked)
