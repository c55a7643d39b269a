"""What every command works on: the store, the database and its table, opened, and checked without writing."""

from __future__ import annotations

import math
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.mapping import Mapping
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.core.rule import Rule, SideName
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.copier import Copier
from sketchmigrate.migration.flipping import FlipControl
from sketchmigrate.migration.keeping import SAMPLE_OBJECTS
from sketchmigrate.migration.preflight import (
    PATIENCE_SECONDS,
    Specimens,
    check_database,
    check_read,
    check_reading,
    check_writing,
)
from sketchmigrate.migration.probe_record import recorded_folder
from sketchmigrate.migration.runner import Migration
from sketchmigrate.migration.watch import SilenceWatch
from sketchmigrate.postgres.database import Database
from sketchmigrate.postgres.privileges import check_rows_are_shown
from sketchmigrate.postgres.references import References
from sketchmigrate.s3 import Caps, CredentialSource, S3Client, S3Config, room_for_connections
from sketchmigrate.s3.wire.proxy import Proxies
from sketchmigrate.settings import headers_of
from sketchmigrate.sides import Side, Sides

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sketchmigrate.core.outcome import Result, Tally
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.migration.transfer import Transfer
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.settings import Options, Settings


LOOKED_AT_FIRST = 10_000
"""Rows among which a legacy path is looked for before a run begins."""


@dataclass(frozen=True, slots=True)
class Site:
    """Both ends of a migration. ``legacy_paths`` are some from the table's first pages, as far as there are any.

    ``silence`` watches whether the store answers.
    """

    settings: Settings
    sides: Sides
    silence: SilenceWatch
    database: Database
    table: Table
    mapping: Mapping
    specimens: Specimens
    legacy_paths: tuple[str, ...]
    control: FlipControl

    @property
    def first_legacy_path(self) -> str | None:
        """The first of them, None if there is none."""
        return self.legacy_paths[0] if self.legacy_paths else None

    @property
    def notices(self) -> tuple[str, ...]:
        """Facts that a person should know before it begins."""
        return (*self.database.notices, *self.table.notices, *self.specimens.untried)

    def copier(self, options: Options, stop: Stop, transfer: Transfer | None) -> Copier:
        """Return what brings objects into production; ``transfer`` None replaces what differs."""

        async def check_access() -> None:
            specimens = await check_reading(self.sides, self.first_legacy_path)
            await check_read(self.sides.production, specimens.production)
            if not options.dry_run:
                # on a worker's machine there may be no such folder: what cannot be put on record is not tried
                with suppress(RunDirectoryError):
                    async with recorded_folder(self.sides.production, self.settings.run_dir) as folder:
                        await check_writing(folder, self.sides.production)

        return Copier(
            self.sides,
            check_access,
            overwrite=options.overwrite,
            dry_run=options.dry_run,
            stop=stop,
            transfer=None if options.overwrite else transfer,
        )

    def migration(
        self,
        options: Options,
        copier: Copier,
        ledger: Ledger,
        stop: Stop,
        *,
        breaker: Breaker | None = None,
        observe: Callable[[int, Tally, list[Result]], None],
    ) -> Migration:
        """Return what a migration of this site works with, or a rollback where the mapping is reversed."""
        level = options.parallelization_level
        self.database.demand = f"-p {level} needs {level + 2} connections"
        return Migration(
            options,
            self.mapping,
            self.table,
            self.database,
            copier,
            ledger,
            stop,
            self.control,
            breaker or self.breaker(),
            observe,
        )

    def breaker(self) -> Breaker:
        """Return what ends a run that the database refuses."""
        return Breaker(self.settings.max_failed_percent)


@asynccontextmanager
async def open_site(
    settings: Settings, stop: Stop, *, for_writing: bool, kept_connections: int = 1
) -> AsyncIterator[Site]:
    """Open the site for as long as the context lasts. Writes nothing.

    With ``for_writing`` the right to update the path column is required. ``kept_connections`` to the database serve one
    session after the other. Raises ``DatabaseError`` or ``S3Error``.
    """
    async with AsyncExitStack() as opened:
        sides, silence = await opened.enter_async_context(open_sides(settings))
        database = Database(settings, stopping=stop.event, kept=kept_connections, for_writing=for_writing)
        opened.push_async_callback(database.close)
        table = await check_database(database, settings, for_writing=for_writing)
        rule = Rule(settings.legacy_prefix, settings.production_prefix)
        paths = await _legacy_paths(database, table, rule)
        first = paths[0] if paths else None
        specimens = await check_reading(sides.retrying(PATIENCE_SECONDS), first)
        mapping = Mapping(
            rule,
            settings.legacy_bucket,
            settings.production_bucket,
            max_path_chars=table.max_path_chars,
            max_path_bytes=table.max_path_bytes,
        )
        yield Site(settings, sides, silence, database, table, mapping, specimens, paths, FlipControl.of(settings))


async def _legacy_paths(database: Database, table: Table, rule: Rule) -> tuple[str, ...]:
    """Return legacy paths, spread over the first page that has some, if it is near the beginning.

    Raises ``RowsHidden`` where no row is shown at all.
    """
    looked_at = 0
    async with database.session() as session:
        if table.hides_rows:
            await session.run(check_rows_are_shown, table, doing="looking at the table")
        async for page in References(session, table).legacy_pages(KeyRange(), rule):
            looked_at += page.rows
            if page.references:
                step = -(-len(page.references) // SAMPLE_OBJECTS)
                return tuple(reference.path for reference in page.references[::step])
            if looked_at >= LOOKED_AT_FIRST:
                break
    return ()


@asynccontextmanager
async def open_sides(settings: Settings) -> AsyncIterator[tuple[Sides, SilenceWatch]]:
    """Open the sides' store, and watch whether it answers, as long as the context lasts."""
    config = S3Config(
        endpoint_url=settings.s3_endpoint_url,
        region=settings.region,
        addressing_style=settings.s3_addressing_style,
        ca_bundle=settings.s3_ca_bundle,
        requester_pays=settings.s3_requester_pays,
        caps=caps_of(settings),
        proxies=Proxies.from_environment(os.environ),
        timeout_seconds=settings.s3_timeout_seconds,
        retry_seconds=settings.s3_retry_seconds,
        new_object_headers=headers_of(settings.new_object_headers),
    )
    async with S3Client(config, CredentialSource.from_environment()) as store, SilenceWatch(store) as silence:
        s, name = settings, settings.s3_endpoint_url or f"AWS in {settings.region}"
        legacy = Side(SideName.LEGACY, store, s.legacy_bucket, s.legacy_prefix, name)
        yield Sides(legacy, Side(SideName.PRODUCTION, store, s.production_bucket, s.production_prefix, name)), silence


def caps_of(settings: Settings, *, sharing: int = 1) -> Caps:
    """Return what this process may do of what a person allows, where so many processes share it."""
    wanted = Caps(
        settings.max_concurrency,
        settings.max_requests_per_second or math.inf,
        settings.max_bandwidth or math.inf,
    ).share(sharing)
    return replace(wanted, concurrency=room_for_connections(wanted.concurrency))
