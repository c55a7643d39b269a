"""The congestion control against simulated servers: it finds what each bears, keeps it, and survives their moods."""

from __future__ import annotations

import math
import pickle
from random import Random
from typing import TYPE_CHECKING

import pytest
from benchmarks.simulated_servers.servers import (
    Changing,
    Distant,
    FixedCapacity,
    Moody,
    Noisy,
    Partitions,
    Prefixes,
    Refusing,
    Stalling,
    Throttling,
    Tides,
)
from benchmarks.simulated_servers.simulation import Client

from sketchmigrate.flow.caps import Caps
from sketchmigrate.flow.congestion import Congestion
from sketchmigrate.flow.limiter import Limiter, Pressure
from sketchmigrate.flow.token_bucket import TokenBucket
from sketchmigrate.flow.window import Span, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.simulated_servers.servers import Server
    from benchmarks.simulated_servers.simulation import Trace

ON_BOTH_SIDES = [
    pytest.param(lambda: Distant(0.05), id="far away"),
    pytest.param(lambda: FixedCapacity(40, 0.02, 0.03), id="2 000 a second"),
    pytest.param(lambda: FixedCapacity(4, 0.002), id="near by, four at a time"),
    pytest.param(lambda: Noisy(FixedCapacity(40, 0.02), Random(5), 0.02), id="noisy"),
]


@pytest.mark.parametrize("server", ON_BOTH_SIDES)
def test_within_ten_seconds_it_is_as_fast_as_the_best_fixed_number(server: Callable[[], Server]) -> None:
    own = Client(server()).run(14).accepted_per_second(10)
    best = max(Client(server(), fixed=fixed).run(6).accepted_per_second(2) for fixed in (4, 32, 128, 512, 1024))
    assert own >= 0.9 * best


def test_behind_50_ms_it_takes_one_second_to_a_thousand() -> None:
    trace = Client(Distant(0.05)).run(2)
    assert trace.samples[3].window == 1024


@pytest.mark.parametrize("per_second", [100, 1000])
@pytest.mark.parametrize("latency_seconds", [0.001, 0.02])
@pytest.mark.parametrize("burst_seconds", [0.0, 0.1])
def test_of_a_store_that_refuses_it_uses_90_percent_and_has_2_percent_refused(
    per_second: float, latency_seconds: float, burst_seconds: float
) -> None:
    limited: Server = Throttling(per_second, latency_seconds)
    if burst_seconds:
        limited = Partitions(per_second, latency_seconds, math.inf, burst_seconds=burst_seconds)
    trace = Client(limited).run(50)
    assert trace.accepted_per_second(10) >= 0.9 * per_second
    assert trace.refused_share(10) <= 0.02


def test_where_partitions_double_it_follows_them() -> None:
    server = Partitions(250, 0.03, 5, prefixes=2)
    trace = Client(server).run(90)
    assert server.limit() >= 2000
    assert trace.accepted_per_second(80) >= 0.75 * min(server.limit(), 4000)
    assert trace.refused_share(10) <= 0.02


@pytest.mark.parametrize("server", ON_BOTH_SIDES[1:])
def test_the_window_comes_to_rest(server: Callable[[], Server]) -> None:
    samples = Client(server()).run(60).between(30)
    # a probe halves the window for a moment; between the probes it stands still
    sizes = [sample.window for sample in samples]
    usual = sorted(sizes)[len(sizes) // 2]
    assert sum(0.8 * usual <= size <= 1.25 * usual for size in sizes) >= 0.9 * len(sizes)


def test_a_rate_that_is_refused_does_not_see_saw() -> None:
    rates = [sample.accepted_per_second for sample in Client(Throttling(1000, 0.02)).run(60).between(20)]
    assert sum(rate >= 650 for rate in rates) >= 0.99 * len(rates)


def test_a_store_that_refuses_some_whatever_is_sent_is_not_starved() -> None:
    trace = Client(Moody(FixedCapacity(50, 0.02), Random(3), 0.03)).run(90)
    assert trace.accepted_per_second(60) >= 0.7 * 2500


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(lambda: FixedCapacity(50, 0.02), id="near by"),
        pytest.param(lambda: Distant(0.05), id="far away"),
        pytest.param(lambda: Distant(1.0), id="slow"),
    ],
)
def test_where_a_share_is_refused_whatever_is_sent_it_makes_what_32_at_once_would(
    inner: Callable[[], Server], share: float
) -> None:
    own = Client(Moody(inner(), Random(3), share)).run(15)
    of_32 = Client(Moody(inner(), Random(3), share), fixed=32).run(15)
    assert own.accepted_per_second(0) >= 0.6 * of_32.accepted_per_second(0)
    assert own.accepted_per_second(10) >= 0.9 * of_32.accepted_per_second(10)


