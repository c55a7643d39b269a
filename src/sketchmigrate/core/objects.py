"""An object of a store: where it is, and what a HEAD tells about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Location(NamedTuple):
    """An object's place in the store. The key is exact: never normalised, never stripped."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a HEAD tells about an object.

    ``headers`` holds the lower-cased response headers; ``etag`` is without its quotes.
    """

    size_bytes: int
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
