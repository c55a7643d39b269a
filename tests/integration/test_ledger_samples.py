"""How a run went is kept in a ledger of either kind, and read again, also with tables of earlier editions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome, Result
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Reference
from sketchmigrate.core.sample import Sample
from sketchmigrate.ledger import Flip, new_ledger, past_run
from sketchmigrate.ledger.samples import pack_sample
from tests.integration.ledgers import make_tables, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.settings import Settings
    from tests.servers.databases import Database

SAMPLES = [Sample(float(at), {"migrated": at}) for at in (10, 11, 12)]
FLIPS = [Flip(1, "image/1.png", "avatar/1.png", 12, "e"), Flip(2, "image/2.gif", "avatar/2.gif", None, "e")]


async def test_samples_are_written_replaced_and_struck_out(
    ledger: WholeLedger, settings: Settings, directory: Path
) -> None:
    await ledger.record_samples({int(each.at): pack_sample(each) for each in SAMPLES[:2]})
    again = Sample(11.5, {"migrated": 99})
    await ledger.record_samples({11: pack_sample(again), 12: pack_sample(SAMPLES[2])}, [10])
    with past_run(directory, settings) as run:
        assert run.samples() == [again, SAMPLES[2]]
    async with new_ledger(directory, settings, {}, asyncio.Event()) as other:  # as that of a repair's migration
        await other.record_samples({13: pack_sample(SAMPLES[0])})
    with past_run(directory, settings) as run:
        assert [each.at for each in run.samples()] == [11.5, 12.0, 10.0]


async def test_what_became_of_rows_and_objects_is_told_to_a_page(
    ledger: WholeLedger, settings: Settings, directory: Path
) -> None:
    await ledger.record_flips(FLIPS, unix_time=1.0)
    await ledger.record_flips([Flip(3, "x" * 3000, "y" * 3000, 5, "e")], unix_time=2.0)
    left = [Result(Reference(key, f"image/{key}"), Outcome.FAILED, because(ReasonKind.KEY_EMPTY)) for key in (4, 5)]
    await ledger.record_not_flipped(left)
    with past_run(directory, settings) as run:
        assert sorted(run.newest_objects(9), key=str) == [("avatar/1.png", 12), ("avatar/2.gif", None)]
        assert run.problem_groups() == await ledger.problem_groups()
        assert [(each.references, each.kind) for each in run.problem_groups()] == [(2, ReasonKind.KEY_EMPTY)]


async def test_tables_of_the_sixth_edition_are_read_and_upgraded(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.record_flips(FLIPS, unix_time=1.0)
    database.execute("DROP TABLE sketch_ledger.sample")
    database.execute("UPDATE sketch_ledger.edition SET number = 6")
    with past_run(directory, settings) as run:
        assert (run.samples(), run.flips, len(run.newest_objects(9))) == ([], 2, 2)
    await make_tables(settings)
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.record_samples({10: pack_sample(SAMPLES[0])})
    with past_run(directory, settings) as run:
        assert run.samples() == SAMPLES[:1]


async def test_tables_of_the_seventh_edition_are_used_as_they_are(
    database: Database, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    """Only files have changed since: nobody has to upgrade tables for that."""
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    database.execute("UPDATE sketch_ledger.edition SET number = 7")
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        await ledger.record_flips(FLIPS, unix_time=1.0)
        await ledger.record_samples({10: pack_sample(SAMPLES[0])})
    with past_run(directory, settings) as run:
        assert (run.samples(), run.flips) == (SAMPLES[:1], 2)
