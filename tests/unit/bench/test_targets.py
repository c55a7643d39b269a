"""Verdicts: the right ratio of the right figures, and no verdict where nothing was measured."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.application import Felt
from benchmarks.arguments import MEASUREMENTS
from benchmarks.calibration import RECORDED_NS
from benchmarks.contestants.contest import Turn
from benchmarks.figures import BY_PATTERN, BY_ROWS, CEILING, FAR_AWAY, LARGE_OBJECTS, RCLONE, TO_SEAWEED, TOOL
from benchmarks.measurements.application import APART, STALLED_LEDGER, UNDISTURBED, Beside, Stall
from benchmarks.measurements.changing_pace import Changing, PrefixPace
from benchmarks.measurements.cost import Cost
from benchmarks.measurements.pace import Pace
from benchmarks.measurements.paired import Paired
from benchmarks.measurements.scale import ONE, TWO, Shared, Way
from benchmarks.measurements.shapes import CLASSIC, JSONB, URL, ShapeCost
from benchmarks.measurements.start import EMPTY_RUN, PAGE, Start
from benchmarks.results import Execution, Results
from benchmarks.spread import Spread
from benchmarks.targets import SCALE_TARGETS, TARGETS, judge


def results(*turns: Turn) -> Results:
    return Results("default", turns=list(turns))


def turn(who: str, rows_per_second: float, *, rows: int = 20_000, store: str = "rclone", lost: int = 0) -> Turn:
    return Turn(who, store, rows, (rows - lost) / rows_per_second, cpu_seconds=1.0, peak_kib=50_000, lost=lost)


def verdict(measured: Results, what: str) -> tuple[str, bool | None]:
    (found,) = [each for each in judge(measured) if what in each.what]
    return found.measured, found.met


def test_nothing_measured_is_no_verdict() -> None:
    assert {each.met for each in judge(results())} == {None}


def test_a_ratio_is_taken_within_each_round() -> None:
    """The machine was three times as fast in the second round: that is in both rates, and not in their ratio."""
    ours = [turn(TOOL, rate) for rate in (2600, 7800, 2700)]
    theirs = [turn(BY_ROWS, rate) for rate in (1000, 3000, 900)]
    assert verdict(results(*ours, *theirs), "s5cmd + UPDATE, rclone, -w, 20 000") == ("2.6 times", True)
    theirs[1] = turn(BY_ROWS, 3300)
    assert verdict(results(*ours, *theirs), "s5cmd + UPDATE, rclone, -w, 20 000") == ("2.6 times", True)
    assert verdict(results(*ours, theirs[0]), "s5cmd + UPDATE, rclone, -w, 20 000") == ("2.6 times", True), "its round"


def test_what_was_lost_is_not_counted_as_done() -> None:
    lossy = turn(BY_ROWS, 1000, lost=5_000)
    assert lossy.rows_per_second == 1000
    assert lossy.seconds == 15


def test_sizes_are_not_mixed() -> None:
    measured = results(turn(TOOL, 5000), turn(BY_ROWS, 1000, rows=200_000))
    assert verdict(measured, "s5cmd + UPDATE, rclone, -w, 20 000") == ("not measured", None)


def test_the_fastest_peer_counts() -> None:
    measured = results(turn(TOOL, 5200), turn(BY_ROWS, 1000), turn(BY_PATTERN, 2000))
    assert verdict(measured, "s5cmd + UPDATE, rclone, -w, 20 000") == ("2.6 times", True)
    measured = results(turn(TOOL, 5200), turn(BY_ROWS, 1000))
    assert verdict(measured, "s5cmd + UPDATE, rclone, -w, 20 000") == ("5.2 times", True), "the only one"


def test_the_ceiling_is_taken_with_the_largest_table() -> None:
    measured = results(
        turn(TOOL, 100, store="ceph"),
        turn(CEILING, 1000, store="ceph"),
        turn(TOOL, 920, rows=200_000, store="ceph"),
        turn(CEILING, 1000, rows=200_000, store="ceph"),
    )
    assert verdict(measured, "ceiling, Ceph") == ("92 %", True)
    assert verdict(measured, "ceiling, SeaweedFS") == ("not measured", None)
    assert verdict(results(turn(TOOL, 9), turn(CEILING, 10)), "ceiling, rclone") == ("not measured", None), (
        "it is fresh"
    )


def test_what_is_streamed_is_held_against_rclone_and_memory() -> None:
    far = [turn(TOOL, 4400, store=FAR_AWAY), turn(RCLONE, 800, store=FAR_AWAY)]
    assert verdict(results(*far), "streamed behind 20 ms") == ("5.5 times", True)
    large = [turn(who, 8, rows=64, store=LARGE_OBJECTS) for who in (TOOL, RCLONE)]
    large.append(replace(large[0], peak_kib=230_000))
    measured = results(*large)
    assert verdict(measured, "64 objects of 64 MiB") == ("1 times", True)
    assert verdict(measured, "STREAM_MEMORY") == ("235.52 MB", False), "that of the worst turn"
    assert verdict(results(*far), "STREAM_MEMORY") == ("not measured", None)
    assert verdict(results(turn(TOOL, 2, store=TO_SEAWEED)), "64 objects") == ("not measured", None)


def test_costs_are_of_the_largest_table_and_memory_of_two() -> None:
    cost = Cost(
        "-yw",
        tls=False,
        rows=100_000,
        seconds=1,
        cpu_seconds=4,
        peak_kib=80_000,
        requests={"CopyObject": 100_000},
        received_bytes=0,
        server_share=0.1,
        ledger_bytes=4_600_000,
    )
    requests = {"CopyObject": 1_003_000}
    large = replace(cost, rows=1_000_000, cpu_seconds=60, peak_kib=88_000, requests=requests, ledger_bytes=111_000_000)
    measured = Results("full", costs=[cost, large])
    assert verdict(measured, "CPU a migrated row, plain") == ("40 µs", False), "of at most 200 000 rows"
    assert verdict(measured, "CPU a migrated row, TLS") == ("not measured", None)
    assert verdict(measured, "ledger a row") == ("46 B", True), "of at most 200 000 rows"
    assert verdict(measured, "peak memory at") == ("90.112 MB", True)
    assert verdict(measured, "growth") == ("10 %", False)


def test_the_requests_of_a_start_are_not_those_of_the_objects() -> None:
    requests = {"HEAD": 300, "COPY": 20_000}
    few = Cost("-yw", tls=False, rows=20_000, seconds=1, cpu_seconds=1, peak_kib=1, requests=requests,
               received_bytes=0, server_share=0.1, ledger_bytes=0)  # fmt: skip
    many = replace(few, rows=200_000, requests={"HEAD": 480, "COPY": 200_000})
    assert verdict(Results("full", costs=[few, many]), "of each object more, -w") == ("1.001", True)
    twice = replace(many, requests={"HEAD": 200_300, "COPY": 200_000})
    assert verdict(Results("full", costs=[few, twice]), "of each object more, -w") == ("2.1111", False)
    assert verdict(Results("full", costs=[many]), "of each object more, -w") == ("not measured", None)


def test_what_a_row_costs_is_judged_on_a_machine_of_the_same_speed() -> None:
    cost = Cost("-yw", tls=False, rows=200_000, seconds=10, cpu_seconds=6.8, peak_kib=80_000, requests={},
                received_bytes=0, server_share=0.1, ledger_bytes=0)  # fmt: skip
    slow = Execution("scripts/bench", {}, RECORDED_NS * 3, ["looks"])
    execution = Execution("scripts/bench --resume", {}, RECORDED_NS * 1.05, ["cost"])
    measured = Results("full", [slow, execution], costs=[cost])
    assert verdict(measured, "CPU a migrated row, plain") == ("34 µs", True)
    execution.loop_ns = RECORDED_NS * 1.2
    assert verdict(measured, "CPU a migrated row, plain") == ("34 µs, on a machine of another speed", None)
    measured.costs = [replace(cost, how="-y", cpu_seconds=7), cost]
    assert verdict(measured, "conditional copy vs -w") == ("1.0294 times", True), "ratios are judged anywhere"


def test_what_holds_on_some_machines_says_what_finds_it() -> None:
    """So the machine is asked on which that was measured."""
    assert {each.measurement in MEASUREMENTS for each in TARGETS if each.is_of_one_machine} == {True}


def test_ten_million_rows_are_held_against_one() -> None:
    few = Cost("-yw", tls=False, rows=1_000_000, seconds=100, cpu_seconds=40, peak_kib=80_000, requests={},
               received_bytes=0, server_share=0.1, ledger_bytes=0)  # fmt: skip
    many = replace(few, rows=10_000_000, seconds=1_100, peak_kib=82_000)
    measured = Results("default", costs=[replace(few, seconds=10)], growth=[few, many, few])
    assert verdict(measured, "peak memory, 10 000 000") == ("1.025 times", True)
    assert verdict(measured, "rows a second, the same") == ("0.90909 times", False)


def test_the_own_pace_is_held_against_the_best_fixed_one() -> None:
    own = Pace(50, tls=False, allowed=0, concurrency=0, per_second=9500, refused_per_second=0, server_share=0)
    fixed = [
        replace(own, concurrency=count, per_second=rate) for count, rate in ((128, 2500), (512, 10_000), (1024, 9900))
    ]
    elsewhere = [replace(own, tls=True, per_second=1), replace(own, latency_ms=150, per_second=2)]
    measured = Results("default", paces=[own, *fixed, *elsewhere])
    assert verdict(measured, "own pace") == ("95 %", True)
    measured.paces += [replace(fixed[1], per_second=rate) for rate in (12_000, 8000)]
    assert verdict(measured, "own pace") == ("95 %", True), "one lucky round of a fixed number is not its pace"
    refusing = replace(own, latency_ms=0, allowed=2000, per_second=1900, refused_per_second=100)
    measured.paces.append(refusing)
    assert verdict(measured, "used of a store") == ("95 %", True)
    assert verdict(measured, "refused by it") == ("5 %", False)


def test_the_worst_turn_and_the_worst_order_of_rows_count() -> None:
    changing = [Changing(0, (90.0, 40.0, 99.0)), Changing(32, (80.0, 10.0, 80.0)), Changing(1024, (90.0, 50.0, 100.0))]
    prefixes = [PrefixPace("one", 4000, 3800.0, 10.0), PrefixPace("other", 4000, 3000.0, 0.0)]
    measured = Results("default", changing=changing, prefixes=prefixes)
    assert verdict(measured, "pace in each turn") == ("80 %", False)
    measured.changing += [replace(each, per_second=tuple(rate / 2 for rate in each.per_second)) for each in changing]
    assert verdict(measured, "pace in each turn") == ("80 %", False), "the machine was twice as slow: for all of them"
    assert verdict(measured, "used of prefixes") == ("75 %", False)


def test_a_shape_is_held_against_the_classic_rows_of_its_round() -> None:
    """The machine was twice as slow in the second round: that is in both costs, and not in their ratio."""
    classic = ShapeCost(CLASSIC.name, 1, rows=100_000, seconds=5, cpu_seconds=4, server_cpu_seconds=2)
    shapes = [
        replace(classic, form=form, round=number, cpu_seconds=times * each)
        for number, times in ((1, 4), (2, 8), (3, 4))
        for form, each in ((JSONB.name, 2.5), (URL.name, 1.25), (CLASSIC.name, 1))
    ]
    measured = Results("default", shapes=shapes)
    assert verdict(measured, "a URL vs a classic one") == ("1.25 times", True)
    assert verdict(measured, "jsonb vs a classic one") == ("2.5 times", False)
    assert verdict(Results("default", shapes=shapes[:2]), "a URL vs") == ("not measured", None), "without classic"


FELT = Felt(1000, 0.5, 1, 2, p999_ms=5, longest_ms=8, deadlocks=0, writes=1200, lost=0)
ALONE_AND_BESIDE = Beside(UNDISTURBED.name, FELT, FELT, 4.0, exit_code=0, migrated=1000, left=0, stall=None)


def test_what_an_application_feels_is_compared_within_each_pair() -> None:
    """The machine was slow in the second pair: that is in both halves, and not in their difference."""
    slow = replace(FELT, p999_ms=105, longest_ms=108)
    besides = [replace(ALONE_AND_BESIDE, during=replace(FELT, p999_ms=45, longest_ms=68)) for _ in range(2)]
    besides.insert(1, replace(ALONE_AND_BESIDE, alone=slow, during=replace(slow, p999_ms=155)))
    measured = Results("default", applications=besides)
    assert verdict(measured, f"p99.9 beside a run, more than alone: {UNDISTURBED.name}") == ("40 ms", True)
    assert verdict(measured, f"longest UPDATE beside a run, more than alone: {UNDISTURBED.name}") == ("60 ms", False)
    assert verdict(measured, f"p99.9 beside a run, more than alone: {STALLED_LEDGER.name}") == ("not measured", None)


def test_one_deadlock_one_lost_write_or_one_row_left_in_any_run_is_a_miss() -> None:
    names = ("deadlocks", "writes of the application", "rows left that nobody held")
    measured = Results("default", applications=[ALONE_AND_BESIDE])
    assert [verdict(measured, name) for name in names] == [("0", True)] * 3
    assert verdict(measured, "flips while") == ("not measured", None)
    bad = replace(ALONE_AND_BESIDE, during=replace(FELT, deadlocks=1, lost=1), left=1, stall=Stall(0, 0.4))
    measured.applications.append(bad)
    assert [verdict(measured, name) for name in names] == [("1", False)] * 3
    assert verdict(measured, "flips while") == ("0", True)
    assert verdict(measured, "locks held") == ("0.4 s", False)


def test_cores_of_their_own_have_targets_of_their_own() -> None:
    """A p99 is held against the one alone of its pair, and no other situation's runs count."""
    apart = replace(ALONE_AND_BESIDE, situation=APART.name, migrated=9_600)  # in 4 s
    pairs = [replace(apart, during=replace(FELT, p99_ms=p99_ms, longest_ms=26)) for p99_ms in (3, 5, 3)]
    pairs[1] = replace(pairs[1], alone=replace(FELT, p99_ms=1))
    beside = replace(ALONE_AND_BESIDE, during=replace(FELT, p99_ms=400, longest_ms=800))
    measured = Results("default", applications=[*pairs, beside])
    assert verdict(measured, "p99 beside a run, on cores") == ("1.5 times", True)
    assert verdict(measured, "longest UPDATE beside a run, on cores") == ("18 ms", True)
    assert verdict(measured, "rows a second meanwhile") == ("2400", True)
    only_beside = Results("default", applications=[beside])
    assert verdict(only_beside, "p99 beside a run, on cores") == ("not measured", None)
    assert verdict(only_beside, "rows a second meanwhile") == ("not measured", None)


