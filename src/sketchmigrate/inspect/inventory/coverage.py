"""Whether an inventory covers a place. Its manifest does not say of which prefix it is; a look at both ends tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import UsageError
from sketchmigrate.inspect.listing.keyspace import can_be_asked_for, order

if TYPE_CHECKING:
    from sketchmigrate.core.routes import Place
    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.inventory.opening import Inventory
    from sketchmigrate.s3 import ListedObject
    from sketchmigrate.sides import Side

SETTLED = timedelta(days=1)
"""What was last changed so long before an inventory is in it: it may lack what was stored while it was made (S3 User
Guide, "Amazon S3 Inventory consistency")."""


async def check_coverage(evidence: Evidence, side: Side, setting: str, inventory: Inventory, place: Place) -> None:
    """Check that the store has no old object before the first key of the inventory, nor behind its last one.

    An inventory is of one prefix, so what it has of a place are all keys between two. Two requests. Raises
    ``UsageError`` where it lacks an object, and ``S3Error``.
    """
    first, last = await _ends(evidence, side, place)
    beginning = await side.store.list_page(place.bucket, place.prefix)
    lacking = [each for each in beginning.objects if first is None or order(each.key) < order(first)]
    if last is not None and can_be_asked_for(last):
        behind = await side.store.list_page(place.bucket, place.prefix, start_after=last)
        lacking += [each for each in behind.objects if order(each.key) > order(last)]
    created_at = inventory.document.created_at_utc
    for each in lacking:
        if (modified_at := _modified_at(each)) is not None and modified_at < created_at - SETTLED:
            text = (
                f"{setting}: {inventory.files} does not cover {place}: it lacks {each.key!r}, which was last changed at"
                f" {modified_at:%Y-%m-%d %H:%M:%S} UTC, and it is of {created_at:%Y-%m-%d %H:%M:%S} UTC"
            )
            raise UsageError(text, hint=f"Give an inventory of the whole bucket, or of all that begins with {place}")


async def _ends(evidence: Evidence, side: Side, place: Place) -> tuple[str | None, str | None]:
    """Return the first and the last key that the inventory has of a place, in the order of bytes."""
    routes = [n for n, each in enumerate(evidence.site.pairing.routes, start=1) if place.holds(each.place(side.name))]
    key = f"{side.name}_key(tail, route := route)"
    question = f"SELECT min({key}), max({key}) FROM {side.name}_object WHERE list_contains(?, route)"  # noqa: S608
    ((first, last),) = await evidence.ask(question, [routes])
    return first, last


def _modified_at(each: ListedObject) -> datetime | None:
    try:
        told = datetime.fromisoformat(each.last_modified)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
