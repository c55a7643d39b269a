"""What a flip takes in a ledger, as plan reckons it and a run checks before it begins."""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import TYPE_CHECKING

from sketchmigrate.ledger import Flip, new_ledger
from sketchmigrate.ledger.disk import MOST_JOURNAL_BYTES, ledger_bytes
from sketchmigrate.settings import Settings
from tests.integration.ledgers import make_tables, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

    from tests.servers.databases import Database

FLIPS = 20_000


def _digits(of: str, number: int) -> str:
    return blake2b(f"{of} {number}".encode(), digest_size=16).hexdigest()


def _flips(of_row: Callable[[int], tuple[str, str]]) -> list[Flip]:
    return [
        Flip(number, *of_row(number), 20_000 + number % 7_919, _digits("etag", number), copied=True)
        for number in range(1_000_000, 1_000_000 + FLIPS)
    ]


def _path(number: int) -> tuple[str, str]:
    return f"image/avatar-{number:07}.png", f"avatar/avatar-{number:07}.png"


def _document(number: int) -> tuple[str, str]:
    """Its old and its new value differ in the middle, so neither is in the other."""
    key, title = _digits("key", number), _digits("title", number)
    return f"{title} image/{key}.png {title}", f"{title} avatar/{key}.png {title}"


async def _record(flips: Sequence[Flip], directory: Path, settings: Settings) -> int:
    """Put flips on record; return what ``plan`` reckons for them."""
    async with new_ledger(directory, settings, {}, asyncio.Event()) as ledger:
        for first in range(0, len(flips), 500):
            await ledger.record_flips(flips[first : first + 500], unix_time=1_800_000_000.123)
    value_bytes = len(flips[0].old_path) + len(flips[0].new_path)
    return ledger_bytes(len(flips), value_bytes, in_database=bool(settings.ledger_url))


async def test_a_flip_takes_what_is_reckoned_in_a_database(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(database, monkeypatch)
    await make_tables(settings)
    reckoned = await _record(_flips(_path), tmp_path, settings)
    ((size,),) = database.execute("SELECT pg_total_relation_size('sketch_ledger.flip')")
    assert 0.5 * reckoned < size < 1.15 * reckoned


async def test_a_flip_takes_what_is_reckoned_in_a_file(tmp_path: Path) -> None:
    reckoned = await _record(_flips(_document), tmp_path, Settings())
    (file,) = tmp_path.glob("ledger.sqlite*")  # noqa: ASYNC240 - nobody waits
    assert 0.9 * reckoned < file.stat().st_size + MOST_JOURNAL_BYTES < reckoned


async def test_what_paths_have_in_common_is_in_a_file_once(tmp_path: Path) -> None:
    """Nothing but this file is left: the write-ahead log is folded in."""
    await _record(_flips(_path), tmp_path, Settings())
    (file,) = tmp_path.glob("ledger.sqlite*")  # noqa: ASYNC240 - nobody waits
    assert file.stat().st_size < 50 * FLIPS
