"""How long a transaction may take, for the sake of those who wait for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.settings import Settings

BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
"""Under another isolation level SKIP LOCKED raises 40001."""

GRACE_SECONDS = 5.0
"""The server's own time limits come first; past them plus this, the connection is taken for dead."""


@dataclass(frozen=True)
class Limits:
    """How long a transaction may take, in milliseconds; 0 is no limit. ``idle_ms`` is the longest pause within it.

    A connection is not given up the sooner where ``patience_ms``, by default that of a statement, is longer.
    """

    lock_ms: int
    statement_ms: int
    idle_ms: int
    patience_ms: int | None = None

    @classmethod
    def usual(cls, settings: Settings) -> Limits:
        """Return the limits of the settings; those of ``Database.settings`` are below what the server bears."""
        return cls(settings.lock_timeout_ms, settings.statement_timeout_ms, settings.statement_timeout_ms)

    @classmethod
    def of_a_long_statement(cls, settings: Settings) -> Limits:
        """Return those of the settings, without one on the statement: for what reads a whole ledger."""
        return replace(cls.usual(settings), statement_ms=0)

    def with_statements_of(self, statement_ms: int) -> Limits:
        """Return the same, with a limit on the statement that is no longer than this."""
        return replace(
            self, statement_ms=min(statement_ms, self.statement_ms or statement_ms), patience_ms=self._patience
        )

    @property
    def _patience(self) -> int:
        return self.statement_ms if self.patience_ms is None else self.patience_ms

    @cached_property
    def begin(self) -> bytes:
        """What begins a transaction with these limits; they end with it, as behind a pooler they must."""
        return BEGIN + "".join(f"; SET LOCAL {name} = {ms}" for name, ms in self._parameters.items()).encode()

    @cached_property
    def set_local(self) -> bytes:
        """What gives these limits to a transaction that has begun, in one statement."""
        calls = [f"set_config('{name}', '{ms}', true)" for name, ms in self._parameters.items()]
        return f"SELECT {', '.join(calls)}".encode()

    @property
    def _parameters(self) -> dict[str, int]:
        return {
            "lock_timeout": self.lock_ms,
            "statement_timeout": self.statement_ms,
            "idle_in_transaction_session_timeout": self.idle_ms,
        }

    @property
    def deadline_seconds(self) -> float | None:
        """After which a connection that was silent is given up: several statements may each take the limit."""
        return None if not self._patience else (3 * self._patience + self.idle_ms) / 1000 + GRACE_SECONDS
