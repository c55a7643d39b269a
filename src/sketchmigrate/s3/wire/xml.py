"""The XML that S3 speaks: what replies mean, and the two documents that are sent; ``xml_listings`` has the rest. Pure.

A reader raises ``NotS3`` for what is not exactly the expected document, complete and well-formed: an S3 server may
answer 200 and then fail, so only the document says what happened (S3 API reference, CopyObject, "Response").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from html import escape  # xml.sax's, which does the same, imports an HTTP client
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ELEMENTS = 100_000
"""A page of 1 000 keys has 13 000 elements, with owners, checksums and restoring; each takes some 500 bytes here."""

MAX_DEPTH = 16
"""No document of S3 is deeper than 5."""

SMALL_BYTES = 4 * MAX_ELEMENTS
"""An element has four bytes at least: a smaller document is within bounds that do no harm, and is not looked through.
The usual page is small; to look through it would take 10 % longer."""

MAX_SAID = 300
"""So much of what a store says is repeated: one line of a terminal and a log."""

MAX_ETAG_CHARACTERS = 1024
"""32 and a little in S3; each is kept in the ledger."""

MAX_SIZE_DIGITS = 18
"""An object of 10^18 bytes is 20 000 times as large as the largest of S3, and no database counts much further."""

_USUAL_BYTES = 1024  # what was seen around an ETag is kept, and so it is small
_DATE_BYTES = b"0123456789-:.TZ"


class NotS3(ValueError):
    """A body that is not the expected S3 document: something else, cut short, or empty."""


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """What an ``<Error>`` says; empty where it says nothing."""

    code: str
    message: str = ""
    request_id: str = ""
    region: str = ""
    endpoint: str = ""
    bucket: str = ""


def plain(text: str) -> str:
    """Return a stranger's words as one short line that does nothing to a terminal, and begins no line of a log."""
    return "".join([letter if letter.isprintable() else " " for letter in text[:MAX_SAID]]).strip()


def etag_of(text: str) -> str:
    """Return the ETag of a document without its quotes; it is sent back in a header. Raises ``NotS3``."""
    etag = unquoted(text)
    if not etag.isprintable() or len(etag) > MAX_ETAG_CHARACTERS:
        raise NotS3("an ETag is none: it has characters that no header has, or too many")
    return etag


def unquoted(etag: str) -> str:
    """Strip an ETag's quotes; some servers (Ceph) send copy ETags without them."""
    return etag.strip().strip('"')


def read_error(body: bytes) -> ErrorDocument | None:
    """Read an ``<Error>`` document; None if the body is something else."""
    if b"<Error" not in body:
        return None
    try:
        root = root_of(body)
    except NotS3:
        return None
    if name_of(root) != "Error":
        return None
    texts = {name_of(child): plain(child.text or "") for child in root}
    return ErrorDocument(
        code=texts.get("Code", ""),
        message=texts.get("Message", ""),
        request_id=texts.get("RequestId", ""),
        region=texts.get("Region", ""),
        endpoint=texts.get("Endpoint", ""),
        bucket=texts.get("BucketName", "") or texts.get("Bucket", ""),
    )


def read_copy_result(body: bytes) -> str:
    """Return the ETag of a complete ``CopyObjectResult``.

    A store's replies differ in the date and the ETag alone. Where these are plain text, and a document with what is
    around them was seen to be whole, so is this one: 0.8 µs, where the parser takes 7 and a regular expression 1.7.
    """
    before, _, rest = body.partition(b"<LastModified>")
    date, _, after = rest.partition(b"</LastModified>")
    head, _, rest = (before + after).partition(b"<ETag>")
    etag, _, tail = rest.partition(b"</ETag>")
    etag = etag.replace(b"&quot;", b'"').replace(b"&#34;", b'"').strip(b'"')
    if (
        etag.replace(b"-", b"").isalnum()
        and not date.strip(_DATE_BYTES)
        and len(body) < _USUAL_BYTES
        and _is_around_etag(head, tail)
    ):
        return etag.decode()
    return _etag(root_of(body, "CopyObjectResult"))


