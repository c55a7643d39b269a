"""What a person hears of the vitals: at once where the run waits, every half minute, and never more often."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.flow.governor import Decision, Strain
from sketchmigrate.migration.gauges import Gauges
from sketchmigrate.migration.holds import CAP, PAUSE, Hold
from sketchmigrate.migration.vitals_news import VitalsNews, words
from sketchmigrate.postgres.vitals import Activity, Slot, Standby, Vitals
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR = Strain("MAX_REPLICA_LAG_SECONDS", 1.4, "standby-2 is 14 s behind (limit 10 s)")
STOPPED, FREE = Decision(0.0, FAR), Decision()
SLOWED = Decision(1234.0, FAR._replace(share=0.7, text="standby-2 is 7 s behind (limit 10 s)"))

NONE, CAPPED = Hold(), Hold(200.0, CAP, "MAX_ROWS_PER_SECOND, 200 rows/s")
PAUSED = Hold(0.0, PAUSE, "paused by ann", "sketch-migrate ctl resume goes on")


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The texts that are logged at WARNING, which a person sees."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    logger, keep = logging.getLogger("sketchmigrate.migration.vitals_news"), Keep(logging.WARNING)
    logger.addHandler(keep)
    yield found
    logger.removeHandler(keep)


def test_it_is_said_what_limits_and_by_how_much() -> None:
    assert words(STOPPED, NONE) == "database: standby-2 is 14 s behind (limit 10 s), stopped"
    assert words(SLOWED, NONE) == "database: standby-2 is 7 s behind (limit 10 s), at most 1,234 rows/s"
    back = Decision(77.0, FAR, is_coming_back=True)
    assert words(back, NONE) == "database: coming back from MAX_REPLICA_LAG_SECONDS, at most 77 rows/s"
    assert words(FREE, NONE) == words(Decision(200.0, is_binding=False), CAPPED) == ""
    assert words(Decision(200.0), CAPPED) == "MAX_ROWS_PER_SECOND, 200 rows/s"


def test_a_stopped_run_says_for_what_it_waits_every_half_minute(said: list[str]) -> None:
    news = VitalsNews()
    for second in range(62):
        news.decided(float(second), STOPPED, NONE)
    news.decided(62.0, SLOWED, NONE)
    first = f"The run waits: database: {FAR.text}. It goes on by itself (MAX_REPLICA_LAG_SECONDS)."
    assert said == [
        first,
        first.replace("waits:", "waits, for 30 s by now:"),
        first.replace("waits:", "waits, for 60 s by now:"),
        "The run goes on, after 62 s.",
    ]


def test_a_run_that_a_person_has_paused_says_by_whom_and_what_goes_on(said: list[str]) -> None:
    news = VitalsNews()
    news.decided(0.0, Decision(0.0), PAUSED)
    news.decided(1.0, Decision(0.0), PAUSED)
    news.decided(5.0, FREE, NONE)
    assert said == [
        "The run waits: paused by ann. sketch-migrate ctl resume goes on.",
        "The run goes on, after 5 s.",
    ]


def test_a_run_at_the_edge_says_so_no_more_often(said: list[str]) -> None:
    news = VitalsNews()
    for second in range(59):
        news.decided(float(second), STOPPED if second % 2 == 0 else SLOWED, NONE)
    assert len([text for text in said if text.startswith("The run waits")]) == 2
    assert len(said) == 4


def test_standbys_that_go_and_come_are_told_and_a_slot_that_is_lost(said: list[str]) -> None:
    news = VitalsNews()
    two = Vitals(standbys=(Standby("one", 1), Standby("two", 1)), slots=(Slot("reader", 1),))
    one = Vitals(standbys=(Standby("two", 1),), slots=(Slot("reader", None, is_lost=True),))
    news.standbys(two, {})
    news.standbys(one, {"one": "it does not answer"})
    news.standbys(one, {"one": "it does not answer"})
    news.standbys(two, {})
    assert said == [
        "Standby one is not there any more (it does not answer): it limits nothing.",
        "The replication slot reader is lost: whoever reads it needs a new snapshot.",
        "Standby one is there again.",
    ]


def test_a_standby_that_is_silent_is_told_before_it_is_gone(said: list[str]) -> None:
    news, there, silent = VitalsNews(), Vitals(standbys=(Standby("one", 1),)), {"one": "it does not answer"}
    for vitals, failures in ((there, {}), (there, silent), (there, silent), (there, {}), (there, {})):
        news.standbys(vitals, failures)
    told = "Standby one is silent, and what it told last holds: it does not answer"
    assert said == [told, "Standby one is there again."]
    news.standbys(there, silent)
    news.standbys(Vitals(standbys=()), silent)
    assert said[2:] == [told, "Standby one is not there any more (it does not answer): it limits nothing."]
    news.standbys(there, {})
    assert said[4:] == ["Standby one is there again."]


def test_what_was_so_at_the_first_look_is_no_news_but_for_a_standby_that_is_asked_and_does_not_answer(
    said: list[str],
) -> None:
    news = VitalsNews()
    news.standbys(Vitals(standbys=(), slots=(Slot("reader", None, is_lost=True),)), {})
    assert said == []
    news.standbys(Vitals(standbys=()), {"one": "it does not answer"})
    assert said == ["Standby one is not there any more (it does not answer): it limits nothing."]


def test_a_look_that_shows_no_standbys_and_slots_does_not_say_that_they_are_gone(said: list[str]) -> None:
    news, there = VitalsNews(), Vitals(standbys=(Standby("one", 1),), slots=(Slot("reader", 1),))
    news.standbys(there, {})
    news.standbys(Vitals(), {})
    news.standbys(Vitals(standbys=(), slots=()), {})
    assert said == ["Standby one is not there any more: it limits nothing."]


def test_what_cannot_be_read_is_told_by_the_time_since_it_was_and_that_it_can_be_again(said: list[str]) -> None:
    """Looks may take as long as they take: two within ten seconds tell as much as ten."""
    news, vacuums = VitalsNews(), {"vacuums": "canceling statement due to lock timeout"}
    news.unread(0.0, {})
    news.unread(4.0, vacuums)
    assert said == []
    news.unread(5.5, vacuums)
    unread = "Vacuums cannot be read, and what was seen last holds: canceling statement due to lock timeout"
    assert said == [unread]
    for second in range(6, 40):
        news.unread(float(second), vacuums)
    assert said == [unread, unread]
    news.unread(40.0, vacuums | {"the database's vitals": "it does not answer"})
    news.unread(41.0, {})
    news.unread(42.0, {})
    assert said[2:] == ["Vacuums can be read again."]


def test_what_the_server_shows_no_more_is_told_and_not_what_it_never_showed(said: list[str]) -> None:
    news = VitalsNews()
    news.refused({"standbys": "never"})
    news.refused({"standbys": "never", "the WAL": "permission denied"})
    news.refused({"standbys": "never"})
    assert said == ["Not watched any more: the WAL (permission denied).", "Watched from now on: the WAL."]


def test_the_log_has_all_vitals_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sketchmigrate")
    news, gauges = VitalsNews(), Gauges(Settings())
    for second in range(121):
        vitals = Vitals(
            wal_lsn=1000 * second,
            standbys=(Standby("standby-2", 1000 * second),),
            slots=(Slot("reader", 0),),
            activity=Activity(14, 800 * second, 0, 3),
        )
        gauges.read(vitals, float(second))
        news.vitals(float(second), vitals, gauges)
    assert len(caplog.messages) == 2
    assert caplog.messages[-1] == (
        "Vitals: 1.0 kB of WAL a second, standby-2 0 s behind, slot reader keeps 120.0 kB, 800 transactions a second,"
        " 14 sessions, checkpoints so far 3, archiver failures so far 0."
    )
    assert math.isinf(FREE.rows_per_second)
