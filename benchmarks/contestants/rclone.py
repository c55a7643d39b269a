"""rclone, which copies objects inside the store, and one UPDATE for the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import objects
from benchmarks.contestants.contest import Turn, copied_then_updated
from sketchmigrate.demo.servers import rclone_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants.contest import Site

_FLAGS = (
    "--no-check-dest",  # production is empty: no listing of it
    "--no-update-modtime",
    "--s3-no-check-bucket",
    "--s3-no-head",  # no look at a copy that was confirmed
    "--s3-list-chunk=1000",
    "--retries=1",
    "--stats=0",
)


@dataclass(frozen=True, slots=True)
class Rclone:
    """``rclone copy`` from prefix to prefix, on one remote, so that the store copies."""

    name: str = "rclone copy + UPDATE"
    choices: Sequence[int] = (16, 64, 128)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Copy the whole prefix, set the rows."""
        server = site.store.server
        environ = {
            "RCLONE_CONFIG": str(site.home / "none"),
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Ceph" if site.store.name == "ceph" else "Rclone",
            "RCLONE_CONFIG_STORE_ENDPOINT": server.endpoint_url,
            "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": server.access_key,
            "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": server.secret_key,
            "RCLONE_CONFIG_STORE_FORCE_PATH_STYLE": "true",
        }
        source = f"store:{objects.LEGACY_BUCKET}/{objects.LEGACY_PREFIX}"
        target = f"store:{site.store.production_bucket}/{objects.PRODUCTION_PREFIX}"
        transfers = (f"--transfers={parallelism}", f"--checkers={parallelism}")
        command = [rclone_program(), "copy", source, target, *_FLAGS, *transfers]
        return copied_then_updated(self.name, site, command, environ)
