"""When two objects are known to be the same, known to differ, and when only their bytes can tell.

The bytes are not all that there is to an object: what a browser is told of them (``differences``) may differ. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, urlencode

from sketchmigrate.s3.etags import is_md5, is_of_bytes
from sketchmigrate.s3.headers import ARCHIVES, CONTENT_HEADERS, METADATA, MTIME, TAG_COUNT

if TYPE_CHECKING:
    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.s3.config import S3Config

_ALWAYS_ANSWERED = frozenset({"content-type"})
"""Of these, none where the other side has one is no answer: a store that leaves it out tells nothing by that."""

Tags: TypeAlias = tuple[tuple[str, str], ...]
"""Those of an object, in the order of their keys."""

_OF_THE_STORE = frozenset({MTIME})
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


def differences(
    legacy: ObjectInfo,
    production: ObjectInfo,
    config: S3Config,
    tags: tuple[Tags, Tags] | None = None,
) -> str:
    """Name what of two objects differs besides bytes, with what each has; nothing where nothing does.

    Both are as HEADs showed them. Of tags these are the ``tags`` of both, else their numbers where both HEADs told
    them. The ``config`` of production's client says what new objects have: where it is another header than legacy's,
    that is no difference, nor are tags that are not kept; a storage class is one, where it is kept.
    """
    ours, theirs = _described(legacy), _described(production)
    demanded = {name: value for name, value in config.new_object_headers if name in CONTENT_HEADERS}
    ours |= demanded
    if config.keep.storage_class and class_of(legacy) not in ARCHIVES:
        ours["storage class"], theirs["storage class"] = class_of(legacy), class_of(production)
    if config.keep.tags == "no":
        pass
    elif tags is not None:
        ours |= _listed(tags[0])
        theirs |= _listed(tags[1])
    elif TAG_COUNT in legacy.headers and TAG_COUNT in production.headers:
        ours["number of tags"], theirs["number of tags"] = legacy.headers[TAG_COUNT], production.headers[TAG_COUNT]
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    return "; ".join(
        f"{name}: {_said(ours, name)} {'by NEW_OBJECT_HEADERS' if name in demanded else 'in legacy'},"
        f" {_said(theirs, name)} in production"
        for name in names
        if name not in _ALWAYS_ANSWERED or (name in ours and name in theirs)
    )


def tells_tags(*objects: ObjectInfo) -> bool:
    """Whether a HEAD of one of them told a number of tags: else nothing shows that this store ever does."""
    return any(TAG_COUNT in info.headers for info in objects)


def _described(info: ObjectInfo) -> dict[str, str]:
    """Return what describes the content, by the name that a person knows."""
    found = {name: info.headers[name].strip() for name in CONTENT_HEADERS if info.headers.get(name)}
    if encodings := _encodings(found.pop("content-encoding", "")):
        found["content-encoding"] = encodings
    metadata = {name: value for name, value in info.headers.items() if name.startswith(METADATA)}
    return found | {name: value for name, value in metadata.items() if name not in _OF_THE_STORE}


def class_of(info: ObjectInfo) -> str:
    """Return the storage class of an object, as its HEAD tells it: none is the usual one."""
    return info.headers.get("x-amz-storage-class") or "STANDARD"


def _listed(tags: Tags) -> dict[str, str]:
    """Return tags as one thing that differs or does not; a character that parts them is written as in a URL."""
    return {"tags": urlencode(sorted(tags), quote_via=quote)} if tags else {}


def _encodings(told: str) -> str:
    """Return the encodings but for that of the upload, which some stores keep."""
    return ", ".join(each.strip() for each in told.split(",") if each.strip() not in {"", "aws-chunked"})


def _said(found: dict[str, str], name: str) -> str:
    return found.get(name, "none")