@lru_cache(maxsize=64)
def _is_around_etag(head: bytes, tail: bytes) -> bool:
    """Whether an ETag between these makes a complete ``CopyObjectResult`` of which it is the ETag."""
    try:
        return _etag(root_of(head + b"<ETag>any</ETag>" + tail, "CopyObjectResult")) == "any"
    except NotS3:
        return False


def read_part_copy_result(body: bytes) -> str:
    """Return the ETag of a complete ``CopyPartResult``."""
    return _etag(root_of(body, "CopyPartResult"))


def read_complete_result(body: bytes) -> str:
    """Return the ETag of a complete ``CompleteMultipartUploadResult``."""
    return _etag(root_of(body, "CompleteMultipartUploadResult"))


def read_upload_id(body: bytes) -> str:
    """Return the upload id of an ``InitiateMultipartUploadResult`` (rclone's server leaves the ``Result`` off)."""
    for child in root_of(body, "InitiateMultipartUploadResult", "InitiateMultipartUpload"):
        if name_of(child) == "UploadId" and child.text:
            return child.text
    raise NotS3("the reply names no UploadId")


def read_tags(body: bytes) -> list[tuple[str, str]]:
    """Return the tags of a ``Tagging`` document."""
    tags = []
    for tag in root_of(body, "Tagging").iter():
        if name_of(tag) == "Tag":
            texts = {name_of(child): child.text or "" for child in tag}
            tags.append((texts.get("Key", ""), texts.get("Value", "")))
    return tags


def complete_document(part_etags: Sequence[str]) -> bytes:
    """Write the body of CompleteMultipartUpload for parts numbered from 1."""
    parts = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{escape(etag, quote=False)}"</ETag></Part>'
        for number, etag in enumerate(part_etags, start=1)
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{parts}</CompleteMultipartUpload>'.encode()


def tagging_document(tags: Sequence[tuple[str, str]]) -> bytes:
    """Write the body of PutObjectTagging."""
    pairs = "".join(
        f"<Tag><Key>{escape(key, quote=False)}</Key><Value>{escape(value, quote=False)}</Value></Tag>"
        for key, value in tags
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<Tagging xmlns="{namespace}"><TagSet>{pairs}</TagSet></Tagging>'.encode()


def root_of(body: bytes, *elements: str) -> ET.Element:
    """Parse a document; its root must be one of these elements, where any are given. Raises ``NotS3``."""
    if b"<!DOCTYPE" in body:
        raise NotS3("the reply has a document type, which S3 never sends")
    if b"\0" in body:
        raise NotS3("the reply is not in UTF-8")  # in UTF-16 a document type would go unseen
    is_large = len(body) > SMALL_BYTES
    if is_large and (body.count(b"<") > 2 * MAX_ELEMENTS or body.count(b"=") > MAX_ELEMENTS):  # tags; attributes
        raise NotS3("the reply has more elements than any document of S3")
    try:
        root = ET.fromstring(body.strip())  # noqa: S314 - without a document type there are no entities to expand
    except (ET.ParseError, LookupError, ValueError) as error:  # the last two for an encoding that Python does not have
        raise NotS3(f"the reply is not well-formed XML ({error})" if body.strip() else "the reply is empty") from error
    if elements and name_of(root) not in elements:
        raise NotS3(f"the reply is a <{plain(name_of(root))}>, not a <{elements[0]}>")
    if is_large:
        _see_depth(root)
    return root


def _see_depth(root: ET.Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        level = [child for element in level if len(element) for child in element]
        if not level:
            return
    raise NotS3(f"the reply has elements within elements, more than {MAX_DEPTH} deep, which S3 never sends")


def name_of(element: ET.Element) -> str:
    """Return an element's name without its namespace: servers differ in that."""
    return element.tag.rpartition("}")[2]


def _etag(root: ET.Element) -> str:
    for child in root:
        if name_of(child) == "ETag" and (etag := etag_of(child.text or "")):
            return etag
    raise NotS3("the reply carries no ETag")
