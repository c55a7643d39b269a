"""What is said of several runs side by side. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.report.page.facts import utc
from sketchmigrate.report.page.scale import UNKNOWN, lasting, milliseconds
from sketchmigrate.report.page.series import Course, classes_of, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.report.page.facts import Facts


def columns_of(found: Sequence[Facts]) -> list[str]:
    """Return the names of the runs."""
    return [facts.story.run.name for facts in found]


def lines_of(found: Sequence[Facts]) -> list[tuple[str, list[str]]]:
    """Return a line for each fact, with what it is of each run. Settings are those in which the runs differ."""
    lines = [
        ("State", [facts.verdict().word for facts in found]),
        ("Command", [facts.command for facts in found]),
        ("By", [_by(facts) for facts in found]),
        ("Version", [facts.story.run.version or UNKNOWN for facts in found]),
        ("Began (UTC)", [_began(facts) for facts in found]),
        ("Took", [UNKNOWN if facts.seconds is None else lasting(facts.seconds) for facts in found]),
        ("Rows", [f"{facts.rows:,}" for facts in found]),
        ("Rows a second", [_rate(facts) for facts in found]),
        ("Need a person", [f"{facts.needing_a_person:,}" for facts in found]),
        ("Held back most by", [_held(facts) for facts in found]),
        ("S3 requests", [f"{facts.request_count:,}" for facts in found]),
        ("Refused", [f"{facts.refused:,}" for facts in found]),
        ("p50 of replies", [_time(facts, 0.5) for facts in found]),
        ("p99 of replies", [_time(facts, 0.99) for facts in found]),
        ("Price of requests", [f"USD {facts.price_usd:,.2f}" for facts in found]),
    ]
    words = dict.fromkeys(word for facts in found for word in facts.outcomes)
    lines += [(word, [f"{facts.outcomes.get(word, 0):,}" for facts in found]) for word in words]
    return lines + _settings(found)


def _settings(found: Sequence[Facts]) -> list[tuple[str, list[str]]]:
    told = [dict(facts.settings()) for facts in found]
    names = sorted({name for each in told for name in each})
    lines = [(name, [each.get(name, "default") for each in told]) for name in names]
    return [(name, values) for name, values in lines if len(set(values)) > 1]


def _by(facts: Facts) -> str:
    account = facts.story.run.account
    return UNKNOWN if account is None else f"{account.user} on {account.host}"


def _began(facts: Facts) -> str:
    began_at = facts.story.run.began_at
    return UNKNOWN if began_at is None else utc(began_at)


def _rate(facts: Facts) -> str:
    return UNKNOWN if facts.rows_per_second is None else f"{facts.rows_per_second:,.0f}"


def _held(facts: Facts) -> str:
    if not facts.story.samples:
        return UNKNOWN
    return next((limit for limit, *_ in Course(facts.story.samples).limited() if limit), UNKNOWN)


def _time(facts: Facts, part: float) -> str:
    if facts.last is None or not facts.last.latency:
        return UNKNOWN
    return milliseconds(percentile(classes_of(facts.last), part))
