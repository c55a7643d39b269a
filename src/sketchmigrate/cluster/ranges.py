"""The table, cut into half-open ranges of its key that together hold every key there is, or will be.

The cuts are only where the work is divided: wherever they are, each key is in exactly one range, as long as they are in
the database's own order. They come from the planner's histogram of the key or, without one, from a sample. Either may
be old or coarse, so a range is looked at once more before it is handed out, and what it has too much becomes another.
"""

from __future__ import annotations

import math
from itertools import accumulate, groupby, pairwise
from typing import TYPE_CHECKING

from sketchmigrate.core.keys import is_before, key_between
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import ends, histogram, in_order, key_after, sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.reference import Key
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table

COARSE = 2
"""No text key between two others can be made up: for more ranges than so many times the bounds, keys are sampled."""

LARGEST = 2
"""So many times the wanted rows a range may have; a larger one is cut when it is handed out."""

MOST_GROWTH = 1_000
"""By so many times its statistics a table may have grown past their end."""

AHEAD = 2
"""A range is this part of what each worker has still before it: so they end together, whoever is slower."""

FEWEST_ROWS = 200
"""Smaller ranges than that cost more than they even out."""


async def cut_ranges(session: Session, table: Table, range_rows: int, workers: int) -> list[KeyRange]:
    """Cut a table into ranges of about so many rows each, the last ones smaller, for so many workers.

    Raises what ``Session.run`` raises.
    """
    doing, rows = "cutting the table into ranges", table.estimated_rows or 0
    bounds = await session.run(histogram, table, doing=doing)
    parts = len(sizes(rows, range_rows, workers))
    if not all(isinstance(bound, str) for bound in bounds):
        bounds.sort()
    elif parts <= COARSE * len(bounds):
        bounds = await session.run(in_order, table, bounds, doing=doing)
    else:
        bounds = []
    if not bounds or not rows:
        _, bounds, rows = await sample(session, table)
    numbers = [bound for bound in bounds if isinstance(bound, int)]
    if len(numbers) > 1:
        reach = await session.run(ends, table, doing=doing)
        if reach is not None:
            further = grown(numbers, int(reach[1]))
            rows = math.ceil(rows * (len(further) - 1) / (len(numbers) - 1))
            bounds = list(further)
    return ranges_between(spread(bounds, sizes(rows, range_rows, workers)))


async def trim(session: Session, table: Table, key_range: KeyRange, range_rows: int) -> list[KeyRange]:
    """Return a range in two where it has far more rows than wanted, else as it is. Raises what ``Session.run`` does."""
    middle = await key_after(session, table, key_range, LARGEST * range_rows)
    if middle is None or middle == key_range.until:
        return [key_range]
    return [KeyRange(key_range.after, middle), KeyRange(middle, key_range.until)]


async def place_of_key(session: Session, table: Table, ranges: Sequence[KeyRange], key: Key) -> int:
    """Return which of the ranges, which are in order, has what follows a key. Raises what ``Session.run`` raises.

    Of texts it may be another one, where the column's collation is not that of the database.
    """
    cuts = [each.until for each in ranges if each.until is not None]
    if not isinstance(key, str):
        return sum(not is_before(key, cut) for cut in cuts)
    return len(await References(session, table).between(cuts, None, key))


def ranges_between(cuts: Sequence[Key]) -> list[KeyRange]:
    """Return the ranges from minus to plus infinity between cuts, which are in order; equal ones count once."""
    return [KeyRange(*pair) for pair in pairwise([None, *(cut for cut, _ in groupby(cuts)), None])]


def sizes(rows: int, range_rows: int, workers: int) -> list[int]:
    """Divide so many rows: ``range_rows`` for a range, towards the end fewer, so that no worker is left with much.

    That is guided self-scheduling (Polychronopoulos and Kuck, 1987).
    """
    found = []
    while rows > 0:
        fair = max(FEWEST_ROWS, math.ceil(rows / (AHEAD * max(1, workers))))
        found.append(min(range_rows, fair, rows))
        rows -= found[-1]
    return _with_rest_spread(found)


def _with_rest_spread(found: list[int]) -> list[int]:
    """Let the last range be as large as those before it that are of one size."""
    first = found.index(found[-2]) if len(found) > 1 else 0
    even, larger = divmod(sum(found[first:]), max(1, len(found) - first))
    return found[:first] + [even + (place < larger) for place in range(len(found) - first)]


def spread(bounds: Sequence[Key], rows: Sequence[int]) -> list[Key]:
    """Return the cuts between ranges of so many ``rows``, or fewer cuts, from bounds in order and evenly deep."""
    if len(bounds) < 2:  # noqa: PLR2004 - two make a distance
        return []
    cuts, total = [], sum(rows)
    for before in accumulate(rows[:-1]):
        whole, part = divmod(before * (len(bounds) - 1), total)
        cuts.append(key_between(bounds[whole], bounds[whole + 1], part, total))
    return cuts


def merged(ranges: Mapping[KeyRange, int], most_rows: int) -> list[KeyRange]:
    """Bring neighbours together again while they have no more than so many rows, which is what each range maps to.

    They stay as they are where they do not hold every key there is.
    """
    next_to = {each.after: each for each in ranges}
    found: list[KeyRange] = []
    after, rows, steps = None, most_rows, 0
    while (each := next_to.get(after)) is not None:
        steps += 1
        if found and rows + ranges[each] <= most_rows:
            found[-1] = KeyRange(found[-1].after, each.until)
            rows += ranges[each]
        else:
            found.append(each)
            rows = ranges[each]
        if each.until is None:
            break
        after = each.until
    is_whole = steps == len(ranges) and found and found[-1].until is None
    return found if is_whole else list(ranges)


def grown(bounds: Sequence[int], last: int) -> list[int]:
    """Go on at the mean distance of the bounds to where the keys end by now: those newer than the statistics."""
    if last <= bounds[-1]:
        return list(bounds)
    mean = (bounds[-1] - bounds[0]) // (len(bounds) - 1)
    least = -(-(last - bounds[-1]) // (MOST_GROWTH * len(bounds)))  # rounded up: else there are up to twice as many
    step = max(mean, least)
    return [*bounds, *range(bounds[-1] + step, last, step), last]
