"""``verify --metadata`` compares what describes objects; ``repair --metadata`` mends it where it is still our copy."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Site
from tests.e2e.two_stores import TwoStores
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store
    from tests.tool import Finished

PATHS = [f"image/avatar-{number}.png" for number in range(5)]
DESCRIBED = {"ContentType": "image/x-late", "CacheControl": "no-store", "Metadata": {"owner": "7"}}
TAGS = [{"Key": "class", "Value": "public"}, {"Key": "of + for", "Value": "a=1 / b@c"}]
LEFT = "left: its metadata, tags, ACL or class in production may have been changed since"

KNOWING_TAGS = ["moto", "seaweed", pytest.param("ceph", marks=pytest.mark.ceph)]


def at_production(path: str) -> str:
    return "avatar/" + path.removeprefix("image/")


def document(result: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def describe(store: Store, bucket: str, key: str, **headers: Any) -> None:
    """Store an object anew with the bytes that it has, and other headers."""
    store.client.put_object(Bucket=bucket, Key=key, Body=store.body(bucket, key), **headers)


def tag(store: Store, bucket: str, key: str, tags: list[dict[str, str]]) -> None:
    store.client.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tags})


def tags_in_production(store: Store, path: str) -> list[dict[str, str]]:
    told = store.client.get_object_tagging(Bucket=store.production_bucket, Key=at_production(path))
    return sorted(told["TagSet"], key=lambda each: str(each["Key"]))


def next_second() -> None:
    """Wait until a store's times, which are whole seconds, tell what comes from what was: at most a second."""
    began = int(time.time())
    while int(time.time()) == began:
        time.sleep(0.02)


