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

from functools import partial
from typing import TYPE_CHECKING

from sketch_migrate.ledger import PastFlip, RecordedFlip, UnsettledCopy
from sketch_migrate.migration.copier import Copied, Need, Verdict, decide
from sketch_migrate.migration.flipping import standing, to_leave_out
from sketch_migrate.migration.iteration import is_harmless
from sketch_migrate.migration.overwritten import newest_made, set_by_another
from sketch_migrate.model import Location, Move, ObjectInfo, Outcome, Reference
from sketch_migrate.postgres.flip import Answer, Looked
from tests.exploration import application
from tests.exploration.promises import Broken, end_of_migrating, end_of_run, hold
from tests.exploration.state import APPLICATIONS, NEW, OLD, OTHER, OURS, Entry, Row, State, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Step = tuple[str, State]

AS_BUILT = ("open", "copy", "record", "flip", "look", "tell", "settle")
FLIP_BEFORE_LEDGER = ("open", "copy", "flip", "record", "look", "tell", "settle")
COPY_AFTER_FLIP = ("open", "record", "flip", "copy", "look", "tell", "settle")
NO_XID = "no xid"

_LEGACY = ObjectInfo(5, "0" * 32)
_PRODUCTION = {"": None, OURS: _LEGACY, APPLICATIONS: ObjectInfo(5, "f" * 32)}
_THERE = Move(Reference(0, OLD), NEW, Location("legacy", OLD), Location("production", NEW))
_BACK = Move(Reference(0, NEW), OLD, Location("production", NEW), Location("legacy", OLD))
_OUTCOME_OF = {Verdict.CONFLICT: Outcome.CONFLICT, Verdict.FAILED: Outcome.FAILED}
_XID_OF = {"committed": 1, "aborted": 2}
_COMMITTED = {1}


