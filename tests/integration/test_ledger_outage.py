"""A ledger's database that was away, and what is said of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg

from sketchmigrate.ledger import Flip, new_ledger, past_run
from tests.integration.ledgers import make_tables, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.servers.databases import Database


async def test_a_ledger_that_only_takes_reads_again_is_not_said_to_be_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a failover the old primary answers, and takes no writes: a read that gets through shows nothing else."""
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    flips = [Flip(key, f"image/{key}", f"avatar/{key}", 12, "etag", copied=True) for key in (1, 2)]
    async with new_ledger(tmp_path, settings, {}, asyncio.Event()) as ledger:
        await ledger.record_flips(flips[:1], unix_time=1.0)
        database.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on')
        database.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert await ledger.first_unresolved(1) == ()
        assert "The ledger's database is away" in caplog.text
        assert "is back" not in caplog.text
        writing = asyncio.create_task(ledger.record_flips(flips[1:], unix_time=2.0))
        await asyncio.sleep(0)
        options = "-c default_transaction_read_only=off"
        with psycopg.connect(database.conninfo, autocommit=True, options=options) as connection:
            connection.execute(f'ALTER DATABASE "{database.name}" RESET default_transaction_read_only'.encode())
        await writing
    assert caplog.text.count("is back") == 1
    with past_run(tmp_path, settings) as run:
        assert run.flips == 2
