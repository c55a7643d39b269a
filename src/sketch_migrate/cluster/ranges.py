"""The table, cut into half-open ranges of its key that together hold every key there is, or will be.

The cuts are only where the work is divided: wherever they are, each key is in exactly one range, as long as they are in
the database's own order. They come from the planner's histogram of the key or, without one, from a sample. Either may
be old or coarse, so a range is looked at once more before it is handed out, and what it has too much becomes another.
"""

from __future__ import annotations

import math
from itertools import groupby, pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from sketch_migrate.model import KeyRange
from sketch_migrate.postgres.cuts import ends, histogram, in_order, key_after, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketch_migrate.model import Key
    from sketch_migrate.postgres.connection import Connection
    from sketch_migrate.postgres.references import Table

COARSE = 2
"""No text key between two others can be made up: for more ranges than so many times the bounds, keys are sampled."""

LARGEST = 2
"""So many times the wanted rows a range may have; a larger one is cut when it is handed out."""

MOST_GROWTH = 1_000
"""By so many times its statistics a table may have grown past their end."""


async def cut(connection: Connection, table: Table, range_rows: int) -> list[KeyRange]:
    """Cut a table into ranges of about so many rows each. Within one transaction; psycopg's errors pass through."""
    bounds, rows = await histogram(connection, table), table.estimated_rows or 0
    parts = math.ceil(rows / range_rows)
    if not all(isinstance(bound, str) for bound in bounds):
        bounds.sort()
    elif parts <= COARSE * len(bounds):
        bounds = await in_order(connection, table, bounds)
    else:
        bounds = []
    if not bounds or not rows:
        bounds, rows = await sample(connection, table)
        parts = math.ceil(rows / range_rows)
    numbers = [bound for bound in bounds if isinstance(bound, int)]
    if len(numbers) > 1 and (reach := await ends(connection, table)) is not None:
        further = grown(numbers, int(reach[1]))
        parts = math.ceil(parts * (len(further) - 1) / (len(numbers) - 1))
        bounds = list(further)
    return ranges_between(spread(bounds, parts))


async def trim(connection: Connection, table: Table, key_range: KeyRange, range_rows: int) -> list[KeyRange]:
    """Return a range in two where it has far more rows than wanted, else as it is."""
    middle = await key_after(connection, table, key_range, LARGEST * range_rows)
    if middle is None or middle == key_range.until:
        return [key_range]
    return [KeyRange(key_range.after, middle), KeyRange(middle, key_range.until)]


def ranges_between(cuts: Sequence[Key]) -> list[KeyRange]:
    """Return the ranges from minus to plus infinity between cuts, which are in order; equal ones count once."""
    return [KeyRange(*pair) for pair in pairwise([None, *(cut for cut, _ in groupby(cuts)), None])]


def spread(bounds: Sequence[Key], parts: int) -> list[Key]:
    """Return ``parts`` - 1 cuts, or fewer, at even distances between bounds that are in order and evenly deep."""
    if len(bounds) < 2:  # noqa: PLR2004 - two make a distance
        return []
    cuts = []
    for number in range(1, parts):
        whole, part = divmod(number * (len(bounds) - 1), parts)
        cuts.append(_between(bounds[whole], bounds[whole + 1], part, parts))
    return cuts


def grown(bounds: Sequence[int], last: int) -> list[int]:
    """Go on at the mean distance of the bounds to where the keys end by now: those newer than the statistics."""
    if last <= bounds[-1]:
        return list(bounds)
    step = max(1, (bounds[-1] - bounds[0]) // (len(bounds) - 1), (last - bounds[-1]) // (MOST_GROWTH * len(bounds)))
    return [*bounds, *range(bounds[-1] + step, last, step), last]


def _between(one: Key, other: Key, part: int, parts: int) -> Key:
    """Return the key that is ``part`` of ``parts`` on the way, which of two texts is the nearer one."""
    if isinstance(one, int) and isinstance(other, int):
        return one + (other - one) * part // parts
    if isinstance(one, UUID) and isinstance(other, UUID):
        return UUID(int=one.int + (other.int - one.int) * part // parts)
    return other if 2 * part >= parts else one
