"""How it stands with the runs below a folder, by what each has left there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from sketchmigrate.ledger.account import ENDED, RESULT, Account, leave_account
from sketchmigrate.ledger.directory import LEDGER_NAME
from sketchmigrate.ledger.overview import RunState, known_runs
from sketchmigrate.ledger.sqlite.lock import LOCK_NAME, hold_run
from sketchmigrate.ledger.sqlite.workers import RunLedger
from sketchmigrate.report.runs import runs_text
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

REPAIR = Account("repair", ("repair", "-y"), "0.1.0", "tools", "ada", 7, 1.0, {})
MIGRATION = replace(REPAIR, command="migrate")
OVER = {"command": "migrate", ENDED: "true", RESULT: '{"exit_code": 0, "rows": 20, "seconds": 2.0}'}


def leave_run(directory: Path, account: Account, about: dict[str, str]) -> None:
    """Leave what a run does."""

    async def note() -> None:
        async with RunLedger(directory / LEDGER_NAME, description={**about, **account.noted()}):
            pass

    directory.mkdir()
    asyncio.run(note())
    leave_account(directory, account)
    (directory / LOCK_NAME).touch()


def test_a_lock_that_cannot_be_read_leaves_its_run_unknown_and_hides_no_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        leave_run(tmp_path / name, MIGRATION, {"command": "migrate"})
    lock = tmp_path / "a" / LOCK_NAME
    lock.unlink()
    lock.symlink_to(lock)  # which root cannot read either
    one, other = known_runs(tmp_path, Settings())
    assert (one.name, one.state, other.state) == ("a", RunState.UNKNOWN, RunState.KILLED)
    reason = f"{lock} cannot be read: Too many levels of symbolic links"
    assert one.unread == reason
    assert [run.name for run in known_runs(tmp_path, Settings(), lambda _: False)] == ["a"], "it may go on"
    assert f"not read: {reason}" in runs_text([one])
    leave_account(tmp_path / "a", MIGRATION.ended(3.0, 1, ""))
    assert known_runs(tmp_path, Settings())[0].state is RunState.FINISHED, "it says so itself"


def test_a_repair_is_not_over_with_its_migration(tmp_path: Path) -> None:
    """A verification follows, and what is killed within it has no certificate."""
    leave_run(tmp_path / "a", REPAIR, OVER)
    with hold_run(tmp_path / "a"):
        (run,) = known_runs(tmp_path, Settings())
    assert (run.state, run.exit_code, run.rows) == (RunState.RUNNING, None, 20)
    (run,) = known_runs(tmp_path, Settings())
    assert (run.state, run.exit_code) == (RunState.KILLED, None)
    leave_account(tmp_path / "a", REPAIR.ended(3.0, 1, ""))
    (run,) = known_runs(tmp_path, Settings())
    assert (run.state, run.exit_code) == (RunState.FINISHED, 1)


def test_a_migration_that_noted_its_end_is_over_though_its_account_does_not_say_so(tmp_path: Path) -> None:
    """As on a disk that was full just then."""
    leave_run(tmp_path / "a", MIGRATION, OVER)
    (run,) = known_runs(tmp_path, Settings())
    assert (run.state, run.exit_code, run.rows) == (RunState.FINISHED, 0, 20)
