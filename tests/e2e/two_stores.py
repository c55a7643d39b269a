"""A site whose legacy objects are in one store, and whose production objects go into another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.e2e.site import Site, body_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers.stores import Store


@dataclass(frozen=True, slots=True)
class TwoStores(Site):
    """``store`` is that of production, and ``legacy`` that of legacy."""

    legacy: Store | None = None

    @property
    def settings(self) -> dict[str, str]:
        """The environment that the tool gets: each side has its own endpoint, and its own keys."""
        settings = dict(self.database.environ())
        for side, store in (("LEGACY", self.of_legacy), ("PRODUCTION", self.store)):
            settings |= {
                f"SKETCH_{side}_S3_ENDPOINT_URL": store.endpoint_url,
                f"{side}_AWS_ACCESS_KEY_ID": store.access_key,
                f"{side}_AWS_SECRET_ACCESS_KEY": store.secret_key,
            }
        settings |= {
            "SKETCH_LEGACY_BUCKET": self.of_legacy.legacy_bucket,
            "SKETCH_PRODUCTION_BUCKET": self.store.production_bucket,
        }
        return settings | self.environ

    @property
    def of_legacy(self) -> Store:
        """The store of legacy."""
        assert self.legacy is not None
        return self.legacy

    def by_way_of(self, *, legacy: str = "", production: str = "") -> TwoStores:
        """Return the same site by way of proxies at these addresses."""
        return replace(
            self,
            legacy=self.of_legacy.via(legacy) if legacy else self.legacy,
            store=self.store.via(production) if production else self.store,
        )

    def fill(self, paths: Iterable[str | None], *, without_object: Iterable[str] = ()) -> None:
        """Make the table with these paths, and the object that each names, in its store."""
        rows = list(paths)
        self.database.create_avatars(rows)
        absent = set(without_object)
        bodies = {row: body_of(row) for row in rows if row is not None and row not in absent}
        of_legacy = {path: body for path, body in bodies.items() if path.startswith("image/")}
        self.of_legacy.put_all(self.of_legacy.legacy_bucket, of_legacy)
        self.store.put_all(
            self.store.production_bucket, {path: body for path, body in bodies.items() if path.startswith("avatar/")}
        )

    def legacy_bodies(self) -> dict[str, bytes]:
        """Read every object of the legacy bucket."""
        return self.of_legacy.bodies(self.of_legacy.legacy_bucket)
