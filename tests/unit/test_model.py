"""Tallies add up, and values and errors travel between processes."""

from __future__ import annotations

import pickle
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core import errors
from sketchmigrate.core.outcome import Outcome, Result, Summary, Tally
from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.core.status import Status

results = st.lists(
    st.builds(
        Result,
        st.builds(Reference, st.integers(), st.text()),
        st.sampled_from(Outcome),
        copied=st.booleans(),
        size_bytes=st.none() | st.integers(0, 10**12),
    )
)


@given(results, results)
def test_the_tally_of_two_batches_is_the_sum_of_their_tallies(first: list[Result], second: list[Result]) -> None:
    assert Tally.of(first + second) == Tally.of(first) + Tally.of(second)


@given(results)
def test_every_reference_is_counted_exactly_once(batch: list[Result]) -> None:
    tally = Tally.of(batch)
    assert tally.scanned == len(batch) == sum(tally.by_outcome().values())
    assert tally.needing_a_person == sum(result.outcome.needs_a_person for result in batch)
    assert tally.objects_copied == sum(result.copied for result in batch)


def test_bytes_are_a_sum_where_every_size_is_known_and_an_estimate_elsewhere() -> None:
    assert Tally(objects_copied=2, sized_objects=2, sized_bytes=30).bytes_copied == 30
    assert Tally(objects_copied=2, sized_objects=2, sized_bytes=30).bytes_are_exact
    parts = Tally(
        objects_copied=1002, sized_objects=102, sized_bytes=6_000_000_500, sampled_objects=100, sampled_bytes=500
    )
    assert parts.bytes_copied == 6_000_000_000 + 10 * 500, "those copied in parts are known, and no sample of the rest"
    estimate = Tally(objects_copied=10, sized_objects=2, sized_bytes=30, sampled_objects=2, sampled_bytes=30)
    assert (estimate.bytes_copied, estimate.bytes_are_exact) == (150, False)
    assert Tally(objects_copied=3).bytes_copied == 0


def test_a_sample_stands_for_the_sizes_that_nobody_knows() -> None:
    told, sampled, unknown = (
        Result(Reference(number, "image/a"), Outcome.MIGRATED, copied=True, size_bytes=size_bytes, sampled=sampled)
        for number, (size_bytes, sampled) in enumerate([(20_000_000, False), (7, True), (None, False)])
    )
    tally = Tally.of([told, sampled, *[unknown] * 9])
    assert (tally.bytes_copied, tally.bytes_are_exact) == (20_000_000 + 10 * 7, False)


def _summary(tally: Tally, *, rows_left: bool = False, dry_run: bool = False, signal: int | None = None) -> Summary:
    return Summary(tally, 1.0, 1, dry_run, rows_left, signal, (), "", "")


def test_exit_code_zero_means_nothing_failed_and_nothing_left() -> None:
    assert _summary(Tally(migrated=5, already=1, superseded=1)).exit_code == 0
    for left in (Tally(missing=1), Tally(conflict=1), Tally(failed=1)):
        assert _summary(left).exit_code == 1
    assert _summary(Tally(migrated=5), rows_left=True).exit_code == 1
    assert _summary(Tally(migrated=5), rows_left=True, signal=15).exit_code == 143
    assert _summary(Tally(migrated=5), rows_left=True, dry_run=True).exit_code == 1


def test_status_knows_the_rows_of_neither_side() -> None:
    status = Status(1, 10, 2, 20, legacy_rows=1, production_rows=3, total_rows=9)
    assert (status.other_rows, status.percent_done) == (5, 75.0)
    assert Status(0, 0, 0, 0, 0, 0, 4).percent_done == 100.0


@pytest.mark.parametrize(
    "value", [Reference(UUID(int=7), "image/a"), KeyRange(None, "z"), Tally(migrated=3, sized_bytes=9)]
)
def test_values_pickle(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "error",
    [
        errors.SettingsError("no", hint="do"),
        errors.DatabaseRefused("no", hint="do", sqlstate="42501"),
        errors.S3Refused("no", hint="do", status=403, code="AccessDenied"),
        errors.Interrupted("no", signal_number=15),
    ],
)
def test_errors_pickle_with_all_that_they_know(error: errors.MigrateError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert again.__dict__ == error.__dict__
    assert (str(again), again.exit_code) == (str(error), error.exit_code)
