"""When two objects are known to be the same, known to differ, and when only their bytes can tell.

The bytes are not all that there is to an object: what a browser is told of them (``other_headers``) may differ. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.s3.etags import is_md5, is_of_bytes
from sketchmigrate.s3.headers import CONTENT_HEADERS, TAG_COUNT

if TYPE_CHECKING:
    from sketchmigrate.core.objects import ObjectInfo

_ALWAYS_ANSWERED = frozenset({"content-type"})
"""Of these, none where the other side has one is no answer: a store that leaves it out tells nothing by that."""

_METADATA = "x-amz-meta-"
_OF_THE_STORE = frozenset({"x-amz-meta-mtime"})
"""rclone's server keeps an object's time there, and so does whoever uploads with rclone: a copy has its own."""


def same_content(one: ObjectInfo, other: ObjectInfo) -> bool | None:
    """Compare by size and ETag: True and False are certain, None means that the bytes must be compared.

    Equal ETags prove equality. Different ones prove a difference only where both are the MD5 of the content: not for
    multipart uploads (``…-7``), nor under SSE-KMS or SSE-C (S3 API reference, Object: "ETag").
    """
    if one.size_bytes != other.size_bytes:
        return False
    if one.size_bytes == 0 or (one.etag and one.etag == other.etag):
        return True
    if all(is_of_bytes(each) and is_md5(each.etag) for each in (one, other)):
        return False
    return None


def other_headers(legacy: ObjectInfo, production: ObjectInfo) -> str:
    """Say in which content headers, user metadata and number of tags two objects of the same bytes differ; or nothing.

    Both are as HEADs showed them; tags count where both sides told their number.
    """
    ours, theirs = _described(legacy), _described(production)
    if TAG_COUNT in legacy.headers and TAG_COUNT in production.headers:
        ours["number of tags"], theirs["number of tags"] = legacy.headers[TAG_COUNT], production.headers[TAG_COUNT]
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    differing = [name for name in names if name not in _ALWAYS_ANSWERED or (name in ours and name in theirs)]
    if not differing:
        return ""
    told = "; ".join(
        f"{name}: {_said(ours, name)} in legacy, {_said(theirs, name)} in production" for name in differing
    )
    return f"same bytes, other {told}"


def tells_tags(*objects: ObjectInfo) -> bool:
    """Whether a HEAD of one of them told a number of tags: else nothing shows that this store ever does."""
    return any(TAG_COUNT in info.headers for info in objects)


def _described(info: ObjectInfo) -> dict[str, str]:
    """Return what describes the content, by the name that a person knows."""
    found = {name: info.headers[name].strip() for name in CONTENT_HEADERS if info.headers.get(name)}
    if encodings := _encodings(found.pop("content-encoding", "")):
        found["content-encoding"] = encodings
    metadata = {name: value for name, value in info.headers.items() if name.startswith(_METADATA)}
    return found | {name: value for name, value in metadata.items() if name not in _OF_THE_STORE}


def _encodings(told: str) -> str:
    """Return the encodings but for that of the upload, which some stores keep."""
    return ", ".join(each.strip() for each in told.split(",") if each.strip() not in {"", "aws-chunked"})


def _said(found: dict[str, str], name: str) -> str:
    return found.get(name, "none")
