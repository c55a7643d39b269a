"""The XML of what a store tells of buckets and objects besides content. Pure; raises ``NotS3`` as ``xml`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketch_migrate.s3.xml import name_of, root_of

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a bucket with Object Lock keeps each new object. ``mode`` is empty where it keeps none by itself."""

    mode: str = ""
    period: str = ""


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


def read_object_lock(body: bytes) -> Retention | None:
    """Return the default retention of an ``ObjectLockConfiguration``; None where Object Lock is not on."""
    root = root_of(body, "ObjectLockConfiguration")
    if _text(root, "ObjectLockEnabled") != "Enabled":
        return None
    days, years = _text(root, "Days"), _text(root, "Years")
    return Retention(_text(root, "Mode"), f"{years} years" if years else f"{days} days" if days else "")


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
