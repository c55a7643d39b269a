"""The XML that S3 speaks: what replies mean, and the two documents that are sent. Pure.

A reader raises ``NotS3`` for what is not exactly the expected document, complete and well-formed: an S3 server may
answer 200 and then fail, so only the document says what happened (S3 API reference, CopyObject, "Response").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

# The usual reply, recognised whole: every element opened is closed and nothing is left over. Anything unusual goes to
# the real parser. This is 1 µs instead of 7.
_QUOTE = rb"(?:\"|&quot;|&#34;)?"
_MODIFIED = rb"(?:<LastModified>[^<&]*</LastModified>\s*)?"
_USUAL_COPY_RESULT = re.compile(
    rb"\s*(?:<\?xml [^<>]*\?>\s*)?<CopyObjectResult(?: xmlns=\"[^\"<>]*\")?>\s*"
    + _MODIFIED
    + rb"<ETag>"
    + _QUOTE
    + rb"([^<>&\"\s]+)"
    + _QUOTE
    + rb"</ETag>\s*"
    + _MODIFIED
    + rb"</CopyObjectResult>\s*"
).fullmatch


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


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object of a listing. ``etag`` is without quotes, ``last_modified`` ISO 8601 text as the store wrote it."""

    key: str
    size_bytes: int
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class ListPage:
    """Up to 1 000 objects in the order of their keys' UTF-8 bytes. ``next_token`` is None on the last page only."""

    objects: list[ListedObject]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of an object; a delete marker has no ETag. ``version_id`` is ``null`` where none are kept."""

    key: str
    version_id: str
    etag: str
    is_delete_marker: bool


def unquoted(etag: str) -> str:
    """Strip an ETag's quotes; some servers (Ceph) send copy ETags without them."""
    return etag.strip().strip('"')


def read_error(body: bytes) -> ErrorDocument | None:
    """Read an ``<Error>`` document; None if the body is something else."""
    if b"<Error" not in body:
        return None
    try:
        root = _root(body)
    except NotS3:
        return None
    if _name(root) != "Error":
        return None
    texts = {_name(child): (child.text or "").strip() for child in root}
    return ErrorDocument(
        code=texts.get("Code", ""),
        message=texts.get("Message", ""),
        request_id=texts.get("RequestId", ""),
        region=texts.get("Region", ""),
        endpoint=texts.get("Endpoint", ""),
        bucket=texts.get("BucketName", "") or texts.get("Bucket", ""),
    )


def read_copy_result(body: bytes) -> str:
    """Return the ETag of a complete ``CopyObjectResult``."""
    usual = _USUAL_COPY_RESULT(body)
    if usual:
        return usual[1].decode("utf-8", "replace")
    return _etag(_root(body, "CopyObjectResult"))


def read_part_copy_result(body: bytes) -> str:
    """Return the ETag of a complete ``CopyPartResult``."""
    return _etag(_root(body, "CopyPartResult"))


def read_complete_result(body: bytes) -> str:
    """Return the ETag of a complete ``CompleteMultipartUploadResult``."""
    return _etag(_root(body, "CompleteMultipartUploadResult"))


def read_upload_id(body: bytes) -> str:
    """Return the upload id of an ``InitiateMultipartUploadResult`` (rclone's server leaves the ``Result`` off)."""
    for child in _root(body, "InitiateMultipartUploadResult", "InitiateMultipartUpload"):
        if _name(child) == "UploadId" and child.text:
            return child.text
    raise NotS3("the reply names no UploadId")


def read_tags(body: bytes) -> list[tuple[str, str]]:
    """Return the tags of a ``Tagging`` document."""
    tags = []
    for tag in _root(body, "Tagging").iter():
        if _name(tag) == "Tag":
            texts = {_name(child): child.text or "" for child in tag}
            tags.append((texts.get("Key", ""), texts.get("Value", "")))
    return tags


