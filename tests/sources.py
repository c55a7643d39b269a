"""Sources of references on a real database: as settings say them, looked at, and worked."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.migration.planning import SourceTable
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.settings import Settings
from sketchmigrate.settings.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database


def as_user(monkeypatch: pytest.MonkeyPatch, database: Database) -> Database:
    """Have what is opened from now on be opened as the database's user; return the database."""
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)
    return database


def settings_of(database: Database, *entries: dict[str, Any], **more: object) -> Settings:
    """Return settings with these REFERENCES, or with none; see ``as_user``."""
    where: dict[str, Any] = {"db_host": database.host, "db_port": database.port, "db_name": database.name}
    return Settings(**where, references=entries, **more)  # type: ignore[arg-type]  # the test's own values, by name


def source_of(database: Database, entry: dict[str, Any] | None = None, **more: object) -> Source:
    """Return the only source of such settings."""
    (source,) = sources_of(settings_of(database, *([entry] if entry else []), **more))
    return source


class Looked(NamedTuple):
    """A source whose table was looked at, a session for it, and what opens more of them."""

    source: SourceTable
    session: Session
    reach: Reach

    @property
    def table(self) -> Table:
        """Its table."""
        return self.source.table


@asynccontextmanager
async def looked_at(database: Database, entry: dict[str, Any] | None = None, **more: object) -> AsyncIterator[Looked]:
    """Look at the table of a source as before a migration. Raises what ``inspect_table`` raises."""
    settings = settings_of(database, *([entry] if entry else []), **more)
    (source,) = sources_of(settings)
    reach = Reach(settings, stopping=asyncio.Event())
    async with await reach.connect() as connection:
        table = await inspect_table(connection, source, for_writing=True)
    try:
        async with reach.session() as session:
            yield Looked(SourceTable.of(source, table, settings), session, reach)
    finally:
        await reach.close()


async def table_of(database: Database, entry: dict[str, Any] | None = None, **more: object) -> Table:
    """Return the table of a source as the catalogue has it."""
    async with looked_at(database, entry, **more) as looked:
        return looked.table
