"""A run's ledger in PostgreSQL: the same claims as of the files, and those that only a server can break."""

from __future__ import annotations

import asyncio
import csv
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from sketchmigrate.core.errors import DatabaseError, DatabaseRefused, DatabaseUnreachable, TableLocked, UsageError
from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome, Problem, ProblemGroup, Result, Tally
from sketchmigrate.core.reason import ReasonKind, because, refused_by_database
from sketchmigrate.core.reference import Key, KeyRange, Reference
from sketchmigrate.ledger import (
    Flip,
    LedgerPlace,
    OpenUpload,
    PastFlip,
    PastRun,
    WholeLedger,
    new_ledger,
    past_run,
    past_runs,
    place_of,
)
from sketchmigrate.ledger.contract import EDITION
from sketchmigrate.ledger.directory import leave_pointer
from sketchmigrate.ledger.postgres import heartbeat
from sketchmigrate.ledger.postgres.server import LedgerServer, ledger_parameters
from sketchmigrate.ledger.sqlite.lock import hold_run
from tests.integration.ledgers import make_tables, settings_for
from tests.reasons import PROBLEM_GROUPS, some_problems, told
from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from sketchmigrate.settings import Settings
    from tests.servers.databases import Database

NOTE_HOW_FLIPS_ARE_COMMITTED = (
    "CREATE TABLE noted (how text)",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO noted SELECT current_setting('synchronous_commit'); RETURN NULL; END $$""",
    "CREATE TRIGGER note AFTER INSERT ON sketch_ledger.flip EXECUTE FUNCTION note()",
)
DATA = Path(__file__).parents[1] / "data" / "ledgers"
BACK_TO_THE_FOURTH_EDITION = (
    "ALTER TABLE sketch_ledger.attempt DROP COLUMN source",
    """ALTER TABLE sketch_ledger.flip
    DROP COLUMN source, DROP COLUMN old_packed, DROP COLUMN new_packed, DROP COLUMN value_bytes,
    DROP COLUMN read_checksum""",
    "DROP TABLE sketch_ledger.upload",
    "DROP TABLE sketch_ledger.sample",
    """ALTER TABLE sketch_ledger.not_flipped DROP COLUMN source, DROP COLUMN packed""",
    "ALTER TABLE sketch_ledger.not_flipped ADD PRIMARY KEY (attempt, key)",
    """ALTER TABLE sketch_ledger.unsettled
    DROP COLUMN source, DROP COLUMN packed, DROP COLUMN new_packed, DROP COLUMN value_bytes""",
    "ALTER TABLE sketch_ledger.unsettled ADD PRIMARY KEY (run, key, worker)",
)
MISSING = Result(Reference(2, "image/2"), Outcome.MISSING, told("gone"))


def files_of(directory: Path) -> list[str]:
    """Return the text of each file."""
    return [file.read_text() for file in directory.iterdir()]


def _flip(key: Key, version: str = "") -> Flip:
    return Flip(key, f"image/{key}", f"avatar/{key}{version}", 12, "etag", copied=True)


def _move(key: Key) -> Move:
    new_path = f"avatar/{key}"
    return Move(Reference(key, f"image/{key}"), new_path, Location("l", f"image/{key}"), Location("p", new_path))


async def _keys(run: PastRun, page_flips: int = 5_000) -> list[list[int | str]]:
    return [[flip.key for flip in page] async for page in run.newest_first(page_flips=page_flips)]


async def test_the_past_is_read_newest_first_whoever_wrote_it(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    """Two workers at once, in turns, and the run's own flips in front."""
    for key in ("own", UUID(int=5)):
        await ledger.record_flips([_flip(key)], unix_time=1.0)
    async with AsyncExitStack() as opened:
        workers = [await opened.enter_async_context(place.open(name, asyncio.Event())) for name in ("w1", "w2")]
        for worker in workers:
            await worker.begin_attempt(1, 1, KeyRange(None, 5))
        for number in range(6):
            await workers[number % 2].record_flips([_flip(10 * number), _flip(10 * number + 1)], unix_time=2.0 + number)
        with past_run(directory, settings) as run:
            assert (run.flips, run.last_flip_at, dict(run.description)["table"]) == (14, 7.0, "avatars")
            newest_first = [51, 50, 41, 40, 31, 30, 21, 20, 11, 10, 1, 0, str(UUID(int=5)), "own"]
            assert await _keys(run) == [newest_first], "also while it is written"
            assert await _keys(run, page_flips=5) == [newest_first[:5], newest_first[5:10], newest_first[10:]]
    assert [run.directory for run in past_runs(directory.parent, settings)] == [directory]


async def test_a_run_goes_on_until_its_ledger_is_closed(settings: Settings, directory: Path) -> None:
    with hold_run(directory):
        async with new_ledger(directory, settings, {"command": "migrate"}, asyncio.Event()):
            with past_run(directory, settings) as run:
                assert run.goes_on()
    with past_run(directory, settings) as run:
        assert run.goes_on() == ""
    with pytest.raises(UsageError), hold_run(directory):  # however it ends
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            raise UsageError("that was all")
    with past_run(directory, settings) as run:
        assert run.goes_on() == ""


async def test_a_run_that_was_killed_counts_as_going_on_until_its_last_sign_is_old(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.01)
    ago = "UPDATE sketch_ledger.run SET alive_at = clock_timestamp() - make_interval(secs => %s)"
    async with new_ledger(directory, settings, {"command": "migrate"}, asyncio.Event()):
        with past_run(directory, settings) as run:
            database.execute(ago, 61)
            while not (sign := run.goes_on()):  # noqa: ASYNC110 - the beat tells the database, and nobody here
                await asyncio.sleep(0)
            assert sign.startswith("the ledger heard of it 0 s ago")
    with past_run(directory, settings) as run:
        database.execute(ago, 59)
        assert run.goes_on().startswith("the ledger heard of it 59 s ago")
        database.execute(ago, 61)
        assert run.goes_on() == ""


async def test_flips_hold_all_that_undoes_them(settings: Settings, directory: Path, ledger: WholeLedger) -> None:
    await ledger.record_flips([_flip(1)], unix_time=7.5)
    with past_run(directory, settings) as run:
        ((flip,),) = [page async for page in run.newest_first()]
    assert (flip.key, flip.old_path, flip.new_path, flip.etag, flip.unix_time) == (
        1, "image/1", "avatar/1", "etag", 7.5
    )  # fmt: skip


async def test_a_further_pass_skips_what_is_known_unless_its_path_changed(ledger: WholeLedger) -> None:
    known, changed, fresh = Reference(1, "image/a"), Reference(UUID(int=2), "image/b"), Reference("3", "image/c")
    before = Reference(changed.key, "image/before")
    await ledger.record_not_flipped(
        [Result(known, Outcome.MISSING, told("gone")), Result(before, Outcome.FAILED, told("no"))]
    )
    assert await ledger.without_unresolved([known, changed, fresh]) == [changed, fresh]
    await ledger.record_flips([_flip(1)], unix_time=1.0)
    assert await ledger.without_unresolved([known]) == [known], "a flip is the later word"


async def test_problems_are_listed_by_key_with_their_reason(ledger: WholeLedger, tmp_path: Path) -> None:
    refused = refused_by_database(DatabaseError("because", hint="Mend it.", sqlstate="23514"))
    nasty = Result(Reference(10, 'image/"quoted",\nnext'), Outcome.FAILED, refused)
    already = Result(Reference(1, "image/1"), Outcome.ALREADY)
    await ledger.record_not_flipped([nasty, MISSING, already])
    assert await ledger.first_unresolved(9) == (Problem(0, MISSING), Problem(0, nasty))
    assert await ledger.first_unresolved(1) == (Problem(0, MISSING),)
    await ledger.write_problems(tmp_path / "problems.csv")
    with (tmp_path / "problems.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["key", "path", "outcome", "reason", "kind", "code", "status", "hint", "source"],
        ["10", 'image/"quoted",\nnext', "failed", "because", "database_error", "23514", "", "Mend it.", "avatars"],
        ["2", "image/2", "missing", "gone", "sentence", "", "", "", "avatars"],
    ]


async def test_problems_are_counted_by_their_reason_the_most_frequent_first(ledger: WholeLedger) -> None:
    await ledger.record_not_flipped(some_problems())
    assert await ledger.problem_groups() == PROBLEM_GROUPS
    assert await ledger.problem_groups([Outcome.SUPERSEDED]) == (
        ProblemGroup(1, Outcome.ALREADY, ReasonKind.PERHAPS_REPLACED, "", ""),
        ProblemGroup(1, Outcome.SUPERSEDED, None, "", ""),
    )


async def test_attempts_tell_what_each_put_on_record(ledger: WholeLedger, place: LedgerPlace) -> None:
    """A worker that ended its range, a twin that did not, and one in another pass."""
    tally = Tally(migrated=1, missing=1, objects_copied=1)
    async with place.open("w1", asyncio.Event()) as one, place.open("w2", asyncio.Event()) as other:
        first = await one.begin_attempt(1, 7, KeyRange(None, 5))
        await one.record_flips([_flip(1)], unix_time=1.0)
        await one.record_not_flipped([MISSING])
        await one.end_attempt(tally, is_clean=True)
        await other.begin_attempt(1, 7, KeyRange(None, 5))
        await other.record_flips([_flip(1)], unix_time=2.0)
        last = await one.begin_attempt(2, 7, KeyRange(None, 5))
        await one.record_flips([_flip(2)], unix_time=3.0)
        assert last != first
        attempts = await ledger.attempts(1)
        assert [(each.worker, each.range_number, each.tally, each.is_clean) for each in attempts] == [
            ("w1", 7, tally, True), ("w2", 7, None, False)
        ]  # fmt: skip
        assert attempts[0].number == first
        words = await ledger.words(attempts)
        assert sorted((word.attempt.worker, word.reference.key, word.outcome, word.copied) for word in words) == [
            ("w1", 1, None, True), ("w1", 2, Outcome.MISSING, False), ("w2", 1, None, True)
        ]  # fmt: skip
        assert await ledger.first_unresolved(9) == (), "not the run's own word yet"
        await ledger.take_over(attempts[:1])
        assert await ledger.first_unresolved(9) == (Problem(0, MISSING),)
        assert await one.without_unresolved([MISSING.reference]) == [], "a worker knows it too"
        await ledger.take_over(await ledger.attempts(2))
        assert await ledger.first_unresolved(9) == (), "it was flipped since"


async def test_a_flip_that_the_ledger_speaks_against_is_none(
    settings: Settings, directory: Path, ledger: WholeLedger
) -> None:
    await ledger.record_flips([_flip(1), _flip(2)], unix_time=1.0)
    await ledger.record_not_flipped([Result(Reference(2, "image/2"), Outcome.SUPERSEDED)])
    with past_run(directory, settings) as run:
        assert await _keys(run) == [[1]]
        assert [(each.flip.key, each.was_made([])) for each in run.flips_of([1, 2, 3])] == [(1, True), (2, False)]


async def test_copies_without_a_condition_stay_unsettled_until_their_own_worker_settles_them(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    async with place.open("w1", asyncio.Event()) as one, place.open("w2", asyncio.Event()) as other:
        await one.begin_attempt(1, 1, KeyRange())
        await other.begin_attempt(1, 2, KeyRange())
        await one.open_copies([_move(1), _move(2), _move(3)])
        await other.open_copies([_move(1)])
        await one.record_flips([_flip(1), _flip(3)], unix_time=1.0)
        await one.settle_copies([1, 2])
    with past_run(directory, settings) as run:
        assert [each.key for each in run.unsettled(None, 9)] == [1, 3]
        assert [each.key for each in run.unsettled(None, 1)] == [1]
        assert [(each.key, each.path, each.new_path) for each in run.unsettled(1, 9)] == [(3, "image/3", "avatar/3")]
        assert [(each.flip.key, each.was_made([])) for each in run.flips_of([1, 3])] == [(1, True), (3, False)]
        await ledger.settle_copies([1, 3])
        assert run.unsettled(None, 9) == [], "the run as a whole settles for every worker"


async def test_what_was_reported_overwritten_is_known(settings: Settings, directory: Path, ledger: WholeLedger) -> None:
    reported = Result(Reference(1, "image/1"), Outcome.ALREADY, because(ReasonKind.PERHAPS_REPLACED, target="s3://b/k"))
    await ledger.record_not_flipped([reported, MISSING])
    assert await ledger.first_unresolved(9, []) == (Problem(0, reported),)
    with past_run(directory, settings) as run:
        assert run.reported_overwritten([1, 2, 3]) == {1}


# -- what only a server can break


@pytest.mark.parametrize("when", ["before", "reply_lost"])
async def test_flips_are_on_record_once_however_the_commit_was_cut(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path, when: str
) -> None:
    with PostgresFaultProxy(database.port) as proxy:
        settings = settings_for(database.via(proxy.port), monkeypatch)
        await make_tables(settings)
        async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
            proxy.cut_at(r"\bCOMMIT$", after="INTO sketch_ledger.flip", when=when)  # type: ignore[arg-type]  # one of two
            await ledger.record_flips([_flip(1), _flip(2)], unix_time=1.0)
            await ledger.record_flips([_flip(3)], unix_time=2.0)
        assert "cut" in proxy.hits or "reply_lost" in proxy.hits
        with past_run(directory, settings) as run:
            assert run.flips == 3
            assert await _keys(run) == [[3, 2, 1]]


async def test_a_commit_is_on_disk_where_the_server_would_not_wait_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    for statement in NOTE_HOW_FLIPS_ARE_COMMITTED:
        database.execute(statement)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.record_flips([_flip(1)], unix_time=1.0)
    assert database.execute("SELECT how FROM noted") == [("on",)]


async def test_a_copy_that_is_made_again_is_not_settled_by_the_transaction_of_the_first_one(
    settings: Settings, directory: Path, ledger: WholeLedger
) -> None:
    await ledger.open_copies([_move(1)])
    await ledger.note_transaction([1], 7)
    await ledger.open_copies([_move(1)])
    with past_run(directory, settings) as run:
        assert [each.xid for each in run.unsettled(None, 9)] == [None]


async def test_what_was_said_of_a_row_before_it_was_flipped_is_forgotten(ledger: WholeLedger, tmp_path: Path) -> None:
    """In an earlier pass it held another path."""
    await ledger.record_not_flipped(
        [Result(Reference(key, "image/before"), Outcome.FAILED, told("no")) for key in (1, 2)]
    )
    await ledger.record_flips([_flip(2)], unix_time=1.0)
    assert [each.result.reference.key for each in await ledger.first_unresolved(9)] == [1]
    await ledger.write_problems(tmp_path / "problems.csv")
    lines = (tmp_path / "problems.csv").read_text().splitlines()  # a few bytes
    assert lines == [
        "key,path,outcome,reason,kind,code,status,hint,source",
        "1,image/before,failed,no,sentence,,,,avatars",
    ]


async def test_missing_tables_are_said_to_be_made_by_ledger_init(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    with pytest.raises(DatabaseRefused, match="has no tables for a ledger") as caught:
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            pass
    assert "ledger init" in caught.value.hint
    elsewhere = directory.with_name("20261122T180000Z-elsewhere")  # then LEDGER_URL alone says where to look
    with pytest.raises(DatabaseRefused, match="has no tables for a ledger"), past_run(elsewhere, settings):
        pass


async def test_a_lock_on_any_of_the_tables_is_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    there = database.execute("SELECT 'sketch_ledger.' || tablename FROM pg_tables WHERE schemaname = 'sketch_ledger'")
    assert sorted(LedgerServer(settings, stopping=asyncio.Event()).watched) == sorted(name for (name,) in there)


async def test_a_lock_on_the_ledger_is_not_called_one_on_the_references(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch, db_retry_seconds=1, lock_timeout_ms=50)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        with database.connect() as holder, holder.transaction():
            holder.execute("LOCK TABLE sketch_ledger.flip")
            with pytest.raises(TableLocked, match=r"the lock on the ledger's tables \(sketch_ledger\) is held by pid"):
                await ledger.record_flips([_flip(1)], unix_time=1.0)


async def test_tables_of_a_later_edition_are_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()):
        pass
    database.execute("UPDATE sketch_ledger.edition SET number = number + 1")
    later = f"edition {EDITION + 1}, and this version knows editions up to {EDITION}"
    with pytest.raises(UsageError, match=later):
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            pass
    with pytest.raises(UsageError, match=later):
        await make_tables(settings)
    with pytest.raises(UsageError, match=later), past_run(directory, settings):
        pass


async def test_tables_of_the_first_edition_are_read_and_upgraded(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.open_copies([_move(1)])
        await ledger.record_flips([_flip(1), _flip(2)], unix_time=1.0)
        await ledger.record_not_flipped([Result(Reference(3, "image/3"), Outcome.ALREADY)])
    for statement in BACK_TO_THE_FOURTH_EDITION:
        database.execute(statement)
    database.execute("UPDATE sketch_ledger.edition SET number = 1")
    database.execute("ALTER TABLE sketch_ledger.unsettled DROP COLUMN xid")
    database.execute("ALTER TABLE sketch_ledger.run DROP COLUMN alive_at")
    database.execute("ALTER TABLE sketch_ledger.not_flipped DROP COLUMN about")
    database.execute("DROP TABLE sketch_ledger.locked")
    database.execute("UPDATE sketch_ledger.not_flipped SET reason = 'possibly overwritten: so it is' WHERE key = '3'")
    with past_run(directory, settings) as run:
        assert run.goes_on() == "", "runs of older versions give no sign"
        assert [each.xid for each in run.unsettled(None, 9)] == [None]
        assert [(each.flip.key, each.was_made([])) for each in run.flips_of([1, 2])] == [(1, False), (2, True)]
        assert run.reported_overwritten([1, 2, 3]) == {3}
    with pytest.raises(DatabaseRefused, match="edition 1") as caught:
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            pass
    assert "ledger init" in caught.value.hint
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.note_transaction([1], 77)
    with past_run(directory, settings) as run:
        assert [each.xid for each in run.unsettled(None, 9)] == [77]


async def test_tables_of_the_fourth_edition_are_read_and_upgraded(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    """They are as that version made and filled them."""
    settings = settings_for(database, monkeypatch)
    with database.connect() as connection:
        connection.execute((DATA / "edition-4-in-a-database.sql").read_text().replace("RUN", directory.name).encode())
    leave_pointer(directory, settings.ledger_url)

    async def check_read() -> None:
        with past_run(directory, settings) as run:
            assert (run.sources, run.flips, run.last_flip_at) == (("avatars.path",), 4, 2.0)
            made = [PastFlip(key, f"image/{key}", f"avatar/{key}", "etag", (key + 1) // 2) for key in (1, 2, 4)]
            assert [page async for page in run.newest_first()] == [made[::-1]]
            assert [page async for page in run.oldest_first(page_flips=2)] == [made[:2], made[2:]]
            assert [page async for page in run.newest_first(source=1)] == []
            assert [(each.key, each.path, each.new_path, each.xid) for each in run.unsettled(None, 9)] == [
                (2, "image/2", "avatar/2", 77), (4, "image/4", "avatar/4", None)
            ]  # fmt: skip
            assert [(each.flip.key, each.was_made({77})) for each in run.flips_of([1, 2, 3, 4])] == [
                (1, True), (2, True), (3, False), (4, False)
            ]  # fmt: skip
            assert run.reported_overwritten([3, 5]) == {5}

    await check_read()
    with pytest.raises(DatabaseRefused, match=f"are of edition 4, and this version has {EDITION}"):
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            pass
    await make_tables(settings)
    await make_tables(settings)
    await check_read()
    keys = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p'"
    upgraded = set(database.execute(keys + " AND connamespace = 'sketch_ledger'::regnamespace"))
    assert ("sketch_ledger.not_flipped", "PRIMARY KEY (attempt, source, key)") in upgraded
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        assert await ledger.locked(None, 9) == [Reference(4, "image/4")]
        assert await ledger.new_paths([4]) == {4: "avatar/4"}
        ledger.source = 1
        await ledger.record_not_flipped([Result(Reference(3, "image/3"), Outcome.MISSING)])
        await ledger.open_copies([_move(2)])
        await ledger.record_flips([_flip(2)], unix_time=9.0)
        await ledger.record_locked([Result(Reference(4, "image/4"), Outcome.FAILED)])
        assert [each.source for each in await ledger.first_unresolved(9)] == [0, 1]
    with past_run(directory, settings) as run:
        assert [each.source for each in run.unsettled(None, 9, source=1)] == [1]
        assert [each.key for each in run.unsettled(None, 9)] == [2, 4]


async def test_locked_references_and_transactions_are_on_record(
    settings: Settings, directory: Path, ledger: WholeLedger
) -> None:
    locked = [
        Result(Reference(key, f"image/{key}"), Outcome.FAILED, told(f"of {key}"), copied=key > 1, size_bytes=key)
        for key in (3, 1, 2)
    ]
    await ledger.record_locked(locked)
    assert await ledger.copied_before([1, 2, 3, 4]) == {2: (2, told("of 2")), 3: (3, told("of 3"))}
    assert await ledger.locked(None, 2) == [Reference(1, "image/1"), Reference(2, "image/2")]
    await ledger.forget_locked([2])
    assert await ledger.locked(1, 9) == [Reference(3, "image/3")]
    await ledger.open_copies([_move(1), _move(2)])
    assert await ledger.unsettled_among([2, 3]) == {2}
    await ledger.note_transaction([1, 2, 3], 2**40)
    await ledger.note_transaction([2], None)
    await ledger.record_flips([_flip(1), _flip(2)], unix_time=1.0)
    with past_run(directory, settings) as run:
        assert [(each.key, each.xid) for each in run.unsettled(None, 9)] == [(1, 2**40), (2, None)]
        assert [each.was_made({2**40}) for each in run.flips_of([1, 2])] == [True, False]


async def test_a_user_without_rights_is_told_and_the_printed_grants_are_enough(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    from sketchmigrate.ledger.postgres.tables import ledger_grants  # noqa: PLC0415 - beside its only use

    await make_tables(settings_for(database, monkeypatch))
    limited = database.make_user()
    settings = settings_for(limited, monkeypatch)
    with pytest.raises(DatabaseRefused, match="permission denied") as caught:
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            pass
    assert "--print" in caught.value.hint
    for grant in ledger_grants(limited.user, limited.name, writes=True):
        database.execute(grant.replace("%", "%%"))
    place = place_of(directory, settings)
    async with new_ledger(directory, settings, {"a": "b"}, asyncio.Event()) as ledger:
        async with place.open("w", asyncio.Event()) as worker:
            await worker.begin_attempt(1, 1, KeyRange())
            await worker.record_not_flipped([MISSING])
            await worker.open_copies([_move(1)])
            await worker.settle_copies([1])
            await worker.record_flips([_flip(1)], unix_time=1.0)
            await worker.end_attempt(Tally(), is_clean=True)
        await ledger.take_over(await ledger.attempts(1))
    with past_run(directory, settings) as run:
        assert run.flips == 1


async def test_a_ledger_that_stays_away_is_given_up_when_the_run_is_stopping(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    with PostgresFaultProxy(database.port) as proxy:
        settings = settings_for(database.via(proxy.port), monkeypatch)
        await make_tables(settings)
        stopping = asyncio.Event()
        async with new_ledger(directory, settings, {}, stopping) as ledger:
            proxy.turn_away()
            proxy.cut_all()
            writing = asyncio.create_task(ledger.record_flips([_flip(1)], unix_time=1.0))
            await asyncio.to_thread(proxy.wait_for_hit, "turned_away")
            assert not writing.done()
            stopping.set()
            with pytest.raises(DatabaseUnreachable, match="the ledger"):
                await writing


async def test_no_password_is_shown_or_written(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()):
        pass
    (pointer,) = files_of(directory)
    assert settings.ledger_url in pointer
    assert database.password not in pointer
    monkeypatch.setenv("SKETCH_LEDGER_PASS", "not-the-password")
    with pytest.raises(DatabaseRefused) as caught:
        async with new_ledger(directory, settings, {}, asyncio.Event()):
            pass
    assert "not-the-password" not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert "SKETCH_LEDGER_PASS" in caught.value.hint


def test_the_password_is_that_of_the_environment() -> None:
    url = "postgresql://me@ledger.example.com/sketch"
    whole = "postgresql://me:p%40ss@ledger.example.com/sketch"
    assert ledger_parameters(url, {"SKETCH_LEDGER_URL": whole})["password"] == "p@ss"
    assert ledger_parameters(url, {"SKETCH_LEDGER_URL": whole, "SKETCH_LEDGER_PASS": "x"})["password"] == "x"
    assert ledger_parameters(url, {"SKETCH_LEDGER_USER": "you"})["user"] == "you"
    elsewhere = whole.replace("ledger.", "other.")
    assert "password" not in ledger_parameters(url, {"SKETCH_LEDGER_URL": elsewhere}), "it is not for this server"
    for written in ("two words", "two%20words"):
        spelt = whole.replace("p%40ss", written) + "\n"
        assert ledger_parameters(url, {"SKETCH_LEDGER_URL": spelt})["password"] == "two words"


async def test_a_run_whose_directory_is_gone_is_found_by_its_name(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path, tmp_path: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.record_flips([_flip(1)], unix_time=1.0)
    shutil.rmtree(directory)
    (run,) = past_runs(tmp_path, settings)
    assert run.directory == directory
    with past_run(directory, settings) as found:
        assert found.flips == 1
    with pytest.raises(UsageError, match="there is no run 20261122T180000Z-other in the ledger"):
        past_run(tmp_path / "20261122T180000Z-other", settings).__enter__()


async def test_an_upload_that_was_taken_over_is_claimed_once_whoever_asks(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    """Of one object there may be several: each run that was killed may have left one."""
    left = [OpenUpload("b", "avatar/1", upload_id, "etag", 5, "digest") for upload_id in ("U/1", "U/2", "U/3")]
    other = OpenUpload("b", "avatar/2", "U/4", "etag", 5, "digest")
    await ledger.take_over_uploads([*left, other])
    async with AsyncExitStack() as opened:
        workers = [await opened.enter_async_context(place.open(name, asyncio.Event())) for name in ("w1", "w2")]
        for worker in workers:
            await worker.begin_attempt(1, 1, KeyRange(None, 5))
        claims = await asyncio.gather(*(each.claim_upload("b", "avatar/1") for each in (ledger, *workers, *workers)))
        await workers[0].record_upload_ended("U/1")
    assert sorted(filter(None, claims)) == left
    assert await ledger.claim_upload("b", "avatar/1") is None
    with past_run(directory, settings) as run:
        begun, ended = run.uploads()
    assert sorted(begun) == [*left, other], "they are the run's own"
    assert ended == {"U/1"}


async def test_the_checksum_of_what_was_read_is_kept(
    settings: Settings, directory: Path, ledger: WholeLedger, place: LedgerPlace
) -> None:
    long = "image/" + "x" * 10_000
    flips = [Flip(1, "image/1", "avatar/1", 1, "e", copied=True, read_checksum="m1")]
    flips.append(Flip(2, long, "avatar/2", 1, "e", copied=True, read_checksum="m2"))
    await ledger.record_flips(flips[:1], unix_time=1.0)
    async with place.open("w1", asyncio.Event()) as worker:
        await worker.begin_attempt(1, 1, KeyRange(None, 5))
        await worker.record_flips(flips, unix_time=2.0)
    with past_run(directory, settings) as run:
        kept = [[(each.key, each.read_checksum) for each in page] async for page in run.oldest_first()]
        assert kept == [[(1, "m1"), (1, "m1"), (2, "m2")]]
        assert [each.flip.read_checksum for each in run.flips_of([2])] == ["m2"]
