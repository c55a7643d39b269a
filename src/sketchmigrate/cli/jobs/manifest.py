"""``manifest``: the keys that may be deleted, for another tool to delete."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.cli.inspection import InspectionJob
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.inspect.manifest import (
    PROVED,
    certified_evidence,
    check_nothing_since,
    comparing_evidence,
    evidence_began_at,
    judge,
    manifest_text,
    newest_verify,
    write_manifest,
)
from sketchmigrate.postgres.privileges import hidden_rows

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.manifest import ManifestArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.manifest import Found
    from sketchmigrate.report.logs import RunDirectory


class ManifestJob(InspectionJob):
    """One manifest. Its own evidence, ``now.duckdb``, has the rows and both listings as they are by now."""

    def __init__(self, arguments: ManifestArguments, start: Start, run: RunDirectory) -> None:
        super().__init__(start, run)
        self._verify_run = arguments.verify_run or newest_verify(Path(start.settings.run_dir).expanduser())

    async def carry_out(self) -> int:
        """Look whether the verify still holds, read rows and listings again, write what all bear out."""
        self.end_at_signals()
        proved = certified_evidence(self._verify_run, self.evidence_site())
        comparing = self._comparing_evidence()
        hidden = [each.source.table for each in self.site.sources if each.table.hides_rows]
        if hidden:
            raise hidden_rows(", ".join(dict.fromkeys(hidden)))
        async with self.evidence("now.duckdb") as now:
            await now.attach(proved, PROVED)
            began_at = await evidence_began_at(now)
            self._check_nothing_since(began_at)
            await self.gather(now)
            if await self.are_rows_hidden():
                return self.conclude({"kind": "manifest"}, ExitCode.LEFT)
            await judge(now, proved, comparing)
            self._check_nothing_since(began_at)  # a run may have begun meanwhile
            made = await write_manifest(now, self._verify_run, self.run.path)
        files = [
            *(f"For S3 Batch Operations  {file}" for file in made.csv_files),
            f"As a table               {made.parquet_file}",
            f"Log                      {self.run.log_path}",
        ]
        self.terminal.result("\n".join((manifest_text(made), "", *files)))
        return self.conclude({"kind": "manifest", **asdict(made), "log_file": str(self.run.log_path)}, ExitCode.DONE)

    def _comparing_evidence(self) -> list[Found]:
        return comparing_evidence(Path(self.settings.run_dir).expanduser(), self.evidence_site())

    def _check_nothing_since(self, began_at: float) -> None:
        with ExitStack() as opened:
            check_nothing_since(self.past_runs(opened), self._verify_run, began_at)