def test_a_limit_is_found_beside_a_habit() -> None:
    trace = Client(Moody(Throttling(1000, 0.02), Random(3), 0.3)).run(60)
    assert trace.accepted_per_second(20) >= 0.8 * 1000
    assert trace.refused_share(20) <= 0.45


def test_a_habit_is_forgotten_where_a_limit_takes_its_place() -> None:
    changing = Changing(Moody(FixedCapacity(50, 0.02), Random(3), 0.3), Throttling(200, 0.02), 15)
    trace = Client(changing).run(60)
    assert trace.accepted_per_second(40) >= 0.9 * 200
    assert trace.refused_share(40) <= 0.02


def test_a_rare_refusal_costs_nothing() -> None:
    trace = Client(Moody(FixedCapacity(50, 0.02), Random(3), 0.001)).run(30)
    assert trace.accepted_per_second(10) >= 0.95 * 2500


def test_after_a_stall_it_goes_on_as_before() -> None:
    trace = Client(Stalling(FixedCapacity(50, 0.02), 15, 20)).run(30)
    assert trace.accepted_per_second(21) >= 0.95 * trace.accepted_per_second(10, 15)


def test_an_outage_is_knocked_at_softly_and_left_behind_soon() -> None:
    trace = Client(Refusing(FixedCapacity(50, 0.02), 15, 45)).run(75)
    assert trace.samples[4 * 44].refused_per_second <= 0.1 * 2500
    assert trace.accepted_per_second(65) >= 0.9 * 2500


def test_a_latency_that_has_risen_for_good_is_believed_after_a_while() -> None:
    """Twenty times the latency without any queue: were the old floor kept, the window would be frozen for ever."""
    trace = Client(Changing(FixedCapacity(50, 0.005, 0.0), Distant(0.1), 10), caps=Caps(500)).run(45)
    assert trace.samples[4 * 8].window < 250
    assert trace.accepted_per_second(40) >= 0.9 * 5000


@pytest.mark.parametrize("per_second", [1000, 2000])
def test_where_the_way_becomes_twenty_times_as_long_and_short_again_it_is_as_fast_as_can_be(per_second: int) -> None:
    """Each of the phases as a whole, with the moments after its change; no window carries more than the server takes.

    Too small a window carries a tenth after the first change, and that alone does not tell a longer way from a slower
    server: only a larger window does.
    """
    trace = Client(Tides(FixedCapacity(1, 1 / per_second), (0.01, 0.2), 20)).run(60)
    for phase in range(3):
        assert trace.accepted_per_second(20 * phase, 20 * phase + 20) >= 0.9 * per_second


def test_a_server_that_has_become_slower_is_not_sent_more() -> None:
    """For a moment it is as if the way had become longer: but more in flight only wait."""
    slower = Changing(FixedCapacity(1, 0.0005, 0.01), FixedCapacity(1, 0.01, 0.01), 10)
    samples = Client(slower).run(30).samples
    assert max(sample.window for sample in samples[44:]) <= 2 * samples[39].window


def test_a_queue_of_our_own_is_never_believed_to_be_the_floor() -> None:
    samples = Client(FixedCapacity(50, 0.01)).run(120).samples
    assert max(sample.window for sample in samples) <= 8 * 50
    assert samples[-1].latency_seconds <= 0.04


def test_what_the_iterations_do_not_ask_for_does_not_open_the_window() -> None:
    samples = Client(Distant(0.05), references=20).run(5).samples
    assert max(sample.window for sample in samples) <= 64


