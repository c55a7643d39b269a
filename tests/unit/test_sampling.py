"""A sample: no count ever gets less, a listener that fails is dropped, and there is a last one."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.traffic import Traffic
from sketchmigrate.migration import sampling
from sketchmigrate.migration.sampling import Counts, Sampler, Seen, ledger_bytes
from sketchmigrate.report.progress import Figures, Progress
from tests.fault.shared import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sketchmigrate.core.sample import Sample


def test_rows_of_a_range_that_is_begun_again_stay_counted() -> None:
    counts = Counts()
    assert counts.of(Figures(tally=Tally(migrated=500, missing=2)), is_back=False)["migrated"] == 500
    after = counts.of(Figures(tally=Tally(migrated=300, failed=1)), is_back=False)
    assert (after["migrated"], after["missing"], after["failed"]) == (500, 2, 1)


def test_a_rollback_counts_what_it_restored() -> None:
    rows = Counts().of(Figures(tally=Tally(migrated=3)), is_back=True)
    assert rows["restored"] == 3
    assert "migrated" not in rows


def test_the_ledger_is_as_large_as_its_files(tmp_path: Path) -> None:
    assert ledger_bytes(tmp_path) is None
    for name, size in (("ledger.sqlite", 100), ("ledger.sqlite-wal", 20), ("ledger-worker-1.sqlite", 3), ("other", 9)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert ledger_bytes(tmp_path) == 123


async def test_listeners_are_told_again_and_again_and_a_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sampling, "EVERY_SECONDS", 0.01)
    progress = Progress(None, lambda: 0.0, on_update=lambda: None)
    sides: Any = SimpleNamespace(traffic=Traffic({"CopyObject": {"200": 1}}))
    heard: list[Sample] = []

    def fails(_: Sample) -> None:
        raise OSError("the disk is full")

    with caplog.at_level(logging.WARNING, "sketchmigrate"):
        async with Sampler(sides, progress, Seen(), [fails, heard.append], run=tmp_path, is_back=False):
            progress.limit("s3 (latency)")
            await until(lambda: len(heard) >= 3)
            progress.update(7, Tally(migrated=7))
            before = len(heard)
    assert len(heard) == before + 1
    assert (heard[-1].rows["migrated"], heard[-1].limit) == (7, "s3 (latency)")
    assert heard[-1].replies == {"CopyObject": {"200": 1}}
    assert [record.getMessage() for record in caplog.records].count(caplog.records[0].getMessage()) == 1
    assert "the disk is full" in caplog.text