class Model:
    """All steps that are possible in a state.

    ``guarded``: the store has a condition that keeps a copy from replacing an object. ``order`` is that of the stages
    of an iteration; ``notes_xid`` and ``strikes_out_early`` are about the transaction. Others than the built ones are
    faults that must be found.
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
        first: State | None = None,
    ) -> None:
        self.guarded = guarded
        self._order = order
        self._notes_xid = notes_xid
        self._strikes_out_early = strikes_out_early
        tool = Tool(crashes=crashes, database_faults=database_faults)
        self.first = first or State((Row(copy_faults=copy_faults),) * rows, tool)
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
            "losses: rows": self._look_at_rows,
            "losses: objects": self._look_at_objects,
            "losses: ledger": self._report,
            "ended": self._go_back,
            "killed": self._start_again,
        }

    def steps(self, state: State) -> Iterator[Step]:
        """Yield what may happen next. Raises ``Broken``."""
        for n, row in enumerate(state.rows):
            if _matters(row, state.tool):
                for what, after in application.steps(row):
                    if self.guarded:
                        after = after._replace(object_first=False)  # only reports are about that
                    yield f"application, row {n}: {what}", _with_row(state, n, after)
        yield from self._late(state)
        if state.tool.at in self._do:
            yield from self._do[state.tool.at](state)
            if state.tool.crashes and state.tool.at not in {"begin", "ended", "killed"}:
                yield from _kill(state)

    # -- the database

    def _late(self, state: State) -> Iterator[Step]:
        """Transactions whose client is gone end some time."""
        for held in ("late", "dying"):
            if any(held in {row.held, *(entry.unsettled for entry in row.ledgers)} for row in state.rows):
                yield f"the {held} transaction is aborted", _end(state, held, committed=False)
                if held == "late" or state.tool.dying_commits:
                    yield f"the {held} transaction is committed", _end(state, held, committed=True)

    # -- a migration's iteration

    def _begin(self, state: State) -> Iterator[Step]:
        """Begin a run: its ledger is there. A rollback takes what ledgers tell of and rows hold."""
        tool = state.tool
        rows = tuple(row._replace(ledgers=(*row.ledgers, Entry(back=tool.back))) for row in state.rows)
        if not tool.back:
            rows = tuple(row._replace(copy="to do" if row.path == OLD else "") for row in rows)
            yield "begins", self._to(self._order[0], State(rows, tool))
            return
        for_now = tuple(_as_candidate(row) for row in rows)
        yield "begins a rollback", self._to("record", State(for_now, tool))

    def _open(self, state: State) -> Iterator[Step]:
        rows = tuple(row.noted(unsettled=NO_XID) if row.copy == "to do" else row for row in state.rows)
        yield "ledger: about to copy", self._after("open", State(rows, state.tool))

    def _copy(self, state: State) -> Iterator[Step]:
        begun = [n for n, row in enumerate(state.rows) if row.copy in {"looked", "taken"}]
        for n, row in enumerate(state.rows):
            if begun and n not in begun:
                continue
            for what, after in _copy_one(row, guarded=self.guarded, look_first=state.tool.again):
                then = _with_row(state, n, after)
                if not any(_is_on_its_way(each) for each in then.rows):
                    then = self._after("copy", then)
                yield f"row {n}: {what}", then

    def _record(self, state: State) -> Iterator[Step]:
        rows = tuple(
            row.noted(flip=True, denied=False) if self._is_ready(row) and row.result is None else row
            for row in state.rows
        )
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
        move = _BACK if state.tool.back else _THERE
        keys = [n for n, row in enumerate(state.rows) if row.flip == "wanted"]
        free = [n for n in keys if state.rows[n].path == move.reference.path and not state.rows[n].held]
        left_out = to_leave_out(Answer(frozenset(free)), keys if self._notes(state) else ())
        if left_out:
            rows = tuple(row._replace(flip="left") if n in left_out else row for n, row in enumerate(state.rows))
            yield "UPDATE, ROLLBACK: some rows are left out", self._next_flip(_rolled_back(State(rows, state.tool)))
        else:
            rows = tuple(row._replace(flip="set", held="us") if n in free else row for n, row in enumerate(state.rows))
            rows = tuple(row._replace(flip="left") if row.flip == "wanted" else row for row in rows)
            yield "UPDATE", State(rows, state.tool._replace(at="commit"))
        if state.tool.database_faults:
            yield "UPDATE is cut short", self._next_flip(_cut_short(state, keys))

    def _commit(self, state: State) -> Iterator[Step]:
        move = "us"
        done = _end(state, move, committed=True)
        yield "COMMIT", self._answered(_flip_of(done, "set", "flipped"))
        if not state.tool.database_faults:
            return
        tool = state.tool._replace(at="ask", database_faults=state.tool.database_faults - 1)
        for what, after in (
            ("done", done),
            ("not done", _end(state, move, committed=False)),
            ("done later", _handed_over(state, "late")),
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
            yield "flips again", self._next_flip(_flip_of(State(rows, state.tool), "unanswered", "wanted"))
            return
        fates = {row.entry().unsettled for row in unanswered}
        if fates == {"committed"}:
            yield "asks: committed", self._answered(_flip_of(state, "unanswered", "flipped"))
        elif fates == {"aborted"} or not fates:
            yield "asks: aborted", self._next_flip(_flip_of(state, "unanswered", "wanted"))

    def _answered(self, state: State) -> State:
        rows = tuple(
            _told(row._replace(doubtful=False), Outcome.MIGRATED) if row.flip == "flipped" else row
            for row in state.rows
        )
        then = State(rows, state.tool)
        if self._notes(state) and any(row.flip == "flipped" for row in rows):
            return State(rows, state.tool._replace(at="strike out"))
        return self._next_flip(_flip_of(then, "flipped", ""))

    def _strike_out(self, state: State) -> Iterator[Step]:
        rows = tuple(row.noted(unsettled="") if row.flip == "flipped" else row for row in state.rows)
        yield "ledger: strikes out", self._next_flip(_flip_of(State(rows, state.tool), "flipped", ""))

    def _look(self, state: State) -> Iterator[Step]:
        """Look again at the rows that no flip came back with, and at those whose object could not be brought."""
        move = _BACK if state.tool.back else _THERE
        rows: list[Row] = []
        for row in state.rows:
            after = row
            outcome, _ = standing(move, Looked({0: row.path}), unanswered=row.doubtful, waited=False)
            if row.flip in {"left", "busy"}:
                after = row._replace(locked=True) if outcome is None else _told(row, outcome)
            elif row.copy in _OUTCOME_OF and row.result is None:
                after = _told(row, _OUTCOME_OF[Verdict(row.copy)] if outcome is None else outcome)
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
        rows = tuple(
            row.noted(denied=True) if row.result not in {None, Outcome.MIGRATED} else row for row in state.rows
        )
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
        """Take up those locked rows that are free or changed by now; or give up, if the application holds the others."""
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
                _told(row._replace(locked=False), Outcome.FAILED).noted(denied=True) if row.locked else row
                for row in state.rows
            )
            yield "gives locked rows up", self._to("losses", State(rows, state.tool))

    # -- the end of a migration: what may a copy have replaced?

    def _look_at_rows(self, state: State) -> Iterator[Step]:
        """Look at the rows of a run's unsettled copies; a transaction in progress is waited for."""
        asked = state.tool.asked
        entries = [row.ledgers[asked] for row in state.rows]
        if any(entry.unsettled in {"open", "late", "dying"} for entry in entries):
            return
        rows = tuple(
            row._replace(
                accused=bool(row.ledgers[asked].unsettled) and self._suspects(row, asked, known=False),
                to_report=row.to_report or _can_be_seen(row, asked),
            )
            for row in state.rows
        )
        yield f"looks at the rows of run {asked}", State(rows, state.tool._replace(at="losses: objects"))

    def _look_at_objects(self, state: State) -> Iterator[Step]:
        """Look at the ledgers, and at what production holds."""
        asked = state.tool.asked
        if any(entry.unsettled in {"open", "late", "dying"} for row in state.rows for entry in row.ledgers):
            return
        rows = tuple(
            row._replace(
                accused=row.accused
                and self._suspects(row, asked, known=True)
                and decide(_LEGACY, _PRODUCTION[row.production], overwrite=False) is Need.NOTHING
            )
            for row in state.rows
        )
        yield f"looks at the objects of run {asked}", State(rows, state.tool._replace(at="losses: ledger"))

    def _suspects(self, row: Row, asked: int, *, known: bool) -> bool:
        """Whether somebody else has set a row. ``known`` asks also what other runs made, and what they reported."""
        own = asked == len(row.ledgers) - 1
        copy = UnsettledCopy(0, OLD, NEW, _XID_OF.get(row.ledgers[asked].unsettled))
        newest = None
        if known:
            if not own and any(entry.reported for entry in row.ledgers):
                return False
            recorded = [_recorded(entry, n) for n, entry in enumerate(row.ledgers) if entry.flip]
            newest = newest_made(recorded, _COMMITTED).get(0)
        # what was seen of the row a step ago is not looked at once more
        return set_by_another(copy, NEW if known else row.path, _COMMITTED, newest)

    def _report(self, state: State) -> Iterator[Step]:
        asked = state.tool.asked
        rows = tuple(_reported(row) if row.accused else row for row in state.rows)
        if asked == len(rows[0].ledgers) - 1:
            rows = tuple(row.noted(unsettled="") for row in rows)
        yield "ledger: reports", self._ask_about_next(State(rows, state.tool))

    def _ask_about(self, run: int, state: State) -> State:
        """Look for losses of a run; there is nothing to look at where its ledger has no unsettled copy."""
        tool = state.tool._replace(at="losses: rows", asked=run)
        if any(row.ledgers[run].unsettled for row in state.rows):
            return State(state.rows, tool)
        rows = tuple(row._replace(to_report=row.to_report or _can_be_seen(row, run)) for row in state.rows)
        return self._ask_about_next(State(rows, tool))

    def _ask_about_next(self, state: State) -> State:
        asked, last = state.tool.asked, len(state.rows[0].ledgers) - 1
        following = 0 if asked == last else asked + 1
        if following < last:
            return self._ask_about(following, state)
        end_of_run(state.rows)
        rows = tuple(row._replace(lost=False, lost_in=0, to_report=False, object_first=False) for row in state.rows)
        return State(rows, state.tool._replace(at="ended", asked=0))

    # -- between runs

    def _go_back(self, state: State) -> Iterator[Step]:
        if not state.tool.back and not any(row.held in {"late", "dying"} for row in state.rows):
            yield "the rollback is started", _new_run(state, back=True)

    def _start_again(self, state: State) -> Iterator[Step]:
        yield "is started again", _new_run(state, back=state.tool.back)

    # -- the order

    def _after(self, stage: str, state: State) -> State:
        """Go on with the stage that follows."""
        position = self._order.index(stage) + 1
        return self._to(self._order[position] if position < len(self._order) else "rounds", state)

    def _to(self, at: str, state: State) -> State:
        """Go on there, or further on where there is nothing to do."""
        rows, tool = state
        if at == "open" and (self.guarded or not any(row.copy == "to do" for row in rows)):
            return self._after(at, state)
        if at == "copy" and not any(_is_on_its_way(row) for row in rows):
            return self._after(at, state)
        if at == "record" and not any(self._is_ready(row) and row.result is None for row in rows):
            return self._after(at, state)
        if at == "flip":
            wanted = tuple(
                row._replace(flip="wanted") if self._is_ready(row) and row.result is None and not row.locked else row
                for row in rows
            )
            return self._next_flip(State(wanted, tool))
        if at == "tell" and all(row.result in {None, Outcome.MIGRATED} for row in rows):
            return self._after(at, state)
        if at == "settle" and (self.guarded or tool.back):
            return self._after(at, state)
        if at == "look" and not any(
            row.flip in {"left", "busy"} or (row.copy in _OUTCOME_OF and row.result is None) for row in rows
        ):
            return self._after(at, state)
        if at == "rounds":
            rows = tuple(row._replace(copy="", flip="") for row in rows)
            if not any(row.locked for row in rows):
                at = "losses"
        if at == "losses":
            end_of_migrating(rows, back=tool.back)
            rows = tuple(_forgotten(row) for row in rows)
            if self.guarded or tool.back:
                at = "ended"
            else:
                return self._ask_about(len(rows[0].ledgers) - 1, State(rows, tool))
        return State(rows, tool._replace(at=at))

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

    def _is_ready(self, row: Row) -> bool:
        if self._order is COPY_AFTER_FLIP and row.copy == "to do":
            return True
        return isinstance(row.copy, Verdict) and Copied(row.copy).may_flip


