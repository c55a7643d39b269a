"""A rollback by several processes or a cluster; this process reads the ledgers, and hands the flips out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.cluster.restorer import Restorer
from sketchmigrate.cluster.restoring_worker import RestoringAssignment
from sketchmigrate.ledger import place_of
from sketchmigrate.service.engines import engine_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sketchmigrate.cluster.overseer import Audience
    from sketchmigrate.ledger import PastRun, WholeLedger
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.rollback import Selection
    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Options


def restorer_for(
    site: Site,
    options: Options,
    *,
    run: Path,
    ledger: WholeLedger,
    audience: Audience,
    breaker: Breaker,
    sources: Sequence[SourceTable],
    runs: Sequence[PastRun],
    selection: Selection,
) -> Restorer:
    """Return what undoes ``runs`` with those who share the work. ``run`` is the directory of the rollback."""
    settings = site.settings
    directories = tuple(each.directory.absolute() for each in runs)
    assignment = RestoringAssignment(run.name, settings, options, place_of(run, settings), directories)
    return Restorer(
        engine_for(options.cluster, options.processes or 1),
        assignment,
        site=site,
        ledger=ledger,
        stop=site.stop,
        audience=audience,
        breaker=breaker,
        sources=sources,
        runs=runs,
        selection=selection,
    )
