"""What earlier executions have found, read from their file of figures, to go on with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.application import Felt
from benchmarks.arguments import SCALE
from benchmarks.contestants.contest import Turn
from benchmarks.figures import FAR, FAR_AWAY, FRESH, LARGE_OBJECTS, TO_CEPH, TO_SEAWEED
from benchmarks.measurements.application import APART, Beside, Stall
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
from benchmarks.results import Execution, Results
from sketchmigrate.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: dict[str, type] = {
    "executions": Execution,
    "turns": Turn,
    "costs": Cost,
    "growth": Cost,
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


FIELDS = {
    "cost": ("costs",),
    "growth": ("growth",),
    "shapes": ("shapes",),
    "first-flip": ("first_flips", "passed"),
    "pace": ("paces",),
    "pace-changing": ("changing",),
    "pace-prefixes": ("prefixes",),
    "listing": ("listings",),
    "looks": ("looks",),
    "micro": ("micros",),
    "governor": ("governed",),
    "observed": ("observed",),
    "rollback-processes": ("rollbacks",),
    "start": ("starts",),
    SCALE: ("shared",),
}
STORES_OF_TURNS = {
    "end-to-end": ("rclone",),
    "ceiling": (FRESH,),
    "far": (FAR,),
    "seaweed": ("seaweed",),
    "ceph": ("ceph",),
    "streamed": (TO_SEAWEED, TO_CEPH),
    "streamed-far": (FAR_AWAY,),
    "streamed-large": (LARGE_OBJECTS,),
}
"""What a measurement has found is all of some fields, or the turns on some stores; or what an application felt."""


def forget(results: Results, name: str) -> None:
    """Take out what a measurement has found, to measure it anew."""
    for field in FIELDS.get(name, ()):
        setattr(results, field, [])
    results.turns = [turn for turn in results.turns if turn.store not in STORES_OF_TURNS.get(name, ())]
    if name in {"application", "application-apart"}:
        is_apart = name == "application-apart"
        results.applications = [each for each in results.applications if (each.situation == APART.name) is not is_apart]
    for execution in results.executions:
        execution.measured = [each for each in execution.measured if each != name]


def kept_results(file: Path, extent: str) -> Results:
    """Read what executions of this extent have found. Raises ``UsageError``."""
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        lists: dict[str, Any] = {
            name: [_made(kind, each) for each in document.pop(name, [])] for name, kind in _KINDS.items()
        }
        results = Results(**document, **lists)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} has nothing to go on with: {error}", hint="Leave --resume out.") from error
    if not results.measured:
        raise UsageError(f"{file} has nothing to go on with: nothing is measured", hint="Leave --resume out.")
    if results.extent != extent:
        raise UsageError(f"{file} has figures of another extent ({results.extent})")
    results.executions = [each for each in results.executions if each.measured]  # others are measured anew since
    return results


def _made(kind: type, values: dict[str, Any]) -> object:
    return kind(**{name: _value(name, value) for name, value in values.items()})


def _value(name: str, value: object) -> object:
    if name == "measured":
        return value
    if isinstance(value, dict) and name in _PARTS:
        return _made(_PARTS[name], value)
    return tuple(value) if isinstance(value, list) else value
