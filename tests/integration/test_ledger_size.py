"""What a flip takes in a ledger, as plan reckons it and a run checks before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.test_database_ledger import directory, ledger, settings  # noqa: F401 - fixtures

from sketch_migrate.ledger import Flip, WholeLedger

if TYPE_CHECKING:
    from pathlib import Path
    from sketch_migrate.settings import Settings

FLIPS = 40_000


async def test_a_flip_takes_what_is_reckoned(
    ledger: WholeLedger, directory: Path, settings: Settings, database
) -> None:
    flips = [
        Flip(n, f"image/avatar-{n:07}.png", f"avatar/avatar-{n:07}.png", 20_000 + n, f"{n:032x}", copied=True)
        for n in range(1_000_000, 1_000_000 + FLIPS)
    ]
    for first in range(0, FLIPS, 1000):
        await ledger.record_flips(flips[first : first + 1000], unix_time=1_800_000_000.123)
    if settings.ledger_url:
        ((size,),) = database.execute("SELECT pg_total_relation_size('sketch_ledger.flip')")
    else:
        size = sum(p.stat().st_size for p in directory.iterdir())
    print(settings.ledger_url, size / FLIPS, [(p.name, p.stat().st_size) for p in directory.iterdir()])