def _matters(row: Row, tool: Tool) -> bool:
    """Whether the tool's next step can depend on what the application does to a row now."""
    match tool.at:
        case "begin":
            return True
        case "copy":
            return _is_on_its_way(row)
        case "update":
            return row.flip == "wanted"
        case "look":
            return row.flip in {"left", "busy"} or row.copy in _OUTCOME_OF
        case "rounds":
            return row.locked
        case "losses: rows":
            return row.lost or bool(row.ledgers[tool.asked].unsettled)
        case "losses: objects":
            return row.accused
        case _:
            return False


def _with_row(state: State, number: int, row: Row) -> State:
    return State((*state.rows[:number], row, *state.rows[number + 1 :]), state.tool)


def _flip_of(state: State, before: str, after: str) -> State:
    rows = tuple(row._replace(flip=after) if row.flip == before else row for row in state.rows)
    return State(rows, state.tool)


def _is_on_its_way(row: Row) -> bool:
    return row.copy in {"to do", "looked", "taken"}


def _writes_nothing(row: Row) -> bool:
    return row.copy is not Verdict.COPIED


def _copy_one(row: Row, *, guarded: bool, look_first: bool) -> Iterator[tuple[str, Row]]:
    """Yield the next steps of one object's copy."""
    written = row._replace(production=OURS)
    if row.production == APPLICATIONS:
        written = written._replace(lost=True, lost_in=len(row.ledgers) - 1)
    failed = row._replace(copy_faults=0, disturbed=True, copy=Verdict.FAILED)
    in_the_way = guarded and bool(row.production)
    if row.copy == "taken" or (row.copy == "to do" and (look_first or not guarded)):
        decision = decide(_LEGACY, _PRODUCTION[row.production], overwrite=False)
        if isinstance(decision, Copied):
            yield f"looks: {decision.verdict.value}", row._replace(copy=decision.verdict)
        elif decision is Need.NOTHING:
            yield "looks: in place", row._replace(copy=Verdict.IN_PLACE)
        else:
            yield "looks: nothing there", row._replace(copy="looked")
    elif row.copy in {"to do", "looked"}:
        after = row._replace(copy="taken") if in_the_way else written._replace(copy=Verdict.COPIED)
        yield "copies", after
        if row.copy_faults:
            yield "copies, in vain", failed
            if not in_the_way:
                hurt = written._replace(copy_faults=0, disturbed=True)
                yield "copies, and is told that it failed", hurt._replace(copy=Verdict.FAILED)
                yield "copies, without an answer: it is sent again", hurt


