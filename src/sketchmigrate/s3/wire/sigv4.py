"""AWS Signature Version 4 for requests that carry their payload's hash. Pure: the time is passed in.

The rules are those of the Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header". Three
things make it cheap: the signing key is derived once per day; the HMAC of that key is kept half-done, so that signing
a request copies two prepared hash states (0.7 µs, where ``hmac.digest`` takes 1.7); and how headers of the same names
are laid out is worked out once (the whole takes 2.5 µs, and 6.5 when each request sorts and joins its own).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from time import gmtime, strftime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY_SHA256 = sha256(b"").hexdigest()
_BLOCK_BYTES = 64
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. The secret parts are never shown."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


class _Layout(NamedTuple):
    """Where headers of certain names go: ``in_order`` sorts their values, the rest are texts to put them in."""

    in_order: Callable[[list[str]], tuple[str, ...]]
    names: str
    canonical: str
    lines: str


_MOST_LAYOUTS = 64
"""User metadata may have any names, so that there may be as many layouts as objects."""


class Signer:
    """Signs for one credential and one region. Keeps what repeats: the day's key, the second's date, the layouts."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self.credentials = credentials
        self.region = region
        self._second = -1
        self._day = ""
        self._amz_date = ""
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def sign(
        self,
        epoch_seconds: int,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        *,
        payload_sha256: str = EMPTY_SHA256,
    ) -> str:
        """Return the lines of all headers to send, sorted by name, ``authorization`` last; each ends with CRLF.

        ``path`` and ``query`` are percent-encoded as they will be sent, the query in canonical order. ``headers`` have
        lower-case names, ``host`` among them; every one of them is signed.
        """
        if epoch_seconds != self._second:
            self._set_time(epoch_seconds)
        names = tuple([name for name, _ in headers])
        layout = self._layouts.get(names) or self._lay_out(names)
        token = self.credentials.session_token
        values = layout.in_order([*[value for _, value in headers], payload_sha256, self._amz_date, token])
        text = layout.canonical % values
        if " " in text or not text.isascii():  # runs of white space count as one blank
            text = layout.canonical % tuple([" ".join(value.split()) for value in values])
        canonical = f"{method}\n{path}\n{query}\n{text}\n{layout.names}\n{payload_sha256}"
        digest = sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        signature = self._hmac(f"{self._preamble}{digest}".encode())
        authorization = f"{self._credential}, SignedHeaders={layout.names}, Signature={signature}"
        return f"{layout.lines % values}authorization: {authorization}\r\n"

    def _lay_out(self, names: tuple[str, ...]) -> _Layout:
        all_names = [*names, "x-amz-content-sha256", "x-amz-date"]
        if self.credentials.session_token:
            all_names.append("x-amz-security-token")
        order = sorted(range(len(all_names)), key=all_names.__getitem__)
        in_order = [all_names[place] for place in order]
        escaped = [name.replace("%", "%%") for name in in_order]
        if len(self._layouts) == _MOST_LAYOUTS:
            self._layouts.clear()
        layout = self._layouts[names] = _Layout(
            itemgetter(*order),
            ";".join(in_order),
            "".join([f"{name}:%s\n" for name in escaped]),
            "".join([f"{name}: %s\r\n" for name in escaped]),
        )
        return layout

    def _set_time(self, epoch_seconds: int) -> None:
        self._second = epoch_seconds
        self._amz_date = strftime("%Y%m%dT%H%M%SZ", gmtime(epoch_seconds))
        day = self._amz_date[:8]
        scope = f"{day}/{self.region}/s3/aws4_request"
        if day != self._day:
            self._day = day
            self._credential = f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}"
            key = signing_key(self.credentials.secret_key, day, self.region).ljust(_BLOCK_BYTES, b"\0")
            self._inner = sha256(key.translate(_INNER_PAD))
            self._outer = sha256(key.translate(_OUTER_PAD))
        self._preamble = f"AWS4-HMAC-SHA256\n{self._amz_date}\n{scope}\n"

    def _hmac(self, message: bytes) -> str:
        """Finish the HMAC of RFC 2104 from its two prepared halves."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


def signing_key(secret_key: str, day: str, region: str) -> bytes:
    """Derive the key of one day (``YYYYMMDD``) and region from a secret key."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
