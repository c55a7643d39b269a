"""One execution: every measurement that is asked for, in turn, on servers that are started for it."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

from tests.servers import ceph
from tests.servers.seaweed import seaweed_server

from benchmarks import objects
from benchmarks.arguments import FULL, LARGE_ROUNDS, LARGE_ROWS, SCALE
from benchmarks.contestants import customary, generator, pairs, rclone, s5cmd, tool
from benchmarks.figures import CEILING, FRESH, PUTTING, SCRIPT
from benchmarks.measurements.application import APART, SITUATIONS, measure_application, servers_apart
from benchmarks.measurements.changing_pace import SPLITS, measure_changing, measure_prefixes
from benchmarks.measurements.cost import measure_cost
from benchmarks.measurements.end_to_end import calibrate, contest
from benchmarks.measurements.first_flip import measure_first_flip, measure_passed, measure_resumed
from benchmarks.measurements.governor import measure_governor
from benchmarks.measurements.listing import KEYS, measure_listing
from benchmarks.measurements.looks import measure_looks
from benchmarks.measurements.micro import measure_micro
from benchmarks.measurements.observed import measure_observed
from benchmarks.measurements.pace import COMPARED_LATENCY_MS, measure_pace
from benchmarks.measurements.rollback import measure_rollbacks
from benchmarks.measurements.scale import FOUR, LATENCY_MS, ONE, TWO, TWO_DASK, measure_shared
from benchmarks.measurements.shapes import measure_shapes
from benchmarks.measurements.start import measure_starts
from benchmarks.rounds import participants
from benchmarks.servers.responding import responding_pair, responding_store
from benchmarks.servers.stores import ceph_store, rclone_store, seaweed_store, store_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from benchmarks.arguments import Arguments
    from benchmarks.contestants.contest import Contestant, Turn
    from benchmarks.measurements.application import Beside
    from benchmarks.measurements.cost import Cost
    from benchmarks.measurements.end_to_end import Tuned
    from benchmarks.measurements.scale import Shared, Way
    from benchmarks.results import Results
    from benchmarks.servers.stores import BenchStore
    from benchmarks.servers.table import Table

FIRST_FLIP_ROWS = 1_000_000
PASSED_ROWS = 10_000_000
ALL_WAYS_ROWS = 200_000
ALLOWED_PER_SECOND = 2_000
CHANGING_ROWS, PREFIX_ROWS = 1_200_000, 200_000
PACE_ROWS = 400_000
"""More than the tool can migrate while it is watched."""

FAR_MS = 20
_FAR_CHOICES = (128, 256, 512)
_FAR_S5CMD: tuple[Contestant, ...] = (s5cmd.ByPattern(choices=_FAR_CHOICES), s5cmd.ByRows(choices=_FAR_CHOICES))

_PEERS: dict[str, tuple[Contestant, ...]] = {
    "ceiling": (generator.BareCopies(),),
    "s5cmd": (s5cmd.ByRows(), s5cmd.ByPattern()),
    "rclone": (rclone.Rclone(),),
    "boto3": (customary.Customary(),),
}


class Measuring:
    """Carries out the measurements, and tells of each as it goes."""

    def __init__(self, arguments: Arguments, table: Table, results: Results, tell: Callable[[str], None]) -> None:
        self.results = results
        self._arguments = arguments
        self._extent = arguments.extent
        self._table = table
        self._tell = tell

    def measure(self, name: str) -> None:
        """Carry out one measurement. Raises ``MigrateError``."""
        self._tell(f"== {name}")
        {
            "end-to-end": self._end_to_end,
            "ceiling": self._ceiling,
            "far": self._far,
            "seaweed": self._seaweed,
            "ceph": self._ceph,
            "streamed": self._streamed,
            "streamed-far": self._streamed_far,
            "streamed-large": self._streamed_large,
            "cost": self._costs,
            "growth": self._growth,
            "shapes": self._shapes,
            "first-flip": self._first_flip,
            "pace": self._paces,
            "pace-changing": self._changing,
            "pace-prefixes": self._prefixes,
            "listing": self._listings,
            "looks": self._looks,
            "micro": self._micros,
            "application": self._applications,
            "application-apart": self._applications_apart,
            "governor": self._governor,
            "observed": self._observed,
            "rollback-processes": self._rollbacks,
            "start": self._starts,
            SCALE: self._shared,
        }[name]()
        self.results.executions[-1].measured.append(name)

    def _end_to_end(self) -> None:
        peers = [each for name in self._arguments.against for each in _PEERS[name]]
        contestants = [tool.OVERWRITING, tool.NO_CLOBBER, *peers]
        with rclone_store(self._extent.calibration_rows) as few:
            tuned = calibrate(contestants, few, self._table, self._extent.calibration_rows)
        for rows in self._arguments.rows or self._extent.rows:
            with rclone_store(rows) as store:
                self._rounds(tuned, store, rows, self._arguments.rounds_of(rows))

    def _rounds(
        self, tuned: Sequence[Tuned], store: BenchStore, rows: int, rounds: int, always: Collection[str] = ()
    ) -> None:
        """Have contestants take turns, as few as the rounds before allow."""
        for number in range(rounds):
            earlier = [turn for turn in self.results.turns if (turn.store, turn.rows) == (store.name, rows)]
            names = participants(earlier, rows, number, full=self._extent is FULL) | set(always)
            field = [each for each in tuned if each.contestant.name in names]
            self.results.turns += contest([field], store, self._table, rows=rows, tell=self._tell_turn)

    def _ceiling(self) -> None:
        """Have the tool and bare copies take turns, each on a fresh server, and each first in every second pair."""
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.rows[-1]
        field = [tool.OVERWRITING, *_PEERS["ceiling"]]
        with rclone_store(self._extent.calibration_rows) as few:
            tuned = calibrate(field, few, self._table, self._extent.calibration_rows)
        for _ in range(self._arguments.rounds or self._extent.rounds):
            for each in tuned:
                with rclone_store(rows, name=FRESH) as store:
                    self.results.turns += contest([[each]], store, self._table, rows=rows, tell=self._tell_turn)
            tuned.reverse()

    def _far(self) -> None:
        """Have the peers take turns on a store that is far away, and bears whatever it gets."""
        contestants: list[Contestant] = [tool.OVERWRITING, generator.FAR_AWAY, *_FAR_S5CMD, customary.FAR_AWAY]
        few = self._extent.calibration_rows
        with responding_store(latency_ms=FAR_MS, count=few) as store:
            tuned = calibrate(contestants, store, self._table, few)
        for rows in self._arguments.rows or self._extent.rows:
            with responding_store(latency_ms=FAR_MS, count=rows) as store:
                rounds, large = self._arguments.rounds or self._extent.rounds, rows >= LARGE_ROWS
                self._rounds(tuned, store, rows, rounds, always=(SCRIPT, CEILING) if large else ())

    def _seaweed(self) -> None:
        rows = self._extent.ceph_rows
        if not rows:
            self._tell("  skipped: not with --quick")
            return
        with seaweed_store(rows) as store:
            self._beside_ceiling(store, rows)

    def _beside_ceiling(self, store: BenchStore, rows: int) -> None:
        contestants = [tool.OVERWRITING, *_PEERS["ceiling"], s5cmd.ByRows()]
        tuned = calibrate(contestants, store, self._table, rows // 4)
        fields = [tuned] * self._arguments.rounds_of(rows)
        self.results.turns += contest(fields, store, self._table, rows=rows, tell=self._tell_turn)

    def _ceph(self) -> None:
        if not self._extent.ceph_rows or (reason := ceph.why_not()):
            self._tell(f"  skipped: {reason if self._extent.ceph_rows else 'not with --quick'}")
            return
        with ceph_store(self._extent.ceph_rows) as store:
            self._beside_ceiling(store, self._extent.ceph_rows)

    def _streamed(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.streamed_rows
        contestants: list[Contestant] = [tool.OVERWRITING, pairs.BarePairs(), *_PEERS["rclone"]]
        for name, server in (("seaweed", seaweed_server), ("ceph", ceph.ceph_server)):
            if name == "ceph" and (reason := ceph.why_not()):
                self._tell(f"  ceph skipped: {reason}")
                continue
            with store_pair(rows, server) as store:
                tuned = calibrate(contestants, store, self._table, rows // 10)
                fields = [tuned] * self._arguments.rounds_of(rows)
                self.results.turns += contest(fields, store, self._table, rows=rows, tell=self._tell_turn)

    def _streamed_far(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.streamed_rows
        with responding_pair(rows, latency_ms=FAR_MS) as store:
            self._streamed_beside(rclone.FAR_AWAY, store, rows, rows // 10, self._arguments.rounds_of(rows))

    def _streamed_large(self) -> None:
        count, rounds = self._extent.large_objects, self._arguments.rounds or LARGE_ROUNDS
        tried = count // 8
        turns_bytes = (count + 2 * rounds * count + len(rclone.LARGE_OBJECTS.choices) * tried) * objects.LARGE_BYTES
        if not count or shutil.disk_usage(tempfile.gettempdir()).free < turns_bytes:
            self._tell(
                f"  skipped: {f'{turns_bytes / 1e9:.0f} GB are to be free on disk' if count else 'not with --quick'}"
            )
            return
        with store_pair(count, seaweed_server, size_bytes=objects.LARGE_BYTES) as store:
            self._streamed_beside(rclone.LARGE_OBJECTS, store, count, tried, rounds)

    def _streamed_beside(self, peer: rclone.Rclone, store: BenchStore, rows: int, tried: int, rounds: int) -> None:
        """Have the tool and rclone take turns, rclone with what it is best at with so few of the objects."""
        tuned = calibrate([tool.OVERWRITING, peer], store, self._table, tried)
        self.results.turns += contest([tuned] * rounds, store, self._table, rows=rows, tell=self._tell_turn)

    def _costs(self) -> None:
        for tls in (False, True):
            with responding_store(tls=tls) as store:
                for rows in self._extent.cost_rows:
                    ways = [flags for flags in (("-yw",), ("-y",)) if _worth_it(rows, flags, tls=tls)]
                    for _ in range(self._arguments.rounds_of(rows)):
                        for flags in ways:
                            self._take_cost(measure_cost(store, self._table, rows, flags), self.results.costs)
        rows = self._extent.rows[0]
        with responding_store(count=rows) as store:
            for _ in range(self._arguments.rounds_of(rows)):
                self._take_cost(measure_cost(store, self._table, rows, PUTTING), self.results.costs)

    def _growth(self) -> None:
        """Migrate a large table between two small ones, whose mean has the machine's speed of the large one's time."""
        with responding_store() as store:
            for rows in self._extent.growth_rows:
                self._take_cost(measure_cost(store, self._table, rows, ("-yw",)), self.results.growth)

    def _take_cost(self, cost: Cost, costs: list[Cost]) -> None:
        costs.append(cost)
        self._tell(
            f"  {cost.how} {'TLS' if cost.tls else 'plain'} {cost.rows:,} rows: {cost.rows / cost.seconds:,.0f}/s,"
            f" {cost.cpu_us_per_row:.1f} µs, {cost.requests_per_object:.4f} requests,"
            f" {cost.ledger_bytes_per_row:.1f} bytes of ledger, {cost.peak_kib / 1024:.0f} MiB"
        )

    def _shapes(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.shape_rows
        with responding_store() as store:
            for number in range(1, 1 + (self._arguments.rounds or self._extent.shape_rounds)):
                for cost in measure_shapes(store, self._table, rows, number):
                    self.results.shapes.append(cost)
                    self._tell(
                        f"  {cost.form:<30} {rows:>7,} rows {rows / cost.seconds:>6,.0f}/s,"
                        f" {cost.cpu_us_per_row:>5.1f} µs a row, PostgreSQL {cost.server_cpu_us_per_row:.1f} µs"
                    )

    def _first_flip(self) -> None:
        rounds = self._arguments.rounds or self._extent.rounds
        with responding_store() as store:
            for _ in range(rounds):
                self._table.fill(FIRST_FLIP_ROWS)
                flip = measure_first_flip(store, self._table, FIRST_FLIP_ROWS)
                self.results.first_flips.append(flip)
                self._tell(
                    f"  {flip.since_work_seconds:.2f} s after work began, {flip.since_exec_seconds:.2f} s after exec"
                )
                flip = measure_resumed(store, self._table, self._extent.resumed_rows)
                self.results.first_flips.append(flip)
                self._tell(
                    f"  {flip.since_work_seconds:.2f} s after work began with {flip.finished:,} of {flip.rows:,} done"
                )

            for passed in measure_passed(store, self._table, PASSED_ROWS, rounds):
                self.results.passed.append(passed)
                self._tell(f"  {passed.rows:,} finished rows: {passed.per_second:,.0f}/s")

    def _paces(self) -> None:
        if not self._extent.latencies_ms:
            self._tell("  skipped: not with --quick")
            return
        for tls in (False, True):
            for latency_ms in self._extent.latencies_ms:
                if tls or latency_ms != COMPARED_LATENCY_MS:
                    self._pace(latency_ms, tls=tls)
        for _ in range(self._arguments.rounds_of(PACE_ROWS)):
            for concurrency in (0, *self._extent.fixed_concurrency):
                self._pace(COMPARED_LATENCY_MS, concurrency=concurrency)
        self._pace(0, allowed=ALLOWED_PER_SECOND)

    def _pace(self, latency_ms: int, *, tls: bool = False, concurrency: int = 0, allowed: float = 0) -> None:
        self._table.fill(PACE_ROWS)
        pace = measure_pace(self._table, latency_ms=latency_ms, tls=tls, concurrency=concurrency, allowed=allowed)
        self.results.paces.append(pace)
        self._tell(
            f"  {latency_ms} ms {'TLS' if tls else 'plain'}, {concurrency or 'own choice'}, {allowed or 'any'} allowed:"
            f" {pace.per_second:,.0f}/s, {100 * pace.refused_share:.1f} % refused"
        )

    def _changing(self) -> None:
        if not self._extent.latencies_ms:
            self._tell("  skipped: not with --quick")
            return
        for _ in range(self._arguments.rounds_of(CHANGING_ROWS)):
            for concurrency in (0, *self._extent.fixed_concurrency):
                self._table.fill(CHANGING_ROWS)
                changing = measure_changing(self._table, concurrency)
                self.results.changing.append(changing)
                turns = ", ".join(f"{per_second:,.0f}/s" for per_second in changing.per_second)
                self._tell(f"  {concurrency or 'own choice'}: {turns}")

    def _prefixes(self) -> None:
        for split in SPLITS:
            pace = measure_prefixes(self._table, split, PREFIX_ROWS)
            self.results.prefixes.append(pace)
            self._tell(
                f"  {split.name}: {pace.per_second:,.0f} of {pace.bound:,}/s, {100 * pace.refused_share:.1f} % refused"
            )

    def _listings(self) -> None:
        for _ in range(self._arguments.rounds_of(KEYS)):
            listing = measure_listing()
            self.results.listings.append(listing)
            self._tell(
                f"  {listing.cpu_us_per_key:.2f} µs a key, boto3 {listing.boto3_cpu_us_per_key:.1f};"
                f" 8 ranges behind {listing.latency_ms} ms: {listing.ranges_ratio:.1f} times as fast as one"
            )

    def _looks(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.look_rows
        for look in measure_looks(self._table, rows):
            self.results.looks.append(look)
            self._tell(
                f"  {look.command:<6} {look.rows:>10,} rows, 2 x {look.objects:,} objects: {look.seconds:.1f} s,"
                f" {look.cpu_seconds:.1f} s of CPU, {look.peak_kib / 1024:.0f} MiB, all {look.memory_bytes >> 20} MiB,"
                f" disk {look.disk_bytes >> 20} MiB; CPU of PostgreSQL {look.database_cpu_seconds:.1f} s, of the lister"
                f" {look.lister_cpu_seconds:.1f} s"
            )

    def _micros(self) -> None:
        self.results.micros = measure_micro()
        for micro in self.results.micros:
            self._tell(f"  {micro.name}: {micro.median_us:.2f} µs")

    def _applications(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.application_rows
        with responding_store() as honest, responding_store(honours_conditions=False) as unconditional:
            for _ in range(self._arguments.rounds or self._extent.application_pairs):
                for situation in SITUATIONS:
                    store = unconditional if situation.ledger_stalls else honest
                    self._take_felt(measure_application(situation, store, self._table, rows))

    def _applications_apart(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.application_rows
        with servers_apart() as servers:
            for _ in range(self._arguments.rounds or self._extent.application_pairs):
                core = servers.database_core
                self._take_felt(measure_application(APART, servers.store, servers.table, rows, core=core))

    def _take_felt(self, beside: Beside) -> None:
        self.results.applications.append(beside)
        alone, during = beside.alone, beside.during
        self._tell(
            f"  {beside.situation:<27} p99 {alone.p99_ms:,.1f} -> {during.p99_ms:,.1f} ms, p99.9 {alone.p999_ms:,.0f}"
            f" -> {during.p999_ms:,.0f} ms, longest {alone.longest_ms:,.0f} -> {during.longest_ms:,.0f} ms,"
            f" {during.deadlocks} deadlocks, {during.lost} lost; {beside.migrated:,} migrated, {beside.left:,} left,"
            f" exit code {beside.exit_code} after {beside.seconds:.0f} s"
        )

    def _governor(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.governor_rows
        with responding_store() as store:
            for pair in range(1, 1 + (self._arguments.rounds or self._extent.governor_pairs)):
                for run in measure_governor(store, self._table, rows, pair):
                    self.results.governed.append(run)
                    self._tell(
                        f"  {'without' if run.is_bare else 'with':<7} limits {rows:>7,} rows"
                        f" {run.rows_per_second:>6,.0f}/s, {run.cpu_us_per_row:.1f} µs a row"
                    )

    def _observed(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.observed_rows
        with responding_store() as store:
            for pair in range(1, 1 + (self._arguments.rounds or self._extent.observed_pairs)):
                for run in measure_observed(store, self._table, rows, pair):
                    self.results.observed.append(run)
                    self._tell(
                        f"  others are {'not told' if run.is_bare else 'told':<8} {rows:>7,} rows"
                        f" {run.rows_per_second:>6,.0f}/s, {run.cpu_us_per_row:.1f} µs a row"
                    )

    def _rollbacks(self) -> None:
        rows = self._arguments.rows[0] if self._arguments.rows else self._extent.rollback_rows
        with responding_store(latency_ms=LATENCY_MS) as store:
            for number in range(1, 1 + (self._arguments.rounds or self._extent.rollback_pairs)):
                for run in measure_rollbacks(store, self._table, rows, number):
                    self.results.rollbacks.append(run)
                    self._tell_shared(run)

    def _starts(self) -> None:
        self._table.fill(0)
        with rclone_store(0) as empty, empty.fresh_production(0) as store:
            for number in range(1 + (self._arguments.rounds or self._extent.start_rounds)):
                starts = list(measure_starts(store, self._table))
                if number:  # the first makes the cache that all others find
                    self.results.starts += starts
                    self._tell("  " + ", ".join(f"{each.what} {each.cpu_seconds:.3f} s" for each in starts))

    def _shared(self) -> None:
        extent, rounds = self._extent, self._arguments.rounds
        rows = self._arguments.rows[0] if self._arguments.rows else extent.shared_rows
        self._in_turn((ONE, TWO, FOUR, TWO_DASK), rows, rounds or extent.shared_rounds, LATENCY_MS)
        self._in_turn((ONE, TWO), extent.shared_fast_rows, rounds or extent.shared_fast_rounds, 0)

    def _in_turn(self, ways: Sequence[Way], rows: int, rounds: int, latency_ms: int) -> None:
        with responding_store(latency_ms=latency_ms) as store:
            for _ in range(rounds):
                for way in ways:
                    run = measure_shared(store, self._table, way, rows, latency_ms=latency_ms)
                    self.results.shared.append(run)
                    self._tell_shared(run)

    def _tell_shared(self, run: Shared) -> None:
        self._tell(
            f"  {run.way:<14} {run.latency_ms:>2} ms {run.rows:>7,} rows {run.rows_per_second:>6,.0f}/s,"
            f" {run.working_rows_per_second:>6,.0f}/s since it works, {run.cpu_us_per_row:>5.0f} µs a row"
        )

    def _tell_turn(self, turn: Turn) -> None:
        self._tell(
            f"  {turn.contestant:<22} {turn.parallelism or '':>4} {turn.rows:>9,} rows {turn.rows_per_second:>8,.0f}/s"
            f" {turn.cpu_us_per_row:>6.0f} µs a row {turn.peak_kib / 1024:>5.0f} MiB {turn.lost or 'nothing'} lost"
        )


def _worth_it(rows: int, flags: tuple[str, ...], *, tls: bool) -> bool:
    """Whether a cost is measured: every size in one way, the others with a small table and with one large one."""
    return (flags == ("-yw",) and not tls) or rows < LARGE_ROWS or rows == ALL_WAYS_ROWS
