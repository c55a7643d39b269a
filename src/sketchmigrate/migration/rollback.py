"""The way back: references that ledgers tell of are set to their old path, if they still hold the new one.

It is a migration the other way. The rows come from ledgers instead of the table, the newest flip first, with the value
that each had before; an object is looked for in legacy instead of copied. A ledger may list flips that never happened
or that are undone already: what the row holds now decides.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.keys import is_before, key_text
from sketchmigrate.core.mapping import Move, ObjectPair, Planned
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Key, Reference
from sketchmigrate.ledger.contract import PAGE_FLIPS
from sketchmigrate.migration.copier import Copied, Copier, Verdict
from sketchmigrate.migration.locked import take_up_locked
from sketchmigrate.migration.passes import full_batch
from sketchmigrate.migration.planning import Forward
from sketchmigrate.migration.preflight import check_all_reading
from sketchmigrate.migration.record import key_of
from sketchmigrate.migration.runner import Finished, Migration, take_through

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence

    from sketchmigrate.core.reason import Reason
    from sketchmigrate.ledger import Ledger, PastFlip, PastRun
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.references import References
    from sketchmigrate.settings import Options
    from sketchmigrate.sides import Sides


def legacy_finder(moves: Sequence[Sides], options: Options, stop: Stop) -> LegacyFinder:
    """Return what looks for legacy objects of these moves."""
    check = partial(check_all_reading, moves)
    return LegacyFinder(moves[0], check, overwrite=False, dry_run=options.dry_run, stop=stop)


class LegacyFinder(Copier):
    """Looks whether the object that a row shall point at again is there. It copies nothing."""

    async def _bring(self, move: Move, *, look_first: bool) -> Copied:  # noqa: ARG002 - it only ever looks
        if await self._legacy.find(move.target) is None:
            return Copied(Verdict.MISSING, because(ReasonKind.NOTHING_TO_GO_BACK_TO, object=str(move.target)))
        return Copied(Verdict.IN_PLACE)

    async def unguarded(self) -> bool:
        """No: there is no copy."""
        return False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows to set back: those among ``keys``, where given, from ``first`` to ``last``, both included.

    Of keys that travel as texts they are texts that equal keys share.

    Texts are ordered by their code points, uuids by their value, and keys of other types as the database has them.
    """

    keys: frozenset[Key] | None = None
    first: Key | None = None
    last: Key | None = None

    @property
    def is_all(self) -> bool:
        """Whether all rows are meant."""
        return self.keys is None and self.first is None and self.last is None

    async def among(self, keys: Sequence[Key], references: References) -> set[Key]:
        """Return those of the keys that are meant. Raises what ``Session.run`` raises."""
        if self.is_all:
            return set(keys)
        if references.table.key.is_native:
            return {
                key
                for key in keys
                if (self.keys is None or key in self.keys)
                and (self.first is None or not is_before(key, self.first))
                and (self.last is None or not is_before(self.last, key))
            }
        if self.keys is not None:
            shared = zip(keys, await references.equalised(keys), strict=True)
            keys = [key for key, text in shared if text in self.keys]
        if self.first is None and self.last is None:
            return set(keys)
        return await references.between(keys, self.first, self.last)


async def select(
    references: References, listed: Sequence[str] | None, first: str | None, last: str | None
) -> Selection:
    """Return the selection that a person wrote. Raises ``UsageError``, and what ``Session.run`` raises."""

    async def read(typed: Sequence[str]) -> list[Key]:
        if references.table.key.is_native:
            return [key_of(references.table, each) for each in typed]
        return await references.equalised(typed)

    bounds = [None if bound is None else (await read([bound]))[0] for bound in (first, last)]
    return Selection(None if listed is None else frozenset(await read(listed)), *bounds)


class WayBack:
    """Plans the way back of the rows of one source, whose old values are on record; see ``planning.Planner``.

    What was prepared for a row is kept until it is planned; of one that is taken up again this run's ledger tells.
    """

    def __init__(self, source: SourceTable, ledger: Ledger) -> None:
        self._source, self._ledger = source, ledger
        self._prepared: dict[Key, Move] = {}

    async def prepare(self, flips: Sequence[tuple[Reference, str]], references: References) -> dict[Key, Move]:
        """Return the way back of rows from their value to the old one, as far as these settings lead there."""
        forward, source = Forward(self._source), self._source
        olds = [Reference(row.key, old) for row, old in flips]
        there = {move.reference.key: move for move in (await forward.plan(olds, references)).moves}
        found: dict[Key, Move] = {}
        for row, _ in flips:
            move = there.get(row.key)
            if move is not None and move.new_path != row.path:
                move = source.mapping.moved_to(move, row.path) if source.mapping.partial else None
            if move is not None:
                found[row.key] = _turned(row, move)
        return found

    def keep(self, moves: Iterable[Move]) -> None:
        """Keep what was prepared until it is planned."""
        self._prepared |= {move.reference.key: move for move in moves}

    async def plan(self, rows: Sequence[Reference], references: References) -> Planned:
        """See ``planning.Planner``."""
        planned = {row.key: self._prepared.pop(row.key) for row in rows if row.key in self._prepared}
        again = [row for row in rows if row.key not in planned]
        olds: dict[Key, str] = {}
        if again:
            olds = await self._ledger.new_paths([row.key for row in again])
            planned |= await self.prepare([(row, olds[row.key]) for row in again if row.key in olds], references)
        return Planned(
            [planned[row.key] for row in rows if row.key in planned],
            [
                (row, because(ReasonKind.LEADS_ELSEWHERE, path=olds.get(row.key, "")))
                for row in again
                if row.key not in planned
            ],
        )


