"""The XML of listings: pages of objects, and versions. Pure; raises ``NotS3`` as all of ``xml`` does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_plus

from sketchmigrate.s3.wire.xml import MAX_SIZE_DIGITS, NotS3, etag_of, name_of, root_of


class ListedObject(NamedTuple):
    """One object of a listing. ``etag`` is without quotes, ``last_modified`` ISO 8601 text as the store wrote it.

    ``storage_class`` is empty where the store does not tell it.

    A tuple, because it is made a million times where a million keys are listed: 0.2 µs, a frozen dataclass takes 1.0.
    """

    key: str
    size_bytes: int
    etag: str
    last_modified: str
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    """Up to 1 000 objects in the order of their keys' UTF-8 bytes. ``next_token`` is None on the last page only.

    ``is_version_1``: it is the answer of ListObjects, whose token is the last key. ``prefixes`` stand for all keys that
    have them, where a delimiter was given.
    """

    objects: list[ListedObject]
    next_token: str | None
    is_version_1: bool = False
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of an object; a delete marker has no ETag. ``version_id`` is ``null`` where none are kept."""

    key: str
    version_id: str
    etag: str
    is_delete_marker: bool


def read_list_page(body: bytes) -> ListPage:
    """Return the page of a ``ListBucketResult``. Only ``IsTruncated`` says whether there is more.

    Keys are decoded if the reply says that they are encoded (``EncodingType``): S3 writes a space as ``+`` there.
    """
    page = _read_usual(body) or _read_any(body)
    if page.is_version_1 and page.next_token is not None:
        # without a delimiter the next page begins after the last key, and few stores name another marker
        token = page.objects[-1].key if page.objects else page.next_token
        if not token:
            raise NotS3("the listing has more pages but names no marker")
        return ListPage(page.objects, token, is_version_1=True, prefixes=page.prefixes)
    return page


# The usual page, 1.3 µs a key instead of 4: its entries, one behind the other and each of these elements in this order,
# are taken apart by one pattern; what stands around them is a small document, and goes to the real parser. So does the
# whole page where anything in it is unusual. Text is printable ASCII: nothing in it has to be decoded, or could be
# ill-formed.
_SPACE = r"[ \t\r\n]*"
_TEXT = r"[ -%'-;=?-~]"  # neither & nor < nor >
_QUOTE = r'(?:"|&quot;|&#34;)?'


def _elements(*names: str) -> str:
    """Match each of these elements, if it is there."""
    return "".join(rf"(?:<{name}>{_TEXT}*</{name}>{_SPACE})?" for name in names)


_ENTRY = re.compile(
    rf"<Contents>{_SPACE}<Key>({_TEXT}+)</Key>{_SPACE}<LastModified>({_TEXT}*)</LastModified>{_SPACE}"
    rf"<ETag>{_QUOTE}([!#-%'-;=?-~]*){_QUOTE}</ETag>{_SPACE}"
    + _elements("ChecksumAlgorithm", "ChecksumType")
    + rf"<Size>([0-9]{{1,{MAX_SIZE_DIGITS}}})</Size>{_SPACE}"
    + rf"(?:<StorageClass>({_TEXT}*)</StorageClass>{_SPACE})?"
    + _elements("Type")
    + rf"</Contents>{_SPACE}"
).split
# What may stand before the first entry, which then is below the root and in no comment, and in the root's namespace.
_HEAD = re.compile(
    rb"[ \t\r\n]*(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'][uU][tT][fF]-8[\"'])?\?>[ \t\r\n]*)?"
    rb"<ListBucketResult(?: xmlns=\"[^\"<>&]*\")?>[ \t\r\n]*(?:<[A-Za-z]+(?:/>|>[^<>]*</[A-Za-z]+>)[ \t\r\n]*)*"
).fullmatch
_FIELDS = 6  # what stands between two entries, then key, time, ETag, size and storage class


