"""What is tried of a store before a run relies on it: no condition counts that is not proved; nothing stays there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from tests.e2e.site import Site, body_of
from tests.servers import s3_faults as faults
from tests.servers.condition_proxy import ConditionProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store
    from tests.tool import Finished

PATHS = [f"image/{number}.png" for number in range(1, 6)]
CONTESTED = "avatar/3.png"
COPY = Question.COPY_IF_ABSENT
LOST = r"[1-9]\d* of [\d,]+ objects stored in the same moment (was|were) replaced"


def document_of(done: Finished) -> dict[str, Any]:
    assert "Traceback" not in done.err, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


def raced(proxy: S3FaultProxy) -> int:
    return len([each for each in proxy.requests if "/race-" in each.key])


def test_a_condition_that_lost_a_race_is_sent_and_its_losses_are_reported(moto_site: Site) -> None:
    site = replace(moto_site, races=True)
    site.fill(PATHS)

    def store(request: S3Request) -> None:
        if request.key == CONTESTED:
            moto_site.store.put_all(moto_site.store.production_bucket, {CONTESTED: b"what the application stored"})
            moto_site.database.execute(f"UPDATE avatars SET path = '{CONTESTED}' WHERE id = 3")  # noqa: S608 - a constant

    with ConditionProxy(site.store, honours={COPY}) as proxy:
        through = site.at(store=site.store.via(proxy.endpoint_url))
        proxy.in_between = store
        done = through.run("-y --json")
        document = document_of(done)
        assert raced(proxy) > 0
        copies = [each for each in proxy.requests if each.operation == "copy" and PROBE_FOLDER not in each.key]
        assert len(copies) == len(PATHS)
        assert all(each.headers["if-none-match"] == "*" for each in copies)
        assert document["no_clobber"] == "check-first"
        assert re.search(LOST, document["no_clobber_reason"])
        assert (document["possibly_overwritten"], document["exit_code"]) == (1, 1)
        assert "check-first" in done.err
        assert "could be replaced" in done.err
        proxy.requests.clear()
        site.database.execute("INSERT INTO avatars VALUES (6, 'image/1.png')")
        refused = through.run("-y --no-clobber conditional-copy")
        assert refused.code == 3, refused
        assert "is not proved to protect anything" in refused.err
        assert raced(proxy) == 0, "the race is on record"


@pytest.mark.parametrize("server", ["seaweed", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_what_is_atomic_is_raced_once_and_then_relied_on(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, server: str
) -> None:
    """SeaweedFS honours the condition on a copy as well, and on Complete, which lose races."""
    store: Store = request.getfixturevalue(f"{server}_store")
    site = Site(database, store, tmp_path, races=True)
    site.fill(PATHS)
    with S3FaultProxy(store.endpoint_url, sees_probes=True) as proxy:
        through = site.at(store=store.via(proxy.endpoint_url))
        first = document_of(through.run("-y -l 2 --json"))
        assert raced(proxy) > 0
        proxy.requests.clear()
        second = document_of(through.run("-y --json"))
        assert raced(proxy) == 0
    assert (first["no_clobber"], second["no_clobber"]) == ("conditional-put", "conditional-put")
    proof = r"the store honours PutObject, .*: none of [\d,]+ objects stored in the same moment was replaced"
    assert re.fullmatch(proof, first["no_clobber_reason"])
    dated = re.escape(first["no_clobber_reason"]) + r" \(20\d\d-\d\d-\d\d\)"
    assert re.fullmatch(dated, second["no_clobber_reason"])
    assert site.production_bodies() == {path.replace("image/", "avatar/"): body_of(path) for path in PATHS}


def test_where_the_bucket_keeps_versions_a_race_is_run_only_when_asked_for(moto_site: Site) -> None:
    site = replace(moto_site, races=True)
    site.fill(PATHS)
    bucket, client = site.store.production_bucket, site.store.client
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with ConditionProxy(site.store, honours={COPY}) as proxy:
        through = site.at(store=site.store.via(proxy.endpoint_url))
        document = document_of(through.run("-y -l 1 --json"))
        assert document["no_clobber"] == "check-first"
        assert "not raced, as the bucket keeps versions" in document["no_clobber_reason"]
        assert raced(proxy) == 0
        probed = document_of(through.run("probe --json"))
        assert [proof["proved"] for proof in probed["proofs"]] == [False]
        assert raced(proxy) == 0
        probed = document_of(through.run("probe --race --json"))
        assert re.search(LOST, probed["proofs"][0]["evidence"])
        assert raced(proxy) > 0
        assert probed["left_behind"] == []
        proxy.requests.clear()
        document = document_of(through.run("-y --json"))
        assert re.search(LOST, document["no_clobber_reason"])
        assert raced(proxy) == 0
    versions = client.list_object_versions(Bucket=bucket)
    left = [each["Key"] for kind in ("Versions", "DeleteMarkers") for each in versions.get(kind, [])]
    assert not [key for key in left if PROBE_FOLDER in key]


# Object Lock


@pytest.fixture
def locked(moto_site: Site) -> Iterator[Site]:
    """A site whose production bucket keeps each new object for a day."""
    client, bucket = moto_site.store.client, moto_site.store.production_bucket + "-locked"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    site = moto_site.at(store=replace(moto_site.store, production_bucket=bucket))
    site.fill(PATHS)
    yield site
    versions = client.list_object_versions(Bucket=bucket)
    for each in versions.get("Versions", []) + versions.get("DeleteMarkers", []):
        name = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
        client.delete_object(**name, BypassGovernanceRetention=True)
    client.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("flags", ["probe", "probe --race", "-y", "plan --probe"])
def test_nothing_is_stored_that_could_not_be_removed(locked: Site, flags: str) -> None:
    with S3FaultProxy(locked.store.endpoint_url, sees_probes=True) as proxy:
        done = locked.at(store=locked.store.via(proxy.endpoint_url)).run(flags)
        stored = {each.operation for each in proxy.requests if PROBE_FOLDER in each.target}
    assert "not tried, as the bucket locks each new object (GOVERNANCE, 1 Days)" in done.out + done.err
    assert "check-first" in done.out + done.err
    assert stored <= {"create_multipart_upload", "abort_multipart_upload", "put"}  # put: tags of nothing
    versions = locked.store.client.list_object_versions(Bucket=locked.store.production_bucket)
    left = [each["Key"] for kind in ("Versions", "DeleteMarkers") for each in versions.get(kind, [])]
    assert not [key for key in left if "/." in key]


# Files of one run


def test_a_repair_keeps_the_lists_of_its_migration_and_of_its_verify_apart(site: Site) -> None:
    site.fill(
        ["image/1.png", "image/gone.png", "avatar/gone.png"], without_object=["image/gone.png", "avatar/gone.png"]
    )
    assert site.run("repair -y").code == 1
    of_migration = (site.last_run() / "problems.csv").read_text().splitlines()
    of_verify = (site.last_run() / "verify-problems.csv").read_text().splitlines()
    assert of_migration[0] == "key,path,outcome,reason,kind,code,status,hint,source"
    assert [line.split(",")[:3] for line in of_migration[1:]] == [["2", "image/gone.png", "missing"]]
    assert of_verify[0] == "kind,key,path,detail,source"
    assert {line.split(",")[1] for line in of_verify[1:]} == {"2", "3"}
    assert (site.last_run() / "verify-problems.parquet").exists()
    assert not (site.last_run() / "problems.parquet").exists()


# What a copy of our own makes undone


def test_a_file_of_the_application_under_the_old_fixed_name_stays(moto_site: Site) -> None:
    """The rights check once used a name that was always the same, and deleted what was there."""
    site = moto_site
    site.fill(PATHS)
    theirs = {"avatar/.sketch-migrate-write-check": b"of the application"}
    site.store.put_all(site.store.production_bucket, theirs)
    denied = faults.status(404, "NoSuchKey")
    with S3FaultProxy(site.store.endpoint_url, sees_probes=True) as proxy:
        # where there are no objects to read tags of, it is tried to set some
        proxy.on(denied, operation="get", when=lambda request: "tagging" in request.query, times=2)
        assert site.at(store=site.store.via(proxy.endpoint_url)).run("-y").code == 0
        assert any(each.method == "PUT" and "tagging" in each.query for each in proxy.requests)
        touched = {each.key for each in proxy.requests if each.method in {"PUT", "POST", "DELETE"}}
    assert not touched & theirs.keys()
    assert site.store.body(site.store.production_bucket, next(iter(theirs))) == b"of the application"
