"""What can be changed of a run that goes on: read as a setting is, in any order of changes, or refused as a whole."""

from __future__ import annotations

import pytest

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.settings import Options, Settings, setting_fields
from sketchmigrate.settings.changes import CAPS, LIMITS, Tuned, after, changed

USUAL = Tuned(Settings(), Options())


def test_every_cap_and_limit_can_be_changed() -> None:
    """A new one is told by its name."""
    named = {each.name for each in setting_fields() if each.name.startswith("max_")}
    assert named <= {*CAPS, *LIMITS}


def test_changes_are_read_as_settings_and_flags_are() -> None:
    changes = [
        "MAX_BANDWIDTH=20M",
        "max_rows_per_second = 12.5",
        "p=9",
        "B=20",
        "verbose=on",
        "PAUSE_FOR_AUTOVACUUM=any",
    ]
    settings, options = after(USUAL, changes)
    assert (settings.max_bandwidth, settings.max_rows_per_second, settings.pause_for_autovacuum) == (
        20_000_000,
        12.5,
        "any",
    )
    assert (options.parallelization_level, options.batch_size, options.verbose) == (9, 20, True)
    assert after(USUAL, [*changes, "p=2", "verbose=no"]).options == Options(parallelization_level=2, batch_size=20)
    assert Tuned(Settings(), Options()) == USUAL


def test_a_schedule_can_be_lifted() -> None:
    settings = Settings(schedule=({"days": "mon"},))
    assert changed(Tuned(settings, Options()), "schedule=none").settings == Settings()


@pytest.mark.parametrize(
    ("told", "message", "hint"),
    [
        ("MAX_BANDWIDTH", "'MAX_BANDWIDTH' is not NAME=VALUE", "MAX_ROWS_PER_SECOND=500"),
        ("MAX_BANDWIDTH=", "MAX_BANDWIDTH (ctl set): '' must be a number of bytes", "MAX_BANDWIDTH=20000000"),
        ("MAX_LOCK_WAITERS=-1", "MAX_LOCK_WAITERS (ctl set): '-1' must be a whole number from 0", "MAX_LOCK_WAITERS=2"),
        ("p=1.5", "p (ctl set): must be a whole number from 1 to 500", "p=8"),
        ("b=0", "b (ctl set): must be a whole number from 1 to 100000", "b=8"),
        ("p=501", "p (ctl set): must be a whole number from 1 to 500", "p=8"),
        ("p=" + 6_000 * "9", "p (ctl set): must be a whole number", "p=8"),
        ("SCHEDULE=always", "SCHEDULE cannot be changed", "SCHEDULE=none"),
        ("verbose=perhaps", "verbose (ctl set): must be yes or no", "verbose=yes"),
        ("LEGACY_BUCKET=x", "LEGACY_BUCKET cannot be changed while a run goes on", "These can: MAX_CONCURRENCY, "),
        ("max_row_per_second=5", "did you mean MAX_ROWS_PER_SECOND?", "These can: "),
    ],
)
def test_a_bad_change_is_refused_with_what_would_be_good(told: str, message: str, hint: str) -> None:
    with pytest.raises(SettingsError) as refused:
        changed(USUAL, told)
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_all_changes_of_an_order_are_made_or_none_and_listeners_hear_of_it_once() -> None:
    tuning, heard = Tuning(*USUAL), []
    with tuning.heard_by(lambda: heard.append((tuning.iterations, tuning.batch_rows))):
        tuning.change(["p=5", "b=7"])
        with pytest.raises(SettingsError):
            tuning.change(["p=6", "b=none"])
        tuning.pause("ann")
    tuning.change(["p=1"])
    assert heard == [(5, 7), (5, 7)]
    assert tuning.changes == ("p=5", "b=7", "p=1")


def test_who_follows_a_list_makes_what_is_new() -> None:
    tuning = Tuning(*USUAL)
    for told in ((), ("p=5",), ("p=5",), ("p=5", "p=6", "b=3"), ("p=5",)):
        tuning.follow(told)
    assert (tuning.iterations, tuning.batch_rows, tuning.changes) == (6, 3, ("p=5", "p=6", "b=3"))
