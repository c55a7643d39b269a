"""A sample is what it was once it has been written and read."""

from __future__ import annotations

import json

from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Felt, Sample


def test_a_sample_is_the_same_after_json() -> None:
    sample = Sample(
        at=1_700_000_000.5,
        rows={"migrated": 3, "failed": 1},
        replies={"CopyObject": {"200": 3, "503": 1, "none": 2}},
        latency={"CopyObject": tuple(range(len(LATENCY_BOUNDS_MS) + 1))},
        in_flight=2,
        window=16,
        stored_bytes=10,
        ledger_bytes=4096,
        limit="store",
        is_stopped=True,
        vitals=Felt(lag_seconds=0.5, lock_waiters=0),
    )
    read = Sample.of_json(json.loads(json.dumps(sample.as_json())))
    assert read == sample
    assert read.vitals.lag_bytes is None, "not visible is not 0"
