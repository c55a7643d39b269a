"""The reports: every figure in its place, in 80 columns, and nothing in them that a terminal obeys."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.outcome import Outcome, Problem, Result, Summary, Tally
from sketchmigrate.core.reason import refused_by_store
from sketchmigrate.core.reference import Reference
from sketchmigrate.core.status import Status
from sketchmigrate.report.tables import status_json, status_report, summary, summary_json, tech_status
from sketchmigrate.report.text import printable, printable_lines
from sketchmigrate.settings import Settings
from tests.reasons import told

STATUS = Status(
    legacy_objects=5000,
    legacy_bytes=12_345_678,
    production_objects=1,
    production_bytes=999,
    legacy_rows=5000,
    production_rows=4999,
    total_rows=10_003,
)
PROBLEMS = (
    Problem(
        0,
        Result(
            Reference(123, "image/a\x1b[31m.png"), Outcome.MISSING, told("no object s3://legacy/image/a\x1b[31m.png")
        ),
    ),
    Problem(1, Result(Reference(124, "image/b.png"), Outcome.CONFLICT)),
)
BROKEN = refused_by_store(S3Error("it is broken", hint="Mend it.", status=400, code="Broken"))
FINE = Summary(
    tally=Tally(
        migrated=9998, already=1, superseded=2, objects_copied=9990, sized_objects=9990, sized_bytes=12_345_678
    ),
    elapsed_seconds=3.2,
    passes=1,
    dry_run=False,
    rows_left=False,
    stopped_by_signal=None,
    problems=(),
    problems_file="runs/x/problems.csv",
    log_file="runs/x/migrate.log",
)


def test_the_status_report() -> None:
    assert status_report(STATUS, Settings()) == (
        "Objects\n"
        "  legacy       5,000     12.3 MB  s3://sketch-legacy-s3/image/\n"
        "  production       1   999 bytes  s3://sketch-production-s3/avatar/\n"
        "\n"
        "Rows of avatars, by their path\n"
        "  legacy       5,000  begin with image/\n"
        "  production   4,999  begin with avatar/\n"
        "  neither          4  anything else, NULL and empty ones included\n"
        "  all         10,003\n"
        "\n"
        "Done          49.9 %"
    )


def test_done_is_rounded_down_so_that_a_hundred_percent_is_the_truth() -> None:
    nearly = replace(STATUS, legacy_rows=1, production_rows=9_999_999, total_rows=10_000_000)
    assert status_report(nearly, Settings()).endswith(" 99.9 %")
    wholly = replace(STATUS, legacy_rows=0, production_rows=7, total_rows=7)
    assert status_report(wholly, Settings()).endswith(" 100.0 %")


def test_tech_status_is_five_numbers_in_their_order() -> None:
    assert tech_status(STATUS) == "tech_status 5000,1,5000,4999,10003"


def test_the_summary_of_a_run_that_went_well() -> None:
    assert summary(FINE) == (
        "All migrated.\n"
        "\n"
        "  migrated     9,998  object in production, row points at it\n"
        "  already          1  the row pointed at production already\n"
        "  superseded       2  the application changed or deleted the row meanwhile\n"
        "  missing          0  there is no legacy object\n"
        "  conflict         0  production holds something else under the new key\n"
        "  failed           0  for the reason given\n"
        "              ------\n"
        "  scanned     10,001  in 1 pass, 3.2 s, 3,125 rows/s\n"
        "  copied       9,990  objects, 12.3 MB\n"
        "\n"
        "Log:       runs/x/migrate.log\n"
        "\n"
        "Next:\n"
        "  Nothing to do. The legacy objects are all still there: nothing was deleted."
    )


def test_the_summary_of_a_run_that_needs_a_person() -> None:
    sizes = {"sized_objects": 1, "sized_bytes": 500, "sampled_objects": 1, "sampled_bytes": 500}
    tally = Tally(migrated=10, missing=41, conflict=1, failed=1, objects_copied=10, **sizes)
    text = summary(replace(FINE, tally=tally, problems=PROBLEMS))
    assert text.startswith("Finished, but 43 entries need a person.\n")
    assert "  copied      10  objects, about 5.0 kB\n" in text
    unsampled = replace(tally, sampled_objects=0, sampled_bytes=0)
    assert "objects, at least 500 bytes\n" in summary(replace(FINE, tally=unsampled)), "no sample, no estimate"
    assert (
        "These need a person (the first 2 of 43):\n"
        "  missing   123  image/a\\x1b[31m.png\n"
        "            no object s3://legacy/image/a\\x1b[31m.png\n"
        "  conflict  124  image/b.png\n"
        "            production holds something else under the new key\n"
    ) in text
    assert "Problems:  runs/x/problems.csv\n" in text
    assert all(f"  {word}: " in text for word in ("missing", "conflict", "failed"))
    assert text.endswith("Then run the same command again: only what is left is tried.")


def test_all_problems_shown_is_not_called_the_first() -> None:
    text = summary(replace(FINE, tally=Tally(missing=1, conflict=1), problems=PROBLEMS))
    assert "\nThese need a person:\n" in text


@pytest.mark.parametrize(
    ("changed", "headline", "next_step"),
    [
        (replace(FINE, dry_run=True), "Dry run: nothing was changed.", "Run it without -d to do this."),
        (replace(FINE, stopped_by_signal=2), "Stopped by SIGINT.", "Run the same command again"),
        (replace(FINE, stopped_by_signal=15, rows_left=True), "Stopped by SIGTERM.", "Run the same command again"),
        (replace(FINE, stopped_by_signal=99), "Stopped by signal 99.", "Run the same command again"),
        (replace(FINE, rows_left=True), "Finished what was asked for", "without -l: all of them"),
        (replace(FINE, tally=Tally()), "There was nothing to migrate.", "Nothing to do."),
        (replace(FINE, tally=Tally(failed=1)), "Finished, but 1 entry needs a person.", "failed: remove the reason."),
    ],
    ids=["dry run", "SIGINT", "SIGTERM", "unknown signal", "limit", "nothing", "one problem"],
)
def test_the_summary_says_how_it_ended_and_what_to_do_next(changed: Summary, headline: str, next_step: str) -> None:
    text = summary(changed)
    assert text.startswith(headline)
    assert next_step in text.partition("Next:\n")[2]


def test_a_dry_run_says_would_and_claims_no_copy() -> None:
    text = summary(replace(FINE, dry_run=True))
    assert "  migrated     9,998  would be migrated" in text
    assert "  copied" not in text


def test_a_longer_run_and_more_passes() -> None:
    assert "in 3 passes, 1:02:03, 3 rows/s" in summary(replace(FINE, elapsed_seconds=3723.0, passes=3))


def test_reports_fit_a_terminal_of_80_columns() -> None:
    tally = sum([Tally(123_456_789, 1, 1, 1, 1, 1, 123_456_789, 5, 10**9)] * 3, Tally())
    for text in (
        summary(replace(FINE, tally=tally, problems=PROBLEMS, rows_left=True)),
        summary(replace(FINE, tally=tally, dry_run=True)),
        status_report(replace(STATUS, legacy_bytes=10**15, total_rows=400_000_000), Settings()),
    ):
        assert [text_line for text_line in text.splitlines() if len(text_line) > 80] == []


counts = st.integers(0, 10**9)


@given(st.builds(Tally, *[counts] * 6))
def test_the_outcomes_shown_add_up_to_the_scan(tally: Tally) -> None:
    lines = summary(replace(FINE, tally=tally)).splitlines()
    shown = {
        text.split()[0]: int(text.split()[1].replace(",", "")) for text in lines[2:10] if text.split()[0][0] != "-"
    }
    scanned = shown.pop("scanned")
    assert set(shown) == {outcome.value for outcome in Outcome}
    assert sum(shown.values()) == scanned == tally.scanned


def test_json_has_the_figures_as_they_are() -> None:
    status = json.loads(json.dumps(status_json(STATUS)))
    assert status == {
        "legacy": {"objects": 5000, "bytes": 12_345_678, "rows": 5000},
        "production": {"objects": 1, "bytes": 999, "rows": 4999},
        "other_rows": 4,
        "total_rows": 10_003,
        "percent_done": STATUS.percent_done,
        "recognition": {
            "nothing_recognised": False,
            "nothing_in_legacy": False,
            "looked_at": 0,
            "naming_a_legacy_object": 0,
            "examples": [],
            "refused": 0,
        },
        "sources": [],
    }
    key = UUID("12345678-1234-5678-1234-567812345678")
    problems = (PROBLEMS[0], Problem(1, Result(Reference(key, "image/c"), Outcome.FAILED, BROKEN)))
    sources = (("avatars.path", Tally(missing=1)), ("files\n.path", Tally(failed=1, references_moved=3)))
    result = json.loads(
        json.dumps(summary_json(replace(FINE, tally=Tally(missing=1, failed=1), problems=problems, sources=sources)))
    )
    assert result["outcomes"] == {
        "migrated": 0, "already": 0, "superseded": 0, "missing": 1, "conflict": 0, "failed": 1,
    }  # fmt: skip
    assert (result["scanned"], result["exit_code"], result["stopped_by_signal"]) == (2, 1, None)
    assert result["problems"] == [
        {
            "key": 123,
            "path": PROBLEMS[0].result.reference.path,
            "outcome": "missing",
            "reason": str(PROBLEMS[0].result.reason),
            "kind": "sentence",
            "code": "",
            "status": 0,
            "hint": "",
            "source": "avatars.path",
        },
        {
            "key": str(key),
            "path": "image/c",
            "outcome": "failed",
            "reason": "it is broken",
            "kind": "store_error",
            "code": "Broken",
            "status": 400,
            "hint": "Mend it.",
            "source": "files\n.path",
        },
    ]
    counts = {"migrated": 0, "already": 0, "superseded": 0, "missing": 0, "conflict": 0, "failed": 0}
    assert result["sources"] == [
        {"name": "avatars.path", "outcomes": counts | {"missing": 1}, "scanned": 1, "references_moved": 0},
        {"name": "files\n.path", "outcomes": counts | {"failed": 1}, "scanned": 1, "references_moved": 3},
    ]


def test_of_several_sources_each_problem_names_its_own() -> None:
    sources = (("avatars.path", Tally(missing=1)), ("files\n.path", Tally(conflict=1)))
    text = summary(replace(FINE, tally=Tally(missing=1, conflict=1), problems=PROBLEMS, sources=sources))
    assert "  missing   avatars.path  123  image/a" in text
    assert "  conflict  files\\n.path  124  image/b.png\n" in text


@given(st.text())
def test_printable_text_is_one_line_that_a_terminal_shows_as_it_is(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert text.isprintable() is (shown == text)


def test_printable_lines_stay_lines() -> None:
    assert printable_lines("a\x07\nb\x9b31m\n") == "a\\x07\nb\\x9b31m\n"
    assert printable("a\nb\ud800") == r"a\nb\ud800"
