"""What a ledger is to those who write it: the migration, a worker with one range after the other, the whole run.

``sqlite`` has it in files of the run's directory, ``postgres`` in tables that several machines reach.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.outcome import Outcome, Problem, ProblemGroup, Result, Tally
from sketchmigrate.core.reason import POSSIBLY_OVERWRITTEN, ReasonKind, reason_from_stored
from sketchmigrate.ledger.values import unpack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.reference import Key, KeyRange, Reference
    from sketchmigrate.core.sample import Sample

PAGE_FLIPS = 5_000
"""Flips read at once: some megabytes, and a few milliseconds of a thread."""

OVERWRITTEN_SENTENCE = f"{POSSIBLY_OVERWRITTEN}: "
"""How the reason of a reference begins in ledgers of earlier editions whose object our copy may have replaced."""

STORED_OTHERWISE = "a trigger stored another path"
"""The reason in ledgers of versions that committed such a flip. Later ones roll it back, and say it in other words."""

MOST_GROUPS = 20
"""Reasons are counted by kind, code and hint, and a hint may name what only one object has."""

PROBLEM_COLUMNS = ("key", "path", "outcome", "reason", "kind", "code", "status", "hint", "source")
"""Of problems.csv: ``reason`` is the sentence, and ``source`` a name."""

NEEDING_A_PERSON = tuple(outcome for outcome in Outcome if outcome.needs_a_person)

EDITION = 8
"""Of what is on record. Up to the seventh files of SQLite had a row for each flip (tables of PostgreSQL still have, and
are those of the seventh); up to the sixth no samples were kept; up to the fifth no upload could be resumed, and no
checksum was kept of what was read; up to the fourth there was one source, and no value was packed; up to the third a
reason was a sentence, and files of SQLite told no edition."""

SOURCES = "sources"
"""The names of a run's sources, as a JSON array, in what it noted of itself. Runs of earlier editions have none."""

WITH_KINDS = 4
"""The first edition in which a reason is a kind, and what is particular of it."""


def check_edition(found: int, where: Path | str) -> None:
    """Check that a ledger is not of a later edition than this version knows. Raises ``UsageError``."""
    if found > EDITION:
        text = f"the ledger at {where} is of edition {found}, and this version knows editions up to {EDITION}"
        raise UsageError(text, hint="Use the version of sketch-migrate that made it.")