def _turned(row: Reference, move: Move) -> Move:
    """Return the way back of a move."""
    first, *more = [ObjectPair(pair.target, pair.source, pair.is_companion) for pair in move.pairs]
    return Move(row, move.reference.path, first.source, first.target, tuple(more), move.references)


async def roll_back(backs: Sequence[Migration], runs: Sequence[PastRun], selection: Selection) -> Finished:
    """Set the selected rows of these runs back, at most the limit of them, one source after the other.

    The planner of each is a ``WayBack``.

    Rows that hold something else than the ledger's new value do not count for the limit, so that a rollback in portions
    gets on. Ends early when a stop is requested; whether that was an error, the ``Stop`` tells.
    """
    tallies: list[Tally] = []
    rows_left = False
    limit = backs[0].options.limit or None
    for back in backs:
        so_far = sum((taken(tally) for tally in tallies), 0)
        if back.stop.requested or rows_left:
            break
        back.begin()
        left = None if limit is None else limit - so_far
        tally, rows_left = await restore(back, Flips(runs, back.source.source.number, selection), runs, limit=left)
        tallies.append(tally)
    total = sum(tallies, Tally())
    return Finished(total, passes=1, rows_left=rows_left or backs[0].stop.requested, sources=tuple(tallies))


class Pages(Protocol):
    """Where recorded flips come from, the newest first."""

    def pages(self, references: References) -> AsyncIterator[list[PastFlip]]:
        """Yield those that are meant, page by page."""


@dataclass(frozen=True, slots=True)
class Flips:
    """The flips of a source that runs have on record, of the rows of a selection."""

    runs: Sequence[PastRun]
    source: int
    selection: Selection
    page_flips: int = PAGE_FLIPS

    async def pages(self, references: References) -> AsyncIterator[list[PastFlip]]:
        """See ``Pages``."""
        for run in self.runs:
            async for page in run.newest_first(source=self.source, page_flips=self.page_flips):
                keyed = [(key_of(references.table, flip.key), flip) for flip in page]
                meant = await self.selection.among([key for key, _ in keyed], references)
                yield [flip for key, flip in keyed if key in meant]


async def restore(back: Migration, flips: Pages, runs: Sequence[PastRun], *, limit: int | None) -> tuple[Tally, bool]:
    """Set the rows of these flips back, at most so many; return the tally, and whether the limit left some.

    ``runs`` are asked for further flips of a row of which each may have moved a part.
    """
    with closing(_GivenOut()) as given_out:
        reader = _Reader(back, flips, runs, given_out=given_out, limit=limit)
        tally = await take_through(back, reader.batches) + await take_up_locked(back)
    return tally + reader.tally, reader.rows_left


def taken(tally: Tally) -> int:
    """Return how many rows counted for the limit."""
    return tally.scanned - tally.already - tally.superseded


