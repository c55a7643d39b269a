"""The two sides of a migration: where objects come from and where they go, each with the client of its store.

Whatever touches a store is given a side, or the store of one. Where both are reached alike they have the same client.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.core.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.core.routes import Route
    from sketchmigrate.core.rule import SideName
    from sketchmigrate.s3 import S3Client


@dataclass(frozen=True, slots=True)
class Side:
    """One side: the keys below ``prefix`` in ``bucket``, reached by ``store``, which messages call ``store_name``."""

    name: SideName
    store: S3Client
    bucket: str
    prefix: str
    store_name: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def at(self, key: str) -> Location:
        """Return the place of a key of this side."""
        return Location(self.bucket, key)

    def below(self, name: str) -> Location:
        """Return the place of a name below the prefix."""
        return Location(self.bucket, self.prefix + name)

    def setting(self, what: str) -> str:
        """Return the name of a setting of this side: ``LEGACY_BUCKET`` for ``BUCKET``."""
        return f"{self.name.upper()}_{what}"

    def retrying(self, seconds: float) -> Side:
        """Return this side with another patience; see ``S3Client.retrying``."""
        return replace(self, store=self.store.retrying(seconds))


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides."""

    legacy: Side
    production: Side

    def __iter__(self) -> Iterator[Side]:
        yield self.legacy
        yield self.production

    @property
    def stores(self) -> tuple[S3Client, ...]:
        """The clients, each once."""
        return tuple({id(side.store): side.store for side in self}.values())

    @property
    def concurrency(self) -> int:
        """How many callers at once keep the stores as busy as they should be; it changes while they are at work."""
        if self.legacy.store is self.production.store:
            return self.production.store.concurrency
        return self.legacy.store.concurrency + self.production.store.concurrency

    @property
    def traffic(self) -> Traffic:
        """What went over the wire to both."""
        return sum((store.traffic for store in self.stores), Traffic())

    def along(self, route: Route) -> Sides:
        """Return both for the keys of a move."""
        return Sides(
            replace(self.legacy, bucket=route.legacy_bucket, prefix=route.legacy_prefix),
            replace(self.production, bucket=route.production_bucket, prefix=route.production_prefix),
        )

    def retrying(self, seconds: float) -> Sides:
        """Return both with another patience."""
        return Sides(self.legacy.retrying(seconds), self.production.retrying(seconds))

    def stop_retrying(self) -> None:
        """End all waits between attempts at once, and make no further ones."""
        for store in self.stores:
            store.stop_retrying()
