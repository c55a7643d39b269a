"""When it is said that a store does not answer, and that it does again."""

from __future__ import annotations

from sketchmigrate.core.errors import S3Busy
from sketchmigrate.migration.watch import Refusal, Silence
from sketchmigrate.s3.exchange import Refused


def test_a_store_that_was_asked_and_does_not_answer_is_named_once_and_shown_all_the_time() -> None:
    silence = Silence()
    notes, news = [], []
    for second in range(100, 160):
        # the last answer came at 101; from 142 on it answers again
        silence.look(float(second), asked=32, answered_at=101.0 if second < 142 else float(second))
        notes.append(silence.note)
        news.append(silence.news)
    assert notes[:11] == [""] * 11
    assert notes[11] == "the store has not answered for 10 s"
    assert notes[41] == "the store has not answered for 40 s"
    assert notes[42:] == [""] * 18
    assert [text for text in news if text] == [
        "The store has not answered for 10 s; requests under way: 32.",
        "The store answers again, after 41 s.",
    ]


def test_a_store_that_is_not_asked_is_not_silent() -> None:
    silence = Silence()
    for second in range(100):
        silence.look(float(second), asked=0, answered_at=1.0)
        assert not silence.note
    silence.look(100.0, asked=1, answered_at=1.0)
    silence.look(109.0, asked=1, answered_at=1.0)
    assert not silence.note, "it was asked but 9 seconds ago"


def test_requests_that_are_called_off_are_no_answer() -> None:
    silence = Silence()
    for second in range(20):
        silence.look(float(second), asked=4, answered_at=0.0)
    silence.look(20.0, asked=0, answered_at=0.0)
    assert (silence.note, silence.news) == ("", "")


def test_while_the_event_loop_stands_still_nobody_waits_for_an_answer() -> None:
    silence = Silence()
    silence.look(100.0, asked=1, answered_at=99.9)
    for second in range(160, 175):  # a person was asked for a minute
        silence.look(float(second), asked=1, answered_at=100.1)
        assert bool(silence.note) is (second >= 170), second


def test_a_store_that_refuses_all_is_named_after_30_s_and_every_30_s() -> None:
    refusal, notes, news = Refusal(), [], []
    error = S3Busy("CopyObject s3://new/avatar/1.png: 503 SlowDown", status=503)
    for second in range(100, 180):
        # from 170 on a request succeeds
        refused = Refused(100.0, 4, error) if second < 170 else None
        refusal.look(float(second), refused)
        notes.append(refusal.note)
        news.append(refusal.news)
    assert notes[:30] == [""] * 30
    assert notes[30] == "the store has refused all requests for 30 s"
    assert notes[69] == "the store has refused all requests for 69 s"
    assert notes[70:] == [""] * 10
    assert [text for text in news if text] == [
        f"No progress: the store has refused all requests for {seconds} s; the last one, in attempt 4: {error}"
        for seconds in (30, 60)
    ]
