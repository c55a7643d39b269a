"""``handoff``: its lists name exactly what a run would copy; once that is copied, a run flips and copies nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import boto3
import botocore.session
import pytest
from botocore.validate import validate_parameters

from tests.e2e.site import Site, check_refused, counts
from tests.inventories import CSV, inventory_of
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers.databases import Database
    from tests.servers.stores import Store

PAGE = (Path(__file__).parents[2] / "docs" / "batch-operations.md").read_text(encoding="utf-8")
ODD = ("a b", "a+b", "100%", "a%20b", "q?x&y=z", 'quo"te', "comma,semi;", "Grüße/日本 語", "*~'()")


def listed(site: Site, files: Iterable[str]) -> list[tuple[str, str]]:
    """Read lists as S3 Batch Operations does: bucket and URL-encoded key, no header."""
    lines = [line for file in files for line in (site.folder / file).read_bytes().decode("ascii").splitlines()]
    pairs = [line.split(",") for line in lines]
    assert all(len(pair) == 2 for pair in pairs)
    return [(bucket, unquote(key)) for bucket, key in pairs]


def handed_over(site: Site) -> dict[str, Any]:
    done = site.run("handoff --json")
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_list_is_what_a_run_would_copy_and_a_run_copies_nothing_after_the_job(any_site: Site) -> None:
    site, store = any_site, any_site.store
    names = [f"image/{name}.png" for name in ODD]
    others = ["image/gone.png", "image/there.png", "image/taken.png", "avatar/done.png", None, "x/y"]
    site.fill([*names, names[0], *others], without_object=["image/gone.png"])
    bodies = site.legacy_bodies()
    store.put_all(
        store.production_bucket, {"avatar/there.png": bodies["image/there.png"], "avatar/taken.png": b"another"}
    )
    before = site.facts()
    found = handed_over(site)
    assert site.facts() == before
    assert found["references"] == {
        "to_copy": len(ODD) + 1,
        "in_production": 2,
        "archived": 0,
        "too_large": 0,
        "missing": 1,
        "unmovable": 0,
        "changed": 0,
    }
    (job,) = found["jobs"]
    assert (job["operation"], job["target_key_prefix"]) == ("LambdaInvoke", "")
    assert (found["objects"], found["size_bytes"]) == (len(ODD), sum(len(bodies[name]) for name in names))
    pairs = listed(site, job["files"])
    assert sorted(pairs) == sorted((store.legacy_bucket, name) for name in names), "each once"
    for bucket, key in pairs:  # the job
        assert bucket == store.legacy_bucket
        store.client.copy_object(
            Bucket=job["production_bucket"],
            Key=job["production_prefix"] + key.removeprefix(job["legacy_prefix"]),
            CopySource={"Bucket": bucket, "Key": key},
        )
    done = site.run("-y")
    assert done.counts == counts(migrated=len(ODD) + 2, missing=1, conflict=1, copied=0), done
    again = site.run("handoff")
    assert again.code == 0
    assert again.out.startswith("No legacy object is to be copied: there is no list.\n")


def test_the_text_names_the_lists_and_what_is_left_out(site: Site) -> None:
    site.fill(["image/1.png", "image/gone.png", "image/there.png"], without_object=["image/gone.png"])
    site.store.put_all(site.store.production_bucket, {"avatar/there.png": b"there"})
    done = site.run("handoff")
    assert done.code == 0, done
    assert done.out.startswith("1 legacy object is to be copied, ")
    assert f"  list      runs/{site.last_run().name}/handoff-1.csv\n" in done.out
    assert "          1  have no legacy object\n" in done.out
    assert (site.last_run() / "handoff-1.csv").stat().st_mode & 0o777 == 0o600
    site.store.delete_all(site.store.legacy_bucket, ["image/1.png", "image/there.png"])
    site.database.execute("UPDATE avatars SET path = 'elsewhere/' || id")
    site.store.put_all(site.store.legacy_bucket, {"image/1.png": b"1"})
    check_refused(site.run("handoff"), 1, "nothing recognised")


def test_archived_objects_are_counted_and_in_no_list(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(["image/warm.png", "image/cold.png", "image/cold.png"])
    store.client.put_object(Bucket=store.legacy_bucket, Key="image/cold.png", Body=b"c", StorageClass="GLACIER")
    found = handed_over(site)
    assert (found["archived_objects"], found["references"]["archived"]) == (1, 2)
    assert [key for _, key in listed(site, found["jobs"][0]["files"])] == ["image/warm.png"]


def test_legacy_is_read_from_its_inventory_and_production_is_listed(site: Site, tmp_path: Path) -> None:
    """By an inventory of production the job would be given what is there by now, and it replaces what it finds."""
    site.fill(["image/1.png", "image/2.png"])
    store = site.store
    legacy, production = (
        inventory_of(store, bucket, CSV).write(tmp_path) for bucket in (store.legacy_bucket, store.production_bucket)
    )
    store.put_all(store.production_bucket, {"avatar/1.png": b"of the application"})
    store.put_all(store.legacy_bucket, {"image/late.png": b"late"})
    site.database.execute("INSERT INTO avatars VALUES (11, 'image/late.png')")
    read = site.with_environ(SKETCH_INVENTORY_LEGACY=str(legacy), SKETCH_INVENTORY_PRODUCTION=str(production))
    with S3FaultProxy(store.endpoint_url) as s3:
        found = handed_over(read.at(store=store.via(s3.endpoint_url)))
        assert any(store.production_bucket in each.target and "list-type=2" in each.target for each in s3.requests)
    assert sorted(key for _, key in listed(site, found["jobs"][0]["files"])) == ["image/2.png", "image/late.png"]
    assert found["references"]["in_production"] == 1
    assert found["inventories"]["production"] is None
    assert found["inventories"]["legacy"] is not None


@pytest.mark.parametrize(
    ("production_prefix", "operation", "folder"),
    [("archive/image/", "S3PutObjectCopy", "archive"), ("avatar/", "LambdaInvoke", "")],
)
def test_a_folder_before_the_key_is_for_the_copy_of_s3(
    site: Site, production_prefix: str, operation: str, folder: str
) -> None:
    site.fill(["image/1.png"])
    found = handed_over(site.with_environ(SKETCH_PRODUCTION_PREFIX=production_prefix))
    (job,) = found["jobs"]
    assert (job["operation"], job["target_key_prefix"]) == (operation, folder)


def test_no_job_is_made_between_two_stores(site: Site) -> None:
    done = site.run("handoff --legacy-s3-endpoint-url http://127.0.0.1:1")
    check_refused(done, 3, "within one store", "legacy is at http://127.0.0.1:1")


def test_the_function_of_the_page_copies_what_is_listed_and_replaces_nothing(
    database: Database, seaweed_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On SeaweedFS, which honours the condition. Each task has the key as the list has it."""
    site, store = Site(database, seaweed_store, tmp_path), seaweed_store
    names = [f"image/{name}.png" for name in ODD]
    site.fill([*names, "image/taken.png"])
    (job,) = handed_over(site)["jobs"]
    store.put_all(store.production_bucket, {"avatar/taken.png": b"of the application"})
    monkeypatch.setattr(boto3, "client", lambda _: store.client)
    for name, value in (
        ("LEGACY_PREFIX", job["legacy_prefix"]),
        ("PRODUCTION_PREFIX", job["production_prefix"]),
        ("PRODUCTION_BUCKET", job["production_bucket"]),
    ):
        monkeypatch.setenv(name, value)
    function = ModuleType("function")
    (text,) = re.findall(r"```python\n(import os\n.*?)```", PAGE, re.DOTALL)
    exec(text, function.__dict__)  # noqa: S102 - it is of our own page
    lines = [line for file in job["files"] for line in (site.folder / file).read_text().splitlines()]
    tasks = [
        {"taskId": str(number), "s3Key": line.partition(",")[2], "s3BucketArn": f"arn:aws:s3:::{store.legacy_bucket}"}
        for number, line in enumerate([*lines, f",{quote('image/gone.png')}"])
    ]
    answer = function.handler({"invocationSchemaVersion": "1.0", "invocationId": "i", "tasks": tasks}, None)
    said = [each["resultString"] for each in answer["results"]]
    assert sorted(said) == sorted(["copied"] * len(ODD) + ["PreconditionFailed", "NoSuchKey"])
    assert [each["taskId"] for each in answer["results"]] == [task["taskId"] for task in tasks]
    assert answer["results"][-1]["resultCode"] == "PermanentFailure"
    assert site.production_bodies()["avatar/taken.png"] == b"of the application"
    assert site.run("-y").counts == counts(migrated=len(ODD), conflict=1, copied=0)


