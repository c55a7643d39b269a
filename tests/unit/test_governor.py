"""The governor against simulated databases: it finds what each bears and stays there, waits, and comes back."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import pytest
from benchmarks.simulated_databases.databases import MEGABYTE, SimulatedDatabase, constant, during
from benchmarks.simulated_databases.simulation import play

from sketchmigrate.flow.governor import Governor, Strain
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.simulated_databases.simulation import Trace

FASTEST = 5000.0
ROW_BYTES = 500
REPLAYED = 1.0 * MEGABYTE
BEARABLE = (REPLAYED - 0.2 * MEGABYTE) / ROW_BYTES
"""Rows a second that a standby keeps up with which replays a megabyte, a fifth of which is the application's."""


def settings(**given: object) -> Settings:
    return Settings.of(given)


def played(database: SimulatedDatabase, seconds: float = 600, *, order_seconds: float = 0.0, **given: object) -> Trace:
    return play(database, settings(**given), fastest=FASTEST, seconds=seconds, order_seconds=order_seconds)


def test_while_all_is_well_it_is_as_fast_as_it_can() -> None:
    trace = played(SimulatedDatabase(replays=constant(20 * MEGABYTE), reads=constant(20 * MEGABYTE)), 120)
    assert trace.spread(0) == (FASTEST, FASTEST)
    assert {sample.allowed for sample in trace.samples} == {math.inf}


@pytest.mark.parametrize("order_seconds", [0.0, 1.0], ids=["at once", "by an order"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"max_replica_lag_seconds": 0},
        {"max_replica_lag_seconds": 0, "max_replica_lag_bytes": 20_000_000},
    ],
    ids=["10 s", "256 MB", "20 MB"],
)
def test_of_a_slower_standby_it_finds_the_rate_and_stays_there(given: dict[str, object], order_seconds: float) -> None:
    """Within the limit, without a stop, within an eighth of what the standby bears."""
    trace = played(SimulatedDatabase(replays=constant(REPLAYED)), 1200, order_seconds=order_seconds, **given)
    least, most = trace.spread(600)
    assert 7 / 8 * BEARABLE <= least <= most <= 9 / 8 * BEARABLE
    assert trace.rate(600) == pytest.approx(BEARABLE, rel=0.02)
    assert trace.shares(600)[1] < 0.85
    assert trace.shares(0)[1] < 1


def test_it_follows_a_standby_that_becomes_slower_and_faster_again() -> None:
    def replays(now: float) -> float:
        return REPLAYED * (1.0 if now < 200 else 0.4 if now < 400 else 3.0)

    trace = played(SimulatedDatabase(replays=replays))
    assert trace.rate(150, 200) == pytest.approx(1600, rel=0.05)
    assert trace.rate(300, 400) == pytest.approx(400, rel=0.1)
    assert trace.rate(500, 600) == pytest.approx(FASTEST, rel=0.01)


@pytest.mark.parametrize(
    ("database", "setting"),
    [
        (lambda: SimulatedDatabase(replays=during(60, 180, 0, 20 * MEGABYTE)), "MAX_REPLICA_LAG_SECONDS"),
        (
            lambda: SimulatedDatabase(reads=during(60, 180, 0, 20 * MEGABYTE), slot_keep_bytes=64 * MEGABYTE),
            "MAX_SLOT_WAL_PERCENT",
        ),
        (lambda: SimulatedDatabase(vacuums=lambda now: 60 <= now < 180), "PAUSE_FOR_AUTOVACUUM"),
    ],
    ids=["replay paused", "slot unread", "vacuum"],
)
def test_it_stops_for_as_long_as_it_takes_and_is_fast_again_within_half_a_minute(
    database: Callable[[], SimulatedDatabase], setting: str
) -> None:
    trace = played(database(), 240)
    stopped = trace.between(90, 180)
    assert {sample.rows_per_second for sample in stopped} == {0.0}
    assert {sample.setting for sample in stopped} == {setting}
    assert trace.rate(210, 240) == pytest.approx(FASTEST, rel=0.05)


def test_where_replay_is_paused_flips_stop_within_15_seconds_and_no_more_is_added_than_the_limit() -> None:
    database = SimulatedDatabase(replays=during(60, 180, 0, 20 * MEGABYTE), application=constant(0.0))
    trace = played(database, 170)
    assert trace.rate(75, 170) == 0
    assert database.lsn - database.replayed <= 256 * MEGABYTE + FASTEST * ROW_BYTES


