"""What the success of each operation looks like. Pure: every reader returns its value or raises ``Failure``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sketchmigrate.core.errors import ObjectInstead
from sketchmigrate.core.objects import ObjectInfo
from sketchmigrate.s3.checksums import SHA256
from sketchmigrate.s3.failures import malformed, reply_failure
from sketchmigrate.s3.retry import Failure, FailureKind
from sketchmigrate.s3.wire import xml, xml_listings, xml_subresources

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.s3.wire.messages import Reply, Request
    from sketchmigrate.s3.wire.xml_listings import ListedVersion, ListPage
    from sketchmigrate.s3.wire.xml_subresources import ListedPart, ListedUpload, ObjectLock

T = TypeVar("T")

_OK = 200
_NO_CONTENT = 204
_SHA256 = SHA256.encode()
_PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII).fullmatch
_NO_LOCK_STATUSES = frozenset({404, 405, 501})
_NO_LOCK_CODES = frozenset({"InvalidArgument", "InvalidRequest", "NotImplemented"})
# A store without tags says so in one of these ways; an object without tags is NoSuchTagSet on some.
_NO_TAGS_CODES = frozenset({"NoSuchTagSet", "MethodNotAllowed"})
_NOT_IMPLEMENTED = "NotImplemented"


def _document(request: Request, reply: Reply, read: Callable[[bytes], T]) -> T:
    """Read the XML of a reply with status 200, in which an ``<Error>`` may be as well."""
    if reply.status != _OK:
        raise reply_failure(request, reply)
    try:
        return read(reply.body)
    except xml.NotS3 as error:
        if xml.read_error(reply.body) is not None:
            raise reply_failure(request, reply) from error
        raise malformed(request, reply, str(error)) from error


def copied(request: Request, reply: Reply) -> str:
    """CopyObject: the new object's ETag."""
    return _document(request, reply, xml.read_copy_result)


def part_copied(request: Request, reply: Reply) -> str:
    """UploadPartCopy: the part's ETag."""
    return _document(request, reply, xml.read_part_copy_result)


def completed(request: Request, reply: Reply) -> str:
    """CompleteMultipartUpload: the new object's ETag."""
    return _document(request, reply, xml.read_complete_result)


def upload_id(request: Request, reply: Reply) -> str:
    """CreateMultipartUpload: the id of the upload."""
    return _document(request, reply, xml.read_upload_id)


def listing(request: Request, reply: Reply) -> ListPage:
    """ListObjectsV2: one page."""
    return _document(request, reply, xml_listings.read_list_page)


def versions(request: Request, reply: Reply) -> list[ListedVersion]:
    """ListObjectVersions: the first page."""
    return _document(request, reply, xml_listings.read_versions)


def uploads(request: Request, reply: Reply) -> list[ListedUpload]:
    """ListMultipartUploads: the first page; rclone's server says NoSuchUpload where there is none."""
    if reply.status != _OK and (error := xml.read_error(reply.body)) and error.code == "NoSuchUpload":
        return []
    return _document(request, reply, xml_subresources.read_uploads)


def parts(request: Request, reply: Reply) -> tuple[dict[int, ListedPart], bool]:
    """ListParts: one page, and whether there are more."""
    return _document(request, reply, xml_subresources.read_parts)


def object_lock(request: Request, reply: Reply) -> ObjectLock:
    """GetObjectLockConfiguration: nothing where a store says in one of several ways that it has none.

    One that does not know the question takes it for another (rclone's server sends a listing).
    """
    error = xml.read_error(reply.body)
    code = error.code if error else ""
    if (reply.status in _NO_LOCK_STATUSES and code != "NoSuchBucket") or code in _NO_LOCK_CODES:
        return xml_subresources.NO_LOCK
    return _document(request, reply, xml_subresources.read_object_lock)


def tags(request: Request, reply: Reply) -> list[tuple[str, str]] | None:
    """GetObjectTagging: the tags, none where there can be none; None where the store has no such operation.

    A store that does not know the question answers with the object (rclone's server), of which no more is asked for
    than tags have: with its ETag, or that it has no such range where it is empty.
    """
    if reply.status != _OK and (error := xml.read_error(reply.body)):
        if error.code in _NO_TAGS_CODES:
            return []
        if error.code == _NOT_IMPLEMENTED:
            return None
    if reply.status == _OK and not reply.body:
        return []  # what Ceph 16 says of an object without tags; whether some are due is checked by their count
    if reply.status == RANGE_NOT_SATISFIABLE:
        raise _object_instead(request, reply, "there is no such range of the object")
    try:
        return xml.read_tags(document(request, reply))
    except xml.NotS3 as error:
        if reply.header(b"etag"):
            raise _object_instead(request, reply, str(error)) from error
        raise malformed(request, reply, str(error)) from error


