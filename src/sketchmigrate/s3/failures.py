"""What went wrong, said once and for a person: replies and connection errors become ``Failure``."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import (
    BucketMissing,
    CredentialsError,
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    RedirectRefused,
    S3Busy,
    S3Error,
    S3Malformed,
    S3Refused,
    S3Unreachable,
    StoreFull,
)
from sketchmigrate.s3 import dialect
from sketchmigrate.s3.retry import Failure, FailureKind, http_date, kind_of, retry_after_seconds
from sketchmigrate.s3.wire import xml
from sketchmigrate.s3.wire.proxy import ProxyFailed
from sketchmigrate.s3.wire.redirect import is_region, target_of

if TYPE_CHECKING:
    from sketchmigrate.s3.wire.addressing import Origin
    from sketchmigrate.s3.wire.messages import Reply, Request
    from sketchmigrate.s3.wire.redirect import Target

ENDPOINT_HINT = "S3 does not answer so. Is S3_ENDPOINT_URL right, or does a proxy answer in the store's place?"
NOT_FOUND = 404
_SERVER_HINT = "Is the server up, and are S3_ENDPOINT_URL and the network right? Then run the command again."
_BUSY_HINT = "The store fails or throttles. Run the command again later."
_ARCHIVED_HINT = "The object is archived. Restore it first, then run the command again."
_IF_DEMANDED = "If it demands an ACL or encryption of new objects, set NEW_OBJECT_HEADERS; else mend it."
_FULL_HINT = "Make room in the store, or raise the quota. Then run the command again; it goes on where it stopped."
_HTTPS_HINT = "The server speaks TLS there: S3_ENDPOINT_URL must begin with https://."

_BY_KIND: dict[FailureKind, tuple[type[S3Error], str]] = {
    FailureKind.EXPIRED: (CredentialsError, "The credentials have expired. Renew them and run the command again."),
    FailureKind.THROTTLED: (S3Busy, _BUSY_HINT),
    FailureKind.TRANSIENT: (S3Busy, _BUSY_HINT),
    FailureKind.SKEWED: (
        S3Refused,
        "This machine's clock and the store's differ: set the wrong one (NTP), and run the command again.",
    ),
    FailureKind.MOVED: (S3Refused, ""),
}
_BY_CODE: dict[str, tuple[type[S3Error], str]] = {
    "NoSuchKey": (ObjectMissing, ""),
    "NoSuchBucket": (BucketMissing, "Check the bucket's name and S3_ENDPOINT_URL."),
    "PreconditionFailed": (PreconditionFailed, ""),
    "AccessDenied": (S3Refused, ""),
    "InvalidAccessKeyId": (
        S3Refused,
        "Check AWS_ACCESS_KEY_ID: the store does not know it. Is S3_ENDPOINT_URL the right store?",
    ),
    "SignatureDoesNotMatch": (
        S3Refused,
        "Check AWS_SECRET_ACCESS_KEY; or a proxy on the way changes requests (Host, path).",
    ),
    "InvalidToken": (S3Refused, "Check AWS_SESSION_TOKEN: it does not belong to the access key."),
    "InvalidObjectState": (S3Error, _ARCHIVED_HINT),
    "ObjectNotInActiveTierError": (S3Error, _ARCHIVED_HINT),
}
_BY_STATUS: dict[int, tuple[type[S3Error], str]] = {
    401: (S3Refused, ""),
    403: (S3Refused, ""),
    412: (PreconditionFailed, ""),
    407: (S3Unreachable, "A proxy wants a user and a password: HTTP_PROXY=http://USER:PASSWORD@HOST:PORT"),
}


class ConnectionDropped(Exception):
    """A connection ended with a request on it.

    ``reused``: it had served before. ``reply_begun``: bytes of the reply had come. ``cause``: why it ended.
    """

    def __init__(self, *, reused: bool, reply_begun: bool, cause: BaseException | None = None) -> None:
        super().__init__("connection dropped")
        self.reused = reused
        self.reply_begun = reply_begun
        self.cause = cause


class ReplySilent(Exception):
    """Nothing came, and nothing could be sent, for the whole of the time-out."""


class ReplySlow(ReplySilent):
    """A reply came so slowly that it is over its deadline (``bounds``), though never silent for the time-out."""

    def __init__(self, seconds: float, body_bytes: int | None) -> None:
        super().__init__("too slow")
        told = "no whole head of a reply" if body_bytes is None else f"{body_bytes:,} bytes of a reply"
        self.words = f"sent {told} in {seconds:,.0f} s"


class NotHttp(Exception):
    """What came is not an HTTP reply. ``beginning`` is its first bytes."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__("not HTTP")
        self.beginning = beginning