def _read_usual(body: bytes) -> ListPage | None:
    begin, end = body.find(b"<Contents>"), body.rfind(b"</Contents>") + len(b"</Contents>")
    if begin < 0 or end <= begin or not _HEAD(body, 0, begin):
        return None
    try:
        parts = _ENTRY(body[begin:end].decode("ascii"))
    except UnicodeDecodeError:
        return None
    if any(parts[::_FIELDS]):
        return None
    around, encoded = _read(body[:begin] + body[end:])
    if around.objects:
        return None
    keys = parts[1::_FIELDS]
    if encoded:
        # Each % begins an escape, so that the commonest one can be replaced alone; a few others are left, or none.
        keys = [key.replace("%2F", "/") if "%" in key else key for key in keys]
        keys = [unquote_plus(key, errors="surrogateescape") if "%" in key or "+" in key else key for key in keys]
    classes = [storage_class or "" for storage_class in parts[5::_FIELDS]]
    fields = zip(keys, map(int, parts[4::_FIELDS]), parts[3::_FIELDS], parts[2::_FIELDS], classes, strict=True)
    return ListPage(list(map(ListedObject._make, fields)), around.next_token, around.is_version_1, around.prefixes)


def _read_any(body: bytes) -> ListPage:
    return _read(body)[0]


def _read(body: bytes) -> tuple[ListPage, bool]:
    """Read a page with the XML parser; also return whether it says that its keys are encoded."""
    try:
        root = root_of(body, "ListBucketResult")
    except NotS3:
        root = root_of(_with_stand_ins(body), "ListBucketResult")
    namespace = root.tag[: -len("ListBucketResult")]
    texts = {name_of(child): child.text or "" for child in root if not len(child)}
    truncated = texts.get("IsTruncated")
    if truncated not in {"true", "false"}:
        raise NotS3("the listing does not say whether it is complete (IsTruncated)")
    token = texts.get("NextContinuationToken") or None
    # ListObjects repeats the marker, an empty one too (S3 API reference); ListObjectsV2 counts the keys instead
    is_version_1 = token is None and "KeyCount" not in texts and bool(texts.keys() & {"Marker", "NextMarker"})
    if truncated == "true" and token is None and not is_version_1:
        raise NotS3("the listing has more pages but names no NextContinuationToken")
    encoded = texts.get("EncodingType") == "url"
    key_tag, size_tag = f"{namespace}Key", f"{namespace}Size"
    etag_tag, modified_tag = f"{namespace}ETag", f"{namespace}LastModified"
    class_tag = f"{namespace}StorageClass"
    objects = []
    for item in root.iterfind(f"{namespace}Contents"):
        key, size_bytes = item.findtext(key_tag), item.findtext(size_tag)
        if not key or size_bytes is None or not size_bytes.isdecimal() or len(size_bytes) > MAX_SIZE_DIGITS:
            raise NotS3("the listing has an entry without a key or a size")
        objects.append(
            ListedObject(
                key=unquote_plus(key, errors="surrogateescape") if encoded else key,
                size_bytes=int(size_bytes),
                etag=etag_of(item.findtext(etag_tag) or ""),
                last_modified=item.findtext(modified_tag) or "",
                storage_class=item.findtext(class_tag) or "",
            )
        )
    common = (item.findtext(f"{namespace}Prefix") or "" for item in root.iterfind(f"{namespace}CommonPrefixes"))
    prefixes = tuple(unquote_plus(each, errors="surrogateescape") if encoded else each for each in common if each)
    next_token = token.translate(_FROM_STAND_IN) if token and truncated == "true" else None
    if is_version_1 and truncated == "true":
        marker = texts.get("NextMarker", "")
        next_token = unquote_plus(marker, errors="surrogateescape") if encoded else marker
    return ListPage(objects, next_token, is_version_1, prefixes), encoded


def read_versions(body: bytes) -> list[ListedVersion]:
    """Return the versions and delete markers of a ``ListVersionsResult``.

    Those of one key are newest first; where a store lists all markers behind all versions (moto), their times tell.
    """
    root = root_of(body, "ListVersionsResult")
    encoded = any(name_of(child) == "EncodingType" and child.text == "url" for child in root)
    found: list[tuple[str, ListedVersion]] = []
    for item in root:
        kind = name_of(item)
        if kind not in {"Version", "DeleteMarker"}:
            continue
        texts = {name_of(child): child.text or "" for child in item}
        key = texts.get("Key", "")
        version = ListedVersion(
            key=unquote_plus(key, errors="surrogateescape") if encoded else key,
            version_id=texts.get("VersionId", ""),
            etag=etag_of(texts.get("ETag", "")),
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
