"""``probe``: what the store does with conditions, keys, listings, metadata and tags; and the choice that follows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import uvloop

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import Interrupted
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.migration.no_clobber import Means, choose
from sketchmigrate.migration.opening import open_sides
from sketchmigrate.migration.preflight import (
    PATIENCE_SECONDS,
    check_read,
    check_writing,
    find_specimen,
)
from sketchmigrate.migration.probe_record import recorded_folder, remove_left_behind
from sketchmigrate.migration.settling import NOT_REMOVED
from sketchmigrate.migration.store_trial import Races, try_store
from sketchmigrate.migration.transfer_kind import TransferKind, kind_between
from sketchmigrate.report.text import printable
from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import told

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.probe import ProbeArguments
    from sketchmigrate.migration.no_clobber import Strategy
    from sketchmigrate.migration.transfer_kind import SettledKind
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.s3.probe.findings import ProbeReport
    from sketchmigrate.settings import Options, Settings
    from sketchmigrate.sides import Side


def probe_command(
    arguments: ProbeArguments, settings: Settings, options: Options, terminal: Terminal, run: RunDirectory
) -> int:
    """Probe the production side of the store; the database is not needed.

    Returns 0 where the store honours a condition for sure and all was removed again, else 1. Raises ``S3Error``.
    """
    terminal.message(f"Log: {run.log_path}")
    races = Races.WITH_VERSIONS if arguments.race else Races.ANEW
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            report, earlier, side, kind = runner.run(_probe(settings, races))
        except KeyboardInterrupt as pressed:
            raise Interrupted("interrupted; what the probe had made was removed") from pressed
    if earlier:
        terminal.message(f"Note: {NOT_REMOVED}: {told(earlier)}", logging.WARNING)
    report = replace(report, left_behind=(*report.left_behind, *earlier))
    strategy = choose(report, is_streamed=kind.kind is TransferKind.STREAMED)
    exit_code = ExitCode.finished(left=strategy.means is Means.CHECK_FIRST or bool(report.left_behind))
    terminal.result(report_text(report, strategy, side.store_name, kind))
    return conclude(terminal, options, report_json(report, strategy, kind), exit_code)


async def _probe(settings: Settings, races: Races) -> tuple[ProbeReport, list[str], Side, SettledKind]:
    """Try the store.

    Return what was found, what earlier runs left that could not be removed, production's side, and whether a migration
    would have the store copy objects.
    """
    async with open_sides(settings) as (sides, _):
        kind = await kind_between(sides, settings)
        side = sides.production.retrying(PATIENCE_SECONDS)
        await check_read(side, await find_specimen(side))
        left = await remove_left_behind(side, settings.run_dir)
        async with recorded_folder(side, settings.run_dir) as folder:
            await check_writing(folder, side)
        return await try_store(sides.production, settings.run_dir, races), left, side, kind


def report_text(report: ProbeReport, strategy: Strategy, store: str, kind: SettledKind) -> str:
    """Return the table of findings, what they mean for a migration, and what is left behind."""
    width = max(len(question) for question in Question)
    lines = [f"What {store} does, tried below {printable(str(report.folder))}", ""]
    whole = {each.evidence for each in report.findings}
    all_gone = "Everything that was made for this is removed again."
    if len(whole) == 1:  # nothing was tried, for one reason
        all_gone = "No object was stored for this: an upload was begun, to try the right to write, and called off."
        lines.append(f"  {printable(whole.pop())}")
    else:
        lines += [
            f"  {each.question:<{width}}  {each.answer:<8}  {printable(each.evidence)}" for each in report.findings
        ]
    if report.proofs:
        lines += ["", "What is honoured one after the other, raced against writes of the same moment:", ""]
        words = {True: "proved", False: "not proved"}
        lines += [
            f"  {q:<{width}}  {words[p.is_proved]:<10}  {printable(p.evidence)}" for q, p in report.proofs.items()
        ]
    lines.append("")
    if not kind.is_plain:
        lines.append(f"Objects are brought by a migration: {kind.kind}, because {kind.reason}.")
    lines.append(f"To replace nothing, a migration takes: {strategy.means}, because {strategy.reason}.")
    if strategy.window:
        lines.append(f"What could be replaced all the same is {strategy.window}.")
    lines += ["", "Left behind:" if report.left_behind else all_gone]
    lines += [f"  {printable(left)}" for left in report.left_behind]
    return "\n".join(lines)


def report_json(report: ProbeReport, strategy: Strategy, kind: SettledKind) -> dict[str, object]:
    """Return the same for ``--json``."""
    return {
        "findings": [
            {"question": str(each.question), "answer": str(each.answer), "evidence": each.evidence}
            for each in report.findings
        ],
        "proofs": [
            {"question": str(question), "proved": proof.is_proved, "evidence": proof.evidence}
            for question, proof in report.proofs.items()
        ],
        "no_clobber": str(strategy.means),
        "no_clobber_reason": strategy.reason,
        "window": strategy.window,
        "folder": str(report.folder),
        "left_behind": list(report.left_behind),
        "transfer": str(kind.kind),
        "transfer_reason": kind.reason,
    }
