"""The record of how a run went stays short, however long the run is, and its ends are in it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Felt, Sample
from sketchmigrate.ledger import samples
from sketchmigrate.ledger.samples import MOST_SAMPLES, Thinning, keep_samples, pack_sample, samples_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

BEGIN = 1_796_050_001


def _sample(at: float, migrated: int = 0) -> Sample:
    """A sample as a busy run has it, with counts that hardly compress."""
    dice = random.Random(at)
    counts = tuple(dice.randrange(10**7) for _ in range(len(LATENCY_BOUNDS_MS) + 1))
    replies = {name: {"200": dice.randrange(10**8), "503": dice.randrange(10**5)} for name in ("CopyObject", "Head")}
    rows = {"migrated": migrated, "already": 0, "superseded": 0, "missing": 3, "conflict": 4, "failed": 5}
    vitals = Felt(dice.random(), dice.randrange(10**9), dice.randrange(10**9), dice.random() * 10**8, 3, 44, 1234.5)
    return Sample(at, rows, replies, dict.fromkeys(replies, counts), 40, 64, 0, 10**8, "s3 (503)", vitals=vitals)


class Written:
    """Stands for a ledger: what it holds by second."""

    def __init__(self) -> None:
        self.held: dict[int, bytes] = {}
        self.fails = False
        self.was_written = asyncio.Event()

    async def record_samples(self, samples: Mapping[int, bytes], forgotten: Collection[int] = ()) -> None:
        """Do what a ledger does."""
        self.was_written.set()
        if self.fails:
            raise RunDirectoryError("the disk is full")
        for second in forgotten:
            self.held.pop(second, None)
        self.held.update(samples)

    def read(self) -> list[Sample]:
        """Return all that it holds."""
        return samples_of([(self.held[second],) for second in sorted(self.held)])


def test_a_day_has_no_more_samples_than_half_an_hour() -> None:
    thinning, kept = Thinning(), set()
    for second in range(BEGIN, BEGIN + 86_400):
        if thinning.takes(second):
            kept.add(second)
        kept -= thinning.forgotten()
        assert len(kept) <= MOST_SAMPLES
    assert thinning.slot_seconds == 64
    assert len(kept) > MOST_SAMPLES // 2
    steps = [later - earlier for earlier, later in zip(sorted(kept), sorted(kept)[1:], strict=False)]
    assert set(steps[1:]) == {64}, "evenly, all over the day"


def test_a_late_sample_takes_the_place_of_none() -> None:
    thinning = Thinning(most=2)
    assert [thinning.takes(second) for second in (8, 9, 9, 11)] == [True, True, False, True]
    assert thinning.forgotten() == {9}
    assert [thinning.takes(second) for second in (11, 13)] == [False, True]


async def test_the_record_of_a_day_is_short_and_has_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "WRITE_SECONDS", 0.0)
    ledger = Written()
    async with keep_samples(ledger) as take:
        for second in range(0, 86_401, 8):
            take(_sample(BEGIN + second, migrated=second))
            if not second % 800:
                await asyncio.sleep(0)
    read = ledger.read()
    assert [read[0].at, read[-1].at] == [BEGIN, BEGIN + 86_400]
    assert read[-1].rows["migrated"] == 86_400
    assert len(read) <= MOST_SAMPLES + 1
    assert sum(map(len, ledger.held.values())) < 800_000


async def test_what_is_taken_is_written_while_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "WRITE_SECONDS", 0.001)
    ledger = Written()
    async with keep_samples(ledger) as take:
        take(_sample(BEGIN))
        await ledger.was_written.wait()
        assert ledger.read() == [_sample(BEGIN)]
    assert ledger.read() == [_sample(BEGIN)]


async def test_a_run_that_fails_has_its_last_sample() -> None:
    ledger = Written()

    async def run() -> None:
        async with keep_samples(ledger) as take:
            take(_sample(BEGIN))
            raise RunDirectoryError("of the run")

    with pytest.raises(RunDirectoryError, match="of the run"):
        await run()
    assert len(ledger.held) == 1


async def test_a_ledger_that_takes_none_is_said_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(samples, "WRITE_SECONDS", 0.0)
    ledger = Written()
    ledger.fails = True
    async with keep_samples(ledger) as take:
        take(_sample(BEGIN))
        await asyncio.sleep(0.01)
        ledger.fails = False
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "How the run goes cannot be written into its ledger: the disk is full"
    ]
    assert len(ledger.held) == 1, "what could not be written is written later"


def test_a_sample_that_cannot_be_read_is_left_out() -> None:
    whole = replace(_sample(BEGIN), limit="<script>")
    assert samples_of([(b"no zlib",), (pack_sample(whole),), (pack_sample(whole)[:-9],)]) == [whole]
