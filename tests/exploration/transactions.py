"""How transactions, processes and runs end, and what is left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.exploration.promises import hold
from tests.exploration.state import APPLICATIONS, NEW, NO_RUN, NO_XID, OLD, OTHER, OURS, Entry, Row, State

if TYPE_CHECKING:
    from collections.abc import Iterator


def end(state: State, held: str, *, committed: bool) -> State:
    """End the transaction that holds rows in this way."""
    fate = "committed" if committed else "aborted"
    noted_as = "open" if held == "us" else held
    rows: list[Row] = []
    for row in state.rows:
        after = row
        if row.held == held:
            after = row._replace(held="")
            if committed:
                after = _set_by_us(after, back=row.path == NEW)
        if any(entry.unsettled == noted_as for entry in row.ledgers):
            ledgers = [
                entry._replace(unsettled=fate) if entry.unsettled == noted_as else entry for entry in after.ledgers
            ]
            after = after._replace(ledgers=tuple(ledgers))
        rows.append(after)
    return State(tuple(rows), state.tool._replace(dying_commits=state.tool.dying_commits and held != "dying"))


def _set_by_us(row: Row, *, back: bool) -> Row:
    told_apart = not (row.flipped or row.unclear)
    hold(row.set_by != APPLICATIONS or not told_apart, "what the application had set was overwritten")
    hold(any(entry.flip and entry.back == back for entry in row.ledgers), "a committed flip is not on record")
    if not back:
        hold(bool(row.production), "a row was flipped to an object that is not there")
    return row._replace(path=OLD if back else NEW, set_by=OURS, flipped=row.flipped or not back, undone=back)


def handed_over(state: State, to: str) -> State:
    """The transaction under way loses its client; the server does not know yet."""
    rows: list[Row] = []
    for row in state.rows:
        ledgers = tuple(entry._replace(unsettled=to) if entry.unsettled == "open" else entry for entry in row.ledgers)
        rows.append(row._replace(held=to if row.held == "us" else row.held, ledgers=ledgers))
    return State(tuple(rows), state.tool)


def rolled_back(state: State) -> State:
    """End the transaction under way without a COMMIT."""
    return end(state, "us", committed=False)


def cut_short(state: State, keys: list[int], first: int) -> State:
    """The flip is rolled back, and halved: ``first`` comes next, or is busy if it was alone."""
    is_next = "wanted" if len(keys) > 1 else "busy"
    rows = tuple(
        row._replace(flip=is_next if n == first else "queued", disturbed=True) if n in keys else row
        for n, row in enumerate(state.rows)
    )
    return rolled_back(State(rows, state.tool._replace(database_faults=state.tool.database_faults - 1)))


def forgotten(row: Row) -> Row:
    """Forget what only the process knew, and what nothing asks for any more: so there are fewer states."""
    if row.path == OTHER:  # it is out of the tool's reach
        ledgers = (Entry(),) * len(row.ledgers)
        return Row(path=OTHER, stored=True, update="done", copy_faults=0, set_by=APPLICATIONS, ledgers=ledgers)
    ledgers = tuple(
        entry._replace(unsettled=NO_XID) if entry.unsettled == "aborted" else entry for entry in row.ledgers
    )
    return row._replace(
        copy_faults=row.copy_faults if row.path == OLD else 0,
        copy="",
        flip="",
        doubtful=False,
        result=None,
        locked=False,
        accused=False,
        disturbed=False,
        ledgers=ledgers,
    )


def kill(state: State) -> Iterator[tuple[str, State]]:
    """Kill the process; a COMMIT that it has sent may still be done."""
    for commits in (False, True) if state.tool.at == "commit" else (False,):
        left = handed_over(state, "dying")
        rows = tuple(
            forgotten(row)._replace(unclear=row.unclear or (row.entry().flip and not row.entry().denied))
            for row in left.rows
        )
        tool = state.tool._replace(at="killed", crashes=0, dying_commits=commits, again=False, asked=0)
        yield f"KILLED{', its COMMIT is on the way' if commits else ''}", State(rows, tool)


def new_run(state: State, *, back: bool) -> State:
    """Start the process anew."""
    tool = state.tool._replace(at="begin", run=state.tool.run + 1, back=back, again=False, asked=0)
    rows = tuple(row._replace(disturbed=row.stored or bool(row.update)) for row in state.rows)
    if back and not state.tool.back:
        rows = tuple(_on_the_way_back(row) for row in rows)
    return State(rows, tool)


def _on_the_way_back(row: Row) -> Row:
    """Forget what no rollback and no promise about it asks for: so there are fewer states."""
    ledgers = tuple(Entry(flip=entry.flip, denied=entry.denied) for entry in row.ledgers)
    return row._replace(copy_faults=0, object_first=False, lost=False, lost_in=NO_RUN, to_report=False, ledgers=ledgers)
