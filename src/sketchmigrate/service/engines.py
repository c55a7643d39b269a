"""Who shares the work of a command: processes of this machine, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import UsageError
from sketchmigrate.settings import LOCAL_CLUSTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.cluster.engine import Engine
    from sketchmigrate.inspect.comparing import Comparer
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Options, Settings


def engine_for(cluster: str, processes: int) -> Engine:
    """Return a cluster, or without one a pool of so many processes. Raises ``UsageError`` where Dask is missing."""
    if not cluster:
        from sketchmigrate.cluster.pool import ProcessPool  # noqa: PLC0415 - takes a while, and few runs need it

        return ProcessPool(processes)
    check_dask_for(cluster)
    from sketchmigrate.cluster.dask import DaskCluster  # noqa: PLC0415 - needs the extra

    return DaskCluster(cluster)


def check_dask_for(cluster: str) -> None:
    """Check that a cluster, where one is named, can be spoken to from here. Raises ``UsageError``."""
    if not cluster:
        return
    try:
        import sketchmigrate.cluster.dask  # noqa: F401, PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        hint = "Install it, here and on every worker: pip install 'sketch-migrate[cluster]'"
        raise UsageError(f"--cluster needs Dask, which is not installed here ({error})", hint=hint) from error


def check_ledger_for(cluster: str, settings: Settings) -> None:
    """Check that the cluster, and for all its workers the ledger, can be reached. Raises ``UsageError``."""
    check_dask_for(cluster)
    if cluster and not cluster.startswith(LOCAL_CLUSTER) and not settings.ledger_url:
        hint = "Set LEDGER_URL to a PostgreSQL database, and make its tables: sketch-migrate ledger init"
        text = "--cluster needs a ledger that the workers on all machines reach: a file in RUN_DIR is on this one alone"
        raise UsageError(text, hint=hint)


def comparer_for(options: Options, site: Site, looks: Looks, run_id: str, say: Callable[[str, int], None]) -> Comparer:
    """Return what compares objects by their bytes: this process, or those that share it. ``say`` tells of these."""
    if not options.is_shared:
        from sketchmigrate.inspect.comparing import ComparerHere  # noqa: PLC0415 - a migration compares nothing

        return ComparerHere(looks)
    from sketchmigrate.cluster.comparing import ComparerOnWorkers  # noqa: PLC0415 - as above
    from sketchmigrate.cluster.comparing_worker import ComparingAssignment  # noqa: PLC0415 - as above

    assignment = ComparingAssignment(run_id, site.settings, site.specimens)
    return ComparerOnWorkers(lambda: engine_for(options.cluster, options.processes or 1), assignment, say)
