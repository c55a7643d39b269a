"""What holds the run up, and when that is said: short waits for one blocker are one wait."""

from __future__ import annotations

from sketchmigrate.migration.locked import LONGEST_PAUSE_SECONDS
from sketchmigrate.postgres.waits import LINGERS_SECONDS, BlockingSession, Held, Waits, lock_words, merged

PUMA = BlockingSession(123, "web", "puma", "idle in transaction", 40.2)
WHAT = "a lock on avatars held by pid 123 (user web, application_name 'puma')"


def seen_at(waits: Waits, *moments: float, cause: object = 123) -> list[float]:
    """See the same wait at these moments; return those at which something was to be said."""
    return [now for now in moments if waits.seen(cause, f"what {cause}", f"text at {now:g}", now)]


def test_a_lock_is_named_by_who_holds_it() -> None:
    assert lock_words("avatars", [PUMA]) == (
        WHAT,
        "waits for a lock on avatars held by pid 123 (user web, application_name 'puma', idle in transaction for 40 s)",
    )


def test_it_says_what_the_role_may_see_and_no_more() -> None:
    hidden = BlockingSession(7, "web", "", None, None)
    assert lock_words("t", [hidden])[1] == "waits for a lock on t held by pid 7 (user web)"
    assert hidden.is_hidden
    assert not PUMA.is_hidden
    gone = BlockingSession(7, None, None, None, None)
    assert lock_words("t", [gone])[1] == "waits for a lock on t held by pid 7"
    prepared = BlockingSession(0, None, None, None, None)
    assert lock_words("t", [prepared, PUMA])[1] == "waits for a lock on t held by a prepared transaction, and 1 more"
    assert not prepared.is_hidden


def test_who_only_waits_in_front_of_us_is_told_apart() -> None:
    ahead = PUMA._replace(is_ahead=True, state="active", seconds=3.0)
    text = "waits for a lock on t asked for before us by pid 123 (user web, application_name 'puma', active for 3 s)"
    assert lock_words("t", [ahead])[1] == text


def test_a_wait_is_said_after_five_seconds_and_then_every_thirty() -> None:
    waits = Waits()
    assert seen_at(waits, 100, 104.9, 105, 106, 134.9, 135, 140, 165) == [105, 135, 165]
    assert waits.present(166) == "text at 165"
    assert waits.held() == [Held("what 123", 65)]


def test_many_short_waits_for_one_blocker_are_one() -> None:
    waits = Waits()
    for moment in (0, 1, 2, 3, 4):
        assert not seen_at(waits, moment, moment + 0.2)
    assert seen_at(waits, 34) == [34]  # the next round
    assert seen_at(waits, 34 + LINGERS_SECONDS) == [34 + LINGERS_SECONDS]
    assert waits.held() == [Held("what 123", 34 + LINGERS_SECONDS)]


def test_what_was_not_seen_for_long_is_a_new_wait() -> None:
    waits = Waits()
    seen_at(waits, 0, 6)
    later = 6 + LINGERS_SECONDS + 1
    assert waits.present(later) == ""
    assert seen_at(waits, later, later + 4, later + 5) == [later + 5]
    assert waits.held() == [Held("what 123", 11)]


def test_a_wait_that_is_over_is_not_shown_any_more_but_counted() -> None:
    waits = Waits()
    seen_at(waits, 0, 6)
    waits.over({123})
    assert waits.present(6) == ""
    assert seen_at(waits, 7, 11, cause=123) == []
    assert waits.held() == [Held("what 123", 6)]


def test_what_was_too_short_to_be_said_is_not_reported() -> None:
    waits = Waits()
    seen_at(waits, 0, 4)
    assert waits.present(4) == ""
    assert waits.held() == []


def test_what_began_before_it_was_seen_counts_from_there() -> None:
    waits = Waits()
    assert waits.seen("commit", "what", "text", 105.0, since=100.0) == "text"
    assert waits.held() == [Held("what", 5)]


def test_the_longest_wait_is_shown() -> None:
    waits = Waits()
    seen_at(waits, 0, 9, cause="first")
    seen_at(waits, 3, 10, cause="second")
    assert waits.present(11) == "text at 9"
    waits.over({"first"})
    assert waits.present(11) == "text at 10"


def test_what_several_processes_waited_for_counts_once() -> None:
    assert merged([Held("a", 5), Held("b", 9), Held("a", 7)]) == [Held("b", 9), Held("a", 7)]


def test_a_row_that_is_tried_again_after_the_longest_pause_is_still_the_same_wait() -> None:
    assert LONGEST_PAUSE_SECONDS < LINGERS_SECONDS < 2 * LONGEST_PAUSE_SECONDS