def _as_candidate(row: Row) -> Row:
    """Take a row up for the way back, if a ledger tells of a flip that came about, and it holds that path."""
    recorded = [_recorded(entry, n) for n, entry in enumerate(row.ledgers) if entry.flip and not entry.back]
    if any(not each.denied and row.path == each.flip.new_path for each in recorded):
        return row._replace(copy=Verdict.IN_PLACE)
    return row._replace(result=Outcome.SUPERSEDED)


def _recorded(entry: Entry, number: int) -> RecordedFlip:
    """Return a flip as a later run reads it."""
    flip = PastFlip(0, OLD, NEW, "", float(number))
    return RecordedFlip(flip, entry.denied, bool(entry.unsettled), _XID_OF.get(entry.unsettled))


def _told(row: Row, outcome: Outcome) -> Row:
    if outcome is Outcome.MIGRATED:
        made = row.undone if row.entry().back else row.flipped
        hold(made or row.doubtful, "a row is called migrated that no flip of ours has set")
    return row._replace(result=outcome)


def _can_be_seen(row: Row, asked: int) -> bool:
    """Whether a run that looks now can see that something was lost, in itself or in the run that is asked about."""
    last = len(row.ledgers) - 1
    by_the_application = row.path == NEW and row.set_by == APPLICATIONS and not row.flipped
    return row.lost and by_the_application and (asked in {row.lost_in, last})


