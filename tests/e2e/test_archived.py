"""What lies in an archive: counted apart, listed for whoever restores it, and read again once that is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.tool import Finished

COLD, DEEP, ODD, WARM = "image/cold.png", "image/deep.png", "image/a b,+é.png", "image/warm.png"
SEEN = {"Content-Length": "4", "ETag": '"0"', "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"}
UNDER_WAY = {"x-amz-restore": 'ongoing-request="true"'}


def document(result: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def put(site: Site, path: str, storage_class: str) -> None:
    store = site.store
    store.client.put_object(Bucket=store.legacy_bucket, Key=path, Body=b"cold", StorageClass=storage_class)


def seen_as(path: str, **headers: str) -> s3_faults.Answer:
    """Return the answer that a HEAD of an archived object gets."""
    return s3_faults.Answer(f"seen {path}", 200, b"", {**SEEN, **headers})


def lists_of(site: Site) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(site.last_run().glob("archived*.csv"))}


@pytest.fixture
def archive(moto_site: Site) -> Site:
    """Five legacy rows; two name one object in an archive, and one another."""
    moto_site.fill([COLD, COLD, ODD, DEEP, WARM])
    for path, storage_class in ((COLD, "GLACIER"), (ODD, "GLACIER"), (DEEP, "DEEP_ARCHIVE")):
        put(moto_site, path, storage_class)
    store = moto_site.store
    store.client.restore_object(Bucket=store.legacy_bucket, Key=DEEP, RestoreRequest={"Days": 1})
    return moto_site


@pytest.fixture
def through(archive: Site) -> Iterator[tuple[Site, S3FaultProxy]]:
    """The same by way of a proxy."""
    with S3FaultProxy(archive.store.endpoint_url) as s3:
        yield archive.at(store=archive.store.via(s3.endpoint_url)), s3


def test_a_plan_counts_them_apart_and_lists_each_once(archive: Site) -> None:
    before = archive.facts()
    planned = archive.run("plan --json")
    assert planned.code == 1, planned
    found = document(planned)
    (listed,) = found["archived"].pop("lists")
    assert found["archived"] == {"objects": 2, "rows": 3}
    assert (listed["objects"], listed["tiers"], found["objects_to_copy"]) == (2, False, 2)
    bucket = archive.store.legacy_bucket
    assert lists_of(archive) == {"archived.csv": f"{bucket},image/a%20b%2C%2B%C3%A9.png\n{bucket},image/cold.png\n"}
    stored = archive.store.client.put_object(
        Bucket=archive.store.production_bucket, Key="list", Body=(archive.folder / listed["file"]).read_bytes()
    )
    archive.store.delete_all(archive.store.production_bucket, ["list"])
    assert stored["ETag"].strip('"') == listed["etag"], "the job wants the ETag, and gets it without a look"

    said = archive.run("plan").out
    assert "\n  archived                 2  objects of 3 rows, to be restored first\n" in said
    assert f"Archived    runs/{archive.last_run().name}/archived.csv: 2 objects to be restored\n" in said
    assert "This tool restores none" in said
    assert archive.facts() == before


def test_nothing_archived_is_nothing_listed(moto_site: Site) -> None:
    moto_site.fill([WARM])
    planned = moto_site.run("plan --json")
    assert (planned.code, document(planned)["archived"]) == (0, {"objects": 0, "rows": 0, "lists": []})
    assert lists_of(moto_site) == {}
    assert "rchived" not in moto_site.run("plan").out


def test_what_a_head_tells_of_a_restore_spares_the_trial(through: tuple[Site, S3FaultProxy]) -> None:
    site, s3 = through
    s3.on(seen_as(COLD, **UNDER_WAY, **{"x-amz-storage-class": "GLACIER"}), operation="head", key=COLD)
    planned = document(site.run("plan --json"))
    assert planned["archived"]["objects"] == 2
    read = {request.key for request in s3.requests if request.operation == "get" and request.key in {COLD, DEEP, ODD}}
    assert read == {ODD}, "of this alone nothing was told"
    details = {each["path"]: each["detail"] for each in finding(planned, "archived")["examples"]}
    assert details[COLD] == (
        f"archived (GLACIER), and not restored: a restore of s3://{site.store.legacy_bucket}/{COLD} is under way"
    )
    assert lists_of(site)["archived.csv"].endswith(".png\n")
    assert "cold" not in lists_of(site)["archived.csv"], "it is being restored"


def test_a_run_says_that_a_restore_is_under_way(through: tuple[Site, S3FaultProxy]) -> None:
    site, s3 = through
    s3.on(seen_as(COLD, **UNDER_WAY, **{"x-amz-storage-class": "GLACIER"}), operation="head", key=COLD)
    done = document(site.run("-y --json"))
    assert (done["archived"], done["outcomes"]["migrated"]) == (3, 2)
    by_hint = {group["hint"]: group["references"] for group in done["problem_groups"]}
    assert by_hint["Wait until it has ended, then run the command again."] == 2
    assert len(by_hint) == 2


def test_a_class_of_that_name_may_be_a_disk(through: tuple[Site, S3FaultProxy]) -> None:
    """A HEAD says GLACIER, and nothing of a restore: only the trial tells that the object can be read."""
    site, s3 = through
    s3.on(seen_as(WARM, **{"x-amz-storage-class": "GLACIER"}), operation="head", key=WARM)
    put(site, WARM, "GLACIER")
    assert document(site.run("plan --json"))["archived"]["objects"] == 3
    s3.on(
        s3_faults.Answer("disk", 206, b"c", {"Content-Range": "bytes 0-0/4", "ETag": '"0"'}), operation="get", key=WARM
    )
    assert document(site.run("plan --json"))["archived"]["objects"] == 2


def test_archive_tiers_have_a_list_of_their_own(through: tuple[Site, S3FaultProxy]) -> None:
    """No store here has tiers: the proxy says what AWS says of an object in one, to a HEAD and to a read."""
    site, s3 = through
    put(site, WARM, "INTELLIGENT_TIERING")
    assert document(site.run("plan --json"))["archived"]["objects"] == 2, "of that class, and in no archive tier"
    tier = {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"}
    s3.on(seen_as(WARM, **tier), operation="head", key=WARM)
    s3.on(s3_faults.status(403, "InvalidObjectState"), operation="get", key=WARM)
    planned = document(site.run("plan --json"))
    assert planned["archived"]["objects"] == 3
    assert [(each["objects"], each["tiers"]) for each in planned["archived"]["lists"]] == [(2, False), (1, True)]
    assert lists_of(site)["archived-tiers.csv"] == f"{site.store.legacy_bucket},{WARM}\n"
    assert "warm" not in lists_of(site)["archived.csv"]


def finding(plan: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [each for each in plan["findings"] if each["kind"] == kind]
    return dict(found)
