"""A model of the protocol: its steps are those of the product, its decisions the product's own functions.

**What moves.** One process with a batch of rows: it writes what it is about to copy without a condition into the
ledger, copies, puts the flips on record, notes the transaction, UPDATEs the rows that are free, commits, strikes out,
looks again at the others, writes what became of them, takes up those that were locked, and looks at the end for what
its copies may have replaced. Then a rollback. The application writes each row once at most: an object under the
production key and the UPDATE to that path, in either order, or an UPDATE to another path; the UPDATE holds the row for
a while, and may be given up. Each row's copy may fail, with or without an effect, or lose its reply and be sent again;
a COMMIT may lose its answer (done, not done, or done later), or the UPDATE be cut short; the process may be killed
once, before or after any step, and is then started again.

**What is a step.** Whatever one party does in one moment that another may see: a request's effect, a write of the
ledger, a statement, a COMMIT. What a process does by itself is part of the step before it.

**Why one batch covers several.** Batches have different rows, so that no step of one iteration enables, disables or
changes a step of another; they share only that the process is killed, that it looks for losses when all are done, and
that a rollback follows; each of these may come at any time after a batch is ready for it. So what is reachable by rows
of one batch beside another one is reachable without it, and every promise speaks of one row. ``test_exploration``
compares the two by numbers. Within a batch the rows depend on each other by their transaction; as no rule looks at
their names, states that differ only by their order are one.

**What is left out.** A request of a killed process that the store carries out only after the next run has begun: on a
store without conditions nothing protects from it. A rollback that begins while a COMMIT of a killed run is under way.
Triggers, two runs at once, a second pass: the simulation has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.migration.copier import Copied, Verdict
from sketchmigrate.migration.flip_outcome import standing
from sketchmigrate.migration.flip_transaction import to_leave_out
from sketchmigrate.migration.iteration import is_harmless
from sketchmigrate.postgres.flip import Answer
from sketchmigrate.postgres.references import Looked
from tests.exploration import application, losses
from tests.exploration.promises import end_of_migrating
from tests.exploration.rules import BACK, OUTCOME_OF, THERE, as_candidate, copy_one, told
from tests.exploration.state import NEW, NO_XID, OLD, Entry, Row, State, Tool
from tests.exploration.transactions import cut_short, end, forgotten, handed_over, kill, new_run, rolled_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Step = tuple[str, State]

AS_BUILT = ("open", "copy", "record", "flip", "look", "tell", "settle")
FLIP_BEFORE_LEDGER = ("open", "copy", "flip", "record", "look", "tell", "settle")
COPY_AFTER_FLIP = ("open", "record", "flip", "copy", "look", "tell", "settle")


class Model:
    """All steps that are possible in a state.

    ``guarded``: the store has a condition that keeps a copy from replacing an object. ``order`` is that of the stages
    of an iteration; ``notes_xid`` and ``strikes_out_early`` are about the transaction. Others than the built ones are
    faults that must be found. ``crashes``, ``database_faults`` (of all) and ``copy_faults`` (of each row) are how often
    something may go wrong, ``written_rows`` are those that the application writes. ``every_order`` leaves out what
    makes the states fewer: see ``_MATTERS``, and ``_copy``.
    """

    def __init__(
        self,
        *,
        guarded: bool,
        rows: int = 2,
        order: tuple[str, ...] = AS_BUILT,
        notes_xid: bool = True,
        strikes_out_early: bool = False,
        crashes: int = 1,
        database_faults: int = 1,
        copy_faults: int = 1,
        written_rows: int | None = None,
        every_order: bool = False,
    ) -> None:
        self.guarded = guarded
        self._order = order
        self._notes_xid = notes_xid
        self._strikes_out_early = strikes_out_early
        tool = Tool(crashes=crashes, database_faults=database_faults)
        written = rows if written_rows is None else written_rows
        self.first = State(
            (Row(copy_faults=copy_faults),) * written
            + (Row(copy_faults=copy_faults, stored=True, update="done"),) * (rows - written),
            tool,
        )
        self._every_order = every_order
        self._do: dict[str, Callable[[State], Iterator[Step]]] = {
            "begin": self._begin,
            "open": self._open,
            "copy": self._copy,
            "record": self._record,
            "note": self._note,
            "update": self._update,
            "commit": self._commit,
            "ask": self._ask,
            "strike out": self._strike_out,
            "look": self._look,
            "strike out more": self._strike_out_more,
            "tell": self._tell,
            "settle": self._settle,
            "rounds": self._rounds,
            "losses: rows": losses.look_at_rows,
            "losses: objects": losses.look_at_objects,
            "losses: ledger": losses.report,
            "ended": self._go_back,
            "killed": self._start_again,
        }
        self._idle: dict[str, Callable[[State], bool]] = {
            "open": lambda state: guarded or not any(row.copy == "to do" for row in state.rows),
            "copy": lambda state: not any(map(is_on_its_way, state.rows)),
            "record": lambda state: not any(map(self._is_to_be_flipped, state.rows)),
            "look": lambda state: not any(map(_is_to_be_looked_at, state.rows)),
            "tell": lambda state: all(row.result in _NEEDS_NO_WORD for row in state.rows),
            "settle": lambda state: guarded or state.tool.back,
        }

    def steps(self, state: State) -> Iterator[Step]:
        """Yield what may happen next. Raises ``Broken``."""
        for n, row in enumerate(state.rows):
            if self._every_order or _matters(row, state.tool):
                for what, after in application.steps(row):
                    # whether the object came first only reports are about
                    then = after._replace(object_first=False) if self.guarded else after
                    yield f"application, row {n}: {what}", _with_row(state, n, then)
        yield from self._late(state)
        if state.tool.at in self._do:
            yield from self._do[state.tool.at](state)
            if state.tool.crashes and state.tool.at not in {"begin", "killed"}:
                yield from kill(state)

    # -- the database

    def _late(self, state: State) -> Iterator[Step]:
        """Transactions whose client is gone end some time."""
        for held in ("late", "dying"):
            if any(held in {row.held, *(entry.unsettled for entry in row.ledgers)} for row in state.rows):
                yield f"the {held} transaction is aborted", end(state, held, committed=False)
                if held == "late" or state.tool.dying_commits:
                    yield f"the {held} transaction is committed", end(state, held, committed=True)

    # -- a migration's iteration

    def _begin(self, state: State) -> Iterator[Step]:
        """Begin a run: its ledger is there. A rollback takes what ledgers tell of and rows hold."""
        tool = state.tool
        rows = tuple(row._replace(ledgers=(*row.ledgers, Entry(back=tool.back))) for row in state.rows)
        if not tool.back:
            rows = tuple(row._replace(copy="to do" if row.path == OLD else "") for row in rows)
            yield "begins", self._to(self._order[0], State(rows, tool))
            return
        for_now = tuple(as_candidate(row) for row in rows)
        yield "begins a rollback", self._to("record", State(for_now, tool))

    def _open(self, state: State) -> Iterator[Step]:
        rows = tuple(row.noted(unsettled=NO_XID) if row.copy == "to do" else row for row in state.rows)
        yield "ledger: about to copy", self._after("open", State(rows, state.tool))

    def _copy(self, state: State) -> Iterator[Step]:
        """Copy one row after the other, in any order.

        That is enough: what happens to different rows' objects does not depend on each other. Whatever a crash finds,
        with two copies under way, it also finds where one of them was finished right after its effect, or had not yet
        had any: what the process knew is forgotten.
        """
        begun = [n for n, row in enumerate(state.rows) if row.copy in {"looked", "taken"}]
        for n, row in enumerate(state.rows):
            if begun and n not in begun and not self._every_order:
                continue
            for what, after in copy_one(row, guarded=self.guarded, look_first=state.tool.again):
                then = _with_row(state, n, after)
                if not any(is_on_its_way(each) for each in then.rows):
                    then = self._after("copy", then)
                yield f"row {n}: {what}", then

    def _record(self, state: State) -> Iterator[Step]:
        rows = tuple(row.noted(flip=True, denied=False) if self._is_to_be_flipped(row) else row for row in state.rows)
        yield "ledger: flips", self._after("record", State(rows, state.tool))

    def _note(self, state: State) -> Iterator[Step]:
        """BEGIN and the question for the number touch nothing: they are one step with the note."""
        what = "open" if self._notes_xid else NO_XID
        if self._strikes_out_early:
            what = ""
        rows = tuple(row.noted(unsettled=what) if row.flip == "wanted" else row for row in state.rows)
        yield "ledger: transaction", State(rows, state.tool._replace(at="update"))

    def _update(self, state: State) -> Iterator[Step]:
        """Set the rows that are free and hold the old path; some may have to be left out, then all is rolled back."""
        move = BACK if state.tool.back else THERE
        keys = [n for n, row in enumerate(state.rows) if row.flip == "wanted"]
        free = [n for n in keys if state.rows[n].path == move.reference.path and not state.rows[n].held]
        left_out = to_leave_out(Answer(frozenset(free)), keys if self._notes(state) else ())
        if left_out:
            rows = tuple(row._replace(flip="left") if n in left_out else row for n, row in enumerate(state.rows))
            yield "UPDATE, ROLLBACK: some rows are left out", self._next_flip(rolled_back(State(rows, state.tool)))
        else:
            rows = tuple(row._replace(flip="set", held="us") if n in free else row for n, row in enumerate(state.rows))
            rows = tuple(row._replace(flip="left") if row.flip == "wanted" else row for row in rows)
            yield "UPDATE", State(rows, state.tool._replace(at="commit"))
        if state.tool.database_faults:
            for first in keys:  # whichever has the lower key
                yield "UPDATE is cut short", self._next_flip(cut_short(state, keys, first))

    def _commit(self, state: State) -> Iterator[Step]:
        move = "us"
        done = end(state, move, committed=True)
        yield "COMMIT", self._answered(flip_of(done, "set", "flipped"))
        if not state.tool.database_faults:
            return
        tool = state.tool._replace(at="ask", database_faults=state.tool.database_faults - 1)
        for what, after in (
            ("done", done),
            ("not done", end(state, move, committed=False)),
            ("done later", handed_over(state, "late")),
        ):
            rows = tuple(
                row._replace(flip="unanswered", disturbed=True, unclear=True) if row.flip == "set" else row
                for row in after.rows
            )
            yield f"COMMIT without an answer, {what}", State(rows, tool)

    def _ask(self, state: State) -> Iterator[Step]:
        """Connect again. Where the transaction is on record its fate is asked for, else the flip is made again."""
        unanswered = [row for row in state.rows if row.flip == "unanswered"]
        if not self._notes(state) or not self._notes_xid:
            rows = tuple(row._replace(doubtful=True) if row.flip == "unanswered" else row for row in state.rows)
            yield "flips again", self._next_flip(flip_of(State(rows, state.tool), "unanswered", "wanted"))
            return
        fates = {row.entry().unsettled for row in unanswered}
        if fates == {"committed"}:
            yield "asks: committed", self._answered(flip_of(state, "unanswered", "flipped"))
        elif fates == {"aborted"} or not fates:
            yield "asks: aborted", self._next_flip(flip_of(state, "unanswered", "wanted"))

    def _answered(self, state: State) -> State:
        rows = tuple(
            told(row._replace(doubtful=False), Outcome.MIGRATED) if row.flip == "flipped" else row for row in state.rows
        )
        then = State(rows, state.tool)
        if self._notes(state) and any(row.flip == "flipped" for row in rows):
            return State(rows, state.tool._replace(at="strike out"))
        return self._next_flip(flip_of(then, "flipped", ""))

    def _strike_out(self, state: State) -> Iterator[Step]:
        rows = tuple(row.noted(unsettled="") if row.flip == "flipped" else row for row in state.rows)
        yield "ledger: strikes out", self._next_flip(flip_of(State(rows, state.tool), "flipped", ""))

    def _look(self, state: State) -> Iterator[Step]:
        """Look again at the rows that no flip came back with, and at those whose object could not be brought."""
        move = BACK if state.tool.back else THERE
        rows: list[Row] = []
        for row in state.rows:
            after = row
            outcome, _ = standing(move, Looked({0: row.path}), unanswered=row.doubtful, waited=False)
            if row.flip in {"left", "busy"}:
                after = row._replace(locked=True) if outcome is None else told(row, outcome)
            elif row.copy in OUTCOME_OF and row.result is None:
                after = told(row, OUTCOME_OF[Verdict(row.copy)] if outcome is None else outcome)
            rows.append(after)
        then = State(tuple(rows), state.tool)
        ours = any(row.result is Outcome.MIGRATED and row.flip == "left" for row in rows) and self._notes(state)
        yield (
            "looks again",
            State(then.rows, then.tool._replace(at="strike out more")) if ours else self._after("look", then),
        )

    def _strike_out_more(self, state: State) -> Iterator[Step]:
        rows = tuple(
            row.noted(unsettled="") if row.result is Outcome.MIGRATED and row.flip == "left" else row
            for row in state.rows
        )
        yield "ledger: strikes out more", self._after("look", State(rows, state.tool))

    def _tell(self, state: State) -> Iterator[Step]:
        rows = tuple(row.noted(denied=True) if row.result not in _NEEDS_NO_WORD else row for row in state.rows)
        yield "ledger: what became of them", self._after("tell", State(rows, state.tool))

    def _settle(self, state: State) -> Iterator[Step]:
        """Strike out where nothing was written; not in a round, as the first copy may have replaced something."""
        rows = state.rows
        if not state.tool.again:
            rows = tuple(
                row.noted(unsettled="")
                if isinstance(row.copy, Verdict) and is_harmless(Copied(row.copy, guarded=_writes_nothing(row)))
                else row
                for row in rows
            )
        yield "ledger: strikes out what is harmless", self._after("settle", State(rows, state.tool))

    def _rounds(self, state: State) -> Iterator[Step]:
        """Take up those locked rows that are free or changed by now; or give up, if the application holds them all."""
        from_path = NEW if state.tool.back else OLD
        free = [n for n, row in enumerate(state.rows) if row.locked and (row.path != from_path or not row.held)]
        if free:
            copy = Verdict.IN_PLACE if state.tool.back else "to do"
            rows = tuple(
                row._replace(locked=False, copy=copy if n in free else "", flip="") for n, row in enumerate(state.rows)
            )
            rows = tuple(
                row._replace(locked=state.rows[n].locked) if n not in free else row for n, row in enumerate(rows)
            )
            start = "record" if state.tool.back else self._order[0]
            yield "takes up locked rows", self._to(start, State(rows, state.tool._replace(again=True)))
        locked = [row for row in state.rows if row.locked]
        if all(row.held == "the application" and row.path == from_path for row in locked):
            rows = tuple(
                told(row._replace(locked=False), Outcome.FAILED).noted(denied=True) if row.locked else row
                for row in state.rows
            )
            yield "gives locked rows up", self._all_taken_up(State(rows, state.tool))

    # -- between runs

    def _go_back(self, state: State) -> Iterator[Step]:
        if not state.tool.back and not any(row.held in {"late", "dying"} for row in state.rows):
            yield "the rollback is started", new_run(state, back=True)

    def _start_again(self, state: State) -> Iterator[Step]:
        yield "is started again", new_run(state, back=state.tool.back)

    # -- the order

    def _after(self, stage: str, state: State) -> State:
        """Go on with the stage that follows."""
        position = self._order.index(stage) + 1
        return self._to(self._order[position] if position < len(self._order) else "rounds", state)

    def _to(self, at: str, state: State) -> State:
        """Go on there, or further on where there is nothing to do."""
        rows, tool = state
        if at in self._idle and self._idle[at](state):
            return self._after(at, state)
        if at == "flip":
            rows = tuple(
                row._replace(flip="wanted") if self._is_to_be_flipped(row) and not row.locked else row for row in rows
            )
            return self._next_flip(State(rows, tool))
        if at == "rounds":
            rows = tuple(row._replace(copy="", flip="") for row in rows)
            if not any(row.locked for row in rows):
                return self._all_taken_up(State(rows, tool))
        return State(rows, tool._replace(at=at))

    def _all_taken_up(self, state: State) -> State:
        """Look for losses where there may be some, else the run has come to its end."""
        end_of_migrating(state.rows, back=state.tool.back)
        then = State(tuple(forgotten(row) for row in state.rows), state.tool._replace(at="ended"))
        return then if self.guarded or state.tool.back else losses.begin(then)

    def _next_flip(self, state: State) -> State:
        """Flip the rows that are wanted, else one that is queued, else go on."""
        rows = state.rows
        if not any(row.flip == "wanted" for row in rows):
            queued = next((n for n, row in enumerate(rows) if row.flip == "queued"), None)
            if queued is None:
                return self._after("flip", state)
            rows = tuple(row._replace(flip="wanted") if n == queued else row for n, row in enumerate(rows))
        return State(rows, state.tool._replace(at="note" if self._notes(state) else "update"))

    def _notes(self, state: State) -> bool:
        return not self.guarded and not state.tool.back

    def _is_to_be_flipped(self, row: Row) -> bool:
        if row.result is not None:
            return False
        if self._order is COPY_AFTER_FLIP and row.copy == "to do":
            return True
        return isinstance(row.copy, Verdict) and Copied(row.copy).may_flip


def _is_to_be_looked_at(row: Row) -> bool:
    return row.flip in {"left", "busy"} or (row.copy in OUTCOME_OF and row.result is None)


_NEEDS_NO_WORD = (None, Outcome.MIGRATED)


def _matters(row: Row, tool: Tool) -> bool:
    return tool.at in _MATTERS and _MATTERS[tool.at](row, tool)


_MATTERS: dict[str, Callable[[Row, Tool], bool]] = {
    "begin": lambda _row, _tool: True,
    "copy": lambda row, _: is_on_its_way(row),
    "update": lambda row, _: row.flip == "wanted",
    "look": lambda row, _: _is_to_be_looked_at(row),
    "rounds": lambda row, _: row.locked,
    "losses: rows": lambda row, tool: row.lost or bool(row.ledgers[tool.asked].unsettled),
    "losses: objects": lambda row, _: row.accused,
}
"""At which steps of the tool's what the application does to which rows can make a difference.

All others do not touch rows and objects, or not these: to let the application act before them or after is the same, so
it acts after. (The rule is that of persistent sets.)
"""


def _with_row(state: State, number: int, row: Row) -> State:
    return State((*state.rows[:number], row, *state.rows[number + 1 :]), state.tool)


def flip_of(state: State, before: str, after: str) -> State:
    rows = tuple(row._replace(flip=after) if row.flip == before else row for row in state.rows)
    return State(rows, state.tool)


def is_on_its_way(row: Row) -> bool:
    return row.copy in {"to do", "looked", "taken"}


def _writes_nothing(row: Row) -> bool:
    return row.copy is not Verdict.COPIED
