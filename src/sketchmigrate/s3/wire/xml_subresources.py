"""The XML of subresources: Object Lock, uploads, encryption and ACLs. Pure; raises ``NotS3`` as ``xml`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from sketchmigrate.s3.wire.xml import name_of, root_of

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


NO_LOCK = ObjectLock(is_enabled=False, default_retention="")


@dataclass(frozen=True, slots=True)
class Grant:
    """What an ACL gives to whom: an id, or the address of a group."""

    grantee: str
    permission: str


@dataclass(frozen=True, slots=True)
class Acl:
    """The owner's id, and all grants, the owner's own among them."""

    owner: str
    grants: tuple[Grant, ...]


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
