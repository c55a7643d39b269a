"""Of which moment the inventories are that some evidence rests on, and how that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.rule import BOTH_SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sketchmigrate.inspect.evidence import Evidence

_OLDEST = "SELECT side, min(created_at_utc) FROM inventory GROUP BY side"


async def inventories_read(evidence: Evidence) -> dict[str, datetime]:
    """Return by side when (UTC, naive) its oldest inventory was begun; a side that was listed is not there."""
    return dict(await evidence.ask(_OLDEST))


def inventory_of(created_at_utc: datetime) -> str:
    """Return what an inventory is called."""
    return f"inventory of {created_at_utc:%Y-%m-%d %H:%M:%S} UTC"


def inventories_json(inventories: Mapping[str, datetime]) -> dict[str, str | None]:
    """Return for each side the time of its inventory, ISO 8601 in UTC, or None where it was listed."""
    return {
        side.value: f"{inventories[side].isoformat(timespec='seconds')}Z" if side in inventories else None
        for side in BOTH_SIDES
    }
