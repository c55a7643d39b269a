"""A run's account of itself, ``run.json`` in its directory: what was started, by whom, where, and how it ended.

Every command that has a directory leaves one. What has a ledger notes the same there, where other machines see it.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import RunDirectoryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sketchmigrate.core.outcome import Summary

log = logging.getLogger(__name__)

ACCOUNT_NAME = "run.json"

ENDED = "ended"
"""Noted by a migration that came to its end: what became of each reference is in its ledger then."""

RESULT = "result"
"""What a run came to, as a JSON object, in what it noted of itself in its ledger. Earlier versions noted none."""


@dataclass(frozen=True, slots=True)
class Account:
    """What was started, and how it ended. ``typed`` is the command line without the program; times are Unix times.

    ``settings`` are those that applied, by their names in a settings file; no secret is among them. ``ended_at`` and
    ``exit_code`` are None while it goes on, and where it was killed. ``error`` is the message that ended it.
    """

    command: str
    typed: tuple[str, ...]
    version: str
    host: str
    user: str
    pid: int
    began_at: float
    settings: dict[str, Any]
    ended_at: float | None = None
    exit_code: int | None = None
    error: str = ""

    def noted(self) -> dict[str, str]:
        """Return what a ledger says of it. The ledger of a repair is that of its migration: hence ``invoked``."""
        return {
            "invoked": self.command,
            "typed": json.dumps(self.typed),
            "host": self.host,
            "user": self.user,
            "pid": str(self.pid),
            "settings": json.dumps(self.settings),
        }

    def ended(self, at: float, exit_code: int, error: str) -> Account:
        """Return that of the run at its end."""
        return replace(self, ended_at=at, exit_code=exit_code, error=error)


def account_in(directory: Path) -> Account | None:
    """Return the account in a run's directory; None where there is none, as of earlier versions, or none to be read."""
    with suppress(OSError, ValueError, TypeError):
        told = json.loads((directory / ACCOUNT_NAME).read_text(encoding="utf-8"))
        return _checked(Account(**{**told, "typed": tuple(told["typed"])}))
    return None


def account_noted(about: Mapping[str, str], began_at: float) -> Account | None:
    """Return the account that a ledger has of its run; None where it has none, as those of earlier versions."""
    with suppress(KeyError, ValueError, TypeError):
        typed, settings = json.loads(about["typed"]), json.loads(about["settings"])
        who = (about["version"], about["host"], about["user"], int(about["pid"]))
        return _checked(Account(about["invoked"], tuple(typed), *who, began_at, settings))
    return None


def _checked(account: Account) -> Account:
    """Return it, if it is what we write. Raises ``TypeError``: whoever may write below RUN_DIR may have written it."""
    texts = (account.command, *account.typed, account.version, account.host, account.user, account.error)
    numbers = [
        each for each in (account.pid, account.began_at, account.ended_at, account.exit_code) if each is not None
    ]
    is_ours = all(isinstance(each, str) for each in texts) and all(isinstance(each, int | float) for each in numbers)
    if not (is_ours and isinstance(account.settings, dict)):
        raise TypeError
    return account


def leave_account(directory: Path, account: Account) -> None:
    """Write the account, for the owner alone, and as a whole. Raises ``RunDirectoryError``."""
    path = directory / ACCOUNT_NAME
    unfinished = path.with_suffix(".new")
    try:
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(account), indent=2) + "\n", encoding="utf-8")
        unfinished.rename(path)
    except OSError as error:
        hint = "Set RUN_DIR (or --run-dir) to a folder that you may write to, on a disk with room."
        raise RunDirectoryError(f"{path} cannot be written: {error.strerror or error}", hint=hint) from error


def close_account(directory: Path, account: Account) -> None:
    """Write how a run ended, as well as that can be done: what it came to does not change by that."""
    try:
        leave_account(directory, account)
    except RunDirectoryError as error:
        log.warning("%s. In sketch-migrate runs it will look as if it had been killed.", error)


def result_noted(summary: Summary, exit_code: int, error: str) -> str:
    """Return what a ledger says of what its run came to."""
    outcomes = {str(outcome): count for outcome, count in summary.tally.by_outcome().items()}
    return json.dumps(
        {
            "exit_code": exit_code,
            "error": error,
            "rows": summary.tally.scanned,
            "seconds": round(summary.elapsed_seconds, 3),
            "outcomes": outcomes,
        }
    )
