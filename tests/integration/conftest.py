"""A run's ledger of either kind: in files, or in a database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.ledger import LedgerPlace, WholeLedger, new_ledger, place_of
from sketchmigrate.settings import Settings
from tests.integration.ledgers import make_tables, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(params=["files", "database"])
async def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings with which ledgers are files, or in a database that has the tables."""
    if request.param == "files":
        return Settings(run_dir=str(tmp_path))
    in_database = settings_for(request.getfixturevalue("database"), monkeypatch, run_dir=str(tmp_path))
    await make_tables(in_database)
    await make_tables(in_database)  # and leaves those that are there
    return in_database


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a run."""
    made = tmp_path / "20261122T180000Z-one"
    made.mkdir()
    return made


@pytest.fixture
async def ledger(settings: Settings, directory: Path) -> AsyncIterator[WholeLedger]:
    """The run's ledger, open."""
    async with new_ledger(directory, settings, {"table": "avatars"}, asyncio.Event()) as opened:
        yield opened


@pytest.fixture
def place(settings: Settings, directory: Path) -> LedgerPlace:
    """Where workers write."""
    return place_of(directory, settings)
