"""Thousands of interleavings keep the promises; and where the tool broke one, this would tell.

``SIMULATIONS=100000`` plays more seeds, ``SIMULATION_SEED=n`` one of them again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sketch_migrate.ledger import SqliteLedger
from sketch_migrate.migration.copier import Copied, Copier, Verdict
from sketch_migrate.model import Tally
from tests.simulation import simulation
from tests.simulation.database import SimulatedConnection
from tests.simulation.simulation import simulate
from tests.simulation.store import Store
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sketch_migrate.ledger import Flip
    from sketch_migrate.model import Move
    from sketch_migrate.s3.messages import Request

SEEDS = int(os.environ.get("SIMULATIONS", "2000"))
CHUNKS = 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_interleaving_keeps_the_promises(chunk: int) -> None:
    only = os.environ.get("SIMULATION_SEED")
    _play([int(only)] if only else range(chunk, SEEDS, CHUNKS))


def _flip_before_the_copy(patch: pytest.MonkeyPatch) -> None:
    async def copy_nothing(_: Copier, moves: Sequence[Move]) -> list[Copied]:
        return [Copied(Verdict.COPIED)] * len(moves)

    patch.setattr(Copier, "copy_all", copy_nothing)


def _set_without_compare(patch: pytest.MonkeyPatch) -> None:
    def any_path(connection: SimulatedConnection, key: int, _: str) -> bool:
        return key in connection.world.rows

    patch.setattr(SimulatedConnection, "matches", any_path)


def _keep_no_ledger(patch: pytest.MonkeyPatch) -> None:
    async def record_nothing(_: SqliteLedger, _flips: Sequence[Flip], *, unix_time: float) -> None:
        assert unix_time >= 0

    patch.setattr(SqliteLedger, "record_flips", record_nothing)


def _ignore_conditions(patch: pytest.MonkeyPatch) -> None:
    def ignore(_: Store, _request: Request) -> None:
        return

    patch.setattr(Store, "_refused", ignore)


def _report_nothing(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> Tally:
        return Tally()

    patch.setattr(simulation, "settle", nothing)


@pytest.mark.parametrize(
    ("sabotage", "violation"),
    [
        (_flip_before_the_copy, "which never held the legacy object"),
        (_set_without_compare, "but the application set it to [^ ]*"),
        (_keep_no_ledger, "is not on record"),
        (_ignore_conditions, "[^ ]+ was replaced"),
        (_report_nothing, "was replaced and not reported"),
    ],
)
def test_a_broken_rule_is_told_with_the_seed_and_the_trace(
    sabotage: Callable[[pytest.MonkeyPatch], None], violation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch)
    with pytest.raises(Violation, match=rf"(?s){violation}\nSIMULATION_SEED=\d+ .*--- run 1\n") as told:
        _play(range(2000))
    again = str(told.value)
    seed = int(again.partition("SIMULATION_SEED=")[2].split()[0])
    with pytest.raises(Violation) as repeated:
        simulate(seed)
    assert str(repeated.value) == again


def _play(seeds: Iterable[int]) -> None:
    for seed in seeds:
        simulate(seed)
