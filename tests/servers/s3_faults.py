"""The faults that an S3 server, or the way to it, shows in real life. Values; ``s3_fault_proxy`` does them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer something else than the server: ``forwarded`` says whether the server carries the request out.

    ``body`` is None for the first half of what the server said, well framed: a truncated document.
    """

    name: str
    status: int
    body: bytes | None
    headers: dict[str, str] = field(default_factory=dict)
    forwarded: bool = False

    def render(self, method: str, content: bytes) -> bytes:
        """Return the bytes of the reply. ``content`` is what the server answered, empty where it was not asked."""
        body = content[: len(content) // 2] if self.body is None else self.body
        fields = {"Content-Type": "application/xml", "Content-Length": str(len(body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body)


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset the connection. ``forwarded``: the server carries the request out; ``share`` of its reply passes first."""

    name: str
    forwarded: bool
    share: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep the request back, for a time or (None) until the proxy is told to release it; then it goes its way.

    With ``after_server`` the server has done it and its reply is kept back. A client that gave up meanwhile does not
    stop it: a late request arrives, as in real networks.
    """

    name: str
    seconds: float | None
    after_server: bool = False


def _as_it_is(wire: bytes) -> bytes:
    return wire


@dataclass(frozen=True, slots=True)
class Edit:
    """Another message arrives than was sent: what ``request`` and ``reply`` make of it."""

    name: str
    request: Callable[[bytes], bytes] = _as_it_is
    reply: Callable[[bytes], bytes] = _as_it_is


Fault: TypeAlias = Answer | Cut | Hold | Edit


def status(
    code: int,
    s3_code: str = "",
    *,
    retry_after: str = "",
    forwarded: bool = False,
    message: str = "made by the fault proxy",
) -> Answer:
    """An error status with S3's error document: ``status_503`` in the hits. 503 is SlowDown unless told otherwise."""
    s3_code = s3_code or {503: "SlowDown", 500: "InternalError"}.get(code, HTTPStatus(code).phrase.replace(" ", ""))
    headers = {"Retry-After": retry_after} if retry_after else {}
    return Answer(f"status_{code}", code, _error_document(s3_code, message), headers, forwarded)


def error_inside_200(s3_code: str = "InternalError", *, forwarded: bool = False) -> Answer:
    """200 OK, white space that kept the connection alive, then an error document (CopyObject's API page)."""
    return Answer("error_inside_200", 200, b"\n   \n" + _error_document(s3_code), forwarded=forwarded)


def truncated_200(*, forwarded: bool = False) -> Answer:
    """200 OK with half a document: the server's own if it was asked, else one that breaks off before the ETag."""
    half = b'<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult><LastModified>2026-11-22T18:'
    return Answer("truncated_200", 200, None if forwarded else half, forwarded=forwarded)


def empty_200(*, forwarded: bool = False) -> Answer:
    """200 OK and nothing else."""
    return Answer("empty_200", 200, b"", forwarded=forwarded)


def reset_before() -> Cut:
    """The connection is reset and the server never sees the request."""
    return Cut("reset_before", forwarded=False, share=0)


def reset_within() -> Cut:
    """The server does it; the connection is reset in the middle of its reply."""
    return Cut("reset_within", forwarded=True, share=0.5)


def reset_after() -> Cut:
    """The whole reply arrives, then the connection is reset: the next request on it finds it dead."""
    return Cut("reset_after", forwarded=True, share=1)


def reply_lost() -> Cut:
    """The server does it, and nothing of its reply arrives."""
    return Cut("reply_lost", forwarded=True, share=0)


def flipped_request() -> Edit:
    """The last bit of what is sent is another one when it arrives."""
    return Edit("flipped request", request=_flipped)


def flipped_reply() -> Edit:
    """The last bit of what is read is another one when it arrives."""
    return Edit("flipped reply", reply=_flipped)


def other_etags() -> Edit:
    """ETags are made of something else than the bytes: they are written backwards. For moto, which signs no headers."""
    return Edit("other ETags", request=_other_etags, reply=_other_etags)


def _flipped(wire: bytes) -> bytes:
    return wire[:-1] + bytes([wire[-1] ^ 1])


def _other_etags(wire: bytes) -> bytes:
    head, end, body = wire.partition(b"\r\n\r\n")
    return re.sub(rb'"([0-9a-f]{32})"', lambda found: b'"' + found[1][::-1] + b'"', head) + end + body


def stall(seconds: float | None = None, *, after_server: bool = False) -> Hold:
    """Nothing moves until ``release()``, or for a time."""
    return Hold("stall", seconds, after_server)


def delay(seconds: float) -> Hold:
    """A slow server."""
    return Hold("delay", seconds)


def _error_document(code: str, message: str = "made by the fault proxy") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
        f"<RequestId>fault</RequestId></Error>"
    ).encode()


PASSING: dict[str, Fault] = {
    "503": status(503),
    "503 after it was done": status(503, forwarded=True),
    "503 with Retry-After": status(503, retry_after="1"),
    "500": status(500),
    "reset before the reply": reset_before(),
    "reset within the reply": reset_within(),
    "reset after the reply": reset_after(),
    "reply lost": reply_lost(),
}
PASSING_ON_COPY: dict[str, Fault] = PASSING | {
    "error inside 200": error_inside_200(),
    "error inside 200 after it was done": error_inside_200(forwarded=True),
    "throttled inside 200": error_inside_200("SlowDown"),
    "truncated XML": truncated_200(),
    "truncated XML after it was done": truncated_200(forwarded=True),
    "empty reply": empty_200(),
    "empty reply after it was done": empty_200(forwarded=True),
}
"""What a client gets over by asking again; on a copy, also what its reply may look like."""
