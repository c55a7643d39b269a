"""How near what the database feels is to each limit, and in which words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sketchmigrate.core.sample import Felt
from sketchmigrate.migration.gauges import Gauges
from sketchmigrate.postgres.vitals import SLOTS, STANDBYS, VACUUMS, WAL, Activity, Slot, Standby, Vacuum, Vitals
from sketchmigrate.settings import Settings

MEGABYTE = 1_000_000


def read(vitals: Vitals, **given: object) -> dict[str, tuple[float, str]]:
    """What one look shows: share and words, by setting."""
    strains = Gauges(Settings.of(given)).read(vitals, 0.0)
    return {strain.setting: (strain.share, strain.text) for strain in strains}


def test_a_standby_is_judged_by_bytes_and_by_time() -> None:
    gauges = Gauges(Settings())
    for second in range(15):
        vitals = Vitals(wal_lsn=second * MEGABYTE, standbys=(Standby("standby-2", 0),))
        strains = {strain.setting: strain for strain in gauges.read(vitals, float(second))}
    assert strains["MAX_REPLICA_LAG_SECONDS"].share == pytest.approx(1.4)
    assert strains["MAX_REPLICA_LAG_SECONDS"].text == "standby-2 is 14 s behind (limit 10 s)"
    assert strains["MAX_REPLICA_LAG_BYTES"].share == pytest.approx(14 / 256)
    assert strains["MAX_REPLICA_LAG_BYTES"].text == "standby-2 is 14.0 MB behind (limit 256.0 MB)"


def test_one_that_replays_is_judged_by_what_it_needs_for_the_rest_but_at_the_limit_by_how_late_it_is() -> None:
    gauges = Gauges(Settings())
    shares = []
    for second in range(30):
        vitals = Vitals(wal_lsn=second * 2 * MEGABYTE, standbys=(Standby("s", second * MEGABYTE),))
        (strain, *_) = gauges.read(vitals, float(second))
        shares.append(strain.share)
    assert strain.text == "s is 14 s behind (limit 10 s)"
    assert shares[-1] >= 1  # of a backlog of 29 MB, the oldest byte is 14.5 s old
    assert shares[8] == pytest.approx(0.8)  # four seconds late, and eight more to go
    assert max(shares[:19]) < 1


def test_a_slot_is_judged_by_its_room_and_where_there_is_no_end_by_bytes() -> None:
    slot = Slot("reader", 10 * MEGABYTE)
    room = read(Vitals(wal_lsn=34 * MEGABYTE, slot_keep_bytes=64 * MEGABYTE, slots=(slot,)))
    assert room == {
        "MAX_SLOT_WAL_PERCENT": (0.75, "slot reader keeps 24.0 MB of WAL, 38 % of what it may (limit 50 %)")
    }
    endless = read(Vitals(wal_lsn=34 * MEGABYTE, slot_keep_bytes=-1, slots=(slot,)), max_slot_wal_bytes="32M")
    assert endless == {"MAX_SLOT_WAL_BYTES": (0.75, "slot reader keeps 24.0 MB of WAL (limit 32.0 MB)")}
    nothing_kept = Slot("reader", 10 * MEGABYTE, safe_bytes=8 * MEGABYTE)
    kept = read(Vitals(wal_lsn=18 * MEGABYTE, slot_keep_bytes=0, slots=(nothing_kept,)))
    assert kept["MAX_SLOT_WAL_PERCENT"][0] == 1.0


def test_a_slot_that_is_lost_or_keeps_nothing_is_no_limit() -> None:
    slots = (Slot("lost", 1, is_lost=True), Slot("new", None))
    assert read(Vitals(wal_lsn=10**12, slot_keep_bytes=-1, slots=slots)) == {}


def test_what_is_not_visible_is_no_zero_and_no_limit() -> None:
    assert read(Vitals()) == {}
    hidden = Vitals(wal_lsn=10**12, standbys=(Standby("standby-2", None),))
    assert read(hidden) == {}
    assert hidden.hidden_standbys == ("standby-2",)


def test_0_is_no_limit() -> None:
    vitals = Vitals(
        wal_lsn=10**12,
        slot_keep_bytes=-1,
        standbys=(Standby("s", 0),),
        slots=(Slot("r", 0),),
        vacuums=(Vacuum("avatars", prevents_wraparound=True),),
        lock_waiters=100,
    )
    limits = (
        "max_replica_lag_seconds max_replica_lag_bytes max_slot_wal_percent max_slot_wal_bytes max_lock_waiters"
        " max_wal_bytes_per_second"
    )
    assert len(read(vitals)) == 5
    assert read(vitals, **dict.fromkeys(limits.split(), 0), pause_for_autovacuum="never") == {}


def test_waiting_sessions_count_as_a_mean_and_a_crowd_at_once() -> None:
    gauges = Gauges(Settings())

    def share(waiters: int, second: float) -> float:
        (strain,) = gauges.read(Vitals(lock_waiters=waiters), second)
        return strain.share

    assert share(2, 0) < 0.1
    assert [share(2, second) for second in range(1, 100)][-1] == pytest.approx(1, abs=0.03)
    assert share(0, 100) < 0.97
    crowd = Gauges(Settings())
    assert [crowd.read(Vitals(lock_waiters=20), second)[0].share for second in range(3)][-1] > 1


@pytest.mark.parametrize(
    ("pauses", "prevents_wraparound", "waits"),
    [
        ("wraparound", True, True),
        ("wraparound", False, False),
        ("any", False, True),
        ("any", True, True),
        ("never", True, False),
    ],
)
def test_vacuums_are_waited_for_as_it_is_set(pauses: str, *, prevents_wraparound: bool, waits: bool) -> None:
    found = read(Vitals(vacuums=(Vacuum("avatars", prevents_wraparound),)), pause_for_autovacuum=pauses)
    assert bool(found) is waits
    if waits:
        share, text = found["PAUSE_FOR_AUTOVACUUM"]
        assert share == math.inf
        assert text.endswith(" is at work on avatars")
        assert ("wraparound" in text) is prevents_wraparound


def test_of_what_comes_too_late_what_was_seen_last_holds_and_what_is_shown_no_more_limits_nothing() -> None:
    """Nobody knows that a vacuum is over, or that a standby has replayed nothing since."""
    gauges, vacuums = Gauges(Settings()), (Vacuum("avatars", prevents_wraparound=True),)
    there = Vitals(wal_lsn=2 * MEGABYTE, slot_keep_bytes=-1, standbys=(Standby("s", MEGABYTE),), slots=(Slot("r", 1),))
    first = gauges.read(replace(there, vacuums=vacuums), 0.0)
    assert {strain.setting for strain in first} == {
        "MAX_REPLICA_LAG_SECONDS", "MAX_REPLICA_LAG_BYTES", "MAX_SLOT_WAL_BYTES", "PAUSE_FOR_AUTOVACUUM",
    }  # fmt: skip
    assert gauges.read(Vitals(wal_lsn=90 * MEGABYTE), 60.0, {STANDBYS, SLOTS, VACUUMS}) == first
    assert gauges.read(there, 61.0, {WAL, VACUUMS}) == first
    assert gauges.read(Vitals(), 62.0) == []


def test_the_worst_standby_and_slot_are_shown_and_nothing_that_nobody_can_see() -> None:
    gauges = Gauges(Settings())
    for second in range(5):
        vitals = Vitals(
            wal_lsn=second * MEGABYTE,
            standbys=(Standby("near", second * MEGABYTE), Standby("far", 0), Standby("hidden", None)),
            slots=(Slot("lost", 0, is_lost=True), Slot("reader", 3 * MEGABYTE), Slot("unused", None)),
            lock_waiters=0,
            activity=Activity(sessions=7, transactions=100 * second, archiver_failures=0, checkpoints=0),
        )
        gauges.read(vitals, float(second))
    shown = gauges.shown(vitals)
    assert shown.lag_seconds == pytest.approx(4)
    assert (shown.lag_bytes, shown.slot_wal_bytes, shown.wal_bytes_per_second) == (4e6, 1e6, 1e6)
    assert (shown.lock_waiters, shown.sessions, shown.transactions_per_second) == (0, 7, 100)
    only_hidden = gauges.shown(Vitals(wal_lsn=9 * MEGABYTE, standbys=(Standby("hidden", None),), slots=()))
    assert (only_hidden.lag_seconds, only_hidden.lag_bytes, only_hidden.slot_wal_bytes) == (None, None, None)
    assert gauges.shown(Vitals()) == Felt()
