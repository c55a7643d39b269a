"""Races find out a condition that is checked first and written later; and prove one that is not, on real servers."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
import uvloop

from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.s3.probe.findings import IF_ABSENT_QUESTIONS, Question
from sketchmigrate.s3.probe.folder import PROBE_FOLDER, SOURCE_BODY, ProbeFolder
from sketchmigrate.s3.probe.race import KEYS, LEAST_RACES, RACES, contests_for_absence, race
from tests.servers import s3_faults as faults
from tests.servers.condition_proxy import ConditionProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from sketchmigrate.s3.probe.race import Race
    from tests.servers.stores import Store

PUT, COPY = Question.PUT_IF_ABSENT, Question.COPY_IF_ABSENT
SOME = 120


def run_race(store: Store, *questions: Question, races: int = LEAST_RACES) -> dict[Question, Race]:
    async def scenario() -> dict[Question, Race]:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url), source) as client:
            folder = ProbeFolder(client, Location(store.production_bucket, f"avatar/{PROBE_FOLDER}{token_hex(6)}/"))
            try:
                await folder.put(folder.source, SOURCE_BODY)
                return await race(folder, await contests_for_absence(folder, questions), races=races, seconds=60)
            finally:
                await folder.clear()
                assert folder.left_behind == []

    found = uvloop.run(scenario())
    assert store.keys(store.production_bucket) == []
    return found


@pytest.mark.parametrize("question", sorted(IF_ABSENT_QUESTIONS))
def test_what_is_checked_first_and_written_later_loses(moto_store: Store, question: Question) -> None:
    """As OpenStack Swift and SeaweedFS do; the other conditions of this proxy are the same, one after the other."""
    with ConditionProxy(moto_store, honours={question}) as proxy:
        found = run_race(moto_store.via(proxy.endpoint_url), question, races=RACES)[question]
    assert found.lost >= 1
    assert not found.is_proved
    assert found.races < RACES, "one loss is enough"
    assert f"of {found.races:,} objects stored in the same moment w" in found.told()


def test_what_is_atomic_is_proved(moto_store: Store) -> None:
    with ConditionProxy(moto_store, honours={COPY}, atomic=True) as proxy:
        found = run_race(moto_store.via(proxy.endpoint_url), COPY)[COPY]
        keys = {each.key for each in proxy.requests if "/race-" in each.key}
        assert proxy.hits["condition_failed"] == found.refused
    assert found.is_proved, found
    assert found.races == LEAST_RACES
    assert len(keys) == KEYS


@pytest.mark.ceph
def test_a_conditional_put_of_ceph_is_proved(ceph_store: Store) -> None:
    assert run_race(ceph_store, PUT)[PUT].is_proved


@pytest.mark.parametrize("question", [COPY, Question.COMPLETE_IF_ABSENT])
def test_a_condition_that_seaweed_honours_loses_a_race_all_the_same(seaweed_store: Store, question: Question) -> None:
    assert run_race(seaweed_store, question, races=RACES)[question].lost


def test_a_race_is_lost_also_where_the_store_is_far_away(seaweed_store: Store) -> None:
    """Where what is spread over the time of a request hardly ever meets what the store does in a millisecond."""
    with S3FaultProxy(seaweed_store.endpoint_url, sees_probes=True) as proxy:
        proxy.on(faults.delay(0.03))
        found = run_race(seaweed_store.via(proxy.endpoint_url), COPY, races=RACES)[COPY]
        assert proxy.hits["delay"] > 3 * found.races
    assert found.lost, found


def test_a_conditional_put_of_seaweed_is_proved(seaweed_store: Store) -> None:
    assert run_race(seaweed_store, PUT)[PUT].is_proved


def test_a_race_that_the_store_fails_does_not_count(moto_store: Store) -> None:
    with S3FaultProxy(moto_store.endpoint_url, sees_probes=True) as proxy:
        proxy.on(faults.status(503), operation="put", key="/race-")
        found = run_race(moto_store.via(proxy.endpoint_url), PUT, races=SOME)[PUT]
        assert proxy.hits["status_503"] >= SOME
    assert found == (0, 0, 0)
    assert not found.is_proved
