"""The XML about a bucket as a whole: its Object Lock and its uploads. Pure; raises ``NotS3`` as ``xml`` does."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote_plus

from sketchmigrate.s3.wire.xml import name_of, root_of


class ObjectLock(NamedTuple):
    """Whether a bucket has Object Lock, and the default retention of new objects: ``COMPLIANCE, 1 Days``, or empty."""

    is_enabled: bool
    default_retention: str


class ListedUpload(NamedTuple):
    """A multipart upload that is neither completed nor called off."""

    key: str
    upload_id: str


NO_LOCK = ObjectLock(is_enabled=False, default_retention="")


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
