"""What was measured is gone on with from its file of figures, also on another machine, and renewed by name."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest
from benchmarks.application import Felt
from benchmarks.arguments import MEASUREMENTS, SCALE
from benchmarks.contestants.contest import Turn
from benchmarks.figures import FAR, FAR_AWAY, FRESH, LARGE_OBJECTS, TO_CEPH, TO_SEAWEED
from benchmarks.kept import FIELDS, STORES_OF_TURNS, forget, kept_results
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

FELT = Felt(1, 0.1, 0.2, 0.3, 0.4, 0.5, 0, 7, 0)
SHARED = Shared("2 processes", 2, 50, 16, 100, 2.0, 1.5, 0.5, 60_000, 0.3)
PAIRED = Paired(1, is_bare=True, rows=100, seconds=1.0, cpu_seconds=0.1)
COST = Cost("-yw", False, 100, 1.0, 0.1, 60_000, {"CopyObject": 100}, 5000, 0.3, 9000)  # noqa: FBT003 # ten fields
ALL = Results(
    "default",
    turns=[Turn("s5cmd run + UPDATE", "rclone", 1000, 1.0, 0.9, 40_000, lost=12, parallelism=128)],
    costs=[COST],
    growth=[COST],
    first_flips=[FirstFlip(100, 0.5, 0.2)],
    passed=[Passed(100, 0.5)],
    paces=[Pace(50, False, 0, 512, 9000, 0, 0.3)],  # noqa: FBT003 # seven fields
    changing=[Changing(0, (100.0, 200.0, 300.0))],
    prefixes=[PrefixPace("four limited", 4000, 3900, 100)],
    listings=[Listing(2.0, 60.0, 50, 1000, 7000)],
    looks=[Look("verify", 100, 100, 1.0, 0.5, 60_000, 70_000_000, 5000, 0.1, 0.2)],
    micros=[Micro("a page", 1.5, 1.4)],
    shared=[SHARED],
    applications=[
        Beside("the ledger stalls", FELT, FELT, 20.0, 0, 100, 0, Stall(0, 0.0)),
        Beside("nothing in the way", FELT, FELT, 20.0, 0, 100, 0, None),
    ],
    shapes=[ShapeCost("`url`", 1, 100, 1.0, 0.1, 0.05)],
    governed=[PAIRED],
    observed=[PAIRED],
    rollbacks=[SHARED],
    starts=[Start("-h", 0.07)],
    executions=[
        Execution("scripts/bench --check", {"python": "3.11"}, 28.5, ["end-to-end", "cost"]),
        Execution("scripts/bench --resume", {"python": "3.13"}, 60.0, ["looks", "application", "application-apart"]),
    ],
)


def kept(folder: Path, results: Results) -> Path:
    file = folder / "figures.json"
    file.write_text(json.dumps(results.as_json()))
    return file


def test_all_that_was_measured_comes_back(tmp_path: Path) -> None:
    assert all(getattr(ALL, field.name) for field in fields(Results)), "a kind of figure is not tried here"
    assert kept_results(kept(tmp_path, ALL), "default") == ALL


def test_figures_of_another_extent_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another extent"):
        kept_results(kept(tmp_path, ALL), "full")


@pytest.mark.parametrize("name", [*MEASUREMENTS, SCALE])
def test_what_is_measured_anew_is_forgotten_and_nothing_else(name: str) -> None:
    stores = ("rclone", FRESH, FAR, "seaweed", "ceph", TO_SEAWEED, TO_CEPH, FAR_AWAY, LARGE_OBJECTS)
    everywhere = [Turn("rclone copy + UPDATE", store, 1000, 1.0, 0.9, 40_000, lost=0) for store in stores]
    apart = Beside(APART.name, FELT, FELT, 20.0, 0, 100, 0, None)
    results = deepcopy(replace(ALL, turns=everywhere, applications=[*ALL.applications, apart]))
    results.executions[0].measured.append(name)
    before = results.as_json()
    forget(results, name)
    assert name not in results.measured
    changed = {field for field, values in before.items() if results.as_json().get(field) != values} - {"executions"}
    if name in FIELDS:
        assert changed == set(FIELDS[name])
    elif name in STORES_OF_TURNS:
        assert changed == {"turns"}
        assert {turn.store for turn in results.turns} == set(stores) - set(STORES_OF_TURNS[name])
    else:
        assert changed == {"applications"}
        assert {each.situation == APART.name for each in results.applications} == {name == "application"}


@pytest.mark.parametrize("text", [None, "{", "1", '{"extent": "default"}', '{"turns": [{"rows": 1}]}', '{"more": 1}'])
def test_a_file_that_cannot_be_gone_on_with_is_a_clear_error(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "figures.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=r"figures\.json has nothing to go on with"):
        kept_results(file, "default")
