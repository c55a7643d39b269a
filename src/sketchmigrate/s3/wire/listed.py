"""What a listing tells of objects: one by one, and a page of them column by column. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self


class ListedObject(NamedTuple):
    """One object of a listing. ``etag`` is without quotes, ``last_modified`` ISO 8601 text as the store wrote it.

    ``storage_class`` is empty where the store does not tell it.
    """

    key: str
    size_bytes: int
    etag: str
    last_modified: str
    storage_class: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ListedObjects(Sequence[ListedObject]):
    """Objects of a listing as columns of one length: of ten million objects most are never needed one by one.

    To make a tuple of each takes as long as all else that is done with a page.
    """

    keys: list[str]
    sizes_bytes: list[int]
    etags: list[str]
    modified: list[str]
    storage_classes: list[str]

    @classmethod
    def of(cls, objects: Iterable[ListedObject]) -> Self | ListedObjects:
        """Return objects as columns; what is in columns stays as it is."""
        if isinstance(objects, ListedObjects):
            return objects
        columns = [list(column) for column in zip(*objects, strict=True)] or [[], [], [], [], []]
        return cls(*columns)

    def __len__(self) -> int:
        """Return how many objects there are."""
        return len(self.keys)

    @overload
    def __getitem__(self, place: int) -> ListedObject: ...
    @overload
    def __getitem__(self, place: slice) -> ListedObjects: ...
    def __getitem__(self, place: int | slice) -> ListedObject | ListedObjects:
        """Return one object, or some of them."""
        if isinstance(place, int):
            return ListedObject(
                self.keys[place],
                self.sizes_bytes[place],
                self.etags[place],
                self.modified[place],
                self.storage_classes[place],
            )
        return ListedObjects(
            self.keys[place],
            self.sizes_bytes[place],
            self.etags[place],
            self.modified[place],
            self.storage_classes[place],
        )

    def __iter__(self) -> Iterator[ListedObject]:
        """Yield the objects one by one."""
        columns = zip(self.keys, self.sizes_bytes, self.etags, self.modified, self.storage_classes, strict=True)
        return map(ListedObject._make, columns)

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same objects in the same order."""
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # lists have none
