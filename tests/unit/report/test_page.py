"""The page about a run: what it says of each way to end, and that nobody's text is taken for HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from sketchmigrate.core.outcome import Outcome, ProblemGroup
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Felt, Sample
from sketchmigrate.ledger.overview import RunOverview, RunState
from sketchmigrate.ledger.samples import MOST_SAMPLES
from sketchmigrate.ledger.story import Story
from sketchmigrate.report.page.facts import Facts, price_usd
from sketchmigrate.report.page.page import comparison_of, page_of
from sketchmigrate.report.page.problems import problems_of
from tests.unit.report.stories import ACCOUNT, BEGIN, RUN, STORY

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x00{{ 7*7 }}{% raw %}\ud800"


def _samples(count: int, limit: str = "s3 (latency)") -> tuple[Sample, ...]:
    classes = {"CopyObject": tuple(range(len(LATENCY_BOUNDS_MS) + 1))}
    vitals = Felt(1.0, 2, 3, 4.0, 5, 6, 7.0)
    return tuple(
        Sample(BEGIN + at, {"migrated": at}, {"CopyObject": {"200": at, "503": at // 2}}, classes, 3, 4, limit=limit,
               vitals=vitals)
        for at in range(1, count + 1)
    )  # fmt: skip


def _sentence(**changed: object) -> tuple[str, str]:
    verdict = Facts(replace(STORY, run=replace(RUN, **changed))).verdict()  # type: ignore[arg-type]
    return verdict.word, re.sub("\N{NO-BREAK SPACE}", " ", verdict.sentence)


def test_each_way_to_end_has_its_sentence() -> None:
    assert _sentence() == ("Needs a person", "90 rows were migrated in 50 s. 10 rows need a person.")
    assert _sentence(outcomes={"migrated": 1}, exit_code=0) == ("Done", "1 row was migrated in 50 s. Nothing is left.")
    assert _sentence(outcomes={"migrated": 0}, exit_code=0) == ("Done", "There was nothing to do in 50 s.")
    assert _sentence(outcomes={"migrated": 2})[0] == "Something is left"
    assert _sentence(exit_code=143, state=RunState.STOPPED) == (
        "Stopped", "Stopped by SIGTERM in 50 s. 90 rows were migrated by then."
    )  # fmt: skip
    assert _sentence(error="x", exit_code=4)[0] == "Ended early"
    word, sentence = _sentence(exit_code=None, state=RunState.KILLED, outcomes={})
    assert word == "Killed"
    assert "90 rows were migrated by then" in sentence, "by the flips on record"
    assert _sentence(exit_code=None, state=RunState.RUNNING) == (
        "Going on",
        "90 rows were migrated so far in 1 min 0 s.",
    )
    assert _sentence(exit_code=None, state=RunState.UNKNOWN, outcomes={})[0] == "Not known"


def test_a_killed_run_tells_what_its_last_sample_tells() -> None:
    run = replace(RUN, state=RunState.KILLED, exit_code=None, outcomes={}, seconds=None)
    facts = Facts(replace(STORY, run=run, samples=_samples(30), flips=31))
    assert (facts.done, facts.rows, facts.seconds) == (30, 30, 30.0)
    assert (facts.request_count, facts.refused) == (45, 15)
    assert "Killed" in page_of(facts.story)


def test_a_rollback_restores() -> None:
    run = replace(
        RUN, account=replace(ACCOUNT, command="rollback"), exit_code=0, outcomes={"migrated": 4, "already": 1}
    )
    facts = Facts(replace(STORY, run=run))
    assert facts.outcomes == {"restored": 4, "already": 1}
    assert facts.verdict().sentence.startswith("4 rows were set back")


def test_a_dry_run_says_that_it_changed_nothing() -> None:
    sentence = _sentence(about={"command": "migrate", "dry_run": "true"}, outcomes={"migrated": 3}, exit_code=0)
    assert sentence == ("Done", "Dry run, nothing was changed: 3 rows would be migrated in 50 s.")
    dry = replace(STORY, run=replace(RUN, about={"dry_run": "true"}))
    assert Facts(dry).figures()[0] == ("rows that would be migrated", "90")


def test_nobodys_text_is_taken_for_html() -> None:
    account = replace(
        ACCOUNT, user=HOSTILE, host=HOSTILE, typed=(HOSTILE,), settings={"DB_TABLE": HOSTILE, HOSTILE: HOSTILE}
    )
    about = dict.fromkeys(("table", "legacy", "production", "endpoint", "command"), HOSTILE)
    run = replace(RUN, name=HOSTILE, account=account, about=about, error=HOSTILE, ledger=HOSTILE, unread=HOSTILE,
                  outcomes={HOSTILE: 3})  # fmt: skip
    samples = tuple(replace(each, replies={HOSTILE: {HOSTILE: 1}}, latency={}) for each in _samples(9, HOSTILE))
    story = Story(
        run, BEGIN, 3, samples, (ProblemGroup(3, Outcome.FAILED, ReasonKind.STORE_ERROR, HOSTILE, HOSTILE),),
        ((HOSTILE, 3),), {"passed": False, "rows": {"stale": 2}, "examples": {"stale": [{"key": HOSTILE}]}}, HOSTILE,
        HOSTILE,
    )  # fmt: skip
    for page in (page_of(story), comparison_of([story, STORY])):
        tags: list[str] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attrs: tags.append(tag) or tags.extend(name for name, _ in attrs)  # type: ignore[func-returns-value,method-assign]  # noqa: B023
        parser.feed(page)
        assert {"svg", "table"} < set(tags), "all is read"
        assert {"script", "img", "onerror"} & set(tags) == set()
        assert not {"\u202e", "\x00", "\ud800"} & set(page)
        assert "{{ 7*7 }}" in page
        assert "&lt;script&gt;" in page


def test_a_verification_and_a_plan_say_what_they_came_to() -> None:
    run = replace(RUN, outcomes={}, rows=None, exit_code=0)
    verified = {"passed": True, "dangling": 0, "unmigrated": 0, "different": 0, "rows": {"total": 20}}
    facts = Facts(replace(STORY, run=run, document=verified, flips=0))
    assert facts.verdict()[1:] == ("Verified", "20 rows were looked at: each has its object, and it is the right one.")
    wrong = {**verified, "passed": False, "different": 2, "rows": {"total": 20, "stale": 2}}
    facts = Facts(replace(STORY, run=run, document=wrong, flips=0))
    assert facts.verdict().sentence == "2 of 20 rows are not as they should be."
    assert ("different", "2") in facts.figures()
    needs = {"copies": 9, "reads": 8, "wal_bytes": 1000, "wal_bytes_most": 2000, "seconds": 70.0, "price_usd": 0.001}
    plan = {"kind": "plan", "rows": {"to_migrate": 7}, "objects_to_copy": 6, "bytes_to_copy": 5, "estimate": needs}
    facts = Facts(replace(STORY, run=run, document=plan, flips=0))
    assert facts.verdict().sentence == "7 rows are to be migrated, 6 objects to be copied."
    assert ("WAL", "at least 1.0 kB, at most 2.0 kB") in facts.needs()
    assert "\\xa0" not in page_of(facts.story)
    assert "1\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}10\N{NO-BREAK SPACE}s" in page_of(facts.story)


def test_the_longest_record_makes_a_page_of_less_than_a_megabyte() -> None:
    story = replace(STORY, samples=_samples(MOST_SAMPLES + 1), objects=tuple((f"a/{n}.x{n}", n) for n in range(50_000)))
    assert len(page_of(story).encode()) < 400_000
    assert len(comparison_of([story] * 5).encode()) < 400_000


def test_problems_have_a_next_step_the_most_frequent_first() -> None:
    groups = (
        ProblemGroup(2, Outcome.FAILED, ReasonKind.DATABASE_ERROR, "23514", ""),
        ProblemGroup(9, Outcome.MISSING, ReasonKind.NO_LEGACY_OBJECT, "", ""),
        ProblemGroup(3, Outcome.FAILED, ReasonKind.ARCHIVED, "InvalidObjectState", "Restore it first."),
        ProblemGroup(1, Outcome.MIGRATED, ReasonKind.PERHAPS_REPLACED, "", ""),
        ProblemGroup(1, Outcome.FAILED, None, "", ""),
    )
    found = problems_of(replace(STORY, groups=groups))
    assert [each.rows for each in found] == [9, 3, 2, 1, 1]
    assert [each.step for each in found[:2]] == [
        "Put the object in its place in the legacy bucket, or mend the row.", "Restore it first."
    ]  # fmt: skip
    assert all(each.step and each.name for each in found)


@pytest.mark.parametrize(
    ("operation", "usd"),
    [("CopyObject", 5.0), ("ListObjects", 5.0), ("HeadObject", 0.4), ("AbortMultipartUpload", 0.0)],
)
def test_requests_have_the_price_of_their_class(operation: str, usd: float) -> None:
    assert price_usd(operation, 1_000_000) == pytest.approx(usd)


def test_what_is_not_on_record_is_left_out() -> None:
    bare = RunOverview("20200101T000000Z-x-000000", None, None, RunState.UNKNOWN)
    page = page_of(Story(bare, BEGIN))
    assert "How it ended is not on record" in page
    for title in ("Outcomes", "How it went", "Problems, and", "S3 requests", "Certificate"):
        assert f">{title}" not in page
