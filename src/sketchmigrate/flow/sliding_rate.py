"""How fast something that only grows has grown lately, from looks at it. Pure: the clock is passed in."""

from __future__ import annotations

from collections import deque

LATELY_SECONDS = 5.0


class SlidingRate:
    """A rate over the last ``LATELY_SECONDS`` or, where looks are rarer, since the last look but one."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def seen(self, now: float, amount: int) -> None:
        """Take note of a look. An amount that is less than before is another's: it begins anew."""
        looks = self._looks
        if looks and amount < looks[-1][1]:
            looks.clear()
        looks.append((now, amount))
        while len(looks) > 2 and now - looks[1][0] >= LATELY_SECONDS:  # noqa: PLR2004 - a span has two ends
            looks.popleft()

    @property
    def per_second(self) -> float:
        """What came in a second; 0 before there are two looks."""
        if not self._looks:
            return 0.0
        (then, first), (now, last) = self._looks[0], self._looks[-1]
        return (last - first) / (now - then) if now > then else 0.0
