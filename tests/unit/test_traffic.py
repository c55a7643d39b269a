"""Traffic: replies are counted once, in the right class, and what a lost worker had counted stays."""

from __future__ import annotations

import pytest

from sketchmigrate.core.sample import LATENCY_BOUNDS_MS
from sketchmigrate.core.traffic import Counted, Crew, Told, Traffic


@pytest.mark.parametrize(
    ("milliseconds", "place"),
    [(0.0, 0), (1.0, 0), (1.01, 1), (2.0, 1), (9.9, 3), (10_000.0, 12), (10_000.1, 13), (1e9, 13)],
)
def test_a_bound_belongs_to_its_class(milliseconds: float, place: int) -> None:
    counted = Counted()
    counted.reply("CopyObject", 200, milliseconds / 1_000)
    classes = counted.traffic(0, 0, 0).latency["CopyObject"]
    assert len(classes) == len(LATENCY_BOUNDS_MS) + 1
    assert [number for number, count in enumerate(classes) if count] == [place]


def test_a_request_without_a_reply_has_a_status_and_no_time() -> None:
    counted = Counted()
    counted.reply("HeadObject", 404, 0.001)
    counted.no_reply("HeadObject")
    traffic = counted.traffic(3, 16, 5)
    assert traffic.replies == {"HeadObject": {"404": 1, "none": 1}}
    assert sum(traffic.latency["HeadObject"]) == 1
    assert (traffic.requests, traffic.in_flight, traffic.window, traffic.stored_bytes) == (2, 3, 16, 5)


def copies(count: int, *, in_flight: int = 0) -> Traffic:
    counted = Counted()
    for _ in range(count):
        counted.reply("CopyObject", 200, 0.003)
    return counted.traffic(in_flight, 8, 10 * count)


def test_what_is_counted_adds_up_and_the_summands_stay() -> None:
    one, other = copies(2, in_flight=1), copies(3)
    both = one + other + Traffic({"HeadObject": {"404": 1}})
    assert both.replies == {"CopyObject": {"200": 5}, "HeadObject": {"404": 1}}
    assert both.latency["CopyObject"][2] == 5
    assert (both.in_flight, both.window, both.stored_bytes) == (1, 16, 50)
    assert one.replies == {"CopyObject": {"200": 2}}


def test_the_sum_of_a_crew_never_gets_less() -> None:
    crew = Crew()
    crew.hear(Told("worker-1", "a", copies(5, in_flight=2)))
    crew.hear(Told("worker-2", "b", copies(4, in_flight=1)))
    assert (crew.traffic.requests, crew.traffic.in_flight, crew.traffic.window) == (9, 3, 16)
    crew.left("worker-1")  # killed
    assert (crew.traffic.requests, crew.traffic.in_flight, crew.traffic.window) == (9, 1, 8)
    crew.hear(Told("worker-1", "c", copies(1)))  # another one in its place
    assert crew.traffic.requests == 10
    crew.hear(Told("worker-2", "b", copies(2)))  # came late
    assert crew.traffic.requests == 10
    crew.hear(Told("worker-2", "d", copies(1, in_flight=1)))  # opened anew
    assert (crew.traffic.requests, crew.traffic.in_flight, crew.traffic.window) == (11, 1, 16)
    crew.hear(Told("worker-2", "b", copies(6)))  # the last word of the one before
    assert crew.traffic.requests == 13
