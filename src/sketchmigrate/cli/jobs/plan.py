"""``plan``: evidence, findings, estimate."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sketchmigrate.cli.inspection import InspectionJob
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.inspect.archived import restore_commands, restore_text, write_restore_lists
from sketchmigrate.inspect.discover_report import discovery_json
from sketchmigrate.inspect.estimate import ASSUMED_ROWS_PER_SECOND, Rate, TableWork, bound, estimate, measured_rate
from sketchmigrate.inspect.fidelity_sample import objects_to_copy
from sketchmigrate.inspect.findings import mention_findings, room_finding, rules_findings
from sketchmigrate.inspect.plan import plan
from sketchmigrate.inspect.plan_report import plan_json, plan_text
from sketchmigrate.ledger.disk import free_bytes, ledger_bytes
from sketchmigrate.migration.keeping import dropped_lines, keeping_json, look_at, untold_line, way_of
from sketchmigrate.migration.look_ahead import REQUESTS, read_bucket_rules
from sketchmigrate.migration.no_clobber import choose
from sketchmigrate.migration.store_trial import try_store
from sketchmigrate.migration.transfer_kind import TransferKind, settle_kind
from sketchmigrate.migration.trial import certain_refusals, try_flips
from sketchmigrate.s3.probe.folder import told
from sketchmigrate.s3.wire.redirect import is_aws
from sketchmigrate.service.engines import check_dask_for
from sketchmigrate.settings.schedule import schedule_of
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.plan import PlanArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.archived import RestoreList
    from sketchmigrate.inspect.plan import Plan
    from sketchmigrate.migration.keeping import Way
    from sketchmigrate.migration.transfer_kind import SettledKind
    from sketchmigrate.migration.trial import Trial
    from sketchmigrate.report.logs import RunDirectory


class PlanJob(InspectionJob):
    """One plan."""

    inventoried = BOTH_SIDES
    leaves_page = True

    def __init__(self, arguments: PlanArguments, start: Start, run: RunDirectory) -> None:
        super().__init__(start, run)
        self._arguments = arguments

    async def prepare(self) -> None:
        """Open the site, and for --deep try the right to read in production."""
        check_dask_for(self.options.cluster)
        await super().prepare()
        if self._arguments.deep is not None:
            await self.check_production_reading()

    async def carry_out(self) -> int:
        """Gather, judge, reckon, report."""
        self.end_at_signals()
        rules = await read_bucket_rules(self.site.sides.production)
        async with self.evidence() as evidence:
            recognition = await self.gather(evidence)
            deep = self._arguments.deep
            found = await plan(
                evidence,
                self.looker(evidence),
                self.site.database,
                self.site.sources,
                refusals=[await certain_refusals(self.site.database, each) for each in self.site.sources],
                trials=await self._trials(),
                deep_percent=deep,
                recognition=recognition,
            )
            lists = await self.write_problems(evidence)
            objects = objects_to_copy(evidence, self.evidence_site(), full=self._arguments.full)
            full, encryption = self._arguments.full, rules.encryption
            sample = await look_at(self.site.sides, objects, encryption=encryption, is_of_all=full)
            sample.requests += REQUESTS
            to_restore = await write_restore_lists(evidence, self.run.path)
        discovery = await self.discover(full=False)
        kind = await settle_kind(self.site, self.options)
        strategy, way = await self._strategy(kind)
        in_database = bool(self.settings.ledger_url)
        needs = estimate(
            [
                TableWork(
                    each.to_migrate,
                    each.legacy_rows + each.production_rows + each.other_rows,
                    each.references_to_migrate,
                    each.references_in_place,
                    each.facts,
                    each.sizes,
                )
                for each in found.sources
            ],
            objects_listed=found.objects_listed,
            rate=await self._rate(found, kind),
            on_aws=is_aws(store_of(self.settings, SideName.PRODUCTION).endpoint_url),
            ledger_bytes=sum(
                ledger_bytes(each.to_migrate, each.value_bytes, in_database=in_database) for each in found.sources
            ),
            free_bytes=None if in_database else free_bytes(self.run.path),
            usd_per_1000_copies=self._arguments.price_copy,
            usd_per_1000_reads=self._arguments.price_read,
        )
        if self.settings.schedule:
            needs = replace(needs, scheduled_end=self._scheduled_end(found.to_migrate, needs.rows_per_second))
        found = found.with_findings(
            [
                *rules_findings(rules),
                *room_finding(needs.ledger_bytes, needs.free_bytes),
                *mention_findings(discovery),
            ]
        )
        keeping = [line for line in (*dropped_lines(sample, way), untold_line(rules, sample)) if line]
        where = [*(f"Lists       {path}" for path in lists), f"Log         {self.run.log_path}"]
        self.terminal.result("\n\n".join((plan_text(found, needs, (kind, strategy), keeping), "\n".join(where))))
        if to_restore:
            self._say_how_to_restore(to_restore)
        files = {"problems_files": [str(path) for path in lists], "log_file": str(self.run.log_path)}
        document = plan_json(found, needs, (kind, strategy), keeping_json(rules, sample, way), to_restore)
        document["discovery"] = discovery_json(discovery, "")
        return self.conclude({**document, **files}, ExitCode.finished(left=found.needs_a_look))

    def _say_how_to_restore(self, lists: list[RestoreList]) -> None:
        self.terminal.result(f"\n{restore_text(lists)}")
        legacy = store_of(self.settings, SideName.LEGACY)
        if is_aws(legacy.endpoint_url):
            self.terminal.result(f"\n{restore_commands(lists, legacy.region, legacy.endpoint_url)}", is_verbatim=True)

    async def _trials(self) -> list[Trial | None]:
        if not self.options.trial:
            return [None for _ in self.site.sources]
        return [await try_flips(self.site.database, each) for each in self.site.sources]

    async def _rate(self, found: Plan, kind: SettledKind) -> Rate:
        if self._arguments.rate is not None:
            return Rate(self._arguments.rate, "as given")
        with ExitStack() as opened:
            measured = await measured_rate(list(self.past_runs(opened)))
        assumed = "which is assumed: give --rate, or migrate a few with -l first"
        rate = measured or Rate(ASSUMED_ROWS_PER_SECOND, assumed)
        is_streamed = kind.kind is TransferKind.STREAMED and found.to_migrate
        most, why = bound(self.settings, found.bytes_to_copy / found.to_migrate if is_streamed else 0.0)
        return replace(rate, rows_per_second=most, source=why) if most < rate.rows_per_second else rate

    def _scheduled_end(self, rows: int, rows_per_second: float) -> str:
        ends = schedule_of(self.settings).end_of(datetime.now(UTC), rows, rows_per_second)
        return "" if ends is None else ends.isoformat(timespec="minutes")

    async def _strategy(self, kind: SettledKind) -> tuple[str, Way | None]:
        is_streamed = kind.kind is TransferKind.STREAMED
        if not self._arguments.probe:
            way = way_of(None, is_streamed=is_streamed)
            return "found out by trying when a migration begins; --probe tries it now", way
        report = await try_store(self.site.sides.production, self.settings.run_dir)
        chosen = choose(report, is_streamed=is_streamed)
        left = f"; left behind: {told(report.left_behind)}" if report.left_behind else ""
        return f"{chosen.means}, as {chosen.reason}{left}", way_of(chosen.means, is_streamed=is_streamed)
