"""Reading HTTP/1.1 messages (RFC 9112) byte for byte, so that they can be passed on exactly as they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    import asyncio

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a reply: ``wire`` as it came, ``content`` without the chunks' framing, lower-cased header names."""

    first_line: str
    headers: dict[str, str]
    wire: bytes
    content: bytes

    @property
    def status(self) -> int:
        """A reply's status."""
        return int(self.first_line.split(" ", 2)[1])


@dataclass(frozen=True, slots=True)
class S3Request:
    """What a rule may look at. ``number`` counts the proxy's requests from 1; bucket and key are for path style."""

    number: int
    message: Message

    @property
    def method(self) -> str:
        """The method: GET, PUT, and so on."""
        return self.message.first_line.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """Path and query exactly as they were sent."""
        return self.message.first_line.split(" ")[1]

    @property
    def headers(self) -> dict[str, str]:
        """All headers, their names in lower case."""
        return self.message.headers

    @property
    def query(self) -> set[str]:
        """The names of the query's parameters."""
        return {part.split("=", 1)[0] for part in self.target.partition("?")[2].split("&") if part}

    @property
    def bucket(self) -> str:
        """The bucket of a path-style address."""
        return unquote(self.target.partition("?")[0].removeprefix("/").partition("/")[0])

    @property
    def key(self) -> str:
        """The key, decoded; empty for a request to a bucket."""
        return unquote(self.target.partition("?")[0].removeprefix("/").partition("/")[2])

    @property
    def operation(self) -> str:
        """The S3 operation in one word: copy, head, get, put, delete, list, create_multipart_upload and so on."""
        copies = "x-amz-copy-source" in self.headers
        if "uploadId" in self.query:
            part = "upload_part_copy" if copies else "upload_part"
            return {"PUT": part, "POST": "complete_multipart_upload", "GET": "list_parts"}.get(
                self.method, "abort_multipart_upload"
            )
        if "uploads" in self.query:
            return "create_multipart_upload"
        if not self.key:
            return {"GET": "list", "POST": "delete_objects"}.get(self.method, f"{self.method.lower()}_bucket")
        return "copy" if copies else self.method.lower()


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Message | None:
    """Read one request from a client, or None when it has closed the connection between two requests."""
    if not (first := await reader.read(1)):
        return None
    head = first + await reader.readuntil(_HEAD_END)
    first_line, headers = _parse(head)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # we want the body now, whatever becomes of the request
    wire, content = await _read_body(reader, headers, until_close=False)
    return Message(first_line, headers, head + wire, content)


async def read_reply(reader: asyncio.StreamReader, method: str) -> Message:
    """Read the final reply to a request of that method. Raises ``IncompleteReadError`` when the server goes away."""
    while True:
        head = await reader.readuntil(_HEAD_END)
        first_line, headers = _parse(head)
        status = int(first_line.split(" ", 2)[1])
        if status >= 200:
            break
    if method == "HEAD" or status in {204, 304}:
        return Message(first_line, headers, head, b"")
    wire, content = await _read_body(reader, headers, until_close=True)
    return Message(first_line, headers, head + wire, content)


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    first_line, *lines = head.removesuffix(_HEAD_END).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first_line, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(
    reader: asyncio.StreamReader, headers: dict[str, str], *, until_close: bool
) -> tuple[bytes, bytes]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _read_chunks(reader)
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read() if until_close else b""
    return body, body


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    wire, content = bytearray(), bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        wire += line
        size_bytes = int(line.split(b";")[0], 16)
        if size_bytes == 0:
            break
        chunk = await reader.readexactly(size_bytes + 2)
        wire += chunk
        content += chunk[:-2]
    while line != b"\r\n":  # the trailer's fields, and the empty line that ends them
        line = await reader.readuntil(b"\r\n")
        wire += line
    return bytes(wire), bytes(content)
