"""``handoff``: evidence, and from it the lists for jobs of S3 Batch Operations."""

from __future__ import annotations

from sketchmigrate.cli.inspection import InspectionJob
from sketchmigrate.core.errors import TransferRefused
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.handoff import handoff_text, judge, settings_of_new_objects, write_lists
from sketchmigrate.migration.recognition import refusal
from sketchmigrate.migration.transfer_kind import elsewhere


class HandoffJob(InspectionJob):
    """One handoff.

    Production is listed always: by an old inventory the job would be given objects that are there by now, and it
    replaces what it finds.
    """

    inventoried = (SideName.LEGACY,)

    async def prepare(self) -> None:
        """Open the site. Raises ``TransferRefused`` where no copy within a store reaches production."""
        if why_not := elsewhere(self.settings):
            text = f"a job of S3 Batch Operations copies within one store, and {why_not}"
            raise TransferRefused(text, hint="Run the migration: it streams the objects.")
        await super().prepare()

    async def carry_out(self) -> int:
        """Gather, judge, write the lists. Raises ``NothingRecognised``."""
        self.end_at_signals()
        async with self.evidence() as evidence:
            recognition = await self.gather(evidence)
            if recognition.is_nothing:
                raise refusal(self.settings, recognition.others)
            await judge(evidence, self.looker(evidence))
            not_set = settings_of_new_objects(self.site.sides.production.store.config)
            made = await write_lists(evidence, self.run.path, not_set=not_set)
        self.terminal.result(f"{handoff_text(made)}\n\nLog         {self.run.log_path}")
        return self.conclude({**made.json(), "log_file": str(self.run.log_path)}, ExitCode.DONE)
