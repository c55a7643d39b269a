"""The script that is customarily written for this: see ``customary_script``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import objects
from benchmarks.contestants.contest import Turn, most_seconds, turn
from benchmarks.processes import PYTHON, PYTHON_ENVIRON, measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants.contest import Site


@dataclass(frozen=True, slots=True)
class Customary:
    """boto3 in several processes: HEAD, copy, UPDATE, row by row."""

    name: str = "boto3 script"
    choices: Sequence[int] = (4, 8, 16)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Run the script."""
        arguments = (site.store.server.endpoint_url, objects.LEGACY_BUCKET, site.store.production_bucket)
        command = [*PYTHON, "-m", "benchmarks.contestants.customary_script", str(parallelism), *arguments]
        environ = {**PYTHON_ENVIRON, **site.aws_environ(), "DATABASE": site.table.database.conninfo}
        limit = most_seconds(site.rows)
        return turn(self.name, site, measured(command, environ=environ, cwd=site.home, timeout_seconds=limit))


FAR_AWAY = Customary(choices=(8, 16, 32))
