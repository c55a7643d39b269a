"""``repair``: what is stale, lost or has other metadata is copied again, the rest migrated, then all is verified."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from sketchmigrate.cli.agreement import check_first_question, lines_of, listed, transfer
from sketchmigrate.cli.inspection import InspectionJob
from sketchmigrate.cli.jobs.migrate import migrate_with
from sketchmigrate.cli.jobs.verify import certify
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.plural import counted
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.guard import settle_guard
from sketchmigrate.inspect.repair import RECOPIED_NAME, Rewriter, copy_ours, count_ours, read_recopied
from sketchmigrate.inspect.restore import count_lost, restore_lost
from sketchmigrate.inspect.standing import Standing
from sketchmigrate.inspect.verify import verify
from sketchmigrate.ledger import new_ledger
from sketchmigrate.migration.uploads import LeftUploads
from sketchmigrate.s3.probe.folder import told
from sketchmigrate.service.engines import check_ledger_for
from sketchmigrate.service.migration import MigrationService
from sketchmigrate.settings.sources import routes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sketchmigrate.cli.commands.repair import RepairArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.repair import Again, CountedOurs
    from sketchmigrate.inspect.verify import Verification
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.report.logs import RunDirectory

DANGLING, OTHER_HEADERS = Standing.DANGLING, Standing.OTHER_HEADERS

FINISHED = (ExitCode.DONE, ExitCode.LEFT)
"""Exit codes of a migration that came to its end."""


class RepairJob(InspectionJob):
    """One repair. Its first evidence is ``before.duckdb``, the certificate rests on that of the end."""

    stopped_hint = "What it copied again stays. When it is run again it looks at everything anew."
    instead_of_asking = "Give -y to agree beforehand, or run verify to see what there is to repair."

    def __init__(self, arguments: RepairArguments, start: Start, run: RunDirectory) -> None:
        super().__init__(start, run, for_writing=True)
        self._deep_percent, self._metadata_percent = arguments.deep, arguments.metadata
        self._service: MigrationService

    async def prepare(self) -> None:
        """Open the site, and try the right to read in production. Writes nothing."""
        check_ledger_for(self.options.cluster, self.settings)
        await super().prepare()
        await self.check_production_reading()
        self._service = service = MigrationService(
            self.site, self.options, self.stop, self.run.path, self.terminal.message
        )
        await service.check()
        self.say_ahead(service.ahead)

    def question(self) -> str:
        """Say what is about to be changed, and where."""
        service = self._service
        way = transfer(self.site.sides.production, service.settling.options, service.ahead.not_tried)
        tables = ", ".join(dict.fromkeys(each.source.table for each in self.site.sources))
        targets = ", ".join(f"{place}…" for place in routes_of(self.settings).places(SideName.PRODUCTION))
        return (
            f"This looks at all of {tables} and both buckets, copies legacy objects that were changed after they\n"
            f"were migrated, or have other metadata there, once more to {targets},\n"
            "where that still holds what we wrote, or nothing though a row that we set names it, and migrates the\n"
            "rows that are left. Nothing is deleted.\n"
            f"{listed(way)}\n"
            f"{lines_of(service.ahead)}"
            "Go on?"
        )

    async def settle(self) -> None:
        """Try the right to write and, where rows are left to migrate, how nothing is replaced."""
        await self._service.settle()

    def second_question(self) -> str:
        """Ask once more where it comes to check-first for the rows that are left."""
        return check_first_question(self._service.settling)

    async def carry_out(self) -> int:
        """Look, copy again, migrate, verify."""
        self._service.settling.agree()
        self.end_at_signals()
        with ExitStack() as opened:
            async with self.evidence("before.duckdb") as evidence:
                await self.gather(evidence)
                await read_recopied(evidence, self.past_repairs())
                ledgers = list(self.past_runs(opened))
                found = await verify(
                    evidence,
                    self.looker(evidence),
                    ledgers,
                    deep_percent=self._deep_percent,
                    metadata_percent=self._metadata_percent,
                )
                if not found.ledgers_read and (found.standings[DANGLING] or found.standings[OTHER_HEADERS]):
                    await self.looker(evidence).read_ledgers(ledgers)
                stale, described = [await count_ours(evidence, each) for each in (Standing.STALE, OTHER_HEADERS)]
                migrates = bool(found.standings[Standing.UNMIGRATED] or found.standings[Standing.CONFLICT])
                async with self._uploads_on_record(migrates=migrates) as ledger:
                    again = await self._copy_again(evidence, stale, described, ledger)
                    unknown = await self._restore_lost(evidence, found, again, ledger)
        repaired: dict[str, object] = {outcome.value: count for outcome, count in again.items()}
        if stale.others:
            text = "stale objects are not in our ledgers: whose they are is not known, so they were left."
            self.terminal.message(f"{stale.others:,} {text}")
        if described.others:
            text = "objects with other metadata are not what our ledgers know that we wrote, so they were left."
            self.terminal.message(f"{described.others:,} {text}")
        if migrates:
            await self._service.check_room()
            _, exit_code = await migrate_with(self, self._service)
            if exit_code not in FINISHED or self.stop.error is not None:
                return self.conclude({"kind": "repair", "repaired": repaired}, exit_code)
            self.end_at_signals()
        certificate, document = await certify(
            self,
            deep_percent=self._deep_percent,
            metadata_percent=self._metadata_percent,
            lists="verify-problems",
        )
        exit_code = ExitCode.finished(left=not certificate.verification.passed)
        left = {"stale_not_ours": stale.others, "dangling_not_ours": unknown, "metadata_not_ours": described.others}
        return self.conclude({**document, "kind": "repair", "repaired": repaired, **left}, exit_code)

    @asynccontextmanager
    async def _uploads_on_record(self, *, migrates: bool) -> AsyncIterator[WholeLedger | None]:
        """Have a ledger for the uploads of what is streamed, and what earlier runs have left open; None within a store.

        ``migrates``: a migration follows, which has the same ledger and goes on with what is still open.
        """
        if not self._service.settling.is_streamed:
            yield None
            return
        about = self._service.description()
        async with new_ledger(self.run.path, self.settings, about, self.stop.event) as ledger:
            left = LeftUploads(self.settings, self.run.path, self.site.sides.production, ledger, self.terminal.message)
            await left.take_over()
            yield ledger
            if not migrates:
                await left.abort(own=True)

    async def _copy_again(
        self, evidence: Evidence, stale: CountedOurs, described: CountedOurs, ledger: WholeLedger | None
    ) -> Counter[Again]:
        """Copy again what is stale, and what has other metadata, as far as it is ours; count what became of it."""
        again: Counter[Again] = Counter()
        if not stale.ours and not described.ours:
            return again
        sides, settling = self.site.sides, self._service.settling
        settled = await settle_guard(
            sides.production,
            self.settings.run_dir,
            large=bool(stale.large or described.large),
            is_streamed=settling.is_streamed,
        )
        if settled.left_behind:
            self.terminal.message(f"Left behind by trying that: {told(settled.left_behind)}", logging.WARNING)
        self.terminal.message(f"Copying again with {settled.words}.")
        writer = Rewriter(sides, settled, self.site.copying(settling.options, ledger))
        site, looks, record = self.evidence_site(), self.looks, self.run.path / RECOPIED_NAME
        for ours, what, standing in (
            (stale.ours, "stale objects", Standing.STALE),
            (described.ours, "objects with other metadata", OTHER_HEADERS),
        ):
            if not ours:
                continue
            counts = await copy_ours(evidence, site, writer, standing, looks=looks, record=record)
            for outcome, count in counts.items():
                if count:
                    self.terminal.message(f"{count:,} {what} {outcome}")
            again.update(counts)
        return again

    async def _restore_lost(
        self, evidence: Evidence, found: Verification, again: Counter[Again], ledger: WholeLedger | None
    ) -> int:
        """Bring the objects that rows of ours lost, and add to the counts what became of them.

        Return how many dangling rows have a legacy object, and no ledger says that it is theirs.
        """
        if not found.standings[DANGLING]:
            return 0
        ours, unknown = await count_lost(evidence)
        if unknown:
            self.terminal.message(
                f"{unknown:,} dangling rows have a legacy object, and no ledger says that a run of ours set them:"
                " whether it is the one that they have lost is not known, so they were left."
            )
        if not ours:
            return unknown
        settling = self._service.settling
        strategy = await settling.settle()
        if not settling.is_agreed:
            text = "dangling rows were left: to replace nothing there is only check-first here. -y agrees to that."
            self.terminal.message(f"{ours:,} {text}", logging.WARNING)
            return unknown
        transfer = settling.transfer(strategy, ledger)
        record = self.run.path / RECOPIED_NAME
        counts = await restore_lost(evidence, self.evidence_site(), transfer, self.looks, record)
        for outcome, count in counts.items():
            if count:
                self.terminal.message(f"{counted(count, 'object')} of dangling rows {outcome}")
        again.update(counts)
        return unknown
