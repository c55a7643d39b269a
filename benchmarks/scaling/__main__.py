"""``python -m benchmarks.scaling [FOLDER]``: print the tables of docs/scale.md, and draw its picture into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.scaling import bounds
from benchmarks.scaling.bounds import SIZES, Fleet
from benchmarks.scaling.picture import draw

FLEETS = {
    "1 process": Fleet(1, 1_024),
    "4 processes": Fleet(4, 4_096),
    "16 processes": Fleet(16, 16_384),
}


def _hours(seconds: float) -> str:
    hours = seconds / 3_600
    return f"{hours:,.1f} h" if hours < 48 else f"{hours / 24:,.1f} d"  # noqa: PLR2004 - two days


def _amount(number: float) -> str:
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if number >= size:
            return f"{number / size:,.3g} {unit}"
    return f"{number:,.0f} B"


def table() -> str:
    """Write what each size takes, as Markdown."""
    rows = [("objects", *(f"10^{len(str(size)) - 1}" for size in SIZES))]
    rows.append(("COPY requests, USD", *(f"{bounds.copy_usd(size):,.0f}" for size in SIZES)))
    never = float(bounds.COPIES_A_SECOND)
    rows.append(("one partition, never split", *(_hours(bounds.seconds_for(size, never)) for size in SIZES)))
    for name, fleet in FLEETS.items():
        rate = fleet.rows_a_second
        label = f"{name}, at most {rate:,.0f} rows/s"
        rows.append((label, *(_hours(bounds.seconds_for(size, rate)) for size in SIZES)))
    flips = (_hours(size / bounds.FLIPS_A_SECOND) for size in SIZES)
    rows.append(("the flips alone", *flips))
    rows.append(("WAL of the flips", *(_amount(size * bounds.WAL_BYTES_A_FLIP) for size in SIZES)))
    rows.append(("ledger", *(_amount(size * bounds.LEDGER_BYTES_A_FLIP) for size in SIZES)))
    for ranges in (1, 8, 100):
        label = f"listing a side, {ranges} range{'s' if ranges > 1 else ''}"
        rows.append((label, *(_hours(bounds.listing_seconds(size, ranges)) for size in SIZES)))
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|---|" + "---:|" * len(SIZES), *rest])


def main(arguments: list[str]) -> None:
    """Print, and draw where a folder is given."""
    print(table())
    for folder in arguments:
        draw(FLEETS, Path(folder) / "scale.svg")


main(sys.argv[1:])
