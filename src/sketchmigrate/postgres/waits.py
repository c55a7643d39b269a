"""What holds the run up in the database: since when, who it is, and when that is to be said. Pure.

Many short waits for the same blocker are one wait: a round for locked rows tries each for ``LOCK_TIMEOUT_MS``, and the
next round may come half a minute later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

SAID_AFTER_SECONDS = 5.0
SAID_EVERY_SECONDS = 30.0

LINGERS_SECONDS = 45.0
"""A wait that was not seen for this time is over, and one that is seen after it is a new one."""


class BlockingSession(NamedTuple):
    """Who holds a lock that we want. ``pid`` 0 is a prepared transaction; ``is_ahead``: it only waits in front of us.

    ``state`` and ``seconds``, how long it has been so, are None where our role may not see them.
    """

    pid: int
    user: str | None
    application: str | None
    state: str | None
    seconds: float | None
    is_ahead: bool = False

    @property
    def is_hidden(self) -> bool:
        """Whether there is more to see for another role."""
        return self.pid != 0 and self.state is None and self.user is not None

    def named(self, *, with_state: bool) -> str:
        """Say who it is: ``held by pid 123 (user web, application_name 'puma', idle in transaction for 40 s)``."""
        held = "asked for before us by" if self.is_ahead else "held by"
        if self.pid == 0:
            return f"{held} a prepared transaction"
        facts = [f"user {self.user}"] if self.user else []
        if self.application:
            facts.append(f"application_name '{self.application}'")
        if with_state and self.state:
            facts.append(self.state if self.seconds is None else f"{self.state} for {max(0.0, self.seconds):.0f} s")
        return f"{held} pid {self.pid}" + (f" ({', '.join(facts)})" if facts else "")


class Held(NamedTuple):
    """A wait that was said, for the report: what was waited for, and how long in all."""

    what: str
    seconds: float


@dataclass(slots=True)
class _Wait:
    """One cause. ``before`` are the seconds of waits for it that are over."""

    what: str
    first: float
    last: float
    text: str = ""  # as said last, in this wait
    said_at: float | None = None
    before: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it was waited, those waits left out that were too short to be said."""
        return self.before + (self.last - self.first if self.text else 0.0)

    def end(self) -> None:
        """Begin anew with the next sight."""
        self.before = self.seconds
        self.first = self.last
        self.text, self.said_at = "", None


class Waits:
    """The waits of a run, by their cause. The clock (monotonic, seconds) is passed in."""

    def __init__(self) -> None:
        self._waits: dict[object, _Wait] = {}
        self._open: set[object] = set()

    def seen(self, cause: object, what: str, text: str, now: float, *, since: float | None = None) -> str:
        """Take note of a wait; return what is to be said of it now, or an empty text.

        ``text`` says it for this moment, ``what`` names it for good. ``since`` is when it began, where that is known.
        """
        began = now if since is None else since
        wait = self._waits.get(cause)
        if wait is None:
            wait = self._waits[cause] = _Wait(what, began, now)
        elif cause not in self._open or now - wait.last > LINGERS_SECONDS:
            wait.end()
            wait.first = began
        self._open.add(cause)
        wait.what, wait.last = what, now
        due = wait.first + SAID_AFTER_SECONDS if wait.said_at is None else wait.said_at + SAID_EVERY_SECONDS
        if now < due:
            return ""
        wait.text, wait.said_at = text, now
        return text

    def over(self, causes: Iterable[object]) -> None:
        """Take note that these are not waited for any more."""
        self._open.difference_update(causes)

    def present(self, now: float) -> str:
        """Return what is waited for now, as said last: the longest of those that were said. Empty for nothing."""
        if not self._open:
            return ""
        waits = [self._waits[cause] for cause in self._open]
        said = [wait for wait in waits if wait.text and now - wait.last <= LINGERS_SECONDS]
        return min(said, key=lambda wait: wait.first).text if said else ""

    def held(self) -> list[Held]:
        """Return all that was waited for so long that it was said, the longest first."""
        waits = [Held(wait.what, wait.seconds) for wait in self._waits.values()]
        return sorted((held for held in waits if held.seconds), key=lambda held: -held.seconds)


def merged(waits: Iterable[Held]) -> list[Held]:
    """Bring together what several processes waited for: at the same time, so the longest counts."""
    longest: dict[str, float] = {}
    for what, seconds in waits:
        longest[what] = max(seconds, longest.get(what, 0.0))
    return sorted((Held(*each) for each in longest.items()), key=lambda held: -held.seconds)


def lock_words(table: str, blockers: list[BlockingSession]) -> tuple[str, str]:
    """Return what a lock is called for good, and what is said of it now. The first blocker is named."""
    more = f", and {len(blockers) - 1} more" if len(blockers) > 1 else ""
    what = f"a lock on {table} {blockers[0].named(with_state=False)}"
    return what, f"waits for a lock on {table} {blockers[0].named(with_state=True)}{more}"