def paired(pair: int, seconds: float, *, is_bare: bool) -> Paired:
    return Paired(pair, is_bare, rows=100_000, seconds=seconds, cpu_seconds=4)


def test_limits_are_held_against_none_pair_by_pair() -> None:
    """The machine was twice as slow in the second pair, and whoever began it changed."""
    runs = [paired(1, 5.05, is_bare=False), paired(1, 5, is_bare=True)]
    runs += [paired(2, 10, is_bare=True), paired(2, 10.3, is_bare=False)]
    runs += [paired(3, 5.05, is_bare=False), paired(3, 5, is_bare=True)]
    measured = Results("default", governed=runs)
    assert verdict(measured, "limits that hold nothing back") == ("0.9901 %", True)
    assert verdict(Results("default", governed=runs[2:4]), "limits that hold") == ("2.9126 %", False)
    assert verdict(Results("default", governed=runs[:1]), "limits that hold") == ("not measured", None)


def test_the_dearest_way_to_start_is_what_counts() -> None:
    starts = [Start("-h", 0.1), Start("-h", 0.11), Start("-h", 0.9), Start("--version", 0.115), Start(EMPTY_RUN, 0.36)]
    assert verdict(Results("default", starts=starts), "only prints") == ("0.115 s", True)
    assert verdict(Results("default", starts=starts[:3]), "only prints") == ("0.11 s", True)
    assert verdict(Results("default", starts=starts), "empty table") == ("0.36 s", False)
    assert verdict(Results("default", starts=[Start(PAGE, 9.0)]), "empty table") == ("not measured", None)


