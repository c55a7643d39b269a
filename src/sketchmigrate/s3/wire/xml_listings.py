"""The XML of listings: pages of objects, and versions. Pure; raises ``NotS3`` as all of ``xml`` does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from sketchmigrate.s3.wire.listed import ListedObject, ListedObjects
from sketchmigrate.s3.wire.xml import MAX_SIZE_DIGITS, NotS3, etag_of, name_of, root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class ListPage:
    """Up to 1 000 objects in the order of their keys' UTF-8 bytes. ``next_token`` is None on the last page only.

    ``is_version_1``: it is the answer of ListObjects, whose token is the last key. ``prefixes`` stand for all keys that
    have them, where a delimiter was given.
    """

    objects: Sequence[ListedObject]
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
    page = read_usual(body) or read_any(body)
    if page.is_version_1 and page.next_token is not None:
        # without a delimiter the next page begins after the last key, and few stores name another marker
        token = page.objects[-1].key if page.objects else page.next_token
        if not token:
            raise NotS3("the listing has more pages but names no marker")
        return ListPage(page.objects, token, is_version_1=True, prefixes=page.prefixes)
    return page


# The usual page: its entries, one behind the other and each of these elements in this order, are taken apart by one
# pattern, and where all are alike but for their values by what stands between these, in two thirds of the time. A
# parser takes three times as long. What stands around the entries is a small document, and goes to the real parser.
# So does the whole page where anything in it is unusual. Text is printable ASCII: nothing in it has to be decoded, or
# could be ill-formed.
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
)
# What may stand before the first entry, which then is below the root and in no comment, and in the root's namespace.
_HEAD = re.compile(
    rb"[ \t\r\n]*(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'][uU][tT][fF]-8[\"'])?\?>[ \t\r\n]*)?"
    rb"<ListBucketResult(?: xmlns=\"[^\"<>&]*\")?>[ \t\r\n]*(?:<[A-Za-z]+(?:/>|>[^<>]*</[A-Za-z]+>)[ \t\r\n]*)*"
).fullmatch
_FIELDS = 6  # what stands between two entries, then key, time, ETag, size and storage class

_TEXT_BYTES = bytes(code for code in range(0x20, 0x7F) if code not in b"&<>")
_LONGEST_ENTRY = 8192
_KINDS_OF_ENTRIES = 16


def read_usual(body: bytes) -> ListPage | None:
    """Return a page whose entries are as usual, in a third of the time of ``read_any``; None of any other."""
    begin, end = body.find(b"<Contents>"), body.rfind(b"</Contents>") + len(b"</Contents>")
    if begin < 0 or end <= begin or not _HEAD(body, 0, begin):
        return None
    columns = _columns_of_alike(body[begin:end]) or _columns(body[begin:end])
    if columns is None:
        return None
    around, encoded = _read(body[:begin] + body[end:])
    if around.objects:
        return None
    keys, modified, etags, sizes, classes = columns
    if encoded:
        # Each % begins an escape, so that the commonest one can be replaced alone; a few others are left, or none.
        if "%" in (joined := "\n".join(keys)):
            keys = joined.replace("%2F", "/").split("\n")
            joined = "\n".join(keys)
        if "%" in joined or "+" in joined:
            keys = [unquote_plus(key, errors="surrogateescape") if "%" in key or "+" in key else key for key in keys]
    objects = ListedObjects(keys, list(map(int, sizes)), etags, modified, classes)
    return ListPage(objects, around.next_token, around.is_version_1, around.prefixes)


def _columns_of_alike(entries: bytes) -> list[list[str]] | None:
    """Take entries apart that differ in their values alone; None where they do not, or where that cannot be seen.

    What stands between the values of the first entry is looked for in all of them. If nothing else is left then, and
    each value is what the pattern takes, then each entry is one that the pattern takes.
    """
    first = _ENTRY.match(entries[:_LONGEST_ENTRY].decode("ascii", errors="replace"))
    if first is None or first[0][-1].isspace():  # none follows the last entry, which would not be like the others
        return None
    groups = _FIELDS - 1 if first[_FIELDS - 1] is not None else _FIELDS - 2
    places = [place for group in range(1, groups + 1) for place in first.span(group)]
    between = tuple(
        first.string[one:other] for one, other in zip([0, *places[1::2]], [*places[::2], first.end()], strict=True)
    )
    try:
        parts = _alike(between)(entries.decode("ascii"))
    except UnicodeDecodeError:
        return None
    left = "".join(parts[:: groups + 1])
    columns = [parts[number :: groups + 1] for number in range(1, groups + 1)]
    keys, _, etags, sizes, *_ = columns
    all_etags, all_sizes = "".join(etags), "".join(sizes)
    if left or '"' in all_etags or " " in all_etags or not all_sizes.isdigit():
        return None
    if not all(keys) or not all(sizes) or max(map(len, sizes)) > MAX_SIZE_DIGITS:
        return None
    if "".join(parts).encode().translate(None, _TEXT_BYTES):
        return None
    return columns if groups == _FIELDS - 1 else [*columns, [""] * len(keys)]


@lru_cache(_KINDS_OF_ENTRIES)
def _alike(between: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return what splits entries by what stands before, between and behind their values."""
    # one character to stop at: a class of two takes twice as long
    return re.compile("([^<]*)".join(re.escape(piece) for piece in between)).split


def _columns(entries: bytes) -> list[list[str]] | None:
    """Take entries apart by the pattern; None where one of them is not as it says."""
    try:
        parts = _ENTRY.split(entries.decode("ascii"))
    except UnicodeDecodeError:
        return None
    if any(parts[::_FIELDS]):
        return None
    *columns, classes = (parts[number::_FIELDS] for number in range(1, _FIELDS))
    return [*columns, [storage_class or "" for storage_class in classes]]


def read_any(body: bytes) -> ListPage:
    """Return a page, read by the XML parser. Raises ``NotS3``."""
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