def _reported(row: Row) -> Row:
    hold(row.set_by == APPLICATIONS, "our own flip is reported as the application's")
    hold(row.lost or not row.object_first, "a loss is reported that was none")
    return row.noted(reported=True)._replace(accused=False)


def _end(state: State, held: str, *, committed: bool) -> State:
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
    if back:
        hold(
            row.set_by != APPLICATIONS or row.flipped or row.unclear,
            "a rollback takes back what the application had set",
        )
    hold(any(entry.flip and entry.back == back for entry in row.ledgers), "a committed flip is not on record")
    if not back:
        hold(bool(row.production), "a row was flipped to an object that is not there")
    return row._replace(path=OLD if back else NEW, set_by=OURS, flipped=row.flipped or not back, undone=back)


def _handed_over(state: State, to: str) -> State:
    """The transaction under way loses its client; the server does not know yet."""
    rows: list[Row] = []
    for row in state.rows:
        ledgers = tuple(entry._replace(unsettled=to) if entry.unsettled == "open" else entry for entry in row.ledgers)
        rows.append(row._replace(held=to if row.held == "us" else row.held, ledgers=ledgers))
    return State(tuple(rows), state.tool)


def _rolled_back(state: State) -> State:
    return _end(state, "us", committed=False)


def _cut_short(state: State, keys: list[int]) -> State:
    """The flip is rolled back, and halved; a row alone is busy."""
    first, *others = keys
    rows = tuple(
        row._replace(flip=("wanted" if others else "busy") if n == first else "queued", disturbed=True)
        if n in keys
        else row
        for n, row in enumerate(state.rows)
    )
    return _rolled_back(State(rows, state.tool._replace(database_faults=state.tool.database_faults - 1)))


def _forgotten(row: Row) -> Row:
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


def _kill(state: State) -> Iterator[Step]:
    for commits in (False, True) if state.tool.at == "commit" else (False,):
        left = _handed_over(state, "dying")
        rows = tuple(
            _forgotten(row)._replace(unclear=row.unclear or (row.entry().flip and not row.entry().denied))
            for row in left.rows
        )
        tool = state.tool._replace(at="killed", crashes=0, dying_commits=commits, again=False, asked=0)
        yield f"KILLED{', its COMMIT is on the way' if commits else ''}", State(rows, tool)


def _new_run(state: State, *, back: bool) -> State:
    tool = state.tool._replace(at="begin", run=state.tool.run + 1, back=back, again=False, asked=0)
    rows = tuple(row._replace(disturbed=row.stored or bool(row.update)) for row in state.rows)
    if back and not state.tool.back:
        rows = tuple(_on_the_way_back(row) for row in rows)
    return State(rows, tool)


def _on_the_way_back(row: Row) -> Row:
    """Forget what no rollback and no promise about it asks for: so there are fewer states."""
    ledgers = tuple(Entry(flip=entry.flip, denied=entry.denied) for entry in row.ledgers)
    return row._replace(copy_faults=0, object_first=False, lost=False, lost_in=0, to_report=False, ledgers=ledgers)


__all__ = ["AS_BUILT", "COPY_AFTER_FLIP", "FLIP_BEFORE_LEDGER", "Broken", "Model", "partial"]
