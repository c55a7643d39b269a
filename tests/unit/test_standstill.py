"""A run without progress: said after half a minute, and again after as long, and not where the reason is known."""

from __future__ import annotations

from sketchmigrate.migration.standstill import Standstill


def said(marks: list[tuple[int, bool]]) -> list[tuple[int, float]]:
    """Look once a second, at marks and whether somebody else explains them; return when it was said, and how long."""
    standstill, found = Standstill(0.0), []
    for second, (mark, is_explained) in enumerate(marks):
        standstill.look(float(second), mark, is_explained=is_explained)
        if standstill.is_due:
            found.append((second, standstill.seconds))
    return found


def test_it_is_said_every_half_minute_until_something_moves() -> None:
    assert said([(1, False)] * 70) == [(30, 30), (60, 60)]
    assert said([(second // 29, False) for second in range(100)]) == []
    assert said([(1, False)] * 45 + [(2, False)] * 45) == [(30, 30), (75, 30)]


def test_what_is_explained_elsewhere_is_no_standstill() -> None:
    assert said([(1, True)] * 100) == []
    assert said([(1, False)] * 20 + [(1, True)] * 20 + [(1, False)] * 40) == [(69, 30)]
