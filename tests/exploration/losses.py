"""The end of a run: what its copies may have replaced is looked for, and what those of the run before it may have.

The own ledger is looked at first. Each look has three steps: at the rows, at the objects (and the other ledgers), and
the write of what is to be reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.exploration.promises import end_of_run
from tests.exploration.rules import can_be_seen, holds_our_copy, reported, suspects
from tests.exploration.state import NO_RUN, State

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_PROGRESS = {"open", "late", "dying"}


def begin(state: State) -> State:
    """Look at the own ledger, and at the others then."""
    return _ask_about(len(state.rows[0].ledgers) - 1, state)


def look_at_rows(state: State) -> Iterator[tuple[str, State]]:
    """Look at the rows of a run's unsettled copies; a transaction in progress is waited for."""
    asked = state.tool.asked
    if any(row.ledgers[asked].unsettled in _IN_PROGRESS for row in state.rows):
        return
    rows = tuple(
        row._replace(
            accused=bool(row.ledgers[asked].unsettled) and suspects(row, asked, known=False),
            to_report=row.to_report or can_be_seen(row, asked),
        )
        for row in state.rows
    )
    yield f"looks at the rows of run {asked}", State(rows, state.tool._replace(at="losses: objects"))


def look_at_objects(state: State) -> Iterator[tuple[str, State]]:
    """Look at the ledgers, and at what production holds."""
    asked = state.tool.asked
    if any(entry.unsettled in _IN_PROGRESS for row in state.rows for entry in row.ledgers):
        return
    rows = tuple(
        row._replace(accused=row.accused and suspects(row, asked, known=True) and holds_our_copy(row))
        for row in state.rows
    )
    yield f"looks at the objects of run {asked}", State(rows, state.tool._replace(at="losses: ledger"))


def report(state: State) -> Iterator[tuple[str, State]]:
    """Write the reports, and strike out what was looked at in the own ledger."""
    rows = tuple(reported(row) if row.accused else row for row in state.rows)
    if state.tool.asked == len(rows[0].ledgers) - 1:
        # what the application does from now on to a row whose object was replaced, no run sees
        rows = tuple(row.noted(unsettled="")._replace(lost_in=NO_RUN) for row in rows)
    yield "ledger: reports", _ask_about_next(State(rows, state.tool))


def _ask_about(run: int, state: State) -> State:
    """Look for losses of a run; there is nothing to look at where its ledger has no unsettled copy."""
    if any(row.ledgers[run].unsettled for row in state.rows):
        return State(state.rows, state.tool._replace(at="losses: rows", asked=run))
    rows = tuple(row._replace(to_report=row.to_report or can_be_seen(row, run)) for row in state.rows)
    return _ask_about_next(State(rows, state.tool._replace(asked=run)))


def _ask_about_next(state: State) -> State:
    asked, last = state.tool.asked, len(state.rows[0].ledgers) - 1
    following = 0 if asked == last else asked + 1
    if following < last:
        return _ask_about(following, state)
    end_of_run(state.rows)
    return State(state.rows, state.tool._replace(at="ended", asked=0))
