"""The page about a run, and that which compares several: what is on record, put into templates. Pure.

A page is one file. It refers to nothing outside it and has no script, which its own policy forbids as well.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sketchmigrate import __version__
from sketchmigrate.report.page.chart import Chart, Line
from sketchmigrate.report.page.charts import bands_of, charts_of, held_by, strip_of, vitals_of
from sketchmigrate.report.page.comparison import columns_of, lines_of
from sketchmigrate.report.page.facts import Facts, utc
from sketchmigrate.report.page.problems import after_all, problems_of
from sketchmigrate.report.page.scale import SPACE, highest, lasting, milliseconds, number, time_after
from sketchmigrate.report.page.series import Course
from sketchmigrate.report.text import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.ledger.story import Story

LIVE_SECONDS = 5


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        shown=_shown,
        shown_lines=printable_lines,
        count="{:,}".format,
        percent=_percent,
        lasting=lasting,
        clock=time_after,
        ms=milliseconds,
        utc=utc,
    )
    return environment


def _shown(text: str) -> str:
    """Return the text with all that cannot be seen written as an escape, but for spaces of our own."""
    return SPACE.join(map(printable, text.split(SPACE)))


def _percent(value: float) -> str:
    return "under 0.1 %" if 0 < value < 0.1 else f"{value:.1f} %"  # noqa: PLR2004 - what is there is not shown as 0


def page_of(story: Story, *, is_live: bool = False) -> str:
    """Return the page about a run. One that ``is_live`` loads itself anew every ``LIVE_SECONDS``."""
    facts = Facts(story)
    course = Course(story.samples) if story.samples else None
    return (
        _templates()
        .get_template("run.html")
        .render(
            facts=facts,
            site=facts.site(),
            about=facts.about(),
            settings=facts.settings(),
            outcomes=facts.outcome_rows(),
            needs=facts.needs(),
            requests=facts.requests(),
            types=facts.types(),
            sizes=facts.sizes(),
            verdict=facts.verdict(),
            course=course,
            charts=charts_of(course, is_back=facts.is_back) if course else [],
            vitals=vitals_of(course) if course else [],
            strip=strip_of(course) if course else [],
            held=held_by(course) if course else [],
            problems=problems_of(story),
            after_all=after_all(story),
            certificate=story.certificate,
            refresh_seconds=LIVE_SECONDS if is_live else 0,
            made_at=story.read_at,
            version=__version__,
        )
    )


def comparison_of(stories: Sequence[Story]) -> str:
    """Return the page that compares runs."""
    found = [Facts(story) for story in stories]
    columns = columns_of(found)
    return (
        _templates()
        .get_template("comparison.html")
        .render(
            columns=columns,
            lines=lines_of(found),
            charts=_rates(found),
            refresh_seconds=0,
            made_at=max(story.read_at for story in stories),
            version=__version__,
        )
    )


def _rates(found: Sequence[Facts]) -> list[Chart]:
    """Return a chart of the rate of each run that has a record, all in the same scale."""
    courses = [(facts.story.run.name, Course(facts.story.samples)) for facts in found if facts.story.samples]
    rates = [course.rate(lambda sample: sum(sample.rows.values())) for _, course in courses]
    most = max(map(highest, rates), default=0.0)
    seconds = max((course.seconds for _, course in courses), default=1.0)
    charts = []
    for place, ((run, course), rate) in enumerate(zip(courses, rates, strict=True)):
        about = f"At most {number(highest(rate))} rows a second, over {lasting(course.seconds)}."
        lines, bands = [Line("rows", rate, "one", is_area=True)], bands_of(course)
        name, title = f"rows-{place}", printable(run)
        charts.append(Chart(name, title, "rows a second", about, seconds, lines, bands, most=most))
    return charts
