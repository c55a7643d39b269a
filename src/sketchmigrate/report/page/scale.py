"""Where an axis has its marks, and how values are written beside it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.report.progress import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

_MINUTE, _HOUR = 60, 3600
UNKNOWN = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"
_STEPS = (1, 2, 5, 10)
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


def marks(most: float, count: int = 3, *, are_whole: bool = False) -> list[float]:
    """Return round values from 0 to the first that is no less than ``most``, some ``count`` steps of the same size.

    Where they ``are_whole``, no step is less than 1.
    """
    if most <= 0 or (are_whole and most <= 1):
        return [0.0, 1.0]
    rough = most / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * each for each in _STEPS if size * each >= rough * (1 - 1e-9))
    step = max(step, 1.0) if are_whole else step
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def decades(least: float, most: float) -> list[float]:
    """Return the powers of ten from the last that is no more than ``least`` to the first no less than ``most``."""
    low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def moments(seconds: float, count: int = 4) -> list[float]:
    """Return round times from 0 on within so many seconds."""
    step = next((each for each in _TIMES if each * count >= seconds), 86_400 * math.ceil(seconds / count / 86_400))
    return [float(step * number) for number in range(math.floor(seconds / step) + 1)]


def time_after(seconds: float) -> str:
    """Write a time since the beginning: ``0:07``, ``1:02:03``."""
    return duration(seconds)


def lasting(seconds: float) -> str:
    """Write how long something took, in words: ``4.2 s``, ``3 min 7 s``, ``2 h 5 min``."""
    if seconds < 10:  # noqa: PLR2004 - where a tenth still counts
        return f"{seconds:.1f}{SPACE}s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}{SPACE}s"
    if whole < _HOUR:
        return SPACE.join((f"{whole // _MINUTE}", "min", f"{whole % _MINUTE}", "s"))
    return SPACE.join((f"{whole // _HOUR:,}", "h", f"{whole % _HOUR // _MINUTE}", "min"))


def number(value: float | None) -> str:
    """Write a number with three figures or all of its whole ones; a dash where nobody knows."""
    if value is None:
        return UNKNOWN
    if value == 0 or abs(value) >= 100 or float(value).is_integer():  # noqa: PLR2004 - three figures
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}".rstrip("0").rstrip(".")


def milliseconds(value: float | None) -> str:
    """Write a time in ms, or in s where it is long."""
    if value is None:
        return UNKNOWN
    return f"{number(value / 1000)} s" if value >= 1000 else f"{number(value)} ms"  # noqa: PLR2004 - a second


def size(value: float | None) -> str:
    """Write a size in bytes."""
    return UNKNOWN if value is None else decimal(round(value))


def highest(points: Sequence[tuple[float, float | None]]) -> float:
    """Return the highest value of a line, 0 where it has none."""
    return max((value for _, value in points if value is not None), default=0.0)
