"""What each strategy keeps of an object besides content, headers, metadata and tags: on real servers, kind by kind."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.keeping import Aspect, Way, look_at, way_of
from sketchmigrate.migration.look_ahead import BucketRules, read_bucket_rules
from sketchmigrate.migration.no_clobber import Means, Strategy
from sketchmigrate.migration.transfer import Transferred, transfer_of
from sketchmigrate.s3.memory import MemoryBudget
from sketchmigrate.s3.streaming import Streamer
from tests.integration.test_no_clobber_objects import run
from tests.sides import sides_of

if TYPE_CHECKING:
    from sketchmigrate.migration.keeping import Sample
    from sketchmigrate.s3 import S3Client
    from tests.servers.stores import Store

SPECIAL: dict[Aspect, dict[str, Any]] = {
    Aspect.ACL: {"ACL": "public-read"},
    Aspect.STORAGE_CLASS: {"StorageClass": "STANDARD_IA"},
    Aspect.ENCRYPTION: {"ServerSideEncryption": "aws:kms"},
    Aspect.REDIRECT: {"WebsiteRedirectLocation": "/elsewhere"},
    Aspect.CHECKSUM: {"ChecksumAlgorithm": "SHA256"},
    Aspect.LOCK: {"ObjectLockMode": "GOVERNANCE", "ChecksumAlgorithm": "SHA256"},
}

# What these servers were seen to keep; Ceph 16 knows neither these storage classes nor checksums, and has no keys here.
KEPT = {
    ("moto", Way.COPY): {Aspect.REDIRECT, Aspect.CHECKSUM},
    ("moto", Way.PUT): {Aspect.STORAGE_CLASS},
    ("moto", Way.PARTS): {Aspect.STORAGE_CLASS},
    ("ceph", Way.COPY): {Aspect.REDIRECT, Aspect.LOCK},
    ("ceph", Way.PUT): set(),
    ("ceph", Way.PARTS): set(),
    ("moto", Way.STREAM): set(),
    ("ceph", Way.STREAM): set(),
}
KNOWN = {"moto": set(Aspect), "ceph": {Aspect.ACL, Aspect.REDIRECT, Aspect.LOCK}}
MORE_THAN_SAID = {Aspect.REDIRECT, Aspect.LOCK}
"""What some servers keep and AWS does not: said to be dropped."""


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
@pytest.mark.parametrize("way", list(Way))
def test_what_is_said_to_be_kept_is_kept(server: str, way: Way, request: pytest.FixtureRequest) -> None:
    store: Store = request.getfixturevalue(f"{server}_store")
    buckets = [f"locked-{secrets.token_hex(6)}" for _ in range(2)]
    for bucket in buckets:
        store.client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    means = next((each for each in Means if way_of(each) is way), Means.CONDITIONAL_PUT)
    is_streamed = way is Way.STREAM
    strategy = Strategy(means, "for a test", guards_parts=True, is_streamed=is_streamed)
    for aspect in KNOWN[store.name]:
        extra = dict(SPECIAL[aspect])
        if aspect is Aspect.LOCK:
            extra["ObjectLockRetainUntilDate"] = datetime.now(UTC) + timedelta(seconds=60)
        key = f"image/{aspect.name}"
        store.client.put_object(Bucket=buckets[0], Key=key, Body=b"picture", **extra)
        source, target = Location(buckets[0], key), Location(buckets[1], f"avatar/{aspect.name}")
        move = Move(Reference(1, key), target.key, source, target)

        async def scenario(client: S3Client, move: Move = move) -> tuple[Sample, Sample]:
            before = await look_at(client, [move.source], encryption="")
            copying = Streamer(client, client, MemoryBudget(64 * 2**20)) if is_streamed else client
            assert isinstance(await transfer_of(sides_of(client), copying, strategy).bring(move), Transferred)
            return before, await look_at(client, [move.target], encryption="")

        before, after = run(store, scenario)
        assert aspect in dict(before.aspects), (aspect, before)
        is_kept = dict(after.aspects).get(aspect) == dict(before.aspects)[aspect]
        is_said_to_be_dropped = aspect in {each.aspect for each in before.dropped(way)}
        assert is_kept is (aspect in KEPT[store.name, way]), (aspect, after)
        assert is_said_to_be_dropped is (not is_kept or aspect in MORE_THAN_SAID), aspect


def test_the_requests_are_counted_and_what_is_not_told_is_said_once(store: Store) -> None:
    store.put_all(store.legacy_bucket, {f"image/{n}": b"picture" for n in range(5)})
    objects = [Location(store.legacy_bucket, f"image/{n}") for n in range(5)]

    async def scenario(client: S3Client) -> tuple[Sample, int]:
        sample = await look_at(client, objects, encryption="")
        return sample, client.requests_sent.total()

    sample, sent = run(store, scenario)
    assert sample.objects == 5
    assert sample.requests == sent <= 2 * 5
    assert len(sample.untold) == (store.name == "rclone")  # it does not know ACLs, and is asked for one
    assert sample.dropped(None) == []


def rules_of(store: Store, bucket: str) -> BucketRules:
    return run(store, lambda client: read_bucket_rules(sides_of(client, production_bucket=bucket).production))


def test_the_rules_of_a_bucket(store: Store) -> None:
    rules = run(
        store, lambda client: read_bucket_rules(sides_of(client, production_bucket=store.production_bucket).production)
    )
    assert (rules.keeps_objects, rules.about_lock(), rules.about_encryption()) == (False, "", "")
    lists_instead = store.name in {"rclone", "ceph"}  # they have no default encryption
    assert len(rules.untold) == lists_instead
    if store.name == "rclone":
        return
    locked = f"locked-{secrets.token_hex(6)}"
    store.client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    assert not run(
        store, lambda client: read_bucket_rules(sides_of(client, production_bucket=locked).production)
    ).keeps_objects
    store.client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    rules = rules_of(store, locked)
    assert rules.keeps_objects
    assert "keeps each new object (GOVERNANCE, 3 Days)" in rules.about_lock()
