"""Every state within the usual bounds keeps the promises; an order of writes that breaks one is found.

``scripts/soak --explore`` explores more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.exploration.beside import Graph, beside
from tests.exploration.bounds import USUAL, explore_all
from tests.exploration.explorer import Violation, explore
from tests.exploration.model import COPY_AFTER_FLIP, FLIP_BEFORE_LEDGER, Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exploration.state import Entry


def test_no_state_within_the_usual_bounds_breaks_a_promise() -> None:
    found = explore_all(USUAL, print)
    assert sum(each.states for each in found) > 150_000
    assert all(each.ends > 100 for each in found)


@pytest.mark.parametrize(
    ("model", "violation"),
    [
        (lambda: Model(guarded=True, order=FLIP_BEFORE_LEDGER), "a committed flip is not on record"),
        (lambda: Model(guarded=False, order=FLIP_BEFORE_LEDGER), "a committed flip is not on record"),
        (lambda: Model(guarded=True, order=COPY_AFTER_FLIP), "a row was flipped to an object that is not there"),
        (lambda: Model(guarded=False, rows=1, notes_xid=False), "our own flip is reported as the application's"),
        (lambda: Model(guarded=False, rows=1, strikes_out_early=True), "an object was replaced and not reported"),
    ],
    ids=[
        "flip before the ledger",
        "flip before the ledger, without a condition",
        "copy after the flip",
        "no transaction noted",
        "struck out before the UPDATE",
    ],
)
def test_a_fault_in_the_order_is_found_with_a_shortest_way_to_it(model: Callable[[], Model], violation: str) -> None:
    with pytest.raises(Violation, match=violation) as told:
        explore(model())
    way = str(told.value).splitlines()
    assert "  begins" in way
    assert len(way) < 25, "short enough to be read"


@pytest.mark.parametrize("guarded", [True, False])
def test_what_makes_the_states_fewer_hides_nothing(guarded: bool) -> None:
    fewer, every = (
        Model(guarded=guarded, rows=1, database_faults=0, copy_faults=0, every_order=every) for every in (False, True)
    )
    assert _what_ledgers_end_with(fewer) == _what_ledgers_end_with(every)


def test_an_iteration_beside_another_one_reaches_no_other_states_than_alone() -> None:
    one, other = (
        Graph.of(Model(guarded=True, rows=1, database_faults=0, copy_faults=0, written_rows=written))
        for written in (1, 0)
    )
    both = beside(one, other)
    print(f"two iterations: {len(both):,} states; one: {len(one.steps):,}")  # noqa: T201 - the claim
    assert {mine for mine, _ in both} == set(range(len(one.steps)))


def _what_ledgers_end_with(model: Model) -> set[tuple[Entry, ...]]:
    """Return all that the ledgers may hold of a row when the rollback is over."""
    states = Graph.of(model).numbers
    return {state.rows[0].ledgers for state in states if state.tool.back and state.tool.at == "ended"}
