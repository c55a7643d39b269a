"""Which word is said of what limits a run."""

from __future__ import annotations

import pytest

from sketchmigrate.flow.limiter import Pressure
from sketchmigrate.report.limits import Sample, limited_by


def sample(
    pressure: Pressure,
    *,
    objects_wait: bool = False,
    all_copying: bool = False,
    some_ended: bool = False,
    retrying: bool = False,
    memory_is_short: bool = False,
    busy_share: float = 0.4,
    late_seconds: float = 0.001,
    prefix: str = "",
) -> Sample:
    state = (objects_wait, all_copying, some_ended, retrying, memory_is_short)
    return Sample(pressure, *state, busy_share, late_seconds, prefix)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (sample(Pressure.REFUSALS), "s3 (503)"),
        (sample(Pressure.WINDOW), "s3 (latency)"),
        (sample(Pressure.REFUSALS, prefix="s3://b/image/"), "s3 (503): s3://b/image/"),
        (sample(Pressure.WINDOW, prefix="s3://b/image/"), "s3 (latency)"),
        (sample(Pressure.NOTHING), "database"),
        (sample(Pressure.RATE_CAP), "MAX_REQUESTS_PER_SECOND"),
        (sample(Pressure.BANDWIDTH_CAP), "MAX_BANDWIDTH"),
        (sample(Pressure.CEILING), "MAX_CONCURRENCY"),
        (sample(Pressure.NOTHING, all_copying=True), "-p and -b"),
        (sample(Pressure.NOTHING, all_copying=True, retrying=True), "s3 (errors)"),
        (sample(Pressure.NOTHING, some_ended=True), "database"),
        (sample(Pressure.NOTHING, all_copying=True, some_ended=True), "s3 (latency)"),  # more batches are not there
        (sample(Pressure.NOTHING, all_copying=True, some_ended=True, retrying=True), "s3 (errors)"),
        (sample(Pressure.NOTHING, objects_wait=True), "this machine"),
        (sample(Pressure.NOTHING, memory_is_short=True), "STREAM_MEMORY"),
        (sample(Pressure.BANDWIDTH_CAP, memory_is_short=True), "MAX_BANDWIDTH"),
        (sample(Pressure.WINDOW, busy_share=0.95), "this machine"),
        (sample(Pressure.CEILING, busy_share=0.95), "this machine"),
        (sample(Pressure.NOTHING, busy_share=0.95), "this machine"),
        (sample(Pressure.WINDOW, late_seconds=0.08), "this machine"),  # others have the processors
        (sample(Pressure.REFUSALS, busy_share=0.95), "s3 (503)"),  # it waits on purpose
        (sample(Pressure.RATE_CAP, busy_share=0.95), "MAX_REQUESTS_PER_SECOND"),
    ],
)
def test_the_word(one: Sample, said: str) -> None:
    assert limited_by([one] * 8) == said


def test_the_most_frequent_counts() -> None:
    samples = [sample(Pressure.WINDOW)] * 9 + [sample(Pressure.NOTHING)] * 6 + [sample(Pressure.REFUSALS)] * 5
    assert limited_by(samples) == "s3 (latency)"


def test_nothing_is_said_of_the_first_moment() -> None:
    assert limited_by([sample(Pressure.WINDOW)] * 3) == ""
