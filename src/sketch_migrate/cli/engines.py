"""What runs the ranges of a table that is shared: processes of this machine, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketch_migrate.cli.flags import LOCAL
from sketch_migrate.errors import UsageError

if TYPE_CHECKING:
    from sketch_migrate.cluster.engine import Engine
    from sketch_migrate.settings import Settings


def engine_for(cluster: str, processes: int) -> Engine:
    """Return a cluster, or without one a pool of so many processes. Raises ``UsageError`` where Dask is missing."""
    if not cluster:
        from sketch_migrate.cluster.pool import ProcessPool  # noqa: PLC0415 - takes a while, and few runs need it

        return ProcessPool(processes)
    try:
        from sketch_migrate.cluster.dask import DaskCluster  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        hint = "Install it, here and on every worker: pip install 'sketch-migrate[cluster]'"
        raise UsageError(f"--cluster needs Dask, which is not installed here ({error})", hint=hint) from error
    return DaskCluster(cluster)


def check_ledger_for(cluster: str, settings: Settings) -> None:
    """Check that all workers can reach the ledger. Raises ``UsageError``."""
    if cluster and not cluster.startswith(LOCAL) and not settings.ledger_url:
        hint = "Set LEDGER_URL to a PostgreSQL database, and make its tables: sketch-migrate ledger init"
        text = "--cluster needs a ledger that the workers on all machines reach: a file in RUN_DIR is on this one alone"
        raise UsageError(text, hint=hint)
