"""Databases of ledgers for tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sketchmigrate.ledger.postgres.server import LedgerServer
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    import pytest

    from tests.servers.databases import Database


def settings_for(database: Database, monkeypatch: pytest.MonkeyPatch, **more: object) -> Settings:
    """Return settings with this database as the ledger's; user and password are in the environment."""
    monkeypatch.setenv("SKETCH_LEDGER_USER", database.user)
    monkeypatch.setenv("SKETCH_LEDGER_PASS", database.password)
    url = f"postgresql://{database.host}:{database.port}/{database.name}"
    return Settings.of({"ledger_url": url, **more})


async def make_tables(settings: Settings) -> None:
    """Do what ``ledger init`` does."""
    server = LedgerServer(settings, stopping=asyncio.Event())
    async with server.session() as session:
        await server.make_tables(session)
