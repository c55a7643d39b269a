"""Whole listings: each key exactly once, whatever the keys, the cuts, the pages, the moments, and the store's order."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import S3Busy, S3Refused
from sketchmigrate.inspect.listing import ranges
from sketchmigrate.inspect.listing.complete import Extent, list_all
from sketchmigrate.inspect.listing.keyspace import between, left_per_done, order, usable_cuts
from sketchmigrate.s3 import ListedObject, ListPage
from tests.simulation.clock import VirtualLoop
from tests.unit.shelf import Heap, Shelf

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

PREFIX = "p/"
ANY_CHARACTER = st.one_of(
    st.characters(exclude_categories=["Cs"]), st.sampled_from("\0\x7f%+ \uffff\U0010ffff\udc80\udcff\udcc3")
)
"""The last ones are surrogate escapes: bytes that are not UTF-8."""

TAILS = st.one_of(
    st.text(ANY_CHARACTER, max_size=4),
    st.integers(0, 10**6).map(str),
    st.integers(0, 300).map("sub/avatar-{:09}.png".format),
)
KEYS = st.frozensets(TAILS.map(PREFIX.__add__), max_size=80)
CUTS = st.lists(st.one_of(TAILS.map(PREFIX.__add__), TAILS), max_size=40)
CHANCE = st.integers(0, 2**32).map(random.Random)


@pytest.fixture(autouse=True)
def _everything_is_worth_splitting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "WORTH_SPLITTING_KEYS", 1)


@given(KEYS, CUTS, st.integers(1, 30), CHANCE)
async def test_each_key_is_listed_exactly_once(
    keys: frozenset[str], cuts: list[str], page_keys: int, chance: random.Random
) -> None:
    shelf, heap = Shelf({*keys, "other"}, chance), Heap(chance)
    await list_all(shelf, "b", PREFIX, heap, cuts=cuts, page_keys=page_keys)
    assert sorted(heap.keys, key=order) == sorted(keys, key=order)
    assert not heap.times_forgotten


ORDERS: dict[str, Callable[[str], object]] = {
    "by UTF-16": lambda key: key.encode("utf-16-be", "surrogatepass"),
    "without regard to case": lambda key: (key.lower(), key),
    "by length": lambda key: (len(key), key),
    "backwards": lambda key: [-byte for byte in order(key)],
    "random": lambda key: (random.Random(key).random(), key),
}
MIXED = st.frozensets(
    st.text(st.sampled_from("abAB1\uff5a\U0001f600"), min_size=1, max_size=3).map(PREFIX.__add__), max_size=60
)


@pytest.mark.parametrize("name", ORDERS)
@given(MIXED, MIXED, st.integers(1, 20), CHANCE)
async def test_a_store_with_an_order_of_its_own_is_listed_whole_all_the_same(
    name: str, keys: frozenset[str], cuts: frozenset[str], page_keys: int, chance: random.Random
) -> None:
    shelf, heap = Shelf(keys, chance, sort_key=ORDERS[name]), Heap(chance)
    await list_all(shelf, "b", PREFIX, heap, cuts=cuts, page_keys=page_keys)
    assert sorted(heap.keys) == sorted(keys)


@given(MIXED, MIXED, st.integers(1, 20), CHANCE)
async def test_a_store_that_ignores_start_after_is_listed_whole_all_the_same(
    keys: frozenset[str], cuts: frozenset[str], page_keys: int, chance: random.Random
) -> None:
    shelf, heap = Shelf(keys, chance, ignores_start_after=True), Heap(chance)
    await list_all(shelf, "b", PREFIX, heap, cuts=cuts, page_keys=page_keys)
    assert sorted(heap.keys) == sorted(keys)


@given(MIXED, MIXED, MIXED, MIXED, st.integers(1, 20), CHANCE)
async def test_what_comes_and_goes_meanwhile_costs_no_other_key(
    keys: frozenset[str],
    cuts: frozenset[str],
    come: frozenset[str],
    gone: frozenset[str],
    page_keys: int,
    chance: random.Random,
) -> None:
    there = set(keys)
    coming, going = list(come - keys), list(gone & keys)

    def change(_: str) -> None:
        if coming and chance.random() < 0.5:
            there.add(coming.pop())
        if going and chance.random() < 0.5:
            there.discard(going.pop())

    shelf, heap = Shelf(there, chance, on_request=change), Heap(chance)
    await list_all(shelf, "b", PREFIX, heap, cuts=cuts, page_keys=page_keys)
    assert len(set(heap.keys)) == len(heap.keys)
    assert set(heap.keys) <= keys | come
    assert set(heap.keys) >= keys - gone


@given(KEYS, CUTS, st.integers(1, 10), CHANCE, st.integers(1, 5))
async def test_a_listing_that_fails_is_never_a_short_one(
    keys: frozenset[str], cuts: list[str], page_keys: int, chance: random.Random, failing: int
) -> None:
    def fail(_: str) -> None:
        if len(shelf.requests) >= failing:
            raise S3Busy("503")

    shelf, heap = Shelf(keys, chance, on_request=fail), Heap(chance)
    try:
        await list_all(shelf, "b", PREFIX, heap, cuts=cuts, page_keys=page_keys)
    except S3Busy:
        assert len(shelf.requests) >= failing
    else:
        assert len(heap.keys) == len(keys)


async def test_a_store_that_refuses_start_after_is_listed_in_one_go() -> None:
    def refuse(after: str) -> None:
        if after and len(shelf.requests) <= 4:
            raise S3Refused("start-after is not supported")

    chance = random.Random(1)
    shelf, heap = Shelf([f"p/{number}" for number in range(9)], chance, on_request=refuse), Heap(chance)
    await list_all(shelf, "b", PREFIX, heap, cuts=["p/3", "p/6", "p/7"])
    assert sorted(heap.keys) == shelf.keys
    assert heap.times_forgotten == 1


class Distant:
    """A store of numbered objects, a page of which takes 50 ms of the loop's time, or ``page_seconds``."""

    def __init__(self, objects: int, page_seconds: Callable[[], float] = lambda: 0.05) -> None:
        self.keys = [f"p/avatar-{number:06}.png" for number in range(objects)]
        self.requests = 0
        self._page_seconds = page_seconds

    async def list_pages(
        self, bucket: str, prefix: str, *, start_after: str = "", max_keys: int = 1000
    ) -> AsyncGenerator[ListPage, None]:
        """Yield pages as ``S3Client`` does."""
        del bucket, prefix
        for first in range(bisect_right(self.keys, start_after), len(self.keys) + 1, max_keys):
            self.requests += 1
            await asyncio.sleep(self._page_seconds())
            page = self.keys[first : first + max_keys]
            yield ListPage([ListedObject(key, 1, "", "") for key in page], page[-1] if page else None)


