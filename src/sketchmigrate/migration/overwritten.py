"""What copies without a condition may have replaced: found out at the end of a run, for past runs as well.

Where the bucket keeps versions, the copy itself tells (``transfer``). Elsewhere only the rows can: an application that
stores an object sets the row to it. So every reference is in the ledger from before such a copy until we set its row
(``unsettled``), with the transaction that is about to set the row, struck out after its COMMIT; what is left, in our
ledger or in that of a run which was stopped or killed, is looked at here. A loss is possible where

- the row holds the production path,
- no ledger below RUN_DIR knows of a run that set it, nor was a transaction committed that is noted there: then the
  application did. So two runs at once tell each other's work from the application's,
- and production holds what we copied: what was stored after that stays.

What became of a transaction the database tells (``pg_xact_status``). One under way is asked for again; of one that it
does not know any more nothing is known, and what may be lost is reported.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sketchmigrate.core.errors import MigrateError, S3Error
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.reason import ReasonKind, because, refused_by_store
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger.account import ENDED
from sketchmigrate.ledger.etags import etags_of
from sketchmigrate.migration.no_clobber import Means
from sketchmigrate.migration.record import is_rollback, key_of
from sketchmigrate.migration.transfer import keeps_versions, replaced_version, version_before
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.transactions import transaction_statuses
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.ledger import PastFlip, PastRun, RecordedFlip, UnsettledCopy
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.runner import Migration
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.s3 import S3Client

PAGE_ROWS = 1_000
"""Unsettled references that are looked at together."""

LOOKS_AT_ONCE = 16
"""Objects that are looked at together: some may have to be compared by their bytes, which are in memory then."""

ASK_AGAIN_SECONDS = 0.5


Runs: TypeAlias = "Callable[[Path | None], Iterable[PastRun]]"


async def settle(migrations: Sequence[Migration], store: S3Client, runs: Runs, own: Path) -> list[Tally]:
    """Report what this run, and past ones that were cut short, may have overwritten; return how many, by source.

    Notes that the run has come to its end, when it has and nothing stopped it.

    ``runs`` yields the runs over this table, each open until the next, and ours among them, whose directory is ``own``.
    They come the oldest first, after the one whose directory it is given.
    An error is noted in the ``Stop``: then the next run finds what is left.
    """
    tallies = [Tally() for _ in migrations]
    stop, database, ledger = migrations[0].stop, migrations[0].database, migrations[0].ledger
    try:
        for number, migration in enumerate(migrations):
            migration.begin()
            settling = _Settling(migration, store, runs, own)
            async with database.session() as session:
                for run in runs(own):  # ours first: what we have reported of it is not reported for another run as well
                    tallies[number] += await settling.go_through(run, session)
        if not stop.requested:  # else flips of rows that were locked may be on record and not made
            await ledger.describe({ENDED: "true"})
    except MigrateError as error:
        stop.by_error(error)
    return tallies


@dataclass(frozen=True, slots=True)
class _Settling:
    migration: Migration
    store: S3Client
    runs: Runs
    own: Path

    @property
    def _source(self) -> int:
        return self.migration.source.source.number

    async def go_through(self, run: PastRun, session: Session) -> Tally:
        tally = Tally()
        ledger = self.migration.ledger
        after: StoredKey | None = None
        while page := run.unsettled(after, PAGE_ROWS, source=self._source):
            after = page[-1].key
            if results := await self._suspicious(run, page, session):
                await ledger.record_not_flipped(results)
                tally += Tally(possibly_overwritten=len(results))
            if run.directory == self.own:
                keys = [key_of(self.migration.table, each.key) for each in page]
                await ledger.settle_copies(keys)
        return tally

    async def _suspicious(self, run: PastRun, page: Sequence[UnsettledCopy], session: Session) -> list[Result]:
        """Look at the rows, then at who set them: in this order a run at the same time has it on record by then."""
        committed = await self._committed({each.xid for each in page if each.xid is not None}, session)
        unsettled = {each.key: each for each in page}
        references = References(session, self.migration.table)
        moves = await self._moves([each for each in page if each.xid not in committed], references)
        now = await references.look_up_flipped({move.reference.key: move.new_path for move in moves.values()})
        set_rows = {
            key: move
            for key, move in moves.items()
            if set_by_another(unsettled[key], now.get(move.reference.key), committed, None)
        }
        if not set_rows:
            return []
        made, passed_over = await self._known(set_rows.keys(), run.directory, session)
        etags = {each.flip.key: each.flip.etag for each in run.flips_of(set_rows, source=self._source)}
        suspects = [
            (move, etags.get(key, ""))
            for key, move in set_rows.items()
            if key not in passed_over and set_by_another(unsettled[key], move.new_path, committed, made.get(key))
        ]
        results: list[Result] = []
        for first in range(0, len(suspects), LOOKS_AT_ONCE):
            some = suspects[first : first + LOOKS_AT_ONCE]
            looks = [perhaps_overwritten(self.store, self.migration.copier, move, etag) for move, etag in some]
            reasons = await all_of(looks)
            results += [
                Result(move.reference, Outcome.ALREADY, reason)
                for (move, _), reason in zip(some, reasons, strict=True)
                if reason
            ]
        return results

    async def _moves(self, page: Sequence[UnsettledCopy], references: References) -> dict[StoredKey, Move]:
        """Plan the rows again; one that cannot be any more, as its column has become shorter, is left out."""
        keys = {key_of(self.migration.table, each.key): each for each in page}
        rows = [Reference(key, each.path) for key, each in keys.items()]
        planned = await self.migration.planner.plan(rows, references)
        return {keys[move.reference.key].key: move for move in planned.moves}

    async def _known(
        self, keys: Collection[StoredKey], about: Path, session: Session
    ) -> tuple[dict[StoredKey, PastFlip], set[StoredKey]]:
        """Return the newest flip of each key that a run is known to have made, there or back; and what needs no report.

        That is what was reported before, of a run that is not ours.
        """
        recorded: list[RecordedFlip] = []
        reported: set[StoredKey] = set()
        for run in self.runs(None):
            if about != self.own:
                reported |= run.reported_overwritten(keys, source=self._source)
            if run.directory == self.own or _tells_what_it_made(run):
                recorded += run.flips_of(keys, source=self._source)
        committed = await self._committed({each.xid for each in recorded if each.xid is not None}, session)
        return newest_made(recorded, committed), reported

    async def _committed(self, xids: Collection[int], session: Session) -> set[int]:
        """Return those of the transactions that were committed; one under way is waited for, unless the run stops."""
        while xids:
            statuses = await session.run(transaction_statuses, xids, doing="asking what became of transactions")
            stop = self.migration.stop
            if stop.requested or "in progress" not in statuses.values():
                return {xid for xid, status in statuses.items() if status == "committed"}
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN_SECONDS):
                    await stop.event.wait()
        return set()


def set_by_another(
    copy: UnsettledCopy, present_path: str | None, committed: Collection[int], newest: PastFlip | None
) -> bool:
    """Whether somebody else than a run of ours has set the row of an unsettled copy to the production path. Pure.

    ``committed`` are the transactions that were, ``newest`` is the newest flip of the row that a run is known to have
    made, if one is.
    """
    if copy.xid in committed or present_path != copy.new_path:
        return False
    return newest is None or newest.new_path != copy.new_path


def newest_made(recorded: Iterable[RecordedFlip], committed: Collection[int]) -> dict[StoredKey, PastFlip]:
    """Return the newest flip of each key that came about, where these transactions were committed. Pure."""
    newest: dict[StoredKey, PastFlip] = {}
    for each in recorded:
        flip = each.flip
        if each.was_made(committed) and (flip.key not in newest or flip.unix_time >= newest[flip.key].unix_time):
            newest[flip.key] = flip
    return newest


def _tells_what_it_made(run: PastRun) -> bool:
    """Whether a flip that nothing in the run's ledger speaks against was made.

    A run without a condition notes its transactions; of one with a condition that holds once it has ended.
    """
    about = run.description
    return about.get("no_clobber") == Means.CHECK_FIRST or ENDED in about or is_rollback(run)


async def perhaps_overwritten(store: S3Client, copier: Copier, move: Move, our_etags: str) -> Reason | None:
    """Return what to tell a person of an object that we copied and whose row somebody else has set, or None.

    ``our_etags`` is what the ledger has of our copies. Where one is not known, the object is compared with its source.
    """
    etags = etags_of(our_etags, [pair.target.key for pair in move.pairs])
    for pair in move.pairs:
        reason = await _perhaps_overwritten(
            store, copier, move._replace(source=pair.source, target=pair.target), etags[pair.target.key]
        )
        if reason is not None:
            return reason
    return None


async def _perhaps_overwritten(store: S3Client, copier: Copier, move: Move, our_etag: str) -> Reason | None:
    """Return what to tell of one object of a row."""
    target = move.target
    try:
        production = await store.find(target)
        if production is None:
            return None
        written_later = production.etag != our_etag if our_etag else await copier.differs(move)
        if written_later:
            return None  # and stays
        if keeps_versions(production):
            before = await version_before(store, target, production.etag)
            return replaced_version(target, before) if before else None
    except S3Error as error:
        return refused_by_store(error, ReasonKind.PERHAPS_REPLACED_UNSEEN).adding(target=str(target))
    return because(ReasonKind.PERHAPS_REPLACED, target=str(target))
