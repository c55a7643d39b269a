"""Whether an object with our ETag is still as we wrote it: by its time, as far as two clocks tell."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from sketchmigrate.inspect.repair import is_changed_since

WRITTEN_AT = 1_800_000_000.4
"""By our clock, when our write was noted."""

LATER_SECONDS = 1_000


@pytest.mark.parametrize("store_ahead", [-7_200.0, -30.5, 0.0, 0.3, 30.5, 7_200.0])
@pytest.mark.parametrize(
    ("after_seconds", "is_changed"),
    [(-60, False), (-1.2, False), (2.1, True), (60, True)],
)
def test_the_store_says_by_its_own_clock(store_ahead: float, after_seconds: float, *, is_changed: bool) -> None:
    """Both times of a store are whole seconds, rounded down; nearer than that it is not known, and not claimed."""
    changed_at = int(WRITTEN_AT + after_seconds + store_ahead)
    now = WRITTEN_AT + LATER_SECONDS
    headers = {"last-modified": at(changed_at), "date": at(int(now + store_ahead))}
    assert is_changed_since(headers, WRITTEN_AT, now=now) is is_changed


def test_what_is_written_and_noted_at_once_is_ours() -> None:
    headers = {"last-modified": at(int(WRITTEN_AT)), "date": at(int(WRITTEN_AT))}
    assert not is_changed_since(headers, WRITTEN_AT, now=WRITTEN_AT + 0.01)


@pytest.mark.parametrize("told", [{}, {"last-modified": "some day"}])
def test_a_time_that_is_not_told_is_no_proof(told: dict[str, str]) -> None:
    assert is_changed_since(told, WRITTEN_AT, now=WRITTEN_AT)


def at(unix_time: int) -> str:
    return formatdate(unix_time, usegmt=True)