class _GivenOut:
    """The rows that were given out: several runs may have flipped a row, and it is set back once.

    They are in a file of SQLite's own that is gone when it is closed (sqlite.org, "Temporary Databases"): memory does
    not grow with them.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE given_out (key PRIMARY KEY) WITHOUT ROWID")

    def known(self, keys: Iterable[Key]) -> set[Key]:
        """Return those that were given out before, and take note of the others."""
        names = {key_text(key): key for key in keys}
        among = json.dumps(list(names))
        known = self._database.execute(
            "SELECT key FROM given_out WHERE key IN (SELECT value FROM json_each(?))", [among]
        )
        found = {names[name] for (name,) in known}
        self._database.execute("INSERT OR IGNORE INTO given_out SELECT value FROM json_each(?)", [among])
        return found

    def close(self) -> None:
        """Forget them."""
        self._database.close()


class _Reader:
    """Reads ledgers and the rows as they are now; gives out those that can go back, and keeps count of the others."""

    def __init__(
        self,
        back: Migration,
        flips: Pages,
        runs: Sequence[PastRun],
        *,
        given_out: _GivenOut,
        limit: int | None,
    ) -> None:
        self.tally = Tally()
        self.rows_left = False
        assert isinstance(back.planner, WayBack)  # noqa: S101 - it is a rollback
        self._back, self._way, self._flips, self._runs = back, back.planner, flips, runs
        self._given_out, self._limit = given_out, limit

    async def batches(self, references: References) -> AsyncGenerator[list[Reference]]:
        """Yield batches of references that hold the path of a recorded flip."""
        limit = self._limit
        taken = 0
        waiting: list[Reference] = []
        async for found in self._candidates(references):
            if limit is not None and taken + len(found) > limit:
                found, self.rows_left = found[: limit - taken], True  # noqa: PLW2901 - as far as it is wanted
            taken += len(found)
            waiting += found
            while rows := full_batch(waiting, self._back.pace.batch_rows(self._back.tuning.batch_rows)):
                batch, waiting = waiting[:rows], waiting[rows:]
                yield batch
            if self.rows_left or self._back.stop.requested:
                break
        if waiting:
            yield waiting

    async def _candidates(self, references: References) -> AsyncGenerator[list[Reference]]:
        async for page in self._flips.pages(references):
            yield await self._sift(page, references)

    async def _sift(self, page: list[PastFlip], references: References) -> list[Reference]:
        """Return the references of a page of flips that can go back, and take note of all others."""
        table = self._back.table
        # the key that a row has now: another one than on record, where its path is its key
        flips = [(table.key_after(key_of(table, flip.key), flip.new_path), flip) for flip in page]
        now = await references.look_up_flipped({key: flip.old_path for key, flip in flips}, doing="reading references")
        newest = {key: flip for key, flip in reversed(flips) if now.get(key) == flip.new_path}
        olds = {key: flip.old_path for key, flip in newest.items()}
        if self._back.source.mapping.partial:
            olds = self._first_of(newest)
        there = [(Reference(key, flip.new_path), olds[key]) for key, flip in newest.items()]
        leads = await self._way.prepare(there, references)
        candidates: dict[Key, Reference] = {}
        others: list[Result] = []
        for key, flip in flips:
            reference = Reference(key, flip.new_path)
            if key in candidates:
                others.append(Result(reference, Outcome.ALREADY, because(ReasonKind.RECORDED_TWICE)))
            elif result := left_alone(flip, now.get(key), leads_back=key in leads):
                outcome, reason = result
                shown = now[key] if outcome is Outcome.FAILED and now.get(key) is not None else flip.new_path
                others.append(Result(Reference(key, shown or ""), outcome, reason))
            else:
                candidates[key] = reference
        known = self._given_out.known(candidates)
        undone = because(ReasonKind.UNDONE_BY_ANOTHER_RUN)
        others += [Result(candidates.pop(key), Outcome.ALREADY, undone) for key in known]
        self._way.keep(leads[key] for key in candidates)
        to_record = [result for result in others if result.outcome is not Outcome.ALREADY]
        if to_record:
            await self._back.ledger.record_not_flipped(to_record)
        counted = Tally.of(others)
        self.tally += counted
        self._back.observe(len(page) - len(candidates), counted, others)
        return list(candidates.values())

    def _first_of(self, newest: Mapping[Key, PastFlip]) -> dict[Key, str]:
        """Return the value that each row had before the first of its flips, of which each may have moved a part."""
        source = self._back.source.source.number
        stored = {flip.key: key for key, flip in newest.items()}
        before: dict[tuple[Key, str], str] = {}
        for run in self._runs:
            for recorded in run.flips_of(stored, source=source):
                flip = recorded.flip
                before[stored[flip.key], flip.new_path] = flip.old_path
        firsts: dict[Key, str] = {}
        for key, flip in newest.items():
            value, seen = flip.old_path, {flip.new_path}
            while (key, value) in before and value not in seen:
                seen.add(value)
                value = before[key, value]
            firsts[key] = value
        return firsts


def left_alone(flip: PastFlip, present_path: str | None, *, leads_back: bool) -> tuple[Outcome, Reason] | None:
    """Return why a recorded flip is not to be undone where its row holds this path; None: it is. Pure.

    ``leads_back``: by these settings the row's value comes from the one on record.
    """
    if present_path == flip.new_path:
        if leads_back:
            return None
        return Outcome.FAILED, because(ReasonKind.LEADS_ELSEWHERE, path=flip.old_path)
    if present_path == flip.old_path:
        return Outcome.ALREADY, because(ReasonKind.HOLDS_OLD_PATH)
    if flip.stored_otherwise and present_path is not None:
        paths = {"new_path": flip.new_path, "path": present_path}
        return Outcome.FAILED, because(ReasonKind.STORED_OTHERWISE, **paths)
    return Outcome.SUPERSEDED, because(ReasonKind.CHANGED_SINCE)