@pytest.fixture(params=KNOWING_TAGS)
def migrated_site(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Site:
    """Five avatars that the tool migrated, on a store with tags."""
    site = Site(database, request.getfixturevalue(f"{request.param}_store"), tmp_path)
    site.fill(PATHS)
    assert site.run("-y").code == 0
    return site


def test_what_was_described_anew_in_legacy_is_found_and_mended(migrated_site: Site) -> None:
    site, store = migrated_site, migrated_site.store
    describe(store, store.legacy_bucket, PATHS[0], **DESCRIBED)
    tag(store, store.legacy_bucket, PATHS[1], TAGS)
    assert site.run("verify").code == 0, "listings tell neither"

    verified = site.run("verify --metadata --json")
    assert verified.code == 1, verified
    found = document(verified)
    assert found["metadata"] == {"percent": 100.0, "references_compared": 5, "tags_compared": 5}
    assert (found["rows"]["equal"], found["rows"]["other headers"], found["different"]) == (3, 2, 2)
    details = {each["path"]: each["detail"] for each in found["examples"]["other headers"]}
    assert "cache-control: no-store in legacy, none in production" in details[at_production(PATHS[0])]
    assert "x-amz-meta-owner: 7 in legacy, none in production" in details[at_production(PATHS[0])]
    said = "same bytes, other tags: class=public&of%20%2B%20for=a%3D1%20%2F%20b%40c in legacy, none in production"
    assert details[at_production(PATHS[1])] == said

    before = site.facts()
    repaired = site.run("repair --metadata -y --json")
    assert repaired.code == 0, repaired
    found = document(repaired)
    assert (found["repaired"]["copied again"], found["rows"]["equal"], found["metadata_not_ours"]) == (2, 5, 0)
    assert site.run("verify --metadata").code == 0
    head = store.client.head_object(Bucket=store.production_bucket, Key=at_production(PATHS[0]))
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("image/x-late", "no-store", {"owner": "7"})
    assert tags_in_production(store, PATHS[1]) == TAGS
    after = site.facts()
    assert (after.rows, after.versions, after.legacy) == (before.rows, before.versions, before.legacy)


@dataclass
class Application:
    """One that is live: it changes something once all was looked at, and before anything is copied again."""

    change: Callable[[], None]
    has_been_looked_at: bool = False
    done: list[str] = field(default_factory=list)

    def __call__(self, request: S3Request) -> None:
        """Hear of a request before it is passed on."""
        self.has_been_looked_at |= request.method == "GET" and "tagging" in request.query
        if self.has_been_looked_at and request.method == "PUT" and not self.done:
            self.done.append(request.key)
            next_second()
            self.change()


def test_what_the_application_changes_meanwhile_in_production_is_left(migrated_site: Site) -> None:
    """Its bytes, and so its ETag, stay those that we wrote: the time of its last change and its tags tell."""
    site, store = migrated_site, migrated_site.store
    for path in PATHS[:3]:
        describe(store, store.legacy_bucket, path, **DESCRIBED)
    theirs, tagged = at_production(PATHS[0]), at_production(PATHS[1])
    own = [{"Key": "of", "Value": "the application"}]

    def change() -> None:
        describe(store, store.production_bucket, theirs, ContentType="image/own", Metadata={"by": "the application"})
        tag(store, store.production_bucket, tagged, own)

    application = Application(change)
    with S3FaultProxy(store.endpoint_url, sees_probes=True) as s3:
        s3.before_request = application
        result = site.at(store=store.via(s3.endpoint_url)).run("repair --metadata -y --json")
    assert application.done, "it was live"
    assert application.done[0] not in {at_production(path) for path in PATHS}, "what it changed was not copied yet"
    assert result.code == 1, result
    repaired = document(result)["repaired"]
    assert (repaired["copied again"], repaired[LEFT]) == (1, 2)
    head = store.client.head_object(Bucket=store.production_bucket, Key=theirs)
    assert (head["ContentType"], head["Metadata"]) == ("image/own", {"by": "the application"})
    assert tags_in_production(store, PATHS[1]) == own
    mended = store.client.head_object(Bucket=store.production_bucket, Key=at_production(PATHS[2]))
    assert mended["ContentType"] == "image/x-late"


def test_what_no_ledger_knows_is_left_and_counted(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    assert site.run("-y").code == 0
    describe(store, store.legacy_bucket, PATHS[0], **DESCRIBED)
    before = site.facts()
    result = site.with_environ(SKETCH_RUN_DIR="elsewhere").run("repair --metadata -y --json")
    assert (result.code, document(result)["metadata_not_ours"], document(result)["repaired"]) == (1, 1, {}), result
    assert site.facts() == before


def test_workers_share_it_and_a_part_is_the_same_each_time(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    assert site.run("-y").code == 0
    describe(store, store.legacy_bucket, PATHS[2], **DESCRIBED)
    store.put_all(store.legacy_bucket, {PATHS[4]: b"another picture"})
    alone, shared = (document(site.run(f"verify --metadata --json{flags}")) for flags in ("", " --processes 2"))
    assert alone["rows"] == shared["rows"]
    assert alone["rows"]["other headers"] == 1
    assert alone["metadata"] == shared["metadata"] == {"percent": 100.0, "references_compared": 4, "tags_compared": 4}
    parts = [document(site.run("verify --metadata 50% --json"))["metadata"] for _ in range(2)]
    assert parts[0] == parts[1]
    assert parts[0]["references_compared"] < 4
    both = document(site.run("verify --deep --metadata --json --processes 2"))
    assert (both["deep"]["references_compared"], both["metadata"]["references_compared"]) == (4, 3)
    assert both["rows"] == alone["rows"]


def test_a_store_without_tags_is_asked_once_and_that_is_certified(site: Site) -> None:
    """The server of rclone takes the question for one for the object, and sends its bytes."""
    site.fill(PATHS)
    assert site.run("-y").code == 0
    describe(site.store, site.store.legacy_bucket, PATHS[0], ContentType="image/x-late")
    asked: list[str] = []

    def note(request: S3Request) -> None:
        if "tagging" in request.query:
            asked.append(request.key)

    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.before_request = note
        result = site.at(store=site.store.via(s3.endpoint_url)).run("verify --metadata")
    assert len(asked) == 1
    assert result.code == 1, result
    assert "compared content headers and user metadata of 5 rows,\nand the tags of 0 of them." in result.out
    assert "content-type: image/x-late in legacy, " in result.out


def test_who_may_not_read_tags_compares_the_rest(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    assert site.run("-y").code == 0
    tag(store, store.legacy_bucket, PATHS[0], TAGS)
    describe(store, store.legacy_bucket, PATHS[1], **DESCRIBED)
    refused = s3_faults.status(403, "AccessDenied")
    with S3FaultProxy(store.endpoint_url) as s3:
        s3.on(refused, when=lambda request: "tagging" in request.query)
        found = document(site.at(store=store.via(s3.endpoint_url)).run("verify --metadata --json"))
        assert s3.hits[refused.name]
    assert found["metadata"] == {"percent": 100.0, "references_compared": 5, "tags_compared": 0}
    assert found["rows"]["other headers"] == 1


def test_an_object_that_cannot_be_looked_at_is_not_certified(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    assert site.run("-y").code == 0
    with S3FaultProxy(store.endpoint_url) as s3:
        s3.on(s3_faults.status(403, "AccessDenied"), key=f"^{at_production(PATHS[0])}$")
        result = site.at(store=store.via(s3.endpoint_url)).run("verify --metadata --json")
        assert s3.hits["status_403"]
    found = document(result)
    assert (result.code, found["rows"]["not read"], found["metadata"]["references_compared"]) == (1, 1, 4), result


def test_between_two_stores(moto_store: Store, seaweed_store: Store, database: Database, tmp_path: Path) -> None:
    site = TwoStores(database, seaweed_store, tmp_path, legacy=moto_store)
    site.fill(PATHS)
    describe(moto_store, moto_store.legacy_bucket, PATHS[0], **DESCRIBED)
    tag(moto_store, moto_store.legacy_bucket, PATHS[1], TAGS)
    assert site.run("-y").code == 0
    assert site.run("verify --metadata").code == 0
    describe(moto_store, moto_store.legacy_bucket, PATHS[2], **DESCRIBED)
    tag(moto_store, moto_store.legacy_bucket, PATHS[3], TAGS)
    repaired = site.run("repair --metadata -y --json")
    assert (repaired.code, document(repaired)["repaired"]["copied again"]) == (0, 2), repaired
    assert tags_in_production(seaweed_store, PATHS[3]) == TAGS


def test_a_manifest_rests_on_the_newest_look_at_the_metadata(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    assert site.run("-y").code == 0
    describe(store, store.production_bucket, at_production(PATHS[0]), **DESCRIBED)

    def made(*verifies: str) -> tuple[int, int]:
        for verify in verifies:
            assert site.run(verify).code in (0, 1)
        found = document(site.run("manifest --json"))
        return found["objects"], found["headers_not_compared"]

    assert made("verify --metadata") == (4, 0)
    assert made("verify") == (4, 4), "listings do not take back what a look at it has found"
    describe(store, store.production_bucket, at_production(PATHS[0]))
    assert made("verify --metadata") == (5, 0)


def test_an_acl_and_tags_that_somebody_took_away_in_production_stay_away(moto_site: Site) -> None:
    """Neither has a time: a takedown must not be undone, and a tag that was deleted not given again."""
    site, store, client = moto_site, moto_site.store, moto_site.store.client
    site.fill(PATHS[:3])
    for path in PATHS[:3]:
        body = store.body(store.legacy_bucket, path)
        client.put_object(Bucket=store.legacy_bucket, Key=path, Body=body, ACL="public-read", Tagging="a=1&b=2")
    site = site.with_environ(SKETCH_KEEP_ACL="yes")
    assert site.run("-y").code == 0
    client.put_object_acl(Bucket=store.production_bucket, Key=at_production(PATHS[0]), ACL="private")
    tag(store, store.production_bucket, at_production(PATHS[1]), [{"Key": "a", "Value": "1"}])
    client.delete_object_tagging(Bucket=store.production_bucket, Key=at_production(PATHS[2]))
    done = site.run("repair --metadata -y --json")
    assert done.code == 1, done
    repaired = {word: count for word, count in document(done)["repaired"].items() if count}
    assert repaired == {LEFT: 2, "copied again": 1}
    assert is_public(store, PATHS[0]) is False
    assert tags_in_production(store, PATHS[1]) == [{"Key": "a", "Value": "1"}]
    assert len(tags_in_production(store, PATHS[2])) == 2, "one without any has lost those of the copy"
    assert is_public(store, PATHS[2])


def test_an_acl_of_the_application_s_is_not_lost_where_none_is_kept(moto_site: Site) -> None:
    site, store, client = moto_site, moto_site.store, moto_site.store.client
    site.fill(PATHS[:2])
    assert site.run("-y").code == 0
    next_second()
    for path in PATHS[:2]:
        describe(store, store.legacy_bucket, path, **DESCRIBED)
    client.put_object_acl(Bucket=store.production_bucket, Key=at_production(PATHS[0]), ACL="public-read")
    done = site.run("repair --metadata -y --json")
    assert done.code == 1, done
    repaired = {word: count for word, count in document(done)["repaired"].items() if count}
    assert repaired == {LEFT: 1, "copied again": 1}
    assert is_public(store, PATHS[0])


def is_public(store: Store, path: str) -> bool:
    acl = store.client.get_object_acl(Bucket=store.production_bucket, Key=at_production(path))
    return any("AllUsers" in each["Grantee"].get("URI", "") for each in acl["Grants"])