def test_what_nobody_needs_any_more_is_given_up_and_won_again() -> None:
    client = Client(Distant(0.05))
    assert client.run(5).samples[-1].window == 1024
    client.references = 60
    assert client.run(5).samples[-1].window <= 2 * 60
    client.references = 2000
    assert client.run(12).accepted_per_second(20) >= 0.9 * 1024 / 0.05


# -- prefixes that a store limits each for itself


LIMITS = (250, 500, 1000, 250)


def mixed(shares: Sequence[float]) -> Callable[[int], int]:
    """Return the prefixes of rows in an order that has no order, each as often as its share."""
    order = Random(7).choices(range(len(shares)), shares, k=2**17)
    return lambda number: order[number % len(order)]


def limited(per_second: float) -> Server:
    return Partitions(per_second, 0.05, math.inf)


@pytest.mark.parametrize("batch", [pytest.param(0, id="any order"), pytest.param(500, id="four batches of 500")])
def test_of_prefixes_with_limits_of_their_own_90_percent_of_the_sum_is_used(batch: int) -> None:
    prefix_of = mixed(LIMITS)
    client = Client(Prefixes([limited(each) for each in LIMITS], prefix_of), prefix_of=prefix_of, batch=batch)
    trace = client.run(35)
    assert trace.accepted_per_second(10) >= 0.9 * sum(LIMITS)
    assert trace.refused_share(10) <= 0.02
    assert len(client.limiter.lanes) >= 2


def test_a_prefix_that_is_refused_slows_no_other() -> None:
    """Until all that p times -b hold is of that prefix, which the order of the rows decides."""
    prefix_of = mixed((1, 8, 8, 8))
    servers: list[Server] = [limited(100), *(FixedCapacity(20, 0.02) for _ in range(3))]
    client = Client(Prefixes(servers, prefix_of), prefix_of=prefix_of, batch=500)
    trace = client.run(25)
    assert list(client.limiter.lanes) == ["0/"]
    assert trace.accepted_per_second(15) >= 0.9 * 100 * 25  # of 25 rows one is of that prefix


def test_a_prefix_that_is_slow_costs_no_more_than_with_the_best_fixed_number() -> None:
    def trace(fixed: int = 0) -> Trace:
        prefix_of = mixed((1, 1, 1, 1))
        servers: list[Server] = [Distant(1.0), *(FixedCapacity(40, 0.02) for _ in range(3))]
        return Client(Prefixes(servers, prefix_of), fixed=fixed, batch=500).run(25)

    best = max(trace(fixed).accepted_per_second(10) for fixed in (64, 256, 1024))
    assert trace().accepted_per_second(10) >= 0.9 * best


@pytest.mark.parametrize("prefixes", [4, 100])
@pytest.mark.parametrize("server", [lambda: Throttling(1000, 0.02), lambda: Partitions(1000, 0.02, math.inf)])
def test_one_limit_for_all_prefixes_stays_one(prefixes: int, server: Callable[[], Server]) -> None:
    client = Client(server(), prefix_of=mixed((1,) * prefixes))
    trace = client.run(30)
    assert not client.limiter.lanes
    assert trace.accepted_per_second(10) >= 0.9 * 1000
    assert trace.refused_share(10) <= 0.02


def test_no_name_is_asked_for_before_something_is_refused() -> None:
    client = Client(Distant(0.05), prefix_of=mixed((1, 1)))
    client.run(1)
    assert not client.limiter.by_prefix
    client.limiter.refused(1.0, "0/")
    assert client.limiter.by_prefix
    client.run(3)
    assert not client.limiter.by_prefix


def storm(limiter: Limiter[int], names: Sequence[str], now: float) -> float:
    """Refuse all below the first name for a while, and none of the others. Return the time then."""
    for turn in range(2000):
        now += 0.001
        name = names[turn % len(names)]
        limiter.replied_below(name, now, 0.02)
        if name == names[0]:
            limiter.refused(now, name)
    return now


def test_there_are_64_lanes_and_those_that_are_idle_make_room() -> None:
    limiter: Limiter[int] = Limiter(Caps(), 0.0)
    now = 0.0
    for number in range(80):
        now = storm(limiter, [f"{number}/", "others/"], now)
    assert 1 < len(limiter.lanes) <= 64
    last = storm(limiter, ["last/", "others/"], now + 100)
    assert list(limiter.lanes) == ["last/"]
    assert last > now


