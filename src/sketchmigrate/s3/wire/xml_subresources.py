"""The XML of subresources: Object Lock, uploads, encryption and ACLs. Pure; raises ``NotS3`` as ``xml`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from sketchmigrate.s3.wire.xml import MAX_SIZE_DIGITS, NotS3, etag_of, name_of, plain, root_of

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


SUBRESOURCE_BYTES = 64 * 2**10
"""More than a configuration or a list of grants takes: S3 has at most 100 grants."""


class ObjectLock(NamedTuple):
    """Whether a bucket has Object Lock, and the default retention of new objects: ``COMPLIANCE, 1 Days``, or empty."""

    is_enabled: bool
    default_retention: str


class ListedUpload(NamedTuple):
    """A multipart upload that is neither completed nor called off."""

    key: str
    upload_id: str


class ListedPart(NamedTuple):
    """A part of an upload that is neither completed nor called off."""

    etag: str
    size_bytes: int


_MAX_PART_DIGITS = 5  # there are 10 000 of them at most

NO_LOCK = ObjectLock(is_enabled=False, default_retention="")


class Grant(NamedTuple):
    """What an ACL gives to whom: an id, or the address of a group."""

    grantee: str
    permission: str


@dataclass(frozen=True, slots=True)
class Acl:
    """The owner's id, empty where none is told, and all grants, the owner's own among them."""

    owner: str
    grants: tuple[Grant, ...]

    @property
    def others(self) -> frozenset[Grant]:
        """What is given to others than the owner; WRITE means nothing of an object, and no header gives it.

        (S3 User Guide, "Access control list (ACL) overview".)
        """
        return frozenset(grant for grant in self.grants if grant.grantee != self.owner and grant.permission != "WRITE")

    def gives(self, grants: frozenset[Grant]) -> bool:
        """Whether it has all these grants; its owner has all rights in any case."""
        return {grant for grant in grants if grant.grantee != self.owner} <= self.others


def read_object_lock(body: bytes) -> ObjectLock:
    """Return what an ``ObjectLockConfiguration`` says; any other document is of a store that has no Object Lock."""
    root = root_of(body)
    if name_of(root) != "ObjectLockConfiguration":
        return NO_LOCK
    texts = {name_of(element): (element.text or "").strip() for element in root.iter()}
    unit = next((unit for unit in ("Days", "Years") if texts.get(unit)), "")
    retention = f"{texts.get('Mode', '')}, {texts[unit]} {unit}" if unit else ""
    return ObjectLock(
        is_enabled=texts.get("ObjectLockEnabled") == "Enabled" or bool(retention), default_retention=retention
    )


def read_uploads(body: bytes) -> list[ListedUpload]:
    """Return the uploads of a ``ListMultipartUploadsResult``."""
    root = root_of(body, "ListMultipartUploadsResult")
    encoded = any(name_of(child) == "EncodingType" and child.text == "url" for child in root)
    found = []
    for item in root:
        if name_of(item) == "Upload":
            texts = {name_of(child): child.text or "" for child in item}
            key = texts.get("Key", "")
            key = unquote_plus(key, errors="surrogateescape") if encoded else key
            found.append(ListedUpload(key, texts.get("UploadId", "")))
    return found


def read_parts(body: bytes) -> tuple[dict[int, ListedPart], bool]:
    """Return the parts of a ``ListPartsResult`` by their numbers, and whether there are more."""
    root = root_of(body, "ListPartsResult", "ListPartsResponse")  # the latter is moto's
    found: dict[int, ListedPart] = {}
    for item in root:
        if name_of(item) == "Part":
            texts = {name_of(child): (child.text or "").strip() for child in item}
            number = _decimal(texts.get("PartNumber", ""), _MAX_PART_DIGITS)
            size_bytes = _decimal(texts.get("Size", ""), MAX_SIZE_DIGITS)
            found[number] = ListedPart(etag_of(texts.get("ETag", "")), size_bytes)
    more = any(name_of(child) == "IsTruncated" and (child.text or "").strip() == "true" for child in root)
    return found, more


def _decimal(text: str, max_digits: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= max_digits):
        raise NotS3(f"a part has the number or size {plain(text)!r}")
    return int(text)


def read_encryption(body: bytes) -> str:
    """Return the algorithm and key of a ``ServerSideEncryptionConfiguration``, or an empty string."""
    root = root_of(body, "ServerSideEncryptionConfiguration")
    return " ".join(part for part in (_text(root, "SSEAlgorithm"), _text(root, "KMSMasterKeyID")) if part)


def read_acl(body: bytes) -> Acl:
    """Return an ``AccessControlPolicy``."""
    root = root_of(body, "AccessControlPolicy")
    owner = next((_text(child, "ID") for child in root if name_of(child) == "Owner"), "")
    grants = [element for element in root.iter() if name_of(element) == "Grant"]
    return Acl(
        owner,
        tuple(
            Grant(_text(grant, "URI") or _text(grant, "ID") or _text(grant, "EmailAddress"), _text(grant, "Permission"))
            for grant in grants
        ),
    )


def _text(root: ET.Element, name: str) -> str:
    """Return the text of the first element of that name, anywhere below."""
    return next(((element.text or "").strip() for element in root.iter() if name_of(element) == name), "")
