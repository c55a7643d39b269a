"""Who governs a run looks at a real database as long as the run lasts, and tells whoever flips."""

from __future__ import annotations

import asyncio
import math
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.core.sample import Felt
from sketchmigrate.migration import governing, vitals_news
from sketchmigrate.migration.breaker import NEVER, Breaker
from sketchmigrate.migration.governing import Governing, not_watched
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.stop import Stop
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.postgres import replicas
from sketchmigrate.postgres.vitals import LIMITS
from sketchmigrate.settings import Options
from tests.fault.governed import CANCEL_A_LOOK, HOLD_A_LOOK_UP, vacuum_at_work
from tests.fault.shared import shared, until
from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.servers.databases import Database


@pytest.fixture(autouse=True)
def _looks_follow_one_another_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(governing, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(governing, "LIMITS", replace(LIMITS, lock_ms=100))


class Audience:
    """Keeps what it is told last."""

    text = ""
    is_stopped = False
    vitals = Felt()

    def felt(self, vitals: Felt) -> None:
        """Take it over."""
        self.vitals = vitals

    def governed(self, text: str, *, is_stopped: bool) -> None:
        """Take it over."""
        self.text, self.is_stopped = text, is_stopped


@asynccontextmanager
async def governed(
    database: Database, *, via: int = 0, as_limited: bool = False, **settings: Any
) -> AsyncIterator[tuple[Governing, Any, Audience]]:
    """A run of nothing on a database, its site, and who is told what limits it."""
    database.create_avatars(f"image/{number}.png" for number in range(3000))
    user = database.make_user("SELECT ON avatars") if as_limited else database
    async with shared(user.via(via or database.port), **settings) as ours:
        stop, audience = Stop(), Audience()
        tuning = Tuning(ours.settings, Options())
        site: Any = SimpleNamespace(settings=ours.settings, database=ours, stop=stop, pace=Pace(stop), tuning=tuning)
        async with Governing(site, Breaker(NEVER), audience) as looking:
            yield looking, site, audience


async def test_it_stops_who_flips_and_lets_them_go_on_and_says_so(database: Database) -> None:
    async with governed(database, pause_for_autovacuum="any") as (looking, site, audience):
        assert site.pace.is_open
        with vacuum_at_work(database):
            await until(lambda: site.pace.is_stopped)
            assert audience.text == "database: a vacuum is at work on avatars, stopped"
            assert audience.is_stopped
        await until(lambda: not site.pace.is_stopped)
        assert audience.text.startswith("database: coming back from PAUSE_FOR_AUTOVACUUM, at most ")
    assert site.pace.is_open
    (limited,) = looking.limited
    assert (limited.setting, limited.what) == ("PAUSE_FOR_AUTOVACUUM", "a vacuum is at work on avatars")
    assert limited.seconds >= limited.stopped_seconds > 0


async def test_a_run_that_changes_hands_is_governed_on(database: Database) -> None:
    """One process stops for several to take over: the rate is then told to these."""
    rates: list[float] = []
    async with governed(database, pause_for_autovacuum="any") as (looking, site, _):
        site.stop.pause()
        asked = site.database.units
        await until(lambda: site.database.units >= asked + 2)
        assert site.stop.resume()
        looking.directs(rates.append)
        assert rates == [math.inf]
        with vacuum_at_work(database):
            await until(lambda: rates[-1] == 0)
        assert not site.pace.is_stopped
    assert rates[-1] == math.inf


async def test_without_limits_the_database_is_not_looked_at_and_a_cap_is_kept_to(database: Database) -> None:
    names = (
        "max_replica_lag_seconds max_replica_lag_bytes max_slot_wal_percent max_slot_wal_bytes max_lock_waiters"
        " max_wal_bytes_per_second"
    )
    none: dict[str, Any] = dict.fromkeys(names.split(), 0)
    async with governed(database, **none, pause_for_autovacuum="never", max_rows_per_second=50) as (_, site, audience):
        await asyncio.sleep(0.1)
        assert site.database.units == 0
        assert await not_watched(site) == ()
        assert await site.pace.granted(500) == 50
        assert audience.text == "MAX_ROWS_PER_SECOND, 50 rows/s"


async def test_a_part_that_cannot_be_read_leaves_the_run_as_it_is(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stopped run stays stopped until it is known that it may go on, however often that is asked in vain."""
    monkeypatch.setattr(governing, "LATE_AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(vitals_news, "BLIND_AFTER_SECONDS", 0.5)
    async with governed(database, pause_for_autovacuum="any") as (_, site, _):
        with vacuum_at_work(database), database.connect() as blocking:
            await until(lambda: site.pace.is_stopped)
            lock = "BEGIN; LOCK TABLE pg_stat_progress_vacuum IN ACCESS EXCLUSIVE MODE"
            await asyncio.to_thread(blocking.execute, lock)  # which waits until the look of this moment is over
            blocking.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_vacuum")
            await until(lambda: "Vacuums cannot be read, and what was seen last holds" in caplog.text)
            asked = site.database.units
            await until(lambda: site.database.units >= asked + 5)
            assert site.pace.is_stopped
            blocking.execute("ROLLBACK")
            await until(lambda: not site.pace.is_stopped)
            assert "Vacuums can be read again." in caplog.text


async def test_a_look_that_somebody_cancels_is_made_again_and_nothing_is_said(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(governing, "LIMITS", replace(LIMITS, lock_ms=0))
    monkeypatch.setattr(governing, "LATE_AGAIN_SECONDS", 0.2)
    async with governed(database) as (_, site, _):
        await until(lambda: site.database.units >= 2)
        with database.connect() as blocking, blocking.transaction():
            await asyncio.to_thread(blocking.execute, HOLD_A_LOOK_UP)
            await until(lambda: database.execute(CANCEL_A_LOOK) == [(True,)])
            asked = site.database.units

            def is_over() -> bool:
                database.execute(CANCEL_A_LOOK)
                return bool(site.database.units > asked)

            await until(is_over)
        await until(lambda: site.database.units >= asked + 8)
    assert caplog.messages == []


async def test_while_no_vitals_can_be_read_that_is_said_and_then_that_they_can(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vitals_news, "BLIND_AFTER_SECONDS", 0.5)
    with PostgresFaultProxy(database.port) as proxy:
        async with governed(database, via=proxy.port, db_retry_seconds=0, pause_for_autovacuum="any") as (_, site, _):
            with vacuum_at_work(database):
                await until(lambda: site.pace.is_stopped)
                proxy.turn_away()
                proxy.cut_all()
                await until(lambda: "The database's vitals cannot be read, and what was seen last holds" in caplog.text)
            assert site.pace.is_stopped
            proxy.resume()
            await until(lambda: not site.pace.is_stopped)
    assert "The database's vitals can be read again." in caplog.text


async def test_a_right_that_is_missing_is_asked_for_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(governing, "REFUSED_AGAIN_SECONDS", 0.2)
    function = "EXECUTE ON FUNCTION pg_blocking_pids(int)"
    database.execute(f"REVOKE {function} FROM PUBLIC")
    async with governed(database, as_limited=True) as (_, site, _):
        assert await not_watched(site) == ("lock waiters (permission denied for function pg_blocking_pids)",)
        await until(lambda: site.database.units >= 3)
        assert caplog.messages == [], "it was said before the run"
        database.execute(f"GRANT {function} TO PUBLIC")
        await until(lambda: caplog.messages == ["Watched from now on: lock waiters."])


async def test_a_standby_that_hangs_is_told_and_holds_no_look_up_for_long(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes connections, and never says a word."""
    monkeypatch.setattr(replicas, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        async with governed(database, replica_urls=f"postgresql://{name}", pause_for_autovacuum="any") as (_, site, _):
            await until(lambda: site.database.units >= 5)
            with vacuum_at_work(database):
                await until(lambda: site.pace.is_stopped)
    (said,) = [text for text in caplog.messages if "Standby" in text]
    assert said.startswith(f"Standby {name} is not there any more (REPLICA_URLS: {name}/")
    assert said.endswith(" does not answer): it limits nothing.")


PLAYED = """
CREATE SCHEMA played;
CREATE FUNCTION played.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION played.pg_last_wal_replay_lsn() RETURNS pg_lsn LANGUAGE sql AS $$ SELECT '0/1'::pg_lsn $$
"""
"""A server that says of itself what a standby says that has replayed next to nothing."""


async def test_a_standby_that_falls_silent_holds_the_run_for_some_time_and_is_then_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be too busy to answer, and is the last one to be let down."""
    monkeypatch.setattr(replicas, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(replicas, "AGAIN_SECONDS", 0.2)
    database.execute(PLAYED)
    with PostgresFaultProxy(database.port) as proxy:
        url = f"postgresql://127.0.0.1:{proxy.port}/{database.name}?options=-csearch_path%3Dplayed,pg_catalog"
        monkeypatch.setenv("SKETCH_DB_USER", database.user)
        monkeypatch.setenv("SKETCH_DB_PASS", database.password)
        async with governed(database, replica_urls=url, max_replica_lag_bytes=1000) as (_, site, _):
            await until(lambda: site.pace.is_stopped)
            proxy.stall()
            await until(lambda: "is silent, and what it told last holds" in caplog.text)
            asked = site.database.units
            await until(lambda: site.database.units >= asked + 3)
            assert site.pace.is_stopped
            monkeypatch.setattr(replicas, "SILENT_SECONDS", 0.0)
            await until(lambda: not site.pace.is_stopped)
            assert "does not answer): it limits nothing." in caplog.text
            proxy.resume()
            await until(lambda: site.pace.is_stopped)
            assert f"Standby 127.0.0.1:{proxy.port} is there again." in caplog.messages


async def test_limits_that_are_changed_hold_at_once(database: Database) -> None:
    async with governed(database, pause_for_autovacuum="never") as (_, site, audience):
        with vacuum_at_work(database):
            await asyncio.sleep(0.2)
            assert site.pace.is_open
            site.tuning.change(["PAUSE_FOR_AUTOVACUUM=any"])
            await until(lambda: site.pace.is_stopped)
            site.tuning.change(["PAUSE_FOR_AUTOVACUUM=never", "MAX_ROWS_PER_SECOND=300"])
            await until(lambda: not site.pace.is_stopped)
        site.tuning.pause("ann")
        assert site.pace.is_stopped
        assert (audience.text, audience.is_stopped) == ("paused by ann", True)
        site.tuning.pause("")
        assert not site.pace.is_stopped
        assert not site.pace.is_open


async def test_a_pause_holds_without_any_limit(database: Database) -> None:
    none: dict[str, Any] = dict.fromkeys(("max_replica_lag_seconds", "max_slot_wal_percent", "max_lock_waiters"), 0.0)
    none |= dict.fromkeys(("max_replica_lag_bytes", "max_slot_wal_bytes"), 0)
    async with governed(database, pause_for_autovacuum="never", **none) as (looking, site, audience):
        site.tuning.pause("ann")
        assert site.pace.is_stopped
        site.tuning.pause("")
        assert site.pace.is_open
        assert audience.text == ""
    (limited,) = looking.limited
    assert (limited.setting, limited.what) == ("ctl pause", "paused by ann")
