"""A request before it is signed, a reply before it is understood, and what a copy comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.s3.wire.sigv4 import EMPTY_SHA256

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location


APART_BYTES = 64 * 2**10
"""A longer body is sent apart from the head, without a copy of both as one."""


@dataclass(slots=True)
class Request:
    """One S3 operation. ``location`` is what is addressed (an empty key is the bucket itself).

    ``query`` is encoded and in canonical order; ``headers`` have lower-case names and are all signed. ``attempts``
    counts how often it was sent. ``payload_bytes`` is the content that it carries or asks for, as far as it is known.
    """

    operation: str
    method: str
    location: Location
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    body_sha256: str = EMPTY_SHA256
    source: Location | None = None
    attempts: int = 0
    payload_bytes: int = 0

    @property
    def prefixes(self) -> str:
        """Where in the store it is about, up to the last slash of the key; of a copy both places, from and to.

        A store that refuses a copy does not say for which of the two, nor does its code.
        """
        place = _prefix_of(self.location)
        return f"{_prefix_of(self.source)} to {place}" if self.source else place

    def __str__(self) -> str:
        if self.source:
            return f"{self.operation} {self.source} to {self.location}"
        if not self.location.key:
            return f"{self.operation} s3://{self.location.bucket}"
        return f"{self.operation} {self.location}"


def _prefix_of(location: Location) -> str:
    return f"s3://{location.bucket}/{location.key[: location.key.rfind('/') + 1]}"


@dataclass(slots=True)
class Reply:
    """A complete HTTP reply. ``head`` is its status line and headers as they came: few are ever looked at."""

    status: int
    head: bytes
    body: bytes
    bodiless: bool = False  # the reply to HEAD

    def header(self, name: bytes) -> str:
        """Return the value of a header (its name in lower case), or an empty string."""
        return _text(fields_of(self.head).get(name, b""))

    def headers(self) -> dict[str, str]:
        """Return all headers, names in lower case."""
        return {_text(name): _text(value) for name, value in fields_of(self.head).items()}


def fields_of(head: bytes) -> dict[bytes, bytes]:
    """Return the headers of a reply's head, names in lower case; of a name that comes twice both values, as one list.

    That is what RFC 9110, section 5.3, makes of them.
    """
    fields: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name = name.lower()
        fields[name] = fields[name] + b"," + value if name in fields else value
    return fields


def _text(value: bytes) -> str:
    """Decode without loss: what a server sends in user metadata may be any bytes, and is sent back as it came."""
    return value.decode("utf-8", "surrogateescape").strip()


def wire(method: str, target: str, header_lines: str, body: bytes) -> bytes:
    """Write a signed request, without a body that goes apart. The length is not signed: proxies may rewrite it."""
    length = f"content-length: {len(body)}\r\n" if body or method in {"PUT", "POST"} else ""
    head = f"{method} {target} HTTP/1.1\r\n{header_lines}{length}\r\n".encode("utf-8", "surrogateescape")
    return head + body if body and len(body) <= APART_BYTES else head


class CopyResult(NamedTuple):
    """A copy that S3 confirmed. ``size_bytes`` is None where it was not told.

    ``in_parts``: the object was made of parts. ``read_checksum`` is that of the bytes which passed through this machine
    where nothing that legacy's store tells proved them: an MD5, or made of those of parts, as ETags are. Whoever chose
    the conditions says whether it is ``guarded``: it has replaced nothing unseen, or was allowed to. ``replaced`` is
    the version of an object that it is known to have replaced, or empty.
    """

    etag: str
    size_bytes: int | None = None
    in_parts: bool = False
    read_checksum: str = ""
    guarded: bool = True
    replaced: str = ""