@pytest.mark.parametrize(
    ("part", "times_faster", "more_requests"),
    [
        pytest.param(1, 6, 1.1, id="cuts from a sample"),
        pytest.param(0.5, 6, 1.3, id="cuts from the first half alone"),
        pytest.param(0, 5, 1.4, id="no cuts at all"),
    ],
)
def test_ranges_keep_all_workers_busy(
    part: float, times_faster: float, more_requests: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of the loop, which jumps: eight at once are nearly eight times as fast, and ask for little more."""
    monkeypatch.undo()
    store, extent, loop = Distant(200_000), Extent(), VirtualLoop()
    sampled = store.keys[: int(part * len(store.keys))]
    cuts = random.Random(1).sample(sampled, min(1000, len(sampled)))
    loop.run_until_complete(list_all(store, "b", PREFIX, extent, cuts=cuts, expected=len(sampled) or None))
    assert extent.objects == len(store.keys)
    in_one_go = len(store.keys) / 1000
    assert store.requests <= more_requests * in_one_go
    assert 0.05 * in_one_go / loop.time() >= times_faster
    loop.close()


async def test_few_objects_are_listed_in_one_go() -> None:
    shelf, heap = Shelf([f"p/{number}" for number in range(50)], random.Random(1)), Heap(random.Random(1))
    await list_all(shelf, "b", PREFIX, heap, cuts=["p/2", "p/30"], expected=50)
    assert shelf.requests == [""]


def test_a_listing_tells_how_far_it_is() -> None:
    told: list[tuple[int, int | None]] = []
    store, loop = Distant(10_000), VirtualLoop()
    cuts, hear = store.keys[::1250], lambda *heard: told.append(heard)
    loop.run_until_complete(list_all(store, "b", PREFIX, Extent(), cuts=cuts, page_keys=100, told=hear))
    loop.close()
    assert told[0] == (0, None)
    assert told[-1] == (10_000, 10_000)
    assert [objects for objects, _ in told] == sorted(objects for objects, _ in told)
    guesses = [(objects, expected) for objects, expected in told if expected is not None]
    assert all(objects <= expected for objects, expected in guesses)
    assert guesses[0][0] < 2_000
    assert max(expected for objects, expected in guesses if objects > 7_000) < 12_000


def _names(chance: random.Random, objects: int) -> dict[str, list[str]]:
    """Keys as people have them, in the order of bytes."""
    unique = [f"{chance.getrandbits(128):032x}" for _ in range(objects)]
    kinds = {
        "numbers": [f"p/avatar-{number}.png" for number in range(objects)],
        "padded": [f"p/avatar-{number:06}.png" for number in range(objects)],
        "dates": [f"p/2020/{chance.randrange(12):02}/{chance.randrange(31):02}/{each}.png" for each in unique],
        "users": [f"p/user-{chance.randrange(300)}/{each}.png" for each in unique],
        "deep": [f"p/{'deep/' * 6}{number:08}-{unique[number]}.png" for number in range(objects)],
        "mixed": [f"p/{chance.choice('aé中Z~')}{number}-{'x' * chance.randrange(30)}" for number in range(objects)],
    }
    return {kind: sorted(keys, key=order) for kind, keys in kinds.items()}


@pytest.mark.parametrize("kind", ["numbers", "padded", "dates", "users", "deep", "mixed"])
@pytest.mark.parametrize("cuts", [10, 1000])
def test_what_is_announced_is_of_the_size_of_what_is_there(kind: str, cuts: int) -> None:
    """A range of which the first key alone was seen says nothing: it was taken for 16 517 792 635 803 objects."""
    for seed in range(3):
        chance, told = random.Random(seed), list[tuple[int, int | None]]()
        store, loop = Distant(0, chance.random), VirtualLoop()
        store.keys = _names(chance, 6_000)[kind]
        some, hear = chance.sample(store.keys, cuts), lambda *heard, told=told: told.append(heard)
        loop.run_until_complete(list_all(store, "b", PREFIX, Extent(), cuts=some, expected=6_000, told=hear))
        loop.close()
        assert told[-1] == (6_000, 6_000)
        assert max(expected for _, expected in told if expected is not None) < 10 * 6_000


async def test_an_extent_begins_again_with_nothing() -> None:
    extent, chance = Extent(), random.Random(1)
    shelf = Shelf([f"p/{number}" for number in range(50)], chance, sort_key=lambda key: (key[::-1], key))
    await list_all(shelf, "b", PREFIX, extent, cuts=["p/2", "p/30"], page_keys=7)
    assert (extent.objects, extent.size_bytes) == (50, 10 * 3 + 40 * 4)


@given(
    st.text(ANY_CHARACTER, max_size=20), st.none() | st.text(ANY_CHARACTER, max_size=20), st.frozensets(ANY_CHARACTER)
)
def test_a_cut_is_truly_between_and_can_be_asked_for(low: str, high: str | None, alphabet: frozenset[str]) -> None:
    cut = between(low, high, alphabet)
    if cut is not None:
        assert order(low) < cut.encode()
        assert high is None or cut.encode() < order(high)


@pytest.mark.parametrize(
    ("low", "high", "cut"),
    [
        ("1", "9", "5"),
        ("avatar-000", "avatar-900", "avatar-45"),
        ("avatar-100", "avatar-102", "avatar-101"),
        ("", None, "4"),
    ],
)
def test_a_cut_is_about_half_way(low: str, high: str | None, cut: str) -> None:
    found = between(low, high, set("0123456789"))
    assert found is not None
    assert found.startswith(cut)


def test_what_is_left_is_told_by_the_way_that_is_done() -> None:
    assert left_per_done("100", "200", "500", set("0123456789")) == pytest.approx(3, rel=0.05)
    assert left_per_done("100", "500", "500", set("0123456789")) == 0


@given(CUTS, st.integers(0, 10))
def test_cuts_are_below_the_prefix_in_order_and_not_too_many(cuts: list[str], most: int) -> None:
    usable = usable_cuts(cuts, PREFIX, most)
    assert len(usable) <= most
    assert set(usable) <= set(cuts)
    assert usable == sorted(set(usable), key=order)
    assert all(cut.startswith(PREFIX) and cut != PREFIX for cut in usable)
