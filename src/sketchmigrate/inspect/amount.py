"""How much a migration has to do, for the question that is asked before it: a sample's word, and no promise. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.filesize import decimal

from sketchmigrate.core.plural import counted
from sketchmigrate.core.prices import USD_PER_1000_COPIES, USD_PER_1000_READS
from sketchmigrate.inspect.estimate import ASSUMED_ROWS_PER_SECOND, REQUESTS_A_ROW, Rate, bound
from sketchmigrate.report.progress import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.settings import Settings


class Amount(NamedTuple):
    """``rows`` to take up, None where a sample does not tell; of an object ``mean_bytes``, None where none was seen."""

    rows: int | None
    mean_bytes: float | None
    rate: Rate
    is_priced: bool


def reckon_amount(
    legacy_rows: int | None,
    limit: int,
    mean_bytes: float | None,
    measured: Rate | None,
    settings: Settings,
    *,
    on_aws: bool,
) -> Amount:
    """Reckon what there is to do: ``legacy_rows`` by a sample, of which ``limit`` are taken up, 0 for all."""
    rate = measured or Rate(ASSUMED_ROWS_PER_SECOND, "assumed: no run has measured it")
    most, why = bound(settings)
    if most < rate.rows_per_second:
        rate = Rate(most, why)
    rows = min(legacy_rows, limit) if limit and legacy_rows is not None else legacy_rows
    return Amount(rows, mean_bytes, rate, on_aws)


def amount_lines(amount: Amount) -> Iterator[str]:
    """Say it, in lines: rows, bytes, time and money."""
    if amount.rows is None:
        yield "how many rows are legacy, a sample does not tell: plan --full counts them"
        return
    size = "" if amount.mean_bytes is None else f", some {decimal(round(amount.rows * amount.mean_bytes))}"
    yield f"about {counted(amount.rows, 'row')} by a sample, and {'its' if amount.rows == 1 else 'their'} objects{size}"
    rate = amount.rate
    yield f"{duration(amount.rows / rate.rows_per_second)} at {rate.rows_per_second:,.0f} rows a second ({rate.source})"
    if amount.is_priced:
        usd = amount.rows * (USD_PER_1000_COPIES + USD_PER_1000_READS) / 1000
        yield f"{REQUESTS_A_ROW * amount.rows:,} requests, about {usd:,.2f} USD at AWS's price of us-east-1"