def test_listeners_are_held_against_none_pair_by_pair() -> None:
    runs = [paired(1, 5.05, is_bare=False), paired(1, 5, is_bare=True)]
    runs += [paired(2, 10, is_bare=True), paired(2, 10.3, is_bare=False)]
    runs += [paired(3, 5.05, is_bare=False), paired(3, 5, is_bare=True)]
    assert verdict(Results("default", observed=runs), "metrics and events") == ("0.9901 %", True)
    assert verdict(Results("default", observed=runs[2:4]), "metrics and events") == ("2.9126 %", False)
    assert verdict(Results("default", observed=runs[:1]), "metrics and events") == ("not measured", None)


def test_a_rollback_by_two_is_held_against_one_of_its_pair() -> None:
    runs = [shared(ONE, 30), shared(TWO, 15)]
    runs += [shared(TWO, 40), shared(ONE, 60)]
    runs += [shared(ONE, 30), shared(TWO, 21)]
    assert verdict(Results("default", rollbacks=runs), "rollback by two") == ("1.5 times", True)
    assert verdict(Results("default", rollbacks=runs[4:]), "rollback by two") == ("1.4286 times", False)
    assert verdict(Results("default", shared=runs), "rollback by two") == ("not measured", None)


def test_a_spread_has_the_middle_and_both_ends() -> None:
    assert Spread.of([3, 1, 2, 10]) == Spread(2.5, 1, 10, 4)


def shared(way: Way, seconds: float, *, latency_ms: int = 50) -> Shared:
    return Shared(
        way.name,
        way.workers,
        latency_ms,
        connections=16,
        rows=20_000,
        seconds=seconds,
        working_seconds=seconds / 2,
        cpu_seconds=1,
        peak_kib=60_000,
        server_share=0,
    )


def test_processes_are_held_against_one_behind_the_same_latency_start_included() -> None:
    runs = [shared(ONE, 60), shared(ONE, 62), shared(ONE, 99), shared(TWO, 31), shared(TWO, 30), shared(TWO, 35)]
    runs += [shared(ONE, 3, latency_ms=0), shared(TWO, 4, latency_ms=0)]
    verdicts = judge(Results("default", shared=runs), SCALE_TARGETS)
    assert [(each.measured, each.met) for each in verdicts] == [
        ("2 times", True),
        ("not measured", None),
        ("not measured", None),
        ("0.75 times", False),
        ("25 %", False),
    ]
    assert {each.met for each in judge(Results("default", shared=runs))} == {None}
