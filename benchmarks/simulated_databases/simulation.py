"""Plays a run with the real governor and gauges against a database, tenth of a second by tenth. Exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import trace
from sketchmigrate.flow.governor import Governor
from sketchmigrate.migration.gauges import Gauges

if TYPE_CHECKING:
    from benchmarks.simulated_databases.databases import SimulatedDatabase
    from sketchmigrate.settings import Settings

STEP_SECONDS = 0.1
LOOK_STEPS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """A second that ended at ``at``: rows flipped, what was allowed in it, and the share of the nearest limit."""

    at: float
    rows_per_second: float
    allowed: float
    share: float
    setting: str


class Trace(trace.Trace[Sample]):
    """A run, second by second."""

    def rate(self, begin: float, end: float = math.inf) -> float:
        """Return the mean rate of a span of time."""
        return self.mean("rows_per_second", begin, end)

    def spread(self, begin: float, end: float = math.inf) -> tuple[float, float]:
        """Return the least and the most rate of a span of time."""
        rates = [sample.rows_per_second for sample in self.between(begin, end)]
        return min(rates), max(rates)

    def shares(self, begin: float, end: float = math.inf) -> tuple[float, float]:
        """Return the least and the most share of a span of time."""
        shares = [sample.share for sample in self.between(begin, end)]
        return min(shares), max(shares)


def play(
    database: SimulatedDatabase, settings: Settings, *, fastest: float, seconds: float, order_seconds: float = 0.0
) -> Trace:
    """Play a run that flips at most ``fastest`` rows a second. Orders of the governor take ``order_seconds``."""
    governor, gauges = Governor(settings.max_rows_per_second or math.inf), Gauges(settings)
    played = Trace()
    done, rows_before, allowed, share, setting = 0.0, 0.0, math.inf, 0.0, ""
    orders: list[tuple[float, float]] = []
    for step in range(round(seconds / STEP_SECONDS)):
        now = step * STEP_SECONDS
        if step % LOOK_STEPS == 0:
            if step:
                played.samples.append(Sample(now, done - rows_before, allowed, share, setting))
                rows_before = done
            strains = gauges.read(database.vitals(now), now)
            share = max((strain.share for strain in strains), default=0.0)
            decision = governor.look(now, strains, round(done))
            setting = decision.strain.setting if decision.strain else ""
            orders.append((now + order_seconds, decision.rows_per_second))
        while orders and orders[0][0] <= now:
            allowed = orders.pop(0)[1]
        rows = min(fastest, allowed) * STEP_SECONDS
        done += rows
        database.pass_by(now, STEP_SECONDS, rows)
    return played
