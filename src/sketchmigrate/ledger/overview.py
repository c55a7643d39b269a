"""All runs that are known here, whatever their command: below RUN_DIR, and in the database of LEDGER_URL.

The one place that reads runs to show them. Nothing is written, and what earlier versions did not note is left out.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import MigrateError, RunDirectoryError, UsageError
from sketchmigrate.core.exit_codes import signal_of
from sketchmigrate.ledger.account import ACCOUNT_NAME, ENDED, RESULT, account_in, account_noted
from sketchmigrate.ledger.database import listed_in_database, past_in_database
from sketchmigrate.ledger.directory import LEDGER_NAME, POINTER_NAME, pointer_in
from sketchmigrate.ledger.figures import figures_in
from sketchmigrate.ledger.sqlite.lock import is_held
from sketchmigrate.ledger.sqlite.past_run import PastFiles
from sketchmigrate.report.logs import LOG_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sketchmigrate.ledger.account import Account
    from sketchmigrate.ledger.contract import PastRun
    from sketchmigrate.ledger.postgres.past_run import ListedRun
    from sketchmigrate.settings import Settings

_MARKS = (LOG_NAME, ACCOUNT_NAME, LEDGER_NAME, POINTER_NAME)
"""Files of which a run's directory has one at least, of whichever version it is."""


class RunState(StrEnum):
    """How it stands with a run."""

    RUNNING = "running"
    FINISHED = "finished"  # it came to its own end, whatever its exit code
    STOPPED = "stopped"  # by a signal, which it took note of
    KILLED = "killed"  # it ended without a word
    UNKNOWN = "unknown"  # too little is on record or can be read to tell, as of a run of an earlier version


@dataclass(frozen=True, slots=True)
class RunOverview:
    """What is known of one run. ``directory`` is None where it is not below RUN_DIR; times are Unix times.

    ``account`` and ``about`` are what it noted of itself at its start, and in its ledger. ``rows`` are those that it
    took up, or while that is not noted the flips on record. ``unread`` says why its ledger or its lock could not be
    read.
    """

    name: str
    directory: Path | None
    account: Account | None
    state: RunState
    about: Mapping[str, str] = field(default_factory=dict)
    began_at: float | None = None
    seconds: float | None = None
    rows: int | None = None
    exit_code: int | None = None
    error: str = ""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    ledger: str = ""
    unread: str = ""

    @property
    def command(self) -> str:
        """Its command; empty where that is not on record."""
        return self.account.command if self.account is not None else self.about.get("command", "")

    @property
    def version(self) -> str:
        """The version of the tool; empty where that is not on record."""
        return self.account.version if self.account is not None else self.about.get("version", "")

    @property
    def places(self) -> tuple[str, str]:
        """From where to where it moves objects: the places of all its moves. Empty where that is not on record."""
        if "table" in self.about or self.account is None:
            with suppress(KeyError, ValueError, TypeError):
                if moves := json.loads(self.about["moves"]):
                    return _places(moves)
            return self.about.get("legacy", ""), self.about.get("production", "")
        told = self.account.settings
        with suppress(KeyError, TypeError):
            if moves := told["MOVES"]:
                return _places(moves)
        legacy, production = (
            f"s3://{told.get(f'{side}_BUCKET', '')}/{told.get(f'{side}_PREFIX', '')}"
            for side in ("LEGACY", "PRODUCTION")
        )
        return legacy, production

    @property
    def rollback_seconds(self) -> float | None:
        """How long it takes to undo a migration, at its own rate, where nothing has to be copied; None is not known."""
        figures = figures_in(self.about)
        rate = self.rows_per_second if figures is None else figures.rows_per_second
        migrated = self.outcomes.get("migrated", self.rows)
        return None if rate is None or not migrated or self.command == "rollback" else migrated / rate

    @property
    def rows_per_second(self) -> float | None:
        """Its rate; None where it is not known, as while it goes on: a flip is on record before it is made."""
        if self.is_upper_bound:
            return None
        return self.rows / self.seconds if self.rows is not None and self.seconds else None

    @property
    def is_upper_bound(self) -> bool:
        """Whether ``rows`` are flips that it set out to make, of which not all may be made."""
        return bool(self.rows) and not self.outcomes and self.state in {RunState.RUNNING, RunState.KILLED}


