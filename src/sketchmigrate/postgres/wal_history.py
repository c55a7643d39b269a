"""When the WAL had which length, from looks at it: how long a standby is behind, and how fast WAL is written. Pure.

The server's own ``replay_lag`` is NULL some time after the last transaction, and stands still where replay is paused;
``pg_last_xact_replay_timestamp()`` grows where nothing is written. So time counts here only while bytes are missing.
"""

from __future__ import annotations

from bisect import bisect_right

from sketchmigrate.flow.sliding_rate import SlidingRate

KEPT_LOOKS = 3600
"""A second apart that is an hour. Who is further behind is so by an hour at least."""


class WalHistory:
    """Looks at one server's WAL. The clock (monotonic, seconds) is passed in; LSNs are bytes."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._lsns: list[int] = []
        self._rate = SlidingRate()

    def seen(self, now: float, lsn: int) -> None:
        """Take note of the end of the WAL. One that is shorter than before is another server's, after a failover."""
        if self._lsns and lsn < self._lsns[-1]:
            self._times.clear()
            self._lsns.clear()
        self._rate.seen(now, lsn)
        self._times.append(now)
        self._lsns.append(lsn)
        if len(self._lsns) >= 2 * KEPT_LOOKS:
            del self._times[:KEPT_LOOKS], self._lsns[:KEPT_LOOKS]

    def bytes_behind(self, lsn: int) -> int:
        """Return how many bytes were written beyond this one, by the last look."""
        return max(0, self._lsns[-1] - lsn) if self._lsns else 0

    def seconds_behind(self, lsn: int) -> float:
        """Return for how long, by the last look, there have been bytes beyond this one; 0 where there are none."""
        place = bisect_right(self._lsns, lsn)  # the first look that had more
        if place == len(self._lsns):
            return 0.0
        if place == 0:
            return self._times[-1] - self._times[0]
        (then, last), (begin, end) = self._times[place - 1 : place + 1], self._lsns[place - 1 : place + 1]
        return self._times[-1] - (then + (last - then) * (lsn - begin) / (end - begin))

    def bytes_per_second(self) -> float:
        """Return how fast it grew in the last seconds; 0 before there are two looks."""
        return self._rate.per_second
