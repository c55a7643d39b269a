"""This tool: ``sketch_migrate.py -y``, with its defaults, and with ``-w``."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from benchmarks import objects
from benchmarks.contestants.contest import Turn, turn
from benchmarks.processes import ROOT, measured, succeeded
from sketchmigrate.migration.proofs import Proofs
from sketchmigrate.report.logs import LOG_NAME
from sketchmigrate.s3.probe.findings import IF_ABSENT_QUESTIONS
from sketchmigrate.s3.probe.race import RACES, Race

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.servers.stores import StoreServer

    from benchmarks.contestants.contest import Site
    from benchmarks.processes import Usage

SCRIPT = ROOT / "sketch_migrate.py"


@dataclass(frozen=True, slots=True)
class Tool:
    """The tool with these flags; nothing about it is tuned."""

    name: str
    flags: tuple[str, ...]
    choices: Sequence[int] = (0,)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int = 0) -> Turn:  # noqa: ARG002 # it finds its own
        """Migrate. Raises ``CommandFailed``: what the tool itself cannot do is no figure."""
        return turn(self.name, site, succeeded(run(site, *self.flags), self.name))


def run(
    site: Site,
    *flags: str,
    command: Sequence[str] = (),
    tree: Path = ROOT,
    more: Mapping[str, str] | None = None,
    timeout_seconds: int = 1800,
) -> Usage:
    """Run a migration on a site, or a command, with more settings if need be; killed when the time is over."""
    # a store's conditions are raced by its first run alone: thousands of requests, which are not what is measured
    proofs = Proofs(
        site.home / "runs", site.store.server.endpoint_url, site.store.production_bucket, with_versions=False
    )
    proofs.keep(dict.fromkeys(IF_ABSENT_QUESTIONS, Race(races=RACES, lost=0, refused=RACES // 2)), time.time())
    words = [sys.executable, tree / SCRIPT.name, *command, "--json", *flags]
    # the page about a run takes a second at its end, however long it was; earlier trees know no such setting
    no_page = {"SKETCH_REPORT": "no"} if tree == ROOT else {}
    environment = environ(site) | no_page | dict(more or {})
    return measured(words, environ=environment, cwd=site.home, timeout_seconds=timeout_seconds)


def environ(site: Site) -> dict[str, str]:
    """Return the settings that point the tool at a site, and at nothing of this machine's."""
    server, legacy = site.store.server, site.store.legacy or site.store.server
    return {
        "AWS_EC2_METADATA_DISABLED": "true",
        **(site.aws_environ() if legacy is server else {}),
        **(_of_side("LEGACY", legacy) | _of_side("PRODUCTION", server) if legacy is not server else {}),
        **site.table.database.environ(),
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "SKETCH_S3_ENDPOINT_URL": site.store.server.endpoint_url,
        "SKETCH_S3_CA_BUNDLE": site.store.ca_bundle,
        "SKETCH_LEGACY_BUCKET": objects.LEGACY_BUCKET,
        "SKETCH_LEGACY_PREFIX": objects.LEGACY_PREFIX,
        "SKETCH_PRODUCTION_BUCKET": site.store.production_bucket,
        "SKETCH_PRODUCTION_PREFIX": objects.PRODUCTION_PREFIX,
    }


def _of_side(side: str, server: StoreServer) -> dict[str, str]:
    return {
        f"SKETCH_{side}_S3_ENDPOINT_URL": server.endpoint_url,
        f"{side}_AWS_ACCESS_KEY_ID": server.access_key,
        f"{side}_AWS_SECRET_ACCESS_KEY": server.secret_key,
    }


def only_run(home: Path) -> Path:
    """Return the directory of the only run."""
    (run,) = _runs(home)
    return run


def _runs(home: Path) -> list[Path]:
    return sorted(log.parent for log in home.glob(f"runs/*/{LOG_NAME}"))


def began_work_at(home: Path) -> float:
    """Return the Unix time of the first line of the newest run's log: Python has started, and the tool begins."""
    with (_runs(home)[-1] / LOG_NAME).open(encoding="utf-8") as lines:
        return datetime.fromisoformat(lines.readline().split(" ", 1)[0]).timestamp()


OVERWRITING = Tool("sketch-migrate -w", ("-yw",))
NO_CLOBBER = Tool("sketch-migrate", ("-y",))