def test_who_waits_for_a_lane_holds_no_slot_and_is_overtaken() -> None:
    limiter: Limiter[str] = Limiter(Caps(100), 0.0)
    now = storm(limiter, ["slow/", "fast/"], 0.0)  # type: ignore[arg-type]  # it has no waiters
    assert list(limiter.lanes) == ["slow/"]
    for turn in range(50):
        limiter.queue(f"slow {turn}", 0, "slow/")
    limiter.queue("fast", 0, "fast/")
    admitted = []
    while waiter := limiter.admit(now):
        admitted.append(waiter)
    assert "fast" in admitted
    assert len(admitted) < 20
    assert limiter.in_flight == len(admitted)
    assert limiter.callers >= limiter.congestion.window + 50 - len(admitted)
    assert now < limiter.ready_at() < now + 1.5


def test_a_slot_goes_back_to_the_lane_that_it_came_from() -> None:
    limiter: Limiter[str] = Limiter(Caps(), 0.0)
    limiter.refused(0.0, "slow/")
    limiter.queue("before", 0, "slow/")
    assert limiter.admit(0.0) == "before"
    before = limiter.admitted_to
    now = storm(limiter, ["slow/", "fast/"], 0.0)  # type: ignore[arg-type]  # it has no waiters
    limiter.queue("after", 0, "slow/")
    while limiter.admit(now) is None:
        now += 0.05
    limiter.leave(limiter.admitted_to)
    limiter.leave(before)
    assert limiter.in_flight == 0
    assert limiter.callers == limiter.congestion.window


# -- single decisions


def spans(congestion: Congestion, seconds: float, *, latency_seconds: float = 0.02, faults_every: int = 0) -> None:
    """Reply once a millisecond for a while."""
    for number in range(round(seconds * 1000)):
        now = spans.now = spans.now + 0.001  # type: ignore[attr-defined]  # the clock of this file
        congestion.replied(now, latency_seconds)
        if faults_every and number % faults_every == 0:
            congestion.faulted(now)


@pytest.fixture
def congestion() -> Congestion:
    """One whose window is in use: a thousand a second at 32 ms."""
    spans.now = 0.0  # type: ignore[attr-defined]  # see above
    return Congestion(1024, 0.0)


def test_few_time_outs_are_no_vote(congestion: Congestion) -> None:
    spans(congestion, 0.2, latency_seconds=0.032, faults_every=10)
    assert congestion.window == 64  # as without them


def test_many_time_outs_cut_the_window_once_a_span(congestion: Congestion) -> None:
    spans(congestion, 0.06, latency_seconds=0.032, faults_every=2)
    assert congestion.window == 22  # 0.7 of 32


def test_faults_that_no_cut_helps_against_do_not_starve_the_window(congestion: Congestion) -> None:
    spans(congestion, 3.0, latency_seconds=0.032, faults_every=2)  # a third of the requests, whatever the window
    assert congestion.window >= 32


def test_a_gain_counts_once() -> None:
    """Were later windows held against the rate from before a gain, that gain would count for each of them again."""
    window, now = Window(1024), 0.0
    rates = {32: 1000, 64: 1500, 128: 2200, 256: 2800, 512: 2950, 1024: 3000}  # 512 bring 5 %, and wait twice as long
    sizes = []
    for _ in range(8):
        rate = next(rate for size, rate in rates.items() if size >= window.size)
        now += 0.4
        window.measured(Span(now, 400 / rate, 400, 0, 0, window.size / rate, float(rate)))
        sizes.append(window.size)
    assert max(sizes) == 512


@pytest.mark.parametrize("slow_seconds", [0.11, 0.56])
def test_a_pause_is_no_longer_way(slow_seconds: float) -> None:
    """Less than half the rate at more than twice the latency, and then all is as before: something was held up."""
    window, sizes = Window(1024), []
    window.measured(Span(0.05, 0.05, 10, 0, 0, 0.0005, 200.0))  # at first nobody asks for more
    for number in range(2, 100):
        now = 0.05 * number
        rate = 6000.0 if 2 < now <= 2 + slow_seconds else 15_000.0
        window.measured(Span(now, 0.05, round(0.05 * rate), 0, 0, window.size / rate, rate))
        sizes.append(window.size)
    assert max(sizes[:38]) == 64
    assert max(sizes) == 64
    assert sizes[-1] <= 64


