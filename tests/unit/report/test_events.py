"""Events: what begins has its end, figures that change are no news, and rows that need a person are told."""

from __future__ import annotations

from uuid import UUID

from sketchmigrate.cli.ending import error_json
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.outcome import Outcome, Result
from sketchmigrate.core.reason import Reason, ReasonKind
from sketchmigrate.core.reference import Reference
from sketchmigrate.report.events import Changes, at_text, entry_event, finished_event, is_problem
from sketchmigrate.report.progress import Figures


def told(*looks: Figures) -> list[tuple[str, str, str]]:
    changes = Changes()
    return [
        (event["event"], event["change"], str(event.get("limit", event["text"])))
        for figures in looks
        for event in changes.look(figures)
    ]


def test_a_limit_begins_changes_and_ends_and_its_figures_are_no_news() -> None:
    behind = "database: standby-2 is {} s behind (limit 10 s), at most 5 rows/s"
    assert told(
        Figures(),
        Figures(limited_by="s3 (latency)"),
        Figures(limited_by="s3 (latency)"),
        Figures(limited_by=behind.format(6)),
        Figures(limited_by=behind.format(7)),
        Figures(limited_by=behind.format(11), is_stopped=True),
        Figures(),
    ) == [
        ("limit", "began", "s3 (latency)"),
        ("limit", "ended", "s3 (latency)"),
        ("limit", "began", "database (standby)"),
        ("limit", "changed", "database (standby)"),
        ("limit", "ended", "database (standby)"),
    ]


def test_waits_and_standstills_are_told_at_their_ends() -> None:
    assert told(
        Figures(note="the database is away, for 1 s by now"),
        Figures(note="the database is away, for 2 s by now"),
        Figures(standstill="no progress for 30 s: waiting for x"),
        Figures(standstill="no progress for 31 s: waiting for x"),
        Figures(),
    ) == [
        ("wait", "began", "the database is away, for 1 s by now"),
        ("wait", "ended", "the database is away, for 2 s by now"),
        ("stalled", "began", "no progress for 30 s: waiting for x"),
        ("stalled", "ended", "no progress for 31 s: waiting for x"),
    ]


def test_an_entry_says_why_and_a_key_without_a_type_in_json_is_text() -> None:
    reason = Reason(ReasonKind.STORE_ERROR, {"said": "403 AccessDenied"}, "AccessDenied", 403, "Ask for the right.")
    result = Result(Reference(UUID(int=1), "image/a.png"), Outcome.FAILED, reason)
    event = entry_event(result, "avatars.path", is_back=False)
    assert event["key"] == "00000000-0000-0000-0000-000000000001"
    assert (event["outcome"], event["kind"], event["status"]) == ("failed", "store_error", 403)
    assert "403 AccessDenied" in event["reason"]
    assert is_problem(result)
    assert not is_problem(Result(Reference(1, "image/a.png"), Outcome.SUPERSEDED))


def test_a_rollback_restores() -> None:
    result = Result(Reference(1, "avatar/a.png"), Outcome.MIGRATED)
    assert entry_event(result, "avatars.path", is_back=True)["outcome"] == "restored"


def test_the_end_counts_what_needs_a_person_and_has_the_error() -> None:
    noted = {"outcomes": {"migrated": 7, "missing": 1, "conflict": 2, "failed": 3}, "possibly_overwritten": 4}
    event = finished_event(1, noted)
    assert (event["needs_a_person"], event["outcomes"]["migrated"], event["error"]) == (10, 7, None)
    failed = finished_event(2, error_json(UsageError("no", hint="yes")))
    assert (failed["outcomes"], failed["needs_a_person"]) == (None, 0)
    assert failed["error"] == {"type": "UsageError", "message": "no", "hint": "yes"}


def test_times_are_in_utc_to_the_millisecond() -> None:
    assert at_text(1.5) == "1970-01-01T00:00:01.500Z"
    assert at_text(0) == "1970-01-01T00:00:00.000Z"
