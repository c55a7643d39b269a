"""How a run stands at one moment, as a row of its record: taken once a second, kept in the ledger, shown as metrics.

Counts are those of the whole run so far, so that two samples tell what came in between, however far apart they are.
What nobody can see is None, which is another thing than 0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""Upper bounds of the classes that replies are counted in by their time; one more class holds all above."""


@dataclass(frozen=True, slots=True)
class Felt:
    """What the database felt: the worst standby, the worst slot, and the whole server for the rest."""

    lag_seconds: float | None = None
    lag_bytes: int | None = None
    slot_wal_bytes: int | None = None
    wal_bytes_per_second: float | None = None
    lock_waiters: int | None = None
    sessions: int | None = None
    transactions_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment. ``at`` is Unix time in seconds; ``rows`` counts by outcome, ``replies`` by operation and status.

    The status of a request that got no reply is ``none``. ``latency`` counts the replies of an operation in the classes
    of ``LATENCY_BOUNDS_MS``. ``window`` is how many requests may be in flight at once. ``limit`` says what holds the
    run back, in the words of the bar, and ``is_stopped`` that nothing moves for it.
    """

    at: float
    rows: Mapping[str, int]
    replies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    latency: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    in_flight: int = 0
    window: int = 0
    stored_bytes: int = 0
    ledger_bytes: int | None = None
    limit: str = ""
    is_stopped: bool = False
    vitals: Felt = field(default_factory=Felt)

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return asdict(self)

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Sample:
        """Return what ``as_json`` made a document of. Raises ``KeyError`` or ``TypeError`` for another document."""
        latency = {operation: tuple(counts) for operation, counts in document["latency"].items()}
        return cls(**{**document, "latency": latency, "vitals": Felt(**document["vitals"])})
