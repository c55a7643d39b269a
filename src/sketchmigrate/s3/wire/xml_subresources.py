"""The XML of what a store tells of buckets and objects besides content. Pure; raises ``NotS3`` as ``xml`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.s3.wire.xml import name_of, root_of

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET


SUBRESOURCE_BYTES = 64 * 2**10
"""More than a configuration or a list of grants takes: S3 has at most 100 grants."""


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
