"""A person who gives a run twenty orders a second, at random: ``ctl`` by its socket, without a process for each."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunNotReached, UsageError
from sketchmigrate.migration.control_socket import SOCKET_NAME, Caller

if TYPE_CHECKING:
    import random
    import subprocess
    from pathlib import Path
    from types import TracebackType
    from typing import Self

SECONDS = 1 / 20
MOST_LATE_SECONDS = 1.0
"""What was held up for longer is not made up for."""

CHANGES = ("p={}", "b={}", "MAX_ROWS_PER_SECOND={}00", "MAX_CONCURRENCY={}", "MAX_FAILED_PERCENT=100", "verbose=no")
BAD = ("p=0", "MAX_BANDWIDTH=fast", "DB_HOST=elsewhere")
STOPS = 1 / 400
"""So many of the orders end the run."""


class Orders:
    """Gives orders to the newest run below a folder as long as the process lives. A context manager.

    A run that was paused is resumed soon: the next order but a few does that. ``began_at`` is when the first order was
    given, ``ended_at`` when the last one was, monotonic.
    """

    def __init__(self, runs: Path, process: subprocess.Popen[str], dice: random.Random) -> None:
        self.given = self.refused = 0
        self.began_at: float | None = None
        self.ended_at = 0.0
        self._runs, self._process, self._dice = runs, process, dice
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._give, name="orders")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _give(self) -> None:
        while self._process.poll() is None and not self._over.wait(SECONDS):
            with suppress(RunNotReached):  # there is none yet, or it has just ended
                newest = max(self._runs.glob(f"*/{SOCKET_NAME}"), default=None)
                if newest is not None:
                    self._to_one(newest.parent)

    def _to_one(self, run: Path) -> None:
        due = time.monotonic()
        with Caller(run) as caller:
            while self._process.poll() is None and not self._over.wait(max(0.0, due - time.monotonic())):
                due = max(due + SECONDS, time.monotonic() - MOST_LATE_SECONDS)
                self._order(caller)

    def _order(self, caller: Caller) -> None:
        dice, self.ended_at = self._dice, time.monotonic()
        self.began_at = self.began_at or self.ended_at
        word = dice.choices(("status", "set", "bad", "pause", "resume"), (4, 8, 1, 1, 6))[0]
        if dice.random() < STOPS:
            word = "stop"
        if word == "bad":
            with suppress(UsageError):
                caller.order("set", changes=[dice.choice(BAD)])
                raise AssertionError("a bad order was taken")
            self.refused += 1
            return
        changes = [dice.choice(CHANGES).format(dice.randint(1, 9))]
        caller.order(word, **({"changes": changes} if word == "set" else {}))
        self.given += 1
