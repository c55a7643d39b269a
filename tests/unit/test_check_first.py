"""A look and then a copy: what the bucket's versions tell makes up for a condition that is not proved."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from sketchmigrate.core.objects import Location, ObjectInfo
from sketchmigrate.migration.transfer import CheckFirst
from sketchmigrate.s3 import CopyResult, ListedVersion

TARGET = Location("production", "avatar/1.png")


class Versioned:
    """A bucket that keeps versions, into which somebody else has written between the look and the copy."""

    def __init__(self) -> None:
        self.looks = 0

    async def find(self, _location: Location) -> ObjectInfo | None:
        """Find nothing first, and then the copy."""
        self.looks += 1
        return None if self.looks == 1 else ObjectInfo(3, "ours", {"x-amz-version-id": "2"})

    async def versions(self, _bucket: str, prefix: str) -> list[ListedVersion]:
        """List the copy and what it has replaced."""
        return [
            ListedVersion(prefix, version, etag, is_delete_marker=False)
            for version, etag in (("2", "ours"), ("1", "theirs"))
        ]


class Unproved:
    """A copy in parts, whose condition on their completion is not proved."""

    async def bring(self, _move: Any) -> CopyResult:
        """Copy."""
        return CopyResult("ours", 3, in_parts=True, guarded=False)


def test_a_copy_whose_condition_is_not_proved_is_guarded_by_the_versions() -> None:
    sides: Any = SimpleNamespace(production=SimpleNamespace(store=Versioned()))
    writing: Any = Unproved()
    move: Any = SimpleNamespace(target=TARGET)
    done = asyncio.run(CheckFirst(sides, writing).bring(move))
    assert done == CopyResult("ours", 3, in_parts=True, guarded=True, replaced="1")