def test_an_unread_slot_never_has_more_than_its_percent() -> None:
    """All that is written meanwhile is the run's own."""
    database = SimulatedDatabase(reads=constant(0.0), slot_keep_bytes=64 * MEGABYTE, application=constant(0.0))
    trace = played(database, 300)
    assert trace.shares(0)[1] <= 1
    assert database.lsn - database.read <= 32 * MEGABYTE + FASTEST * ROW_BYTES
    assert trace.rate(200, 300) < 10


def test_below_the_limit_something_goes_on_whatever_holds_it_there() -> None:
    """A slot whose reader is just as fast as the application, and was behind from the start."""
    trace = played(
        SimulatedDatabase(reads=constant(0.2 * MEGABYTE), read=-15.0 * MEGABYTE, slot_keep_bytes=64 * MEGABYTE)
    )
    assert trace.spread(0)[0] >= 5


def test_a_limit_on_wal_is_nearly_used() -> None:
    trace = played(SimulatedDatabase(), max_wal_bytes_per_second=1_000_000)
    written = trace.rate(100, 600) * ROW_BYTES + 0.2 * MEGABYTE
    assert 0.65 * MEGABYTE <= written <= 0.85 * MEGABYTE
    least, most = trace.spread(200)
    assert most <= 1.5 * least


@pytest.mark.parametrize("seed", range(5))
def test_sessions_that_wait_slow_it_and_few_of_them_do_not(seed: int) -> None:
    """Their number is a matter of chance, and the rate follows it; it does not fall to nothing, nor stop."""
    many = SimulatedDatabase(waits_a_row=3 / FASTEST, chance=Random(seed))
    trace = played(many)
    assert trace.rate(60) * many.waits_a_row == pytest.approx(1.5, rel=0.1)
    assert trace.rate(60) < 0.6 * FASTEST
    assert sum(sample.rows_per_second == 0 for sample in trace.between(60)) <= 6
    few = played(SimulatedDatabase(waits_a_row=0.3 / FASTEST, chance=Random(seed)))
    assert few.rate(0) == pytest.approx(FASTEST, rel=0.02)


def test_others_that_strain_a_standby_are_waited_for() -> None:
    """The application's own load alone is more than the standby replays."""
    application = during(100, 160, 8 * MEGABYTE, 0.2 * MEGABYTE)
    trace = played(SimulatedDatabase(replays=constant(3 * MEGABYTE), application=application))
    assert trace.rate(120, 160) == 0
    assert trace.rate(500, 600) > 4000


def test_a_persons_cap_is_kept_to() -> None:
    trace = played(SimulatedDatabase(replays=constant(20 * MEGABYTE)), 60, max_rows_per_second=300)
    assert trace.spread(2) == pytest.approx((300, 300), abs=1)
    slower = played(SimulatedDatabase(replays=constant(REPLAYED)), 600, max_rows_per_second=3000)
    assert slower.rate(300) == pytest.approx(BEARABLE, rel=0.05)


def test_the_nearest_limit_counts_and_is_named() -> None:
    governor = Governor()
    governor.look(0.0, [], 0)
    far, near = Strain("A", 0.6, "far"), Strain("B", 0.9, "near")
    decision = governor.look(1.0, [far, near], 1000)
    assert decision.strain == near
    assert not decision.is_stopped
    assert decision.rows_per_second == pytest.approx(200, rel=0.1)  # a fifth of what is left, of its own rate
    stopped = governor.look(2.0, [far, near._replace(share=1.0)], 1200)
    assert stopped.is_stopped
    back = governor.look(3.0, [], 1200)
    assert (back.strain, back.is_coming_back) == (near._replace(share=1.0), True)
    assert 0 < back.rows_per_second < 200


def test_it_decides_by_what_it_is_told_alone() -> None:
    """The same looks give the same decisions, and a pause of the process is no time in which a rate grew."""
    looks = [(0.0, 0.0, 0), (1.0, 0.7, 900), (2.0, 0.8, 1500), (600.0, 0.6, 1500), (601.0, 0.3, 1700)]

    def decided() -> list[float]:
        governor = Governor()
        return [governor.look(now, [Strain("A", share, "")], rows).rows_per_second for now, share, rows in looks]

    assert decided() == decided()
    assert decided()[3] < 2 * FASTEST
