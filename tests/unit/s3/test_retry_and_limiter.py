"""How long to wait, when to give up, and who is next: pure rules, with the clock and the dice in the test's hand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.flow.caps import Caps
from sketchmigrate.flow.limiter import Limiter
from sketchmigrate.s3.retry import MAX_PAUSE_SECONDS, Failure, FailureKind, Patience, kind_of, retry_after_seconds
from tests.unit.s3.scripted import (
    SOURCE,
    TARGET,
    Asked,
    Cut,
    Hang,
    Step,
    client_of,
    copied,
    error,
    error_document,
    reply,
    scripted,
)

if TYPE_CHECKING:
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.s3.exchange import Refused


def failure(kind: FailureKind, retry_after: float = 0.0) -> Failure:
    return Failure(kind, S3Error("it failed"), retry_after_seconds=retry_after)


@given(
    st.integers(1, 60),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([FailureKind.TRANSIENT, FailureKind.THROTTLED]),
)
def test_the_back_off_has_full_jitter_and_a_cap(failures: int, chance: float, kind: FailureKind) -> None:
    patience = Patience(retry_seconds=1e9)
    for _ in range(failures):
        pause = patience.pause_seconds(failure(kind), 0.0, 0.0, lambda: chance)
    base = 0.5 if kind is FailureKind.THROTTLED else 0.1
    assert pause == pytest.approx(chance * min(MAX_PAUSE_SECONDS, base * 2 ** (failures - 1)))


def test_where_a_share_is_refused_whatever_is_sent_no_pause_grows() -> None:
    patience = Patience(retry_seconds=1e9)
    pauses = [
        patience.pause_seconds(failure(FailureKind.THROTTLED), 0.0, 0.0, lambda: 0.9, is_paced=True) for _ in range(9)
    ]
    assert pauses == pytest.approx([0.09, 0.18, 0.36, 0.72, *[0.9] * 5])


def test_the_cap_is_20_seconds() -> None:
    assert MAX_PAUSE_SECONDS == 20


def test_retry_after_is_a_minimum() -> None:
    assert Patience(300).pause_seconds(failure(FailureKind.THROTTLED, 7), 0, 0, lambda: 0.5) == pytest.approx(7.25)


@pytest.mark.parametrize(("asked", "pause"), [(300, 300.5), (3600, 300.5), (float("inf"), 300.5)])
def test_a_long_retry_after_is_bounded(asked: float, pause: float) -> None:
    assert Patience(300).pause_seconds(failure(FailureKind.THROTTLED, asked), 0, 0, lambda: 1.0) == pytest.approx(pause)


@pytest.mark.parametrize("kind", [FailureKind.THROTTLED, FailureKind.TRANSIENT])
def test_who_has_less_patience_than_the_store_asks_for_waits_for_nothing(kind: FailureKind) -> None:
    assert Patience(3).pause_seconds(failure(kind, 300), 0, 0, lambda: 0.0) == -1
    assert Patience(3).pause_seconds(failure(kind, 3), 0, 0, lambda: 0.0) == 3


def give_up_time(kind: FailureKind, progress_at: float, *, retry_seconds: float = 300) -> float:
    """Return the second in which a request that fails every second from 100 on is given up."""
    patience = Patience(retry_seconds)
    for second in range(100, 10_000):
        if patience.pause_seconds(failure(kind), second, min(second, progress_at), lambda: 0.0) < 0:
            return second
    return -1


def test_a_dead_store_is_given_up_after_the_retry_time() -> None:
    assert give_up_time(FailureKind.TRANSIENT, 0) == 400
    assert give_up_time(FailureKind.THROTTLED, 0) == 400


def test_throttling_is_waited_out_while_the_client_makes_progress() -> None:
    assert give_up_time(FailureKind.THROTTLED, 1000) == 1300
    assert give_up_time(FailureKind.TRANSIENT, 1000) == 400


def test_an_object_that_is_throttled_for_an_hour_while_others_pass_is_given_up() -> None:
    assert give_up_time(FailureKind.THROTTLED, 1e9) == 100 + 12 * 300


def test_no_patience_means_one_attempt() -> None:
    assert give_up_time(FailureKind.TRANSIENT, 0, retry_seconds=0) == 100


@pytest.mark.parametrize(
    ("status", "code", "bodiless", "kind"),
    [
        (200, "SlowDown", False, FailureKind.THROTTLED),
        (503, "", False, FailureKind.THROTTLED),
        (429, "", True, FailureKind.THROTTLED),
        (500, "InternalError", False, FailureKind.TRANSIENT),
        (529, "", False, FailureKind.TRANSIENT),
        (501, "NotImplemented", False, FailureKind.FATAL),
        (400, "RequestTimeout", False, FailureKind.TRANSIENT),
        (400, "ExpiredToken", False, FailureKind.EXPIRED),
        (403, "RequestTimeTooSkewed", False, FailureKind.SKEWED),
        (403, "AccessDenied", False, FailureKind.FATAL),
        (403, "", True, FailureKind.UNEXPLAINED),
        (404, "", True, FailureKind.FATAL),
        (409, "BucketNotEmpty", False, FailureKind.FATAL),
    ],
)
def test_replies_are_classified_by_code_before_status(
    status: int, code: str, bodiless: bool, kind: FailureKind
) -> None:
    assert kind_of(status, code, bodiless=bodiless) is kind


@pytest.mark.parametrize(
    ("header", "amz_header", "seconds"),
    [
        ("", "", 0),
        ("7", "", 7),
        ("", "1500", 1.5),
        ("Sun, 22 Nov 2026 18:00:30 GMT", "", 30),
        ("Sun, 22 Nov 2026 17:00:00 GMT", "", 0),
        ("soon", "later", 0),
        ("", "9" * 999, float("inf")),
        ("-1", "-1", 0),
    ],
)
def test_retry_after_in_all_its_forms(header: str, amz_header: str, seconds: float) -> None:
    assert retry_after_seconds(header, amz_header, datetime(2026, 11, 22, 18, tzinfo=UTC)) == seconds


def test_the_limiter_hands_slots_over_in_the_order_of_asking() -> None:
    limiter: Limiter[str] = Limiter(Caps(1), 0.0)
    assert limiter.enter()
    assert not limiter.enter()
    for waiter in ("first", "second", "third"):
        limiter.queue(waiter)
    limiter.forget("second")
    limiter.forget("unknown")
    assert limiter.admit(0.0) is None
    admitted = []
    for _ in range(3):
        limiter.leave()
        admitted.append(limiter.admit(0.0))
    assert admitted == ["first", "third", None]
    assert limiter.enter()


def test_nobody_overtakes_who_waits_for_a_slot_that_has_become_free() -> None:
    limiter: Limiter[str] = Limiter(Caps(1), 0.0)
    assert limiter.enter()
    limiter.queue("first")
    limiter.leave()
    assert not limiter.enter()
    assert limiter.admit(0.0) == "first"


def test_no_more_requests_are_in_flight_than_allowed_and_cancelled_ones_lose_no_slot() -> None:
    """Sixty callers share three slots; every third is cancelled while it waits or while it is served."""

    async def scenario() -> tuple[int, int]:
        def answer(asked: Asked) -> bytes:
            del asked
            return copied()

        async with scripted(*[answer] * 60) as server, client_of(server.url, caps=Caps(3)) as client:
            tasks = [asyncio.create_task(client.copy(SOURCE, Location("b", str(n)))) for n in range(60)]
            for turn, task in enumerate(tasks):
                if turn % 3 == 0:
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) or result for result in results)
            await asyncio.gather(*(client.copy(SOURCE, TARGET) for _ in range(3)))
            server.script.clear()
            kept = client._exchange.limiter  # noqa: SLF001 - the claim is about its slots
            assert not kept.waiting
            return kept.in_flight, len({asked.connection for asked in server.asked[-3:]})

    assert asyncio.run(scenario()) == (0, 3)


@pytest.mark.parametrize(
    ("said", "votes"),
    [
        (error(503, "SlowDown"), ["refused"]),
        (error(429, ""), ["refused"]),
        (reply(200, error_document("SlowDown")), ["refused"]),
        (error(500, "InternalError"), ["faulted"]),
        (reply(200, error_document("InternalError")), ["faulted"]),
        (Cut(), ["faulted"]),
        (error(400, "RequestTimeout"), ["faulted"]),
        (error(404, "NoSuchKey"), []),
        (error(403, "AccessDenied"), []),
    ],
)
def test_the_congestion_control_hears_of_every_attempt(
    said: Step, votes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    async def scenario() -> None:
        async with scripted(*([said, copied()] if votes else [said])) as server, client_of(server.url) as client:
            limiter = client._exchange.limiter  # noqa: SLF001 - what it is told is the claim
            for name in ("refused", "faulted"):
                monkeypatch.setattr(limiter, name, lambda _now, _prefixes, name=name: heard.append(name))
            with contextlib.suppress(S3Error):
                await client.copy(SOURCE, TARGET)

    asyncio.run(scenario())
    assert heard == votes


def test_who_waits_for_a_rate_and_is_cancelled_holds_nobody_up() -> None:
    async def scenario() -> int:
        script = [lambda asked: copied()] * 5  # noqa: ARG005 - a step is given what was asked
        caps = Caps(requests_per_second=20)
        async with scripted(*script) as server, client_of(server.url, caps=caps) as client:
            tasks = [asyncio.create_task(client.copy(SOURCE, TARGET)) for _ in range(8)]
            await tasks[0]
            for task in tasks[2:5]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            limiter = client._exchange.limiter  # noqa: SLF001 - the claim is about its slots
            assert not limiter.waiting
            return limiter.in_flight

    assert asyncio.run(scenario()) == 0


def test_other_caps_let_those_go_who_wait() -> None:
    async def scenario() -> int:
        async with scripted(Hang(), copied()) as server, client_of(server.url, caps=Caps(1)) as client:
            hanging = asyncio.create_task(client.copy(SOURCE, TARGET))
            waiting = asyncio.create_task(client.copy(SOURCE, TARGET))
            await asyncio.wait([waiting], timeout=0.05)
            assert not waiting.done()
            client.limit(Caps(2))
            await waiting
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            return client._exchange.limiter.in_flight  # noqa: SLF001 - the claim is about its slots

    assert asyncio.run(scenario()) == 0


async def paused(client: S3Client) -> Refused:
    """Wait until a request waits for its next attempt, and return what it was refused with."""
    while client.refused is None:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.005)
    return client.refused


async def test_a_store_that_says_no_to_another_request_has_not_refused_all() -> None:
    slow_down = error(503, "SlowDown", x_amz_retry_after="300")
    async with scripted(slow_down, reply(404), copied()) as server, client_of(server.url) as client:
        copying = asyncio.create_task(client.copy(SOURCE, TARGET))
        await paused(client)
        assert await client.find(TARGET) is None
        assert client.refused is None
        await copying


async def test_what_is_refused_after_all_were_given_up_is_another_story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    slow_down = error(503, "SlowDown", x_amz_retry_after="60")
    script = [slow_down, slow_down, slow_down, copied()]
    async with scripted(*script) as server, client_of(server.url, retry_seconds=0.06) as client:
        with pytest.raises(S3Error, match="SlowDown"):
            await client.copy(SOURCE, TARGET)
        began_at = time.monotonic()
        copying = asyncio.create_task(client.copy(SOURCE, TARGET))
        assert (await paused(client)).since >= began_at
        await copying
