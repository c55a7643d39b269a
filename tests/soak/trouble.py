"""What goes wrong on the way to store and database, and when a command is killed: at random."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Literal

from tests.servers.s3_faults import PASSING, PASSING_ON_COPY

if TYPE_CHECKING:
    import random
    import subprocess
    from collections.abc import Callable

    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.s3_fault_proxy import Hook, S3FaultProxy

FAULTY_SHARES = (0.0, 0.0, 0.05, 0.2)
"""Of the requests to the store, so many meet a fault."""

MOST_CUTS = 2
WATCHED = ("cut", "reply_lost", "cut_all", "turned_away")
ANY = ""
"""A pattern that each statement matches: what the tool says to the database, and how, is its own affair."""


class Trouble:
    """The two proxies of a round."""

    def __init__(self, s3: S3FaultProxy, postgres: PostgresFaultProxy, dice: random.Random) -> None:
        self.s3, self.postgres = s3, postgres
        self._dice = dice
        self._timer: threading.Timer | None = None

    @property
    def faults(self) -> int:
        """How many faults there were."""
        return self.s3.hits.total() + sum(self.postgres.hits[name] for name in WATCHED)

    def begin(self, process: subprocess.Popen[str], *, work: int) -> str:
        """Let requests fail and connections break, and kill a process that has just started, at some moment.

        ``work`` is how many rows it has before it. Return what was chosen. It may have ended by then.
        """
        dice = self._dice
        share = dice.choice(FAULTY_SHARES)
        for operation, faults in (("head", PASSING), ("copy", PASSING_ON_COPY)):
            for fault in faults.values():
                self.s3.on(fault, operation=operation, probability=share / len(faults))
        cuts = [dice.randint(5, 20 + work) for _ in range(dice.randint(0, MOST_CUTS))]
        for number in cuts:
            lost: Literal["before", "reply_lost"] = dice.choice(["before", "reply_lost"])
            self.postgres.cut_at(ANY, skip=number, when=lost)
        return f"{share:.0%} of the requests fail, statements cut: {cuts}; killed {self._kill(process.kill, work)}"

    def end(self) -> None:
        """Let everything pass again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.s3.before_request = self.s3.after_reply = None
        for proxy in (self.s3, self.postgres):
            proxy.clear()
            proxy.release()

    def _kill(self, kill: Callable[[], None], work: int) -> str:
        """Kill at a request or a statement, before the server has it or before its reply is passed on, or at a time."""
        dice = self._dice
        done = dice.random() < 1 / 2
        match dice.choice(["request", "request", "statement", "statement", "statement", "time"]):
            case "request":
                number = dice.randint(1, 10 + 2 * work)
                if done:
                    self.s3.after_reply = at_the(number, kill)
                else:
                    self.s3.before_request = at_the(number, kill)
                return f"at request {number}{', done' if done else ''}"
            case "statement":
                number = dice.randint(1, 30 + work)
                self.postgres.act_at(ANY, kill, skip=number - 1, after_server=done)
                return f"at statement {number}{', done' if done else ''}"
            case _:
                seconds = dice.uniform(0.05, 1.5)
                self._timer = threading.Timer(seconds, kill)
                self._timer.start()
                return f"after {seconds:.2f} s"


def at_the(number: int, act: Callable[[], None]) -> Hook:
    """Return a hook that acts at that one of the requests, from 1, and only then."""
    numbers = itertools.count(1)

    def hook(_request: object) -> None:
        if next(numbers) == number:
            act()

    return hook
