"""Hands columns to DuckDB as they lie in memory, by the Arrow C stream interface, without the library pyarrow.

https://arrow.apache.org/docs/format/CStreamInterface.html, and the page "The Arrow PyCapsule Interface" for Python.
A row costs about 1 µs so, where one of a CSV file costs 3, most of it for the writing, and one of DuckDB's appender 4.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from ctypes import POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, py_object
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

_Pointer: TypeAlias = Any
"""To a structure of C."""

_NAME, _UUID = b"ARROW:extension:name", b"arrow.uuid"
_IS_UUID = struct.pack(f"=ii{len(_NAME)}si{len(_UUID)}s", 1, len(_NAME), _NAME, len(_UUID), _UUID)
"""The metadata that makes 16 bytes a UUID ("Canonical Extension Types")."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column without NULL: its name, its type as Arrow writes it, and its buffers."""

    name: str
    kind: str
    buffers: tuple[bytes | array[int], ...]

    @classmethod
    def texts(cls, name: str, ends: array[int], utf8: bytes) -> Column:
        """Return texts, one behind the other; ``ends`` begins with 0 (type code ``i``)."""
        return cls(name, "u", (ends, utf8))

    @classmethod
    def uuids(cls, name: str, content: bytes) -> Column:
        """Return UUIDs of 16 bytes each."""
        return cls(name, "w:16", (content,))

    @classmethod
    def integers(cls, name: str, values: array[int]) -> Column:
        """Return integers of 16 or 64 bits (type code ``H`` or ``q``)."""
        return cls(name, {"H": "S", "q": "l"}[values.typecode], (values,))


class _Schema(Structure):
    pass


class _Array(Structure):
    pass


class _Stream(Structure):
    pass


_release_schema = ctypes.CFUNCTYPE(None, POINTER(_Schema))
_release_array = ctypes.CFUNCTYPE(None, POINTER(_Array))
_release_stream = ctypes.CFUNCTYPE(None, POINTER(_Stream))
_get_schema = ctypes.CFUNCTYPE(c_int, POINTER(_Stream), POINTER(_Schema))
_get_next = ctypes.CFUNCTYPE(c_int, POINTER(_Stream), POINTER(_Array))
_get_last_error = ctypes.CFUNCTYPE(c_char_p, POINTER(_Stream))

_Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(_Schema))),
    ("dictionary", POINTER(_Schema)),
    ("release", _release_schema),
    ("private_data", c_void_p),
]
_Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(_Array))),
    ("dictionary", POINTER(_Array)),
    ("release", _release_array),
    ("private_data", c_void_p),
]
_Stream._fields_ = [
    ("get_schema", _get_schema),
    ("get_next", _get_next),
    ("get_last_error", _get_last_error),
    ("release", _release_stream),
    ("private_data", c_void_p),
]
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = py_object, (c_void_p, c_char_p, c_void_p)


def _say_released(released: _Pointer) -> None:
    """Only say so (NULL in ``release``): the memory is Python's, and stays as long as the ``Columns``."""
    released.contents.release = type(released.contents.release)(0)


_schema_released, _array_released = _release_schema(_say_released), _release_array(_say_released)
_stream_released = _release_stream(_say_released)
_no_error = _get_last_error(lambda _: None)


class Columns:
    """A table of some columns for one statement of DuckDB, which must be over before this is closed."""

    _metadata: ClassVar = ctypes.create_string_buffer(_IS_UUID, len(_IS_UUID))

    def __init__(self, length: int, columns: Sequence[Column]) -> None:
        self._length, self._columns = length, columns
        self._kept: list[object] = []

    def close(self) -> None:
        """Let the memory go: the streams refer to this, and it to them, so that nothing else would in time."""
        self._kept.clear()
        self._columns = ()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the columns as a stream of one batch, in a capsule. It can be asked for again."""
        batches = iter([self._length])

        def get_next(_: _Pointer, out: _Pointer) -> int:
            length = next(batches, None)
            if length is None:
                out.contents.release = _release_array(0)
            else:
                self._fill_array(out.contents)
            return 0

        def get_schema(_: _Pointer, out: _Pointer) -> int:
            self._fill_schema(out.contents)
            return 0

        stream = _Stream(_get_schema(get_schema), _get_next(get_next), _no_error, _stream_released, None)
        self._kept.append(stream)
        return _new_capsule(ctypes.addressof(stream), b"arrow_array_stream", None)

    def _fill_schema(self, whole: _Pointer) -> None:
        children = (POINTER(_Schema) * len(self._columns))()
        for place, column in enumerate(self._columns):
            metadata = ctypes.addressof(self._metadata) if column.kind == "w:16" else None
            child = _Schema(column.kind.encode(), column.name.encode(), metadata, release=_schema_released)
            children[place] = ctypes.pointer(child)
        self._kept.append(children)
        whole.format, whole.name, whole.metadata, whole.flags, whole.dictionary = b"+s", b"", None, 0, None
        whole.n_children, whole.children = len(self._columns), ctypes.cast(children, POINTER(POINTER(_Schema)))
        whole.release = _schema_released

    def _fill_array(self, whole: _Pointer) -> None:
        children = (POINTER(_Array) * len(self._columns))()
        for place, column in enumerate(self._columns):
            buffers = (c_void_p * (1 + len(column.buffers)))(None, *map(_address, column.buffers))
            child = _Array(self._length, 0, 0, len(buffers), 0, buffers, release=_array_released)
            children[place] = ctypes.pointer(child)
            self._kept.append(buffers)
        none = (c_void_p * 1)()
        self._kept += [children, none]
        whole.length, whole.null_count, whole.offset = self._length, 0, 0
        whole.n_buffers, whole.buffers = 1, ctypes.cast(none, POINTER(c_void_p))
        whole.n_children, whole.children = len(self._columns), ctypes.cast(children, POINTER(POINTER(_Array)))
        whole.dictionary, whole.release = None, _array_released


def _address(buffer: bytes | array[int]) -> int | None:
    if isinstance(buffer, array):
        return buffer.buffer_info()[0]
    return ctypes.cast(c_char_p(buffer), c_void_p).value
