"""s5cmd, which copies objects, and one UPDATE for the rows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from benchmarks import objects
from benchmarks.contestants.contest import Turn, copied_then_updated, most_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.contestants.contest import Site

_COMMANDS = (
    "COPY (SELECT 'cp s3://{legacy}/' || path || ' s3://{production}/{prefix}' || substr(path, {after})"
    " FROM avatars WHERE path LIKE '{legacy_prefix}%') TO STDOUT"
)


@dataclass(frozen=True, slots=True)
class ByRows:
    """One ``cp`` for each row, as ``s5cmd run`` takes them: what the rows name is copied, and nothing else."""

    name: str = "s5cmd run + UPDATE"
    choices: Sequence[int] = (32, 128, 256)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Write the commands, carry them out, set the rows."""
        began = time.perf_counter()
        commands = site.home / "commands"
        _write_commands(site, commands)
        prepare_seconds = time.perf_counter() - began
        command = [*_program(site, parallelism), "run", commands]
        limit = most_seconds(site.rows)
        return copied_then_updated(self.name, site, command, site.aws_environ(), prepare_seconds, timeout_seconds=limit)


@dataclass(frozen=True, slots=True)
class ByPattern:
    """One ``cp`` with an asterisk: a listing instead of a HEAD for each object, and whatever lies there is copied."""

    name: str = "s5cmd cp * + UPDATE"
    choices: Sequence[int] = (32, 128, 256)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Copy the whole prefix, set the rows."""
        source = f"s3://{objects.LEGACY_BUCKET}/{objects.LEGACY_PREFIX}*"
        target = f"s3://{site.store.production_bucket}/{objects.PRODUCTION_PREFIX}"
        command = [*_program(site, parallelism), "cp", source, target]
        limit = most_seconds(site.rows)
        return copied_then_updated(self.name, site, command, site.aws_environ(), timeout_seconds=limit)


def _program(site: Site, workers: int) -> tuple[str, ...]:
    endpoint = ("--endpoint-url", site.store.server.endpoint_url)
    return ("s5cmd", "--log", "error", "--numworkers", str(workers), *endpoint)


def _write_commands(site: Site, path: Path) -> None:
    statement = _COMMANDS.format(
        legacy=objects.LEGACY_BUCKET,
        production=site.store.production_bucket,
        prefix=objects.PRODUCTION_PREFIX,
        legacy_prefix=objects.LEGACY_PREFIX,
        after=len(objects.LEGACY_PREFIX) + 1,
    )
    with (
        psycopg.connect(site.table.database.conninfo) as connection,
        path.open("wb") as file,
        connection.cursor().copy(statement.encode()) as copy,
    ):
        for block in copy:
            file.write(block)
