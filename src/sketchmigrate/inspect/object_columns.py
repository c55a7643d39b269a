"""Listed objects on their way into the evidence, as columns that are packed: a few bytes more than their texts.

DuckDB reads them as they lie in memory, through nanoarrow: about 1 µs a row, where one of a CSV file takes 3, most of
it for the writing, and one of DuckDB's appender 4.
"""

from __future__ import annotations

from array import array
from itertools import accumulate, islice
from typing import TYPE_CHECKING

import nanoarrow as arrow

if TYPE_CHECKING:
    from nanoarrow.c_array import CArray

    from sketchmigrate.s3 import ListedObjects

MD5_DIGITS = 32
_DIGEST_BYTES = 16

_INTEGERS = {"H": arrow.uint16(), "q": arrow.int64()}
_UUIDS = arrow.extension_type(arrow.fixed_size_binary(_DIGEST_BYTES), "arrow.uuid")


class ObjectColumns:
    """Objects of one side: route, tail, bytes, ETag, and time of change and class as the store has them.

    ETags are held as 16 bytes as long as all of them look like an MD5 in small letters, else as texts.
    """

    def __init__(self) -> None:
        self._routes, self._sizes = array("H"), array("q")
        self._tails, self._modified, self._classes = _Texts(), _Texts(), _Texts()
        self._digests: list[bytes] = []
        self._etags: _Texts | None = None

    def __len__(self) -> int:
        """Return how many objects there are."""
        return len(self._sizes)

    @property
    def text_bytes(self) -> int:
        """Return how many bytes their texts have."""
        return self._tails.size_bytes + self._modified.size_bytes + self._classes.size_bytes

    @property
    def are_digests(self) -> bool:
        """Whether each ETag is a UUID in the columns, and not a text."""
        return self._etags is None

    def add(self, routes: array[int], tails: list[str], objects: ListedObjects) -> None:
        """Add objects, with the route and the tail of each."""
        self._add_etags(objects.etags)
        self._routes += routes
        self._sizes.extend(objects.sizes_bytes)
        self._tails.add(tails)
        self._modified.add(objects.modified)
        self._classes.add(objects.storage_classes)

    def _add_etags(self, etags: list[str]) -> None:
        if self._etags is None:
            digests = _digests(etags)
            if digests is not None:
                self._digests.append(digests)
                return
            self._etags = _Texts()
            text = b"".join(self._digests).hex()
            self._etags.add([text[at : at + MD5_DIGITS] for at in range(0, len(text), MD5_DIGITS)])
        self._etags.add(etags)

    def columns(self) -> arrow.Array:
        """Return them for DuckDB: ``route``, ``tail``, ``size_bytes``, ``etag``, ``modified`` and ``storage_class``."""
        columns = {
            "route": _integers(self._routes),
            "tail": self._tails.column(),
            "size_bytes": _integers(self._sizes),
            "etag": _uuids(b"".join(self._digests)) if self._etags is None else self._etags.column(),
            "modified": self._modified.column(),
            "storage_class": self._classes.column(),
        }
        row = arrow.struct({name: column.schema for name, column in columns.items()})
        return arrow.Array(arrow.c_array_from_buffers(row, len(self), [None], children=columns.values()))


class _Texts:
    """Texts one behind the other, and where each ends."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._ends = array("i", [0])

    @property
    def size_bytes(self) -> int:
        return self._ends[-1]

    def add(self, texts: list[str]) -> None:
        joined = "".join(texts)
        content = joined.encode()
        sizes = map(len, texts) if len(content) == len(joined) else (len(text.encode()) for text in texts)
        self._ends.extend(islice(accumulate(sizes, initial=self._ends[-1]), 1, None))
        self._pieces.append(content)

    def column(self) -> CArray:
        content = b"".join(self._pieces)
        return arrow.c_array_from_buffers(arrow.string(), len(self._ends) - 1, [None, self._ends, content])


def _integers(values: array[int]) -> CArray:
    return arrow.c_array_from_buffers(_INTEGERS[values.typecode], len(values), [None, values])


def _uuids(content: bytes) -> CArray:
    return arrow.c_array_from_buffers(_UUIDS, len(content) // _DIGEST_BYTES, [None, content])


def _digests(etags: list[str]) -> bytes | None:
    """Return ETags as 16 bytes each; None where one of them is anything but 32 hexadecimal digits in small letters."""
    text = "".join(etags)
    if len(text) != MD5_DIGITS * len(etags) or set(map(len, etags)) - {MD5_DIGITS}:
        return None
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    return content if content.hex() == text else None  # spaces are skipped, and capitals read
