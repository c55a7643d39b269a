"""Two stores as one: the legacy bucket is on one server, the production bucket on another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.servers.stores import REGION, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from tests.servers.stores import StoredObject


@dataclass(frozen=True)
class PairOfStores(Store):
    """What ``Store`` says of its server is so of production's; ``legacy`` and ``production`` are the two."""

    legacy: Store
    production: Store

    @classmethod
    def of(cls, legacy: Store, production: Store) -> PairOfStores:
        """Join two stores."""
        client = _Clients({legacy.legacy_bucket: legacy.client, production.production_bucket: production.client})
        buckets = legacy.legacy_bucket, production.production_bucket
        return cls(production.server, production.owner, client, *buckets, legacy, production)

    def by_way_of(self, *, legacy: str, production: str) -> PairOfStores:
        """Return the same stores by way of proxies at these addresses. The ``client`` stays direct."""
        through = self.production.via(production)
        return replace(self, server=through.server, legacy=self.legacy.via(legacy), production=through)

    def environ(self) -> dict[str, str]:
        """Return the settings that point the tool at both."""
        found = {"SKETCH_LEGACY_BUCKET": self.legacy_bucket, "SKETCH_PRODUCTION_BUCKET": self.production_bucket}
        for side, store in (("LEGACY", self.legacy), ("PRODUCTION", self.production)):
            found |= {
                f"SKETCH_{side}_S3_ENDPOINT_URL": store.endpoint_url,
                f"SKETCH_{side}_S3_REGION": REGION,
                f"{side}_AWS_ACCESS_KEY_ID": store.access_key,
                f"{side}_AWS_SECRET_ACCESS_KEY": store.secret_key,
            }
        return found

    def _of(self, bucket: str) -> Store:
        return self.legacy if bucket == self.legacy_bucket else self.production

    def put_all(self, bucket: str, bodies: Mapping[str, bytes]) -> None:
        """Store objects in the bucket's store."""
        self._of(bucket).put_all(bucket, bodies)

    def delete_all(self, bucket: str, keys: Collection[str]) -> None:
        """Delete objects there."""
        self._of(bucket).delete_all(bucket, keys)

    def _listed(self, bucket: str, prefix: str = "") -> Iterator[tuple[str, StoredObject]]:
        there = self._of(bucket).listed(bucket)
        yield from ((key, found) for key, found in there.items() if key.startswith(prefix))

    def body(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes from there."""
        return self._of(bucket).body(bucket, key)


class _Clients:
    """Passes each call of boto3's client to that of its bucket."""

    def __init__(self, clients: Mapping[str, Any]) -> None:
        self._clients = clients

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*, Bucket: str, **more: Any) -> Any:  # noqa: N803 - boto3 names it so
            return getattr(self._clients[Bucket], name)(Bucket=Bucket, **more)

        return call
