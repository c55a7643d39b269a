"""What objects have besides their bytes, kept by settings, as a person sees it: question, run, plan, grants."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import body_of, problems
from tests.tool import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site

PATHS = [f"image/{number}.png" for number in range(4)]
PUBLIC, COOL, TAGGED, PLAIN = PATHS
KEEP_ALL = "--keep-acl yes --keep-storage-class keep --keep-mtime yes"


@pytest.fixture
def varied(moto_site: Site) -> Site:
    """A site with a public object, one in another class, one with a tag, and one with nothing."""
    moto_site.fill(PATHS)
    for path, extra in (
        (PUBLIC, {"ACL": "public-read"}),
        (COOL, {"StorageClass": "STANDARD_IA"}),
        (TAGGED, {"Tagging": "a=1"}),
    ):
        moto_site.store.client.put_object(Bucket=moto_site.store.legacy_bucket, Key=path, Body=body_of(path), **extra)
    return moto_site


def seen(site: Site, path: str) -> dict[str, Any]:
    """Return what a production object has."""
    client, place = (
        site.store.client,
        {"Bucket": site.store.production_bucket, "Key": path.replace("image/", "avatar/")},
    )
    head = client.head_object(**place)
    return {
        "class": head.get("StorageClass"),
        "mtime": head["Metadata"].get("mtime"),
        "tags": client.get_object_tagging(**place)["TagSet"],
        "is_public": any(
            "AllUsers" in each["Grantee"].get("URI", "") for each in client.get_object_acl(**place)["Grants"]
        ),
    }


@pytest.mark.parametrize("strategy", ["check-first", "conditional-put"])
def test_settings_keep_what_a_copy_drops_and_a_second_run_takes_it_for_the_same(varied: Site, strategy: str) -> None:
    done = varied.run(f"-y --no-clobber {strategy} {KEEP_ALL}")
    assert done.code == 0, done
    assert "Not kept" not in done.err + done.out
    assert [seen(varied, path)["is_public"] for path in PATHS] == [True, False, False, False]
    assert [seen(varied, path)["class"] for path in PATHS] == [None, "STANDARD_IA", None, None]
    assert [bool(seen(varied, path)["tags"]) for path in PATHS] == [False, False, True, False]
    assert all(seen(varied, path)["mtime"].isdecimal() for path in PATHS)
    varied.database.execute("UPDATE avatars SET path = replace(path, 'avatar/', 'image/')")
    again = varied.run(f"-y {KEEP_ALL} --json")
    assert again.code == 0, again
    assert json.loads(again.out)["objects_copied"] == 0


def test_what_is_lost_is_said_with_the_setting_that_keeps_it_and_again_in_the_summary(varied: Site) -> None:
    done = varied.run("-y --keep-tags no")
    assert done.code == 0, done
    lost = (
        "tags               1 of 4  set (KEEP_TAGS = if-allowed keeps them)",
        "ACL                1 of 4  READ for everyone (KEEP_ACL = yes keeps it)",
        "storage class      1 of 4  STANDARD_IA (KEEP_STORAGE_CLASS = keep keeps it)",
    )
    for each in lost:
        assert each in done.err, "before"
        assert each in done.out, "and after"
    assert seen(varied, TAGGED)["tags"] == []
    varied.database.execute("UPDATE avatars SET path = replace(path, 'avatar/', 'image/')")
    again = varied.run("-y --keep-tags no --json")
    assert (again.code, json.loads(again.out)["objects_copied"]) == (0, 0), again
    keeping = json.loads(again.out)["keeping"]
    assert {each["kind"]: each["objects"] for each in keeping["not_kept"]} == {"tags": 1, "ACL": 1, "storage class": 1}
    assert keeping["sampled_objects"] == 4


def test_an_object_in_place_without_what_is_to_be_kept_is_a_conflict(varied: Site) -> None:
    assert varied.run("-y").code == 0
    varied.database.execute("UPDATE avatars SET path = replace(path, 'avatar/', 'image/')")
    done = varied.run("-y --keep-acl yes --keep-storage-class keep")
    assert done.code == 1, done
    said = "production holds the same bytes, other"
    assert problems(varied, done) == {
        PUBLIC: ("conflict", f"{said} ACL: READ for everyone in legacy, none in production"),
        COOL: ("conflict", f"{said} storage class: STANDARD_IA in legacy, STANDARD in production"),
    }
    assert varied.run("-yw --keep-acl yes --keep-storage-class keep").code == 0
    assert seen(varied, PUBLIC)["is_public"]
    assert seen(varied, COOL)["class"] == "STANDARD_IA"


def test_other_tags_of_the_same_number_are_a_conflict_where_tags_are_required(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill([PLAIN])
    for bucket, key, tags in ((store.legacy_bucket, PLAIN, "a=1"), (store.production_bucket, "avatar/3.png", "a=2")):
        store.client.put_object(Bucket=bucket, Key=key, Body=body_of(PLAIN), Tagging=tags)
    done = site.run("-y --keep-tags required")
    said = "production holds the same bytes, other tags: a=1 in legacy, a=2 in production"
    assert problems(site, done) == {PLAIN: ("conflict", said)}


def test_the_class_of_an_archive_is_kept_by_no_setting(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill([PLAIN])
    place = {"Bucket": store.legacy_bucket, "Key": PLAIN}
    store.client.put_object(**place, Body=body_of(PLAIN), StorageClass="GLACIER")
    store.client.restore_object(**place, RestoreRequest={"Days": 1})
    said = site.run("plan --keep-storage-class keep").out
    assert "archive class      1 of 1  GLACIER (no setting archives a copy)" in said
    assert "  storage class" not in said


def test_plan_looks_at_a_sample_or_at_all(moto_site: Site) -> None:
    site, many = moto_site, [f"image/{number:03}.png" for number in range(103)]
    site.fill(many)
    site.store.client.put_object_acl(Bucket=site.store.legacy_bucket, Key=many[50], ACL="public-read")
    some = json.loads(site.run("plan --json").out)["keeping"]
    full = json.loads(site.run("plan --json --full").out)["keeping"]
    assert (some["sampled_objects"], full["sampled_objects"]) == (100, 103)
    assert [(each["kind"], each["objects"]) for each in full["not_kept"]] == [("ACL", 1)]


@pytest.mark.parametrize(
    ("flags", "headers", "named"),
    [
        ("--keep-acl yes", "x-amz-acl: private", "--keep-acl"),
        ("--keep-acl yes", "x-amz-grant-read: id=1", "--keep-acl"),
        ("--keep-storage-class keep", "x-amz-storage-class: STANDARD_IA", "--keep-storage-class"),
        ("--keep-tags perhaps", "", "--keep-tags"),
    ],
)
def test_two_answers_to_one_question_are_refused(tmp_path: Path, flags: str, headers: str, named: str) -> None:
    done = run(*flags.split(), "-y", environ={"SKETCH_NEW_OBJECT_HEADERS": headers}, cwd=tmp_path)
    assert done.code == 2, done
    assert named in done.err
    assert "Traceback" not in done.err


def test_grants_have_the_rights_for_what_is_kept(tmp_path: Path) -> None:
    def rights(**settings: str) -> dict[str, set[str]]:
        environ = {f"SKETCH_{name}": value for name, value in settings.items()}
        document = json.loads(run("grants", "migrate", "--json", environ=environ, cwd=tmp_path).out)
        found: dict[str, set[str]] = {}
        for each in document["commands"]["migrate"]["policy"]["Statement"]:
            found.setdefault(each["Resource"][0].partition(":::")[2], set()).update(each["Action"])
        return found

    def needed_by(command: str) -> set[str]:
        printed = run("grants", command, "--json", environ={"SKETCH_KEEP_ACL": "yes"}, cwd=tmp_path)
        statements = json.loads(printed.out)["commands"][command]["policy"]["Statement"]
        return {f"{action} {each['Resource'][0]}" for each in statements for action in each["Action"]}

    compared = {
        f"s3:GetObjectAcl arn:aws:s3:::sketch-{place}/*" for place in ("legacy-s3/image", "production-s3/avatar")
    }
    assert compared <= needed_by("verify")
    assert not any("Acl" in action for action in needed_by("rollback"))
    usual, with_acl, without_tags = rights(), rights(KEEP_ACL="yes"), rights(KEEP_TAGS="no")
    legacy, production = "sketch-legacy-s3/image/*", "sketch-production-s3/avatar/*"
    assert with_acl[legacy] - usual[legacy] == {"s3:GetObjectAcl"}
    assert with_acl[production] - usual[production] == {"s3:GetObjectAcl", "s3:PutObjectAcl"}
    assert with_acl["sketch-production-s3"] - usual["sketch-production-s3"] == {"s3:GetBucketAcl"}
    assert usual[legacy] - without_tags[legacy] == {"s3:GetObjectTagging"}
    assert usual[production] - without_tags[production] == {"s3:GetObjectTagging", "s3:PutObjectTagging"}
