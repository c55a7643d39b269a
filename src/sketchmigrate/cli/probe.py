"""``probe``: what the store does with conditions, keys, listings, metadata and tags; and the choice that follows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import uvloop

from sketchmigrate import __version__
from sketchmigrate.core.errors import Interrupted
from sketchmigrate.migration.no_clobber import Means, Strategy, choose
from sketchmigrate.migration.preflight import (
    PATIENCE_SECONDS,
    check_read,
    check_tagging,
    check_versions,
    check_writing,
    find_specimen,
    store_name,
)
from sketchmigrate.migration.probe_record import recorded_folder, remove_left_behind
from sketchmigrate.migration.site import open_store
from sketchmigrate.migration.store_trial import Races, try_store
from sketchmigrate.report.text import printable
from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.cli.commands import ProbeArguments
    from sketchmigrate.migration.site import Site
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.s3.probe.findings import ProbeReport
    from sketchmigrate.settings import Options, Settings


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
            report, earlier = runner.run(_probe(settings, races))
        except KeyboardInterrupt as pressed:
            raise Interrupted("interrupted; what the probe had made was removed") from pressed
    say_left(terminal, earlier)
    report = replace(report, left_behind=(*report.left_behind, *earlier))
    strategy = choose(report)
    exit_code = 1 if strategy.means is Means.CHECK_FIRST or report.left_behind else 0
    terminal.result(report_text(report, strategy, store_name(settings)))
    if options.json_output:
        terminal.document({"version": __version__, **report_json(report, strategy), "exit_code": exit_code})
    return exit_code


async def settle_no_clobber(store: S3Client, settings: Settings, wanted: str, terminal: Terminal) -> Strategy:
    """Probe the store where the choice depends on it, and say what is chosen and why.

    Raises ``ConditionNotProved`` where ``wanted`` is not proved, and ``S3Error``.
    """
    if wanted == Means.CHECK_FIRST:
        strategy = Strategy(Means.CHECK_FIRST, "it was asked for")
    else:
        report = await try_store(store, settings, tell=terminal.message)
        if report.left_behind:
            terminal.message(f"Note: the probe of the store left behind {told(report.left_behind)}", logging.WARNING)
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


async def try_rights(site: Site, terminal: Terminal, *, with_tags: bool) -> None:
    """Remove what earlier runs left when they were killed, and try the rights to write in production.

    ``with_tags``: those to tags as well, of which it is noted what is lacking. Raises ``S3Error``.
    """
    store = site.store.retrying(PATIENCE_SECONDS)
    say_left(terminal, await remove_left_behind(store, site.settings))
    async with recorded_folder(store, site.settings) as folder:
        await check_writing(folder, site.settings)
        notes = await check_tagging(folder, site.settings, site.specimens) if with_tags else []
    for note in notes:
        terminal.message(f"Note: {note}", logging.WARNING)


def say_left(terminal: Terminal, left: Sequence[str]) -> None:
    """Say what earlier runs left in production when they were killed, and could not be removed now."""
    if left:
        terminal.message(f"Note: what earlier runs left behind could not be removed: {told(left)}", logging.WARNING)


async def _probe(settings: Settings, races: Races) -> tuple[ProbeReport, list[str]]:
    """Try the store; return what was found, and what earlier runs left that could not be removed."""
    async with open_store(settings) as (store, _):
        patient = store.retrying(PATIENCE_SECONDS)
        specimen = await find_specimen(patient, settings, "PRODUCTION")
        await check_read(patient, specimen, settings.production_prefix)
        left = await remove_left_behind(patient, settings)
        async with recorded_folder(patient, settings) as folder:
            await check_writing(folder, settings)
        return await try_store(store, settings, races), left


def report_text(report: ProbeReport, strategy: Strategy, store: str) -> str:
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
    lines += ["", f"To replace nothing, a migration takes: {strategy.means}, because {strategy.reason}."]
    if strategy.window:
        lines.append(f"What could be replaced all the same is {strategy.window}.")
    lines += ["", "Left behind:" if report.left_behind else all_gone]
    lines += [f"  {printable(left)}" for left in report.left_behind]
    return "\n".join(lines)


def report_json(report: ProbeReport, strategy: Strategy) -> dict[str, object]:
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
    }