def _places(moves: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    legacy, production = (", ".join(dict.fromkeys(each[side] for each in moves)) for side in ("legacy", "production"))
    return legacy, production


def state_of(*, goes_on: bool, exit_code: int | None, is_ended: bool, is_noted: bool) -> RunState:
    """Say how it stands with a run. ``is_noted``: it would have noted its end, if it had come to one. Pure."""
    if goes_on:
        return RunState.RUNNING
    if exit_code is not None:
        return RunState.FINISHED if signal_of(exit_code) is None else RunState.STOPPED
    if is_ended:
        return RunState.FINISHED
    return RunState.KILLED if is_noted else RunState.UNKNOWN


def known_runs(folder: Path, settings: Settings, wanted: Callable[[str], bool] = lambda _: True) -> list[RunOverview]:
    """Return the runs below a folder and in the database of LEDGER_URL, the oldest first.

    Those whose names are not ``wanted`` are left out, unless they go on, or that cannot be told. Raises
    ``DatabaseError``.
    """
    listed = {each.run_id: each for each in listed_in_database(settings)}
    runs = []
    for directory in _directories(folder):
        in_database = listed.pop(directory.name, None)
        if wanted(directory.name) or any(_goes_on(directory, in_database)):
            runs.append(_overview(directory.name, directory, in_database, settings))
    runs += [_overview(name, None, each, settings) for name, each in listed.items() if wanted(name) or each.goes_on]
    return sorted(runs, key=lambda run: (run.began_at or 0.0, run.name))


def running_below(folder: Path) -> list[Path]:
    """Return the directories of the runs below a folder that go on, the oldest first. Raises ``RunDirectoryError``."""
    return [directory for directory in _directories(folder) if is_held(directory)]


def one_run(which: Path, folder: Path, settings: Settings) -> RunOverview:
    """Return a run by its directory, or by its name. Raises ``UsageError`` and ``DatabaseError``."""
    listed = {each.run_id: each for each in listed_in_database(settings)}
    for directory in (which, folder / which.name):
        if is_of_a_run(directory):
            return _overview(directory.absolute().name, directory, listed.get(directory.absolute().name), settings)
    if which.name in listed:
        return _overview(which.name, None, listed[which.name], settings)
    where = f"{folder}, nor in the database of LEDGER_URL" if settings.ledger_url else str(folder)
    raise UsageError(f"there is no run {which.name!r} below {where}", hint="sketch-migrate runs names all of them.")


def past_of(run: RunOverview, settings: Settings) -> PastRun | None:
    """Return the ledger of a run, to be entered, where it has one that is at hand."""
    return _past(run.name, run.directory, settings, is_listed=bool(run.ledger))


def _directories(folder: Path) -> list[Path]:
    """Return the directories of runs below a folder, none where it is not there."""
    return sorted({file.parent for name in _MARKS for file in folder.rglob(name)})


def is_of_a_run(directory: Path) -> bool:
    """Whether a directory is that of a run."""
    return any((directory / name).is_file() for name in _MARKS)


def _overview(name: str, directory: Path | None, listed: ListedRun | None, settings: Settings) -> RunOverview:
    """Bring together what directory and ledger say of a run."""
    account = account_in(directory) if directory is not None else None
    about: Mapping[str, str] = listed.about if listed is not None else {}
    flips, last_flip_at, ledger = 0, 0.0, ""
    goes_on, lock_unread = _goes_on(directory, listed)
    unread = lock_unread
    try:
        if (past := _past(name, directory, settings, is_listed=listed is not None)) is not None:
            with past as run:
                about, flips, last_flip_at, ledger = run.description, run.flips, run.last_flip_at, str(run.path)
        elif directory is not None and (pointer := pointer_in(directory)) is not None:
            unread = lock_unread or f"{pointer}, which LEDGER_URL does not name"
    except MigrateError as error:
        unread = lock_unread or error.message
    if account is None and listed is not None:
        account = account_noted(about, listed.began_at)
    result = _result(about)
    exit_code = account.exit_code if account is not None else None
    # the ledger of a repair is that of its migration, which is not its end: a verification follows
    is_whole = account is None or account.command != "repair"
    if exit_code is None and is_whole:
        exit_code = result.get("exit_code")
    # of versions that wrote down no sign of life, its absence says nothing
    is_silent = account is not None and listed is not None and listed.silent_seconds is None
    is_noted = account is not None and not lock_unread and (is_whole or directory is not None)
    began_at = account.began_at if account is not None else listed.began_at if listed is not None else _time_of(name)
    seconds = result.get("seconds")
    if seconds is None and began_at is not None and last_flip_at > began_at:
        seconds = last_flip_at - began_at
    if seconds is None and account is not None and account.ended_at is not None:
        seconds = account.ended_at - account.began_at
    return RunOverview(
        name=name,
        directory=directory,
        account=account,
        state=state_of(
            goes_on=goes_on and (account is None or account.exit_code is None),
            exit_code=exit_code,
            is_ended=is_whole and (ENDED in about or is_silent),
            is_noted=is_noted,
        ),
        about=about,
        began_at=began_at,
        seconds=seconds,
        rows=result.get("rows", flips if ledger else None),
        exit_code=exit_code,
        error=(account.error if account is not None else "") or result.get("error", ""),
        outcomes=result.get("outcomes", {}),
        ledger=ledger,
        unread=unread,
    )


def _goes_on(directory: Path | None, listed: ListedRun | None) -> tuple[bool, str]:
    """Return whether a run goes on, as far as can be told, and why it cannot."""
    if listed is not None and listed.goes_on:
        return True, ""
    try:
        return directory is not None and is_held(directory), ""
    except RunDirectoryError as error:
        return False, error.message


def _past(name: str, directory: Path | None, settings: Settings, *, is_listed: bool) -> PastRun | None:
    """Return the ledger of a run, where it has one that is at hand."""
    if directory is not None and (directory / LEDGER_NAME).is_file():
        return PastFiles(directory)
    return past_in_database(settings, name, directory or Path(name)) if is_listed else None


def _result(about: Mapping[str, str]) -> dict[str, Any]:
    with suppress(KeyError, ValueError):
        told = json.loads(about[RESULT])
        return told if isinstance(told, dict) else {}
    return {}


def _time_of(name: str) -> float | None:
    """Return the time in the name of a run's directory."""
    with suppress(ValueError):
        return datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    return None
