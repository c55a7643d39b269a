"""What limits a run has one of few names, whatever the figures beside it are: made from the texts as they are shown."""

from __future__ import annotations

import pytest

from sketchmigrate.flow.governor import Decision
from sketchmigrate.flow.schedule import Schedule
from sketchmigrate.migration.gauges import Gauges
from sketchmigrate.migration.holds import Hold, present_hold
from sketchmigrate.migration.vitals_news import words
from sketchmigrate.postgres.vitals import Slot, Standby, Vacuum, Vitals
from sketchmigrate.report import limits
from sketchmigrate.report.limits import limit_name
from sketchmigrate.settings import Settings
from tests.unit.test_holds import NOON

MEGABYTE = 1_000_000


@pytest.mark.parametrize("word", limits.WORDS)
def test_a_word_is_its_own_name(word: str) -> None:
    assert limit_name(word) == word


def strained() -> dict[str, str]:
    """The texts of all strains, by the setting of each."""
    settings = Settings(pause_for_autovacuum="any", max_wal_bytes_per_second=1000)
    gauges = Gauges(settings)
    for second in range(30):
        vitals = Vitals(
            wal_lsn=second * MEGABYTE,
            slot_keep_bytes=-1 if second % 2 else 9 * MEGABYTE,
            standbys=(Standby("standby-2", 0),),
            slots=(Slot("reader", 0),),
            vacuums=(Vacuum("avatars", prevents_wraparound=False),),
            lock_waiters=9,
        )
        strains = gauges.read(vitals, float(second))
    return {each.setting: words(Decision(0.0, each), Hold()) for each in strains}


def test_what_the_database_feels_has_a_name_for_each_kind() -> None:
    names = {setting: limit_name(text) for setting, text in strained().items()}
    assert names == {
        "MAX_REPLICA_LAG_SECONDS": "database (standby)",
        "MAX_REPLICA_LAG_BYTES": "database (standby)",
        "MAX_SLOT_WAL_BYTES": "database (slot)",
        "MAX_WAL_BYTES_PER_SECOND": "database (WAL)",
        "MAX_LOCK_WAITERS": "database (lock waiters)",
        "PAUSE_FOR_AUTOVACUUM": "database (vacuum)",
    }


def test_what_a_person_allows_has_names_without_the_person() -> None:
    def name(paused_by: str, cap: float) -> str:
        return limit_name(words(Decision(0.0), present_hold(paused_by, Schedule(()), cap, NOON)))

    assert name("ada (process 3)", 0) == "pause"
    assert limit_name(present_hold("", Schedule(()), 50, NOON).text) == "MAX_ROWS_PER_SECOND"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", ""),
        ("the database is away, for 12 s by now", "database (away)"),
        ("waits for a lock on avatars held by pid 7 (user web)", "database (lock)"),
        ("COMMIT waits for a synchronous standby", "database (commit)"),
        ("the store has not answered for 12 s", "s3 (no answer)"),
        ("s3 (503): s3://legacy/image/ to s3://production/avatar/", "s3 (503)"),
        ("legacy's store has refused all requests for 31 s", "s3 (503)"),
        ("no progress for 31 s: waiting for CopyObject of s3://b/k", "no progress"),
        ("something that nobody has thought of, 12", "other"),
    ],
)
def test_what_is_waited_for_has_a_name(text: str, name: str) -> None:
    assert limit_name(text) == name
