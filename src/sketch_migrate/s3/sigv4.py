"""AWS Signature Version 4 for requests that carry their payload's hash. Pure: the time is passed in.

The rules are those of the Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header". Two
things make it cheap: the signing key is derived once per day, and the HMAC of that key is kept half-done, so that
signing a request copies two prepared hash states (0.7 µs, where ``hmac.digest`` takes 1.7).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from time import gmtime, strftime

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


class Signer:
    """Signs for one credential and one region. Keeps what repeats: the day's key, the second's date."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self.credentials = credentials
        self.region = region
        self._second = -1
        self._day = ""
        self._amz_date = ""

    def sign(
        self,
        epoch_seconds: int,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        *,
        payload_sha256: str = EMPTY_SHA256,
    ) -> list[tuple[str, str]]:
        """Return all headers to send, sorted by name, ``authorization`` last.

        ``path`` and ``query`` are percent-encoded as they will be sent, the query in canonical order. ``headers`` have
        lower-case names, ``host`` among them; every one of them is signed.
        """
        if epoch_seconds != self._second:
            self._set_time(epoch_seconds)
        signed = [*headers, ("x-amz-content-sha256", payload_sha256), ("x-amz-date", self._amz_date)]
        if self.credentials.session_token:
            signed.append(("x-amz-security-token", self.credentials.session_token))
        signed.sort()
        names = ";".join([name for name, _ in signed])
        lines = "".join([f"{name}:{' '.join(value.split())}\n" for name, value in signed])
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload_sha256}"
        digest = sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        signature = self._hmac(f"{self._preamble}{digest}".encode())
        signed.append(("authorization", f"{self._credential}, SignedHeaders={names}, Signature={signature}"))
        return signed

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