def source_names(description: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of a run's sources, by what it noted of itself."""
    if SOURCES in description:
        return tuple(map(str, json.loads(description[SOURCES])))
    return (".".join(filter(None, (description.get("table"), description.get("path_column")))),)


def source_name(names: Sequence[str], source: int) -> str:
    """Return the name of a source by its place among these."""
    return names[source] if source < len(names) else str(source)


def problem_row(names: Sequence[str], row: Sequence[Any]) -> tuple[object, ...]:
    """Return a row of problems.csv from one of a ledger; see ``PROBLEM_COLUMNS``. ``names`` are those of sources.

    The ledger's has a source, key, path, outcome, stored kind, and what is particular of it.
    """
    source, key, path, outcome, kind, about = row
    name = source_name(names, source)
    reason = reason_from_stored(kind, about)
    if reason is None:
        return key, path, outcome, "", "", "", "", "", name
    return key, path, outcome, str(reason), reason.kind.value, reason.code, reason.status or "", reason.hint, name


def problem_groups(rows: Iterable[Sequence[Any]]) -> tuple[ProblemGroup, ...]:
    """Return groups from rows of a number, outcome, stored kind, code and hint."""
    return tuple(
        ProblemGroup(references, Outcome(outcome), ReasonKind(kind) if kind else None, code, hint)
        for references, outcome, kind, code, hint in rows
    )


class Flip(NamedTuple):
    """One intended flip. ``size_bytes`` is None and ``etag`` empty where the copy did not tell them (see ``etags``).

    ``copied`` says that the object was copied for it, and not found in place. ``read_checksum`` is that of the bytes
    which were read, where nothing of legacy's told what they should be: an MD5, or made of MD5s of parts as ETags are.
    """

    key: Key
    old_path: str
    new_path: str
    size_bytes: int | None
    etag: str
    copied: bool = False
    read_checksum: str = ""


class OpenUpload(NamedTuple):
    """An upload of a streamed object in parts, which was begun. ``etag`` is that of the legacy object.

    ``part_bytes`` is how it is cut, and ``headers_sha256`` of the headers that it was begun with; 0 and empty where a
    run of an earlier edition has begun it.
    """

    bucket: str
    object_key: str
    upload_id: str
    etag: str
    part_bytes: int = 0
    headers_sha256: str = ""


def uploads_of(rows: Iterable[Sequence[Any]]) -> tuple[list[OpenUpload], set[str]]:
    """Return the uploads that a ledger's rows say were begun, and the ids of those that have ended.

    Each row is an ``OpenUpload`` and whether it has ended. One of another run is there without its bucket.
    """
    found = [(OpenUpload(*upload), has_ended) for *upload, has_ended in rows]
    return [each for each, _ in found if each.bucket], {each.upload_id for each, has_ended in found if has_ended}


class Ledger(Protocol):
    """What a migration puts on record. Every method raises ``RunDirectoryError`` or ``DatabaseError``.

    A run goes through its sources one after the other, and keys are unique in each. What is recorded, and what is
    asked, is of the present ``source`` (its place in the run's settings), but for what is said to be of all.
    """

    source: int

    async def describe(self, more: Mapping[str, str]) -> None:
        """Add to what the run was about."""

    async def record_flips(self, flips: Sequence[Flip], *, unix_time: float) -> None:
        """Write intended flips; they are on disk when this returns."""

    async def record_not_flipped(self, results: Sequence[Result]) -> None:
        """Write references that this run did not flip, with outcome and reason."""

    async def open_copies(self, moves: Iterable[Move]) -> None:
        """Write references whose object is copied without a condition, and whose row we have not set."""

    async def note_transaction(self, keys: Iterable[Key], xid: int | None) -> None:
        """Write which transaction (xid8, or None) is about to set the rows of references that are unsettled."""

    async def settle_copies(self, keys: Iterable[Key]) -> None:
        """Strike out references among those: we set their row, or wrote no object for them, or looked at it."""

    async def record_upload(self, upload: OpenUpload) -> None:
        """Write that an upload was begun; it is on disk when this returns."""

    async def record_upload_ended(self, upload_id: str) -> None:
        """Write that an upload, perhaps of another run, is an object by now, or aborted."""

    async def claim_upload(self, bucket: str, object_key: str) -> OpenUpload | None:
        """Return an upload of an object that was taken over from an earlier run; it is returned once in this run.

        So no two workers ever have the same. None where there is none, or no more.
        """

    async def unsettled_among(self, keys: Sequence[Key]) -> set[Key]:
        """Return those of the keys whose reference is written as copied without a condition, and not struck out."""

    async def record_locked(self, results: Sequence[Result]) -> None:
        """Write references whose rows somebody else holds: they are taken up again when the others are done.

        They have no outcome yet: of the results only the reference counts, and what is known of the copy. What the last
        flip on record of each was to set its row to is kept with it.
        """

    async def locked(self, after: Key | None, count: int) -> list[Reference]:
        """Return references of this attempt that were found locked, by key, with keys as a ledger has them.

        They are ``count`` at most, and fewer where their values fill ``values.PAGE_BYTES``.
        """

    async def new_paths(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Return what this attempt's flips on record set the rows with these keys to, the last of each.

        Those that are on record as locked are found at once; of others all its flips may have to be read.
        """

    async def copied_before(self, keys: Sequence[Key]) -> dict[Key, tuple[int | None, Reason | None]]:
        """Return the size, and what was to be said, of the copies made for those of the locked references."""

    async def forget_locked(self, keys: Iterable[Key]) -> None:
        """Strike references out that were found locked, and then were not."""

    async def without_unresolved(self, references: Sequence[Reference]) -> list[Reference]:
        """Drop the references that this run has found unresolved in a pass before, so that a further one skips them."""

    async def forget_unresolved(self) -> None:
        """Strike out all that was found unresolved, so that the next pass tries it again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a worker at a range of a pass, as its ledger has it.

    ``number`` counts the attempts of that worker. ``tally`` is None while it is under way, or where it was never seen
    to end; ``is_clean`` says that no error cut it short: every flip it intended came about unless it says otherwise.
    """

    worker: str
    number: int
    pass_number: int
    range_number: int
    began_at: float
    tally: Tally | None = None
    is_clean: bool = False
    source: int = 0


class Word(NamedTuple):
    """What one attempt put on record of one reference: an outcome, or (None) that it set out to flip it."""

    attempt: Attempt
    reference: Reference
    new_path: str
    outcome: Outcome | None
    reason: Reason | None = None
    copied: bool = False
    size_bytes: int | None = None
    source: int = 0


class WorkerLedger(Ledger, Protocol):
    """What a worker puts on record, attempt by attempt, one at a time."""

    async def begin_attempt(self, pass_number: int, range_number: int, key_range: KeyRange, source: int = 0) -> int:
        """Begin an attempt at a range of a source, which is the present one from now on. Return its number.

        All that is recorded until its end belongs to it. It is on disk with the first thing that is recorded for it.
        """

    async def end_attempt(self, tally: Tally, *, is_clean: bool) -> None:
        """End the attempt; that is on disk when this returns."""


class WholeLedger(Ledger, Protocol):
    """The ledger of a whole run, which also knows what its workers put on record. Its own methods are of all sources.

    ``settle_copies`` strikes out what workers wrote as well.
    """

    async def take_over_uploads(self, uploads: Sequence[OpenUpload]) -> None:
        """Write uploads that earlier runs have left open as this run's own, to be claimed by whoever needs one."""

    async def first_unresolved(
        self, count: int, outcomes: Collection[Outcome] = NEEDING_A_PERSON
    ) -> tuple[Problem, ...]:
        """Return the first ``count`` references with one of these outcomes, by source and key.

        What may be overwritten is among them.
        """

    async def write_problems(self, path: Path, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> None:
        """Write every reference with one of these outcomes into a CSV file, with the columns ``PROBLEM_COLUMNS``."""

    async def problem_groups(self, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> tuple[ProblemGroup, ...]:
        """Return how many references have these outcomes, by reason: the most frequent ``MOST_GROUPS`` of them."""

    async def attempts(self, pass_number: int) -> list[Attempt]:
        """Return the attempts that workers began in a pass, the oldest first."""

    async def words(self, attempts: Sequence[Attempt]) -> list[Word]:
        """Return all that these attempts put on record: as much memory as their ranges have references."""

    async def record_samples(self, samples: Mapping[int, bytes], forgotten: Collection[int] = ()) -> None:
        """Write samples of the run by their second, packed (see ``samples``), and strike others out by theirs."""

    async def take_over(self, attempts: Sequence[Attempt]) -> None:
        """Make what these attempts did not flip the run's own word on these references."""


class LedgerPlace(Protocol):
    """Where the workers of a run write. It travels with every range, and holds no secret."""

    def open(self, worker: str, stopping: asyncio.Event) -> AbstractAsyncContextManager[WorkerLedger]:
        """Return the ledger of one worker process, which nobody else writes. To be entered once.

        A ledger that is away is waited for, until ``stopping`` is set.
        """


@dataclass(frozen=True, slots=True)
class PastFlip:
    """One flip that a run set out to make. A uuid key is text here, as the ledger has no such type.

    ``etag`` is that of the production object, or empty where the copy did not tell it; of several objects, see
    ``etags``. ``stored_otherwise``: the database stored another path, and the run, of an earlier version, committed it.
    ``read_checksum`` is as in ``Flip``.
    """

    key: StoredKey
    old_path: str
    new_path: str
    etag: str
    unix_time: float
    stored_otherwise: bool = False
    source: int = 0
    read_checksum: str = ""


@dataclass(frozen=True, slots=True)
class UnsettledCopy:
    """A reference whose object a run copied without a condition, or was about to, and has not struck out since.

    ``xid`` is the transaction that was about to set the row: if it was committed, the run did. None: it did not try.
    """

    key: StoredKey
    path: str
    new_path: str
    xid: int | None = None
    source: int = 0


def past_flip(row: Sequence[Any]) -> PastFlip:
    """Return a flip from a row of a ledger: its fields in their order, the paths as they are kept there."""
    key, old_path, new_path, *more = row
    return PastFlip(key, *unpack(old_path, new_path), *more)


def values_of(what: PastFlip | UnsettledCopy) -> tuple[str, str]:
    """Return the values that one of a page holds."""
    return (what.old_path if isinstance(what, PastFlip) else what.path), what.new_path


class RecordedFlip(NamedTuple):
    """A flip on record, and what its run's ledger says of it.

    ``denied``: it did not come about. ``unsettled``: only the transaction ``xid`` tells, or nothing where that is None.
    """

    flip: PastFlip
    denied: bool
    unsettled: bool
    xid: int | None
    source: int = 0

    def was_made(self, committed: Collection[int]) -> bool:
        """Whether it came about, where these transactions were committed, as far as can be known."""
        return not self.denied and (not self.unsettled or self.xid in committed)


def going_on(run: PastRun, sign: str) -> str:
    """Say that a run is not over, and what tells that."""
    return f"the run {run.directory} is still going on: {sign}"


class PastRun(Protocol):
    """A run of the past, open for reading. A context manager; nothing is written.

    ``path`` is what to call its ledger. Every method raises ``RunDirectoryError`` or ``DatabaseError``, and opening one
    that is not there ``UsageError``.
    """

    directory: Path

    @property
    def path(self) -> Path | str:
        """Where its ledger is, for messages."""

    @property
    def description(self) -> Mapping[str, str]:
        """What the run noted of itself."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of its sources. What is on record of each has its place among them."""

    @property
    def flips(self) -> int:
        """How many flips it set out to make."""

    @property
    def last_flip_at(self) -> float:
        """The Unix time of the last, or 0."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def goes_on(self) -> str:
        """Return what tells that the run is not over; empty where it is, as far as can be told."""

    def newest_first(self, *, source: int | None = None, page_flips: int = PAGE_FLIPS) -> AsyncIterator[list[PastFlip]]:
        """Yield all flips in pages, the newest first, but those that did not come about as the run noted itself.

        None is all sources. A page ends as well where its values fill ``values.PAGE_BYTES``.
        """

    def oldest_first(self, *, source: int | None = None, page_flips: int = PAGE_FLIPS) -> AsyncIterator[list[PastFlip]]:
        """Yield the same in the order in which they were written."""

    def stored_otherwise(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""

    def unsettled(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[UnsettledCopy]:
        """Return references, by key, whose object this run copied without a condition and whose row it did not set.

        They are ``count`` at most, and fewer where their values fill ``values.PAGE_BYTES``.
        """

    def flips_of(self, keys: Iterable[StoredKey], *, source: int = 0) -> list[RecordedFlip]:
        """Return the flips of these keys."""

    def reported_overwritten(self, keys: Iterable[StoredKey], *, source: int = 0) -> set[StoredKey]:
        """Return those of the keys whose object this run has reported as possibly overwritten."""

    def uploads(self) -> tuple[list[OpenUpload], set[str]]:
        """Return the uploads that this run has begun, and the ids of those that it knows to have ended."""

    def samples(self) -> list[Sample]:
        """Return how the run stood at one moment after the other, the oldest first; none of earlier editions."""

    def problem_groups(self) -> tuple[ProblemGroup, ...]:
        """Return how many references need a person, by reason: the most frequent ``MOST_GROUPS`` of them.

        None are known of ledgers up to the fourth edition. Where several processes shared the work, those that are not
        summed up yet are left out.
        """

    def newest_objects(self, count: int) -> list[tuple[str, int | None]]:
        """Return what the newest flips set rows to, but for long values, and the size of the object where it is known.

        They are ``count`` at most of each ledger that the run has.
        """
