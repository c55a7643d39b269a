"""What a flip takes in a ledger, as plan reckons it and a run checks before it begins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.ledger import Flip, new_ledger
from sketchmigrate.ledger.disk import ledger_bytes
from sketchmigrate.settings import Settings
from tests.integration.ledgers import make_tables, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database

FLIPS = 20_000


@pytest.mark.parametrize("in_database", [False, True], ids=["file", "database"])
async def test_a_flip_takes_what_is_reckoned(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_database: bool
) -> None:
    settings = settings_for(database, monkeypatch) if in_database else Settings()
    if in_database:
        await make_tables(settings)
    flips = [
        Flip(n, f"image/avatar-{n:07}.png", f"avatar/avatar-{n:07}.png", 20_000 + n, f"{n:032x}", copied=True)
        for n in range(1_000_000, 1_000_000 + FLIPS)
    ]
    async with new_ledger(tmp_path, settings, {}, asyncio.Event()) as ledger:
        for first in range(0, FLIPS, 1000):
            await ledger.record_flips(flips[first : first + 1000], unix_time=1_800_000_000.123)
        reckoned = ledger_bytes(FLIPS, len(flips[0].old_path) + len(flips[0].new_path), in_database=in_database)
        if in_database:
            ((size,),) = database.execute("SELECT pg_total_relation_size('sketch_ledger.flip')")
        else:
            size = sum(path.stat().st_size for path in tmp_path.glob("ledger.sqlite*"))  # noqa: ASYNC240 - nobody waits
    assert 0.5 * reckoned < size < 1.15 * reckoned