def _object_instead(request: Request, reply: Reply, reason: str) -> Failure:
    """Say that the object came: who does not know a question now will not know it later either."""
    told = malformed(request, reply, reason).error
    return Failure(FailureKind.FATAL, ObjectInstead(told.message, hint=told.hint, status=told.status))


def document(request: Request, reply: Reply) -> bytes:
    """GET of a subresource: its XML, which the caller reads. What is no XML is no success."""
    if reply.status not in (_OK, _PARTIAL_CONTENT) or xml.read_error(reply.body):
        raise reply_failure(request, reply)
    return reply.body


class Stored(NamedTuple):
    """What a store tells of a body that it took: the ETag, and the SHA-256 in base64 where it tells that."""

    etag: str
    sha256: str


def stored(request: Request, reply: Reply) -> Stored:
    """PutObject and UploadPart: what is told in headers."""
    if reply.status != _OK or xml.read_error(reply.body):
        raise reply_failure(request, reply)
    etag = xml.unquoted(reply.header(b"etag"))
    if not etag:
        raise malformed(request, reply, "it has no ETag")
    # few replies have it, and to take the headers apart once more would cost a microsecond of each
    return Stored(etag, reply.header(_SHA256) if _SHA256 in reply.head.lower() else "")


def done(request: Request, reply: Reply) -> None:
    """DeleteObject, AbortMultipartUpload: nothing but success."""
    if reply.status not in (_OK, _NO_CONTENT) or xml.read_error(reply.body):
        raise reply_failure(request, reply)
    if reply.body.strip():
        raise malformed(request, reply, "it has a body, which S3 does not send")


def object_info(request: Request, reply: Reply) -> ObjectInfo:
    """HeadObject: size and ETag, which every S3 object has; of a part, its size."""
    if reply.status != _OK and not (reply.status == _PARTIAL_CONTENT and request.query):
        raise reply_failure(request, reply)
    headers = reply.headers()
    size, etag = headers.get("content-length", ""), xml.unquoted(headers.get("etag", ""))
    if not size.isdecimal() or len(size) > xml.MAX_SIZE_DIGITS or not etag:
        raise malformed(request, reply, "it has no Content-Length or no ETag")
    return ObjectInfo(int(size), etag, headers)


def ranged(first_byte: int, last_byte: int) -> Callable[[Request, Reply], bytes]:
    """GetObject of a range: exactly the bytes asked for, as far as the object goes."""

    def read(request: Request, reply: Reply) -> bytes:
        content_range = reply.header(b"content-range")
        if reply.status == _PARTIAL_CONTENT or (reply.status == _OK and content_range):  # rclone's server says 200
            told = _CONTENT_RANGE(content_range)
            if told is None or int(told[1]) != first_byte or int(told[2]) > last_byte:
                raise malformed(request, reply, "it is not the range asked for")
            whole = None if told[3] == "*" else int(told[3])
            if whole is not None and int(told[2]) != min(last_byte, whole - 1):
                raise malformed(request, reply, "the range is cut short")
            expected_bytes = int(told[2]) - first_byte + 1
        elif reply.status == _OK and first_byte == 0 and reply.header(b"etag"):
            # A range that covers the whole object may be answered with the object (RFC 9110, section 14.2).
            expected_bytes = int(reply.header(b"content-length") or len(reply.body))
            if expected_bytes > last_byte + 1:
                raise malformed(request, reply, "it is the whole object, not the range asked for")
        else:
            raise reply_failure(request, reply)
        if len(reply.body) != expected_bytes:
            raise malformed(request, reply, f"{len(reply.body)} bytes came instead of {expected_bytes}")
        return reply.body

    return read


def beginning(first_bytes: int) -> Callable[[Request, Reply], tuple[ObjectInfo, bytes]]:
    """GetObject of the first bytes: what a HEAD would tell, and these bytes, or all where there are no more."""
    read_range = ranged(0, first_bytes - 1)

    def read(request: Request, reply: Reply) -> tuple[ObjectInfo, bytes]:
        body = read_range(request, reply)
        headers = reply.headers()
        told = _CONTENT_RANGE(headers.get("content-range", ""))
        whole_bytes = told[3] if told else str(len(body))
        etag = xml.unquoted(headers.get("etag", ""))
        if not whole_bytes.isdecimal() or not etag:
            raise malformed(request, reply, "it does not tell the object's size or its ETag")
        return ObjectInfo(int(whole_bytes), etag, headers), body

    return read