def read_list_page(body: bytes) -> ListPage:
    """Return the page of a ``ListBucketResult``. Only ``IsTruncated`` says whether there is more.

    Keys are decoded if the reply says that they are encoded (``EncodingType``): S3 writes a space as ``+`` there.
    """
    try:
        root = _root(body, "ListBucketResult")
    except NotS3:
        root = _root(_with_stand_ins(body), "ListBucketResult")
    namespace = root.tag[: -len("ListBucketResult")]
    texts = {_name(child): child.text or "" for child in root if not len(child)}
    truncated = texts.get("IsTruncated")
    if truncated not in {"true", "false"}:
        raise NotS3("the listing does not say whether it is complete (IsTruncated)")
    token = texts.get("NextContinuationToken") or None
    if truncated == "true" and token is None:
        raise NotS3("the listing has more pages but names no NextContinuationToken")
    encoded = texts.get("EncodingType") == "url"
    key_tag, size_tag = f"{namespace}Key", f"{namespace}Size"
    etag_tag, modified_tag = f"{namespace}ETag", f"{namespace}LastModified"
    objects = []
    for item in root.iterfind(f"{namespace}Contents"):
        key, size_bytes = item.findtext(key_tag), item.findtext(size_tag)
        if not key or size_bytes is None or not size_bytes.isdecimal():
            raise NotS3("the listing has an entry without a key or a size")
        objects.append(
            ListedObject(
                key=unquote_plus(key, errors="surrogateescape") if encoded else key,
                size_bytes=int(size_bytes),
                etag=unquoted(item.findtext(etag_tag) or ""),
                last_modified=item.findtext(modified_tag) or "",
            )
        )
    return ListPage(objects, token.translate(_FROM_STAND_IN) if token and truncated == "true" else None)


def read_versions(body: bytes) -> list[ListedVersion]:
    """Return the versions and delete markers of a ``ListVersionsResult``.

    Those of one key are newest first; where a store lists all markers behind all versions (moto), their times tell.
    """
    root = _root(body, "ListVersionsResult")
    encoded = any(_name(child) == "EncodingType" and child.text == "url" for child in root)
    found: list[tuple[str, ListedVersion]] = []
    for item in root:
        kind = _name(item)
        if kind not in {"Version", "DeleteMarker"}:
            continue
        texts = {_name(child): child.text or "" for child in item}
        key = texts.get("Key", "")
        version = ListedVersion(
            key=unquote_plus(key, errors="surrogateescape") if encoded else key,
            version_id=texts.get("VersionId", ""),
            etag=unquoted(texts.get("ETag", "")),
            is_delete_marker=kind == "DeleteMarker",
        )
        found.append((texts.get("LastModified", ""), version))
    found.sort(key=lambda entry: entry[0], reverse=True)  # stable: the store's order decides within a second
    return [version for _, version in found]


# Ceph's continuation token is the last key, and neither it nor the prefix is encoded as the keys are: a control
# character in one of them makes a document that is not XML 1.0. Such characters are read as others of a private plane.
_UNSPEAKABLE = [*(code for code in range(32) if code not in (9, 10, 13)), 0xFFFE, 0xFFFF]
_STAND_IN = {code: 0xF0000 + code for code in _UNSPEAKABLE}
_FROM_STAND_IN = {stand_in: code for code, stand_in in _STAND_IN.items()}
_REFERENCE_OR_NONCHARACTER = re.compile(rb"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));|\xef\xbf[\xbe\xbf]")


def _with_stand_ins(body: bytes) -> bytes:
    def stand_in(found: re.Match[bytes]) -> bytes:
        in_hex, in_decimal = found[1], found[2]
        code = int(in_hex, 16) if in_hex else int(in_decimal) if in_decimal else ord(found[0].decode())
        return chr(_STAND_IN[code]).encode() if code in _STAND_IN else found[0]

    return _REFERENCE_OR_NONCHARACTER.sub(stand_in, body)


def complete_document(part_etags: Sequence[str]) -> bytes:
    """Write the body of CompleteMultipartUpload for parts numbered from 1."""
    parts = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{escape(etag)}"</ETag></Part>'
        for number, etag in enumerate(part_etags, start=1)
    )
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{parts}</CompleteMultipartUpload>'.encode()


def tagging_document(tags: Sequence[tuple[str, str]]) -> bytes:
    """Write the body of PutObjectTagging."""
    pairs = "".join(f"<Tag><Key>{escape(key)}</Key><Value>{escape(value)}</Value></Tag>" for key, value in tags)
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<Tagging xmlns="{namespace}"><TagSet>{pairs}</TagSet></Tagging>'.encode()


def _root(body: bytes, *elements: str) -> ET.Element:
    if b"<!DOCTYPE" in body:
        raise NotS3("the reply has a document type, which S3 never sends")
    try:
        root = ET.fromstring(body.strip())  # noqa: S314 - without a document type there are no entities to expand
    except ET.ParseError as error:
        raise NotS3(f"the reply is not well-formed XML ({error})" if body.strip() else "the reply is empty") from error
    if elements and _name(root) not in elements:
        raise NotS3(f"the reply is a <{_name(root)}>, not a <{elements[0]}>")
    return root


def _name(element: ET.Element) -> str:
    """Return an element's name without its namespace: servers differ in that."""
    return element.tag.rpartition("}")[2]


def _etag(root: ET.Element) -> str:
    for child in root:
        if _name(child) == "ETag" and (etag := unquoted(child.text or "")):
            return etag
    raise NotS3("the reply carries no ETag")