class Endless(NotHttp):
    """A reply has more of something than any of S3 has. ``words`` say of what."""

    def __init__(self, words: str) -> None:
        super().__init__(b"")
        self.words = words


NO_REPLY = (ConnectionDropped, ReplySilent, NotHttp)
"""What a connection brings instead of a reply."""


def reply_failure(request: Request, reply: Reply) -> Failure:
    """Say what a reply that is not the expected success means."""
    document = xml.read_error(reply.body)
    code = document.code if document else ""
    named = document or xml.ErrorDocument("")
    is_full = dialect.says_full(reply.status, code, named.message)
    kind = FailureKind.FATAL if is_full else kind_of(reply.status, code, bodiless=reply.bodiless)
    region = named.region or reply.header(b"x-amz-bucket-region")
    target = target_of(named.endpoint or reply.header(b"location")) if kind is FailureKind.MOVED else None
    wait_seconds = retry_after_seconds(
        reply.header(b"retry-after"), reply.header(b"x-amz-retry-after"), datetime.now(UTC)
    )
    return Failure(
        kind,
        _error(request, reply, named, kind, wait_seconds),
        retry_after_seconds=wait_seconds,
        region=region if is_region(region) else "",
        target=target,
        store_time=http_date(reply.header(b"date")),
    )


def object_exists(error: PreconditionFailed, request: Request) -> ObjectExists:
    """Say that there is an object already: what a failed condition that there be none means."""
    exists = ObjectExists(error.message, hint=error.hint, status=error.status, code=error.code)
    exists.attempts = request.attempts
    return exists


def stranger(request: Request, origin: Origin, target: Target, told: S3Error) -> RedirectRefused:
    """Say that a redirect leads to a host that is not the store's own, or to one of its own without TLS."""
    there = f"{target.scheme}://{target.authority}" if target.scheme else target.authority
    here = f"{'https' if origin.tls else 'http'}://{origin}"
    hint = "If the bucket is there, and you trust that host: set S3_ENDPOINT_URL to it, and S3_REGION to its region."
    message = f"{request}: {here} redirects to {there}, which is not its own host: not followed"
    if origin.tls and target.scheme == "http":
        message = f"{request}: {here} redirects to {there}, which is without TLS: not followed"
    return RedirectRefused(message, hint=hint, status=told.status, code=told.code or "Redirect")


def malformed(request: Request, reply: Reply, reason: str) -> Failure:
    """Say that a success by its status is none by its content: the outcome is unknown, so it is tried again."""
    error = S3Malformed(
        f"{request}: status {reply.status}, but {reason}{_said(reply)}",
        hint=ENDPOINT_HINT,
        status=reply.status,
    )
    return Failure(FailureKind.TRANSIENT, error)


# What AWS says of a refusal that follows from policies (IAM User Guide, "Troubleshoot access denied error messages").
_NOT_ALLOWED = re.compile(r"because no ([a-z -]+policy) allows the ([a-zA-Z0-9:-]+:[a-zA-Z0-9]+) action").search
_DENIED_BY = re.compile(r"with an explicit deny in (?:a|an|the) ([a-z -]+(?:policy|boundary))").search


def understood(document: xml.ErrorDocument, region: str) -> str:
    """Return a hint where the store's own words tell the cause of a refusal, else an empty string.

    "Access denied" alone may be a right that is lacking, a header that a policy demands, or a key that may not be used.
    """
    if lacking := _NOT_ALLOWED(document.message):
        return f"No {lacking[1]} allows {lacking[2]}: sketch-migrate grants prints the rights that each command needs."
    if denying := _DENIED_BY(document.message):
        return f"A {denying[1]} denies this, whatever else allows it. {_IF_DEMANDED}"
    if dialect.is_denied_explicitly(document.code, document.message):
        return f"A policy denies this. {_IF_DEMANDED}"
    return elsewhere_hint(region) if document.code in _ELSEWHERE and region else ""


def elsewhere_hint(region: str) -> str:
    """Return what to set where a store says that a bucket is in a region."""
    return (
        f"The store says that the bucket is in {region}. If both buckets are there, set S3_REGION to it;"
        " if they are in two regions of AWS, leave S3_ENDPOINT_URL empty: each is then asked in its own."
    )


_ELSEWHERE = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})


