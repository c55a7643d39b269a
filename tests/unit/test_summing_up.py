"""What a run came to is told, also where its list of problems cannot be written any more."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from sketchmigrate.cli.arguments import parse
from sketchmigrate.cli.job import Job
from sketchmigrate.cli.start import Start
from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger.directory import LEDGER_NAME
from sketchmigrate.ledger.sqlite.workers import RunLedger
from sketchmigrate.migration.runner import Finished
from sketchmigrate.report.logs import RunDirectory
from sketchmigrate.report.tables import summary
from sketchmigrate.report.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


class Ending(Job):
    """A job at its end."""

    @property
    def source_names(self) -> list[str]:
        """It has opened no site, which would tell."""
        return ["avatars.path"]

    async def carry_out(self) -> int:
        """There is nothing more to do."""
        raise AssertionError("nobody has it carried out")


async def test_what_a_run_came_to_is_told_where_the_list_of_its_problems_cannot_be_written(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.problems_path.mkdir()
    terminal = Terminal(json_output=False, show_progress=False)
    job = Ending(Start(parse(["sketch-migrate"]), terminal, ExitStack()), run, for_writing=True)
    missing = Result(Reference(7, "image/7.png"), Outcome.MISSING)
    async with RunLedger(tmp_path / LEDGER_NAME, description={}) as ledger:
        await ledger.record_not_flipped([missing])
        finished = Finished(Tally.of([missing]), 1, rows_left=False)
        summed_up = await job.summarise(ledger, finished, 2.0, rows_hidden=False)
    assert [problem.result for problem in summed_up.problems] == [missing]
    assert isinstance(job.stop.error, RunDirectoryError)
    assert "problems.csv" in job.stop.error.message
    assert summed_up.ended_by_error
    text = summary(summed_up)
    assert "image/7.png" in text
    assert "Problems:" not in text, "there is no list"
