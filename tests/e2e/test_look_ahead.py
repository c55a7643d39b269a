"""Plan, the dry run and the question say what a migration will meet in the store: before anything is stored."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Site
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store
    from tests.tool import Finished

ARCHIVED = ("image/deep.png", "image/cold.png")
PATHS = (*ARCHIVED, *(f"image/avatar-{number}.png" for number in range(6)))


def document(result: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def finding(plan: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [each for each in plan["findings"] if each["kind"] == kind]
    return dict(found)


@pytest.fixture
def archive(moto_site: Site) -> Site:
    """Eight legacy rows, of which two have their object in an archive."""
    moto_site.fill(PATHS)
    for path, storage_class in zip(ARCHIVED, ("DEEP_ARCHIVE", "GLACIER"), strict=True):
        store = moto_site.store
        store.client.put_object(Bucket=store.legacy_bucket, Key=path, Body=b"cold", StorageClass=storage_class)
    return moto_site


def test_archived_objects_are_findings_of_plan_and_fail_in_the_dry_run_as_in_the_run(archive: Site) -> None:
    planned = archive.run("plan --json")
    assert planned.code == 1, planned
    assert finding(document(planned), "archived")["count"] == 2
    assert document(planned)["objects_to_copy"] == 6
    assert (document(planned)["archived"]["objects"], document(planned)["archived"]["rows"]) == (2, 2)
    before = archive.facts()
    tried = archive.run("-d --json")
    assert archive.facts() == before
    ran = archive.run("-y --json")
    for done in (tried, ran):
        outcomes = {word: count for word, count in document(done)["outcomes"].items() if count}
        assert (done.code, outcomes) == (1, {"migrated": 6, "failed": 2}), done
        reasons = {each["path"]: each["reason"] for each in document(done)["problems"]}
        assert reasons.keys() == set(ARCHIVED)
        assert all("InvalidObjectState" in reason for reason in reasons.values()), reasons
        (group,) = document(done)["problem_groups"]
        assert (group["references"], group["kind"], group["code"]) == (2, "archived", "InvalidObjectState")
        assert document(done)["archived"] == 2
        assert "Restore it" in group["hint"]
        assert document(done)["problems"][0]["reason"].startswith(
            "archived (DEEP_ARCHIVE), and not restored: GetObject "
        )
    said = archive.run("-y").out
    assert "  failed (2): archived (InvalidObjectState). The object is archived." in said
    assert "\n  archived    2  of the failed: their objects have to be restored first\n" in said


def test_an_archive_tier_that_listings_do_not_show_is_called_archived_as_well(moto_site: Site) -> None:
    """The dry run looks at the object anyway, and names the tier; a run looks where it is refused."""
    site, path = moto_site, "image/tiered.png"
    site.fill([path, "image/warm.png"])
    seen = {"Content-Length": "4", "ETag": '"0"', "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"}
    tier = {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "DEEP_ARCHIVE_ACCESS"}
    with S3FaultProxy(site.store.endpoint_url) as proxy:
        proxy.on(s3_faults.Answer("tiered", 200, b"", {**seen, **tier}), operation="head", key=path)
        refusal = s3_faults.status(403, "InvalidObjectState")
        proxy.on(refusal, operation="get", key=path)
        proxy.on(refusal, operation="copy", key="avatar/tiered.png")
        for flags, words in (
            ("-d", "archived (INTELLIGENT_TIERING DEEP_ARCHIVE_ACCESS), and not restored: GetObject "),
            (
                "-y --no-clobber check-first",
                "archived (INTELLIGENT_TIERING DEEP_ARCHIVE_ACCESS), and not restored: CopyObject ",
            ),
        ):
            done = site.at(store=site.store.via(proxy.endpoint_url)).run(f"{flags} --json")
            assert (done.code, document(done)["outcomes"]["failed"]) == (1, 1), done
            (problem,) = document(done)["problems"]
            assert problem["reason"].startswith(words), problem


def test_what_was_restored_is_no_finding(archive: Site) -> None:
    for path in ARCHIVED:
        archive.store.client.restore_object(Bucket=archive.store.legacy_bucket, Key=path, RestoreRequest={"Days": 1})
    planned = archive.run("plan --json")
    assert planned.code == 0, planned
    assert document(planned)["objects_to_copy"] == 8
    assert archive.run("-d").counts["failed"] == 0
    assert archive.run("-y").counts["migrated"] == 8


def test_a_throttled_run_is_not_taken_for_what_the_store_bears(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(60)])
    assert site.run("-yl 50 -b 5 --no-clobber check-first --max-requests-per-second 60").code == 1
    past = site.last_run().name
    estimate = document(site.run("plan --json"))["estimate"]
    assert f"measured by run {past}, which was " in estimate["rate_from"]
    assert "MAX_REQUESTS_PER_SECOND=60" in estimate["rate_from"]
    assert estimate["free_bytes"] > estimate["ledger_bytes"] > 0
    bounded = document(site.run("plan --json --max-requests-per-second 30"))["estimate"]
    assert bounded["rows_per_second"] == 15


def test_plan_and_the_question_say_what_the_copies_do_not_keep(moto_site: Site) -> None:
    moto_site.fill(["image/plain.png", "image/public.png"])
    store = moto_site.store
    store.client.put_object_acl(Bucket=store.legacy_bucket, Key="image/public.png", ACL="public-read")
    said = moto_site.run("plan").out
    assert "ACL" in said
    assert "1 of 2  READ for everyone" in said
    for flags in ("--no-clobber check-first", "repair"):
        terminal = moto_site.on_a_terminal(flags)
        terminal.expect_exact("Not kept by the copies, by a sample of 2 legacy objects")
        terminal.expect_exact("1 of 2  READ for everyone")
        terminal.expect_exact("Go on?")
        terminal.sendline("n")
        terminal.wait()
        assert terminal.exitstatus == 1
    assert moto_site.facts().production == {}
    done = moto_site.run("-y")  # which asks nobody
    assert done.code == 0, done
    assert done.err.count("Note: Not kept by the copies, by a sample of 2 legacy objects") == 1
    assert "1 of 2  READ for everyone" in done.err


@pytest.mark.parametrize("server", ["moto", "seaweed"])
def test_a_bucket_that_locks_each_new_object_is_named_by_plan_and_nothing_is_tried_there(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, server: str
) -> None:
    store: Store = request.getfixturevalue(f"{server}_store")
    site = Site(database, store, tmp_path)
    site.fill(["image/one.png"])
    client, locked = store.client, f"{store.production_bucket}-locked"
    client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    client.put_object_lock_configuration(
        Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    site = site.with_environ(SKETCH_PRODUCTION_BUCKET=locked)
    planned = site.run("plan --json")
    assert planned.code == 1, planned
    assert "GOVERNANCE, 3 Days" in finding(document(planned), "object lock")["what_to_do"]
    for flags in ("", "repair") if server == "moto" else ("",):
        terminal = site.on_a_terminal(flags)
        terminal.expect_exact("check-first")
        terminal.expect_exact("not tried, as the bucket locks each new object (GOVERNANCE, 3 Days)")
        terminal.expect_exact("Go on?")
        assert "objects of up to 20 bytes" not in (terminal.before or "")
        terminal.sendline("n")
        terminal.wait()
    done = site.run("-y")
    assert (done.code, done.counts["migrated"]) == (0, 1), done
    assert "Trying the store's conditions" not in done.err
    assert "not tried, as the bucket locks each new object (GOVERNANCE, 3 Days)" in done.err
    probed = site.run("probe")
    assert "No object was stored for this" in probed.out, probed
    assert "removed again" not in probed.out.replace("could not be removed again", "")
    stored = client.list_object_versions(Bucket=locked)["Versions"]
    assert [each["Key"] for each in stored] == ["avatar/one.png"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no small disk can be mounted")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("analysed", ["full", "small", "never"])
def test_a_ledger_that_has_no_room_is_told_before_anything_is_written(
    site: Site, small_disk: Path, analysed: str
) -> None:
    site.fill([f"image/avatar-{number}.png" for number in range(3)])
    if analysed == "never":
        site.database.execute("CREATE TABLE another (LIKE avatars INCLUDING ALL)")
        site.database.execute("INSERT INTO another SELECT * FROM avatars")
        site.database.execute("DROP TABLE avatars")
        site.database.execute("ALTER TABLE another RENAME TO avatars")
    site.database.execute("ALTER TABLE avatars SET (autovacuum_enabled = off)")
    site.database.execute(
        "INSERT INTO avatars SELECT n, 'image/avatar-' || n || '.png' FROM generate_series(10, 40000) AS n"
    )
    if analysed == "full":
        site.database.execute("ANALYZE avatars")
    (estimate,) = site.database.execute("SELECT reltuples::int FROM pg_class WHERE relname = 'avatars'")[0]
    assert estimate == {"full": 39_994, "small": 3, "never": -1}[analysed]
    with S3FaultProxy(site.store.endpoint_url) as s3:
        watched = site.at(store=site.store.via(s3.endpoint_url)).with_environ(SKETCH_RUN_DIR=str(small_disk))
        done = watched.run("-y")
        assert {request.method for request in s3.requests} <= {"GET", "HEAD"}
    assert done.code == 4, done
    assert "free" in done.err
    assert "Point RUN_DIR to a disk with more room" in done.err
    few = watched.at(store=site.store).run("-y --json -l 3")
    assert (few.code, document(few)["outcomes"]["migrated"]) == (1, 3), few
    # statistics that are older than what was migrated since refuse nothing that fits
    site.database.execute("UPDATE avatars SET path = 'avatar/' || id WHERE id > 20")
    assert "would not fit" not in watched.at(store=site.store).run("-y").err
