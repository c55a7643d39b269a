"""Orders: together, the workers never exceed a cap, and never take up more than the limit."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.cluster.orders import NOTED_SECONDS, Lease, Sharing


def test_who_starts_together_begins_together() -> None:
    sharing = Sharing()
    assert sharing.expect(4, at_work=0, now=0.0)
    assert (sharing.told, sharing.places(0.0)) == (4, 4)
    assert not sharing.expect(4, at_work=4, now=1.0)


def test_a_newcomer_waits_until_those_at_work_know_of_it() -> None:
    sharing = Sharing()
    sharing.expect(2, at_work=0, now=0.0)
    assert sharing.expect(3, at_work=2, now=10.0)
    assert sharing.told == 3
    assert sharing.places(10.0 + NOTED_SECONDS - 0.01) == 2
    assert sharing.places(10.0 + NOTED_SECONDS) == 3


def test_who_has_gone_leaves_its_share_at_once() -> None:
    sharing = Sharing()
    sharing.expect(3, at_work=0, now=0.0)
    assert sharing.expect(2, at_work=2, now=5.0)
    assert (sharing.told, sharing.places(5.0)) == (2, 2)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 48), st.integers(0, 3)), max_size=40))
def test_the_shares_never_add_up_to_more_than_the_whole(changes: list[tuple[int, int, int]]) -> None:
    """Each at work goes by the share that it last took note of, up to ``NOTED_SECONDS`` after it was told.

    Times are sixteenths of a second: sums and differences of those are exact.
    """
    sharing, now, names = Sharing(), 0.0, count()
    told: list[tuple[float, int]] = []
    at_work: dict[int, float] = {}  # since when
    for members, sixteenths, leaving in changes:
        now += sixteenths / 16
        for name in list(at_work)[:leaving]:
            del at_work[name]
        while len(at_work) > members:  # a member that has gone is at work no more
            at_work.popitem()
        if sharing.expect(members, len(at_work), now) or not told:
            told.append((now, sharing.told))
        while len(at_work) < min(members, sharing.places(now)):
            at_work[next(names)] = now
        worst = 0.0
        for since in at_work.values():
            known = [share for at, share in told if at <= since][-1:]
            late = [share for at, share in told if since < at and at > now - NOTED_SECONDS]
            noted = [share for at, share in told if since < at <= now - NOTED_SECONDS][-1:]
            worst += 1 / min([*(noted or known), *late])
        assert worst <= 1 + 1e-9, (told, at_work, now)


@given(st.integers(1, 1_000), st.lists(st.tuples(st.integers(1, 8), st.floats(0, 1))))
def test_no_more_is_lent_than_the_limit(limit: int, lending: list[tuple[int, float]]) -> None:
    lease, used = Lease(limit), 0
    for borrowers, part in lending:
        if lease.is_used_up:
            break
        lent = lease.lend(borrowers)
        assert lent is not None
        assert lent >= 1
        used += round(lent * part)
        lease.give_back(lent - round(lent * part))
        assert used + (lease.left or 0) == limit


def test_without_a_limit_nothing_is_counted() -> None:
    lease = Lease(None)
    assert lease.lend(3) is None
    lease.give_back(5)
    assert not lease.is_used_up
