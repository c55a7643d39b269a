"""What an execution has found that was interrupted, read from its file of figures, to go on with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.application import Felt
from benchmarks.calibration import are_alike
from benchmarks.contestants.contest import Turn
from benchmarks.measurements.application import Beside, Stall
from benchmarks.measurements.changing_pace import Changing, PrefixPace
from benchmarks.measurements.cost import Cost
from benchmarks.measurements.first_flip import FirstFlip, Passed
from benchmarks.measurements.listing import Listing
from benchmarks.measurements.looks import Look
from benchmarks.measurements.micro import Micro
from benchmarks.measurements.pace import Pace
from benchmarks.measurements.paired import Paired
from benchmarks.measurements.scale import Shared
from benchmarks.measurements.shapes import ShapeCost
from benchmarks.measurements.start import Start
from benchmarks.results import Results
from sketchmigrate.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: dict[str, type] = {
    "turns": Turn,
    "costs": Cost,
    "first_flips": FirstFlip,
    "passed": Passed,
    "paces": Pace,
    "changing": Changing,
    "prefixes": PrefixPace,
    "listings": Listing,
    "looks": Look,
    "micros": Micro,
    "shared": Shared,
    "applications": Beside,
    "shapes": ShapeCost,
    "governed": Paired,
    "observed": Paired,
    "rollbacks": Shared,
    "starts": Start,
}
_PARTS: dict[str, type] = {"alone": Felt, "during": Felt, "stall": Stall}
"""Fields that have fields."""


def kept_results(file: Path, extent: str, loop_ns: float) -> Results:
    """Read what an execution of this extent has found, on a machine as fast as this one. Raises ``UsageError``."""
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        lists: dict[str, Any] = {
            name: [_made(kind, each) for each in document.pop(name, [])] for name, kind in _KINDS.items()
        }
        results = Results(**document, **lists)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} has nothing to go on with: {error}", hint="Leave --resume out.") from error
    if results.extent != extent:
        raise UsageError(f"{file} has figures of another extent ({results.extent})")
    if not are_alike(results.loop_ns, loop_ns):
        text = f"{file} was measured on a machine of another speed ({results.loop_ns:.1f} ns a turn of the loop)"
        raise UsageError(text, hint="Leave --resume out.")
    return results


def _made(kind: type, values: dict[str, Any]) -> object:
    return kind(**{name: _value(name, value) for name, value in values.items()})


def _value(name: str, value: object) -> object:
    if isinstance(value, dict) and name in _PARTS:
        return _made(_PARTS[name], value)
    return tuple(value) if isinstance(value, list) else value
