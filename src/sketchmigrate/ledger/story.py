"""All that is on record of one run, whichever way it ended: what a page about it is made of. Writes nothing."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.ledger.overview import one_run, past_of
from sketchmigrate.ledger.result import document_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.ledger.overview import RunOverview
    from sketchmigrate.settings import Settings

CERTIFICATE_NAME = "certificate.txt"

LOOKED_AT = 50_000
"""The sizes and types of so many of the newest objects of each ledger are read: a moment, whatever the run's length."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is on record of a run, at the Unix time ``read_at``.

    ``flips`` are those that it set out to make. ``objects`` are what the newest of them set rows to, with the object's
    size where it is known. ``document`` and ``certificate`` are empty where it left none. ``unread`` says why its
    ledger could not be read.
    """

    run: RunOverview
    read_at: float
    flips: int = 0
    samples: tuple[Sample, ...] = ()
    groups: tuple[ProblemGroup, ...] = ()
    objects: tuple[tuple[str, int | None], ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    certificate: str = ""
    unread: str = ""


def read_story(which: Path, folder: Path, settings: Settings) -> Story:
    """Return what is on record of a run, by its directory or its name.

    Raises ``UsageError`` where there is none, and ``DatabaseError``.
    """
    run = one_run(which, folder, settings)
    document = document_in(run.directory) if run.directory is not None else {}
    certificate = ""
    if run.directory is not None:
        with suppress(OSError, ValueError):
            certificate = (run.directory / CERTIFICATE_NAME).read_text(encoding="utf-8")
    found = Story(run, time.time(), document=document, certificate=certificate, unread=run.unread)
    try:
        past = past_of(run, settings)
        if past is None:
            return found
        with past as ledger:
            samples, objects = tuple(ledger.samples()), tuple(ledger.newest_objects(LOOKED_AT))
            groups = ledger.problem_groups()
            return Story(
                run, found.read_at, ledger.flips, samples, groups, objects, document, certificate, unread=run.unread
            )
    except MigrateError as error:
        return Story(run, found.read_at, document=document, certificate=certificate, unread=error.message)