def test_the_job_of_the_page_is_one_that_s3_control_takes() -> None:
    """By the API's own model: no server here has jobs."""
    command = next(each for each in re.findall(r"aws s3control create-job.*?```", PAGE, re.DOTALL) if "handoff" in each)
    told = {
        name: json.loads(value.replace("'\"$etag\"'", "e"))
        for name, value in re.findall(r"--(operation|manifest|report) '(.*?)'(?= \\\n|\n)", command, re.DOTALL)
    }
    given = {
        "AccountId": "111122223333",
        "ClientRequestToken": "t",
        "Priority": 10,
        "RoleArn": "arn:aws:iam::111122223333:role/batch",
        **{name.capitalize(): value for name, value in told.items()},
    }
    model = botocore.session.get_session().get_service_model("s3control").operation_model("CreateJob").input_shape
    validate_parameters(given, model)
    function = json.loads(re.findall(r"`(\{\"LambdaInvoke\".*?\}\})`", PAGE)[0])
    validate_parameters(given | {"Operation": function}, model)


def test_what_no_job_knows_of_new_objects_is_named(moto_site: Site) -> None:
    moto_site.fill(["image/a.png"])
    told = moto_site.run("handoff --keep-acl yes --keep-mtime yes")
    assert "What KEEP_ACL, KEEP_MTIME say of new objects no job knows:" in told.out
    assert handed_over(moto_site)["not_set"] == []
