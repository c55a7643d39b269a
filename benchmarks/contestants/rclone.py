"""rclone, which copies objects inside the store, and one UPDATE for the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import objects
from benchmarks.contestants.contest import Turn, copied_then_updated
from sketchmigrate.demo.servers import rclone_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.stores import StoreServer

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
_PROVIDERS = {"ceph": "Ceph", "rclone": "Rclone", "responder": "Rclone"}  # "Other" would have ListObjects v1


@dataclass(frozen=True, slots=True)
class Rclone:
    """``rclone copy`` from prefix to prefix: on one remote, so that the store copies, or from one to another."""

    name: str = "rclone copy + UPDATE"
    choices: Sequence[int] = (16, 64, 128)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Copy the whole prefix, set the rows."""
        environ = {"RCLONE_CONFIG": str(site.home / "none"), **_remote("STORE", site.store.server)}
        if site.store.legacy is not None:
            environ |= _remote("LEGACY", site.store.legacy)
        source = f"{'legacy' if site.store.legacy else 'store'}:{objects.LEGACY_BUCKET}/{objects.LEGACY_PREFIX}"
        target = f"store:{site.store.production_bucket}/{objects.PRODUCTION_PREFIX}"
        transfers = (f"--transfers={parallelism}", f"--checkers={parallelism}")
        command = [rclone_program(), "copy", source, target, *_FLAGS, *transfers]
        return copied_then_updated(self.name, site, command, environ)


FAR_AWAY = Rclone(choices=(64, 128, 256, 512))
LARGE_OBJECTS = Rclone(choices=(4, 8, 16))


def _remote(name: str, server: StoreServer) -> dict[str, str]:
    prefix = f"RCLONE_CONFIG_{name}_"
    return {
        f"{prefix}TYPE": "s3",
        f"{prefix}PROVIDER": _PROVIDERS.get(server.name, "Other"),
        f"{prefix}ENDPOINT": server.endpoint_url,
        f"{prefix}ACCESS_KEY_ID": server.access_key,
        f"{prefix}SECRET_ACCESS_KEY": server.secret_key,
        f"{prefix}FORCE_PATH_STYLE": "true",
    }
