"""``probe``: what the store does with conditions, keys, listings, metadata and tags; and the choice that follows."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import uvloop

from sketch_migrate import __version__
from sketch_migrate.errors import Interrupted
from sketch_migrate.migration.no_clobber import Means, Strategy, choose
from sketch_migrate.migration.preflight import (
    PATIENCE_SECONDS,
    check_read,
    check_versions,
    check_writing,
    find_specimen,
    store_name,
)
from sketch_migrate.migration.site import open_store
from sketch_migrate.report.printable import printable
from sketch_migrate.s3.findings import Question
from sketch_migrate.s3.probe import probe

if TYPE_CHECKING:
    from sketch_migrate.report.logs import RunDirectory
    from sketch_migrate.report.terminal import Terminal
    from sketch_migrate.s3 import S3Client
    from sketch_migrate.s3.findings import ProbeReport
    from sketch_migrate.settings import Options, Settings


def probe_command(settings: Settings, options: Options, terminal: Terminal, run: RunDirectory) -> int:
    """Probe the production side of the store; the database is not needed.

    Returns 0 where the store honours a condition and all was removed again, else 1. Raises ``S3Error``.
    """
    terminal.message(f"Log: {run.log_path}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            report = runner.run(_probe(settings))
        except KeyboardInterrupt as pressed:
            raise Interrupted("interrupted; what the probe had made was removed") from pressed
    strategy = choose(report)
    exit_code = 1 if strategy.means is Means.CHECK_FIRST or report.left_behind else 0
    terminal.result(report_text(report, strategy, store_name(settings)))
    if options.json_output:
        terminal.document({"version": __version__, **report_json(report, strategy), "exit_code": exit_code})
    return exit_code


async def settle_no_clobber(store: S3Client, settings: Settings, wanted: str, terminal: Terminal) -> Strategy:
    """Probe the store where the choice depends on it, and say what is chosen and why.

    Raises ``UsageError`` where ``wanted`` is what the probe disproved, and ``S3Error``.
    """
    if wanted == Means.CHECK_FIRST:
        strategy = Strategy(Means.CHECK_FIRST, "it was asked for")
    else:
        report = await probe(store, settings.production_bucket, settings.production_prefix)
        for left in report.left_behind:
            terminal.message(f"Note: the probe of the store left behind {printable(left)}", logging.WARNING)
        strategy = choose(report, wanted)
    terminal.message(f"To replace nothing: {strategy.means}, because {strategy.reason}.")
    if strategy.window:
        terminal.message(
            f"Note: what could be replaced all the same is {strategy.window}. Rows that it changes to the"
            " same key meanwhile are reported as possibly overwritten.",
            logging.WARNING,
        )
        for note in await check_versions(store, settings):
            terminal.message(f"Note: {note}", logging.WARNING)
    return strategy


async def _probe(settings: Settings) -> ProbeReport:
    async with open_store(settings) as store:
        patient = store.retrying(PATIENCE_SECONDS)
        await check_read(patient, await find_specimen(patient, settings, "PRODUCTION"))
        await check_writing(patient, settings)
        return await probe(store, settings.production_bucket, settings.production_prefix)


def report_text(report: ProbeReport, strategy: Strategy, store: str) -> str:
    """Return the table of findings, what they mean for a migration, and what is left behind."""
    width = max(len(question) for question in Question)
    lines = [f"What {store} does, tried below {printable(str(report.folder))}", ""]
    lines += [f"  {each.question:<{width}}  {each.answer:<8}  {printable(each.evidence)}" for each in report.findings]
    lines += ["", f"To replace nothing, a migration takes: {strategy.means}, because {strategy.reason}."]
    if strategy.window:
        lines.append(f"What could be replaced all the same is {strategy.window}.")
    lines += ["", "Left behind:" if report.left_behind else "Everything that was made for this is removed again."]
    lines += [f"  {printable(left)}" for left in report.left_behind]
    return "\n".join(lines)


def report_json(report: ProbeReport, strategy: Strategy) -> dict[str, object]:
    """Return the same for ``--json``."""
    return {
        "findings": [
            {"question": str(each.question), "answer": str(each.answer), "evidence": each.evidence}
            for each in report.findings
        ],
        "no_clobber": str(strategy.means),
        "no_clobber_reason": strategy.reason,
        "window": strategy.window,
        "folder": str(report.folder),
        "left_behind": list(report.left_behind),
    }
