"""When two objects are known to be the same, known to differ, and when only their bytes can tell. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketch_migrate.model import ObjectInfo

_IS_MD5 = re.compile(r"[0-9a-fA-F]{32}").fullmatch


def same_content(one: ObjectInfo, other: ObjectInfo) -> bool | None:
    """Compare by size and ETag: True and False are certain, None means that the bytes must be compared.

    Equal ETags prove equality. Different ones prove a difference only where both are the MD5 of the content: not for
    multipart uploads (``…-7``), nor under SSE-KMS or SSE-C (S3 API reference, Object: "ETag").
    """
    if one.size_bytes != other.size_bytes:
        return False
    if one.size_bytes == 0 or (one.etag and one.etag == other.etag):
        return True
    if _is_md5_of_content(one) and _is_md5_of_content(other):
        return False
    return None


def _is_md5_of_content(info: ObjectInfo) -> bool:
    if "x-amz-server-side-encryption-customer-algorithm" in info.headers:
        return False
    if info.headers.get("x-amz-server-side-encryption", "").startswith("aws:"):
        return False
    return _IS_MD5(info.etag) is not None