def test_a_storm_is_one_cut(congestion: Congestion) -> None:
    for number in range(500):
        now = 0.001 * (number + 1)
        congestion.replied(now, 0.032)
        if number % 2:
            congestion.refused(now)
    assert congestion.requests_per_second == pytest.approx(0.7 * 500, rel=0.05)


# -- caps


def test_a_bucket_keeps_its_rate_whatever_the_amounts() -> None:
    bucket, now, passed = TokenBucket(1000.0), 0.0, 0
    while now < 10:
        bucket.take(now, 500 if passed % 3 else 20)
        passed += 500 if passed % 3 else 20
        now = max(now, bucket.ready_at())
    assert passed == pytest.approx(10_000, rel=0.06)


def test_a_bucket_does_not_save_up_what_was_not_used() -> None:
    bucket, passed = TokenBucket(100.0), 0
    while bucket.ready_at() <= 1000.0:
        bucket.take(1000.0, 1)
        passed += 1
    assert passed <= 4


@pytest.mark.parametrize("cap", [50, 500])
def test_requests_a_second_are_capped(cap: float) -> None:
    trace = Client(Distant(0.02), caps=Caps(requests_per_second=cap)).run(20)
    assert max(sample.accepted_per_second for sample in trace.samples) <= 1.2 * cap + 4
    assert trace.accepted_per_second(2) == pytest.approx(cap, rel=0.03)


def test_concurrency_is_capped() -> None:
    trace = Client(Distant(0.05), caps=Caps(40)).run(5)
    assert trace.accepted_per_second(2) == pytest.approx(40 / 0.05, rel=0.03)


def test_bytes_that_pass_through_are_capped_and_others_are_not_held_back() -> None:
    limiter: Limiter[str] = Limiter(Caps(bytes_per_second=1000.0), 0.0)
    limiter.queue("first", 2000)
    limiter.queue("second", 1)
    assert [limiter.admit(0.0), limiter.admit(1.9), limiter.admit(2.0)] == ["first", None, "second"]
    limiter.queue("a copy")
    assert limiter.admit(2.0) == "a copy"


def test_what_was_expected_and_did_not_come_is_given_back() -> None:
    limiter: Limiter[str] = Limiter(Caps(bytes_per_second=1000.0), 0.0)
    limiter.queue("first", 2000)
    assert limiter.admit(0.0) == "first"
    limiter.correct(0.0, -1900)
    limiter.queue("second", 1)
    assert limiter.admit(0.1) == "second"


def test_caps_change_at_run_time_and_can_be_shared_out() -> None:
    caps = Caps(1000, 300.0, 9e6)
    assert caps.share(3) == Caps(333, 100.0, 3e6)
    assert Caps(2).share(5) == Caps(1)
    assert pickle.loads(pickle.dumps(caps)) == caps  # noqa: S301 - our own bytes
    client = Client(Distant(0.02), caps=Caps(requests_per_second=100.0))
    client.run(5)
    client.limiter.limit(Caps(requests_per_second=400.0))
    assert client.run(5).accepted_per_second(6) == pytest.approx(400, rel=0.05)


@pytest.mark.parametrize(
    ("server", "caps", "pressure"),
    [
        (Distant(0.05), Caps(), Pressure.CEILING),
        (FixedCapacity(20, 0.02), Caps(), Pressure.WINDOW),
        (Throttling(200, 0.02), Caps(), Pressure.REFUSALS),
        (Throttling(200, 0.02), Caps(requests_per_second=50), Pressure.RATE_CAP),
    ],
)
def test_what_holds_back_is_told(server: Server, caps: Caps, pressure: Pressure) -> None:
    client = Client(server, caps=caps)
    client.run(6)
    assert client.limiter.pressure(client.now) is pressure


def test_nothing_holds_back_where_nobody_asks() -> None:
    client = Client(Distant(0.05), references=3)
    client.run(3)
    assert client.limiter.pressure(client.now) is Pressure.NOTHING