def _error(
    request: Request, reply: Reply, document: xml.ErrorDocument, kind: FailureKind, wait_seconds: float
) -> S3Error:
    code, status = document.code, reply.status
    error: type[S3Error]
    if dialect.says_full(status, code, document.message):
        error, hint = StoreFull, _FULL_HINT
    elif kind in _BY_KIND:
        error, hint = _BY_KIND[kind]
    elif code in _BY_CODE or status in _BY_STATUS:
        error, hint = _BY_CODE.get(code) or _BY_STATUS[status]
    elif reply.bodiless and status == NOT_FOUND:
        error, hint = ObjectMissing, ""
    elif code or reply.bodiless:
        error, hint = S3Error, ""
    else:
        return S3Malformed(f"{request}: status {status}{_said(reply)}", hint=_not_s3_hint(reply.body), status=status)
    hint = hint or understood(document, document.region or xml.plain(reply.header(b"x-amz-bucket-region")))
    request_id = document.request_id or xml.plain(reply.header(b"x-amz-request-id"))
    parts = (
        document.message,
        request_id and f"request id {request_id}",
        wait_seconds and f"it asks to wait {wait_seconds:,.0f} s",
    )
    told = ", ".join(part for part in parts if part)
    message = f"{request}: {code or f'status {status}'}" + (f" ({told})" if told else "")
    message += "" if code or reply.bodiless else _said(reply)
    return error(message, hint=hint, status=status, code=code, said=document.message)


def _said(reply: Reply) -> str:
    return f"; it said {xml.plain(reply.body[:80].decode('utf-8', 'replace'))!r}" if reply.body else ""


def _not_s3_hint(body: bytes) -> str:
    """Recognise what Go's and nginx's servers answer to plain HTTP on a TLS port."""
    return _HTTPS_HINT if b"HTTPS" in body else ENDPOINT_HINT


# What can happen while a connection is made, the more particular kind first: words, and a hint of its own.
_NO_CONNECTION: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "the certificate cannot be verified",
        "If the store's certificate is signed by an authority of your own, name its file in S3_CA_BUNDLE.",
    ),
    (
        ssl.SSLError,
        "no TLS connection",
        "Does the server speak plain HTTP there? Then S3_ENDPOINT_URL must begin with http://.",
    ),
    (socket.gaierror, "the host name cannot be resolved", _SERVER_HINT),
    (UnicodeError, "this is not a host name", _SERVER_HINT),
    (TimeoutError, "no connection in time", _SERVER_HINT),
    (ConnectionRefusedError, "the connection was refused", _SERVER_HINT),
    (BaseException, "no connection", _SERVER_HINT),
)


def connection_failure(request: Request, where: str, error: BaseException) -> Failure:
    """Say what it means that a connection could not be made, or broke, or brought something strange."""
    kind = FailureKind.TRANSIENT
    hint = _SERVER_HINT
    if isinstance(error, ProxyFailed):
        kind = FailureKind.FATAL if error.is_final else FailureKind.TRANSIENT
        return Failure(kind, S3Unreachable(str(error), hint=error.hint))
    if isinstance(error, Endless):
        message = f"{request}: {where} answers without end: {error.words}"
        return Failure(kind, S3Malformed(message, hint=ENDPOINT_HINT))
    if isinstance(error, NotHttp):
        return Failure(kind, _not_http(request, where, error.beginning))
    if isinstance(error, ConnectionDropped):
        moment = "within the reply" if error.reply_begun else "before the reply"
        because = f" ({_reason(error.cause)})" if error.cause else ""
        message = f"{request}: {where} closed the connection {moment}{because}"
        if error.reused and not error.reply_begun:
            kind = FailureKind.STALE
    elif isinstance(error, ReplySlow):
        message = f"{request}: {where} {error.words}"
        hint = f"{_SERVER_HINT} If its line is that slow, or its copies of large objects are, raise S3_TIMEOUT_SECONDS."
    elif isinstance(error, ReplySilent):
        message = f"{request}: {where} did not answer in time"
        hint = f"{_SERVER_HINT} If copies of large objects take that long, raise S3_TIMEOUT_SECONDS."
    else:
        words, hint = next((words, hint) for kind_, words, hint in _NO_CONNECTION if isinstance(error, kind_))
        message = f"{where}: {words} ({_reason(error)})"
        if isinstance(error, ssl.SSLCertVerificationError):
            kind = FailureKind.FATAL
    return Failure(kind, S3Unreachable(message, hint=hint))


def _not_http(request: Request, where: str, beginning: bytes) -> S3Malformed:
    tls_alert = b"\x15\x03"  # record type 21, protocol version 3.x: RFC 8446, section 5.1
    hint = _HTTPS_HINT if beginning.startswith(tls_alert) else ENDPOINT_HINT
    return S3Malformed(f"{request}: {where} does not speak HTTP; it said {beginning[:40]!r}", hint=hint)


def _reason(error: BaseException) -> str:
    said = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return str(said) or type(error).__name__
