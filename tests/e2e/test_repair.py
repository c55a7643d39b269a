"""``repair`` mends what is stale and what was left, and nothing that is not ours; ``manifest`` names what is safe."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb
import pytest

from tests.e2e.site import Site, body_of, check_refused
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.tool import finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database, Databases
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store
    from tests.tool import Finished

PATHS = [f"image/avatar-{number:02}.png" for number in range(12)]
WRITING = {"PUT", "POST", "DELETE"}


def at_production(path: str) -> str:
    return "avatar/" + path.removeprefix("image/")


def document(result: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def standings(found: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in found["rows"].items() if count}


def migrate(site: Site, rows: int = len(PATHS)) -> None:
    done = site.run("-y -b 5 -p 2")
    assert (done.code, done.counts["migrated"]) == (0, rows), done


@pytest.fixture
def migrated_site(any_site: Site) -> Site:
    """Twelve avatars that the tool migrated."""
    any_site.fill(PATHS)
    migrate(any_site)
    return any_site


def test_it_mends_what_is_stale_and_migrates_what_was_left(migrated_site: Site) -> None:
    site, store = migrated_site, migrated_site.store
    stale, rewritten, left = PATHS[0], PATHS[1], "image/left.png"
    changed = b"changed in legacy after it was copied"
    headers = {"ContentType": "image/x-changed", "Metadata": {"colour": "blue"}}
    store.client.put_object(Bucket=store.legacy_bucket, Key=stale, Body=changed, **headers)
    store.put_all(store.production_bucket, {at_production(rewritten): b"the application's own"})
    store.put_all(store.legacy_bucket, {left: b"left"})
    site.database.execute("INSERT INTO avatars VALUES (99, %s)", left)
    before = site.facts()

    result = site.run("repair --json -y")
    assert result.code == 0, result
    found = document(result)
    assert (found["kind"], found["passed"]) == ("repair", True)
    assert found["repaired"]["copied again"] == 1
    assert standings(found) == {"total": 13, "equal": 12, "rewritten": 1}

    after = site.facts()
    assert after.legacy == before.legacy
    assert after.rows == {**before.rows, 99: at_production(left)}
    assert {key for key in before.production if after.production[key] != before.production[key]} == {
        at_production(stale)
    }
    assert after.production.keys() - before.production.keys() == {at_production(left)}
    now = store.client.get_object(Bucket=store.production_bucket, Key=at_production(stale))
    assert now["Body"].read() == changed
    metadata = {name.lower(): value for name, value in now["Metadata"].items()}  # rclone capitalises, and adds some
    assert (now["ContentType"], metadata["colour"]) == ("image/x-changed", "blue")
    assert site.run("verify").code == 0

    # changed once more: the repair's own record says that what production holds is still ours
    store.put_all(store.legacy_bucket, {stale: b"changed a second time"})
    again = document(site.run("repair --json -y"))
    assert (again["passed"], again["repaired"]["copied again"]) == (True, 1)
    assert store.body(store.production_bucket, at_production(stale)) == b"changed a second time"


@pytest.mark.parametrize("store_name", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_what_the_application_stores_in_the_window_survives(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, store_name: str
) -> None:
    """The application replaces the object after our last look and before our write: the condition keeps it."""
    store: Store = request.getfixturevalue(f"{store_name}_store")
    site = Site(database, store, tmp_path)
    site.fill(PATHS)
    migrate(site)
    key = at_production(PATHS[0])
    store.put_all(store.legacy_bucket, {PATHS[0]: b"changed in legacy"})
    done: list[str] = []

    def store_in_the_window(request: S3Request) -> None:
        writes = request.method in WRITING and request.key == key
        if writes and not done:
            done.append(request.operation)
            store.put_all(store.production_bucket, {key: b"the application's own"})

    with S3FaultProxy(store.endpoint_url) as s3:
        s3.before_request = store_in_the_window
        result = site.at(store=store.via(s3.endpoint_url)).run("repair --json -y")
    assert done == ["put"], "the window was hit"
    assert "Copying again with PutObject with If-Match" in result.err
    assert document(result)["repaired"] == {
        "copied again": 0,
        "left: production holds another object by now": 1,
        "left: the legacy object is gone": 0,
        "left: the store refused": 0,
    }
    assert store.body(store.production_bucket, key) == b"the application's own"


def test_a_lost_reply_is_recognised_as_our_own_write(moto_site: Site) -> None:
    moto_site.fill(PATHS)
    migrate(moto_site)
    site, store = moto_site, moto_site.store
    key = at_production(PATHS[0])
    store.put_all(store.legacy_bucket, {PATHS[0]: b"changed in legacy"})
    with S3FaultProxy(store.endpoint_url) as s3:
        s3.on(s3_faults.reply_lost(), operation="put", key=f"^{key}$", times=1)
        result = site.at(store=store.via(s3.endpoint_url)).run("repair --json -y")
        assert s3.hits["reply_lost"] == 1
    assert result.code == 0, result
    assert document(result)["repaired"]["copied again"] == 1
    assert store.body(store.production_bucket, key) == b"changed in legacy"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_in_the_middle_and_run_again_it_ends_where_it_would_have(moto_site: Site, moment: str) -> None:
    """Killed at the third object, before the store did it or after: no record of that one was written."""
    moto_site.fill(PATHS)
    migrate(moto_site)
    site, store = moto_site, moto_site.store
    changed = {path: f"changed {path}".encode() for path in PATHS}
    store.put_all(store.legacy_bucket, changed)
    before = site.facts()
    seen: list[str] = []

    def kill(request: S3Request) -> None:
        if request.operation == "put" and not request.key.startswith("avatar/.sketch-migrate"):
            seen.append(request.key)
            if len(seen) == 3:
                running.kill()

    with S3FaultProxy(store.endpoint_url) as s3:
        if moment == "before":
            s3.before_request = kill
        else:
            s3.after_reply = kill
        running = site.at(store=store.via(s3.endpoint_url)).start("repair -y")
        assert finish(running).code == -9
    result = site.run("repair --json -y")
    assert result.code == 0, result
    assert standings(document(result)) == {"total": 12, "equal": 12}
    assert site.production_bodies() == {at_production(path): body for path, body in changed.items()}
    after = site.facts()
    assert (after.rows, after.versions, after.legacy) == (before.rows, before.versions, before.legacy)


def test_nothing_is_replaced_that_no_ledger_knows(site: Site) -> None:
    site.fill(PATHS)
    migrate(site)
    site.store.put_all(site.store.legacy_bucket, {PATHS[0]: b"changed in legacy"})
    before = site.facts()
    result = site.with_environ(SKETCH_RUN_DIR="elsewhere").run("repair --json -y")
    found = document(result)
    assert result.code == 1
    assert found["stale_not_ours"] + found["rows"]["different"] == 1, "times in seconds may not tell which it is"
    assert site.facts() == before


def test_a_lost_object_is_restored_where_our_ledger_has_the_row(migrated_site: Site) -> None:
    site, store = migrated_site, migrated_site.store
    lost, unknown = PATHS[:2], "avatar/theirs.png"
    site.database.execute(
        "INSERT INTO avatars VALUES (70, %s)", unknown
    )  # the application's, with a namesake in legacy
    store.put_all(store.legacy_bucket, {"image/theirs.png": b"another picture"})
    store.delete_all(store.production_bucket, [at_production(path) for path in lost])
    before = site.facts()

    result = site.run("repair --json -y")
    assert result.code == 1, result
    found = document(result)
    assert found["repaired"]["restored"] == 2
    assert found["dangling_not_ours"] == 1
    assert standings(found) == {"total": 13, "equal": 12, "dangling": 1}
    after = site.facts()
    assert (after.rows, after.versions, after.legacy) == (before.rows, before.versions, before.legacy)
    assert after.production.keys() - before.production.keys() == {at_production(path) for path in lost}
    assert all(after.production[key] == before.production[key] for key in before.production)
    assert site.production_bodies() == {at_production(path): body_of(path) for path in PATHS}


def test_what_the_application_stores_under_a_lost_key_survives(moto_site: Site) -> None:
    """It stores its object after the last look and before our write: the condition keeps it."""
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    migrate(site)
    key = at_production(PATHS[0])
    store.delete_all(store.production_bucket, [key])
    done: list[str] = []

    def store_in_the_window(request: S3Request) -> None:
        if request.method in WRITING and request.key == key and not done:
            done.append(request.operation)
            store.put_all(store.production_bucket, {key: b"the application's own"})

    with S3FaultProxy(store.endpoint_url) as s3:
        s3.before_request = store_in_the_window
        result = site.at(store=store.via(s3.endpoint_url)).run("repair --json -y")
    assert done, "the window was hit"
    repaired = document(result)["repaired"]
    assert (repaired["restored"], repaired["left: production holds another object by now"]) == (0, 1)
    assert store.body(store.production_bucket, key) == b"the application's own"


def test_one_object_that_the_store_refuses_to_write_ends_no_repair(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    migrate(site)
    store.delete_all(store.production_bucket, [at_production(PATHS[0]), at_production(PATHS[1])])
    store.put_all(store.legacy_bucket, {PATHS[2]: b"changed in legacy", PATHS[3]: b"changed as well"})
    with S3FaultProxy(store.endpoint_url) as s3:
        for path in (PATHS[0], PATHS[2]):
            s3.on(s3_faults.status(400, "InvalidArgument"), operation="put", key=f"^{at_production(path)}$")
        result = site.at(store=store.via(s3.endpoint_url)).run("repair --json -y")
        assert s3.hits["status_400"] == 2
    assert result.code == 1, result
    repaired = document(result)["repaired"]
    assert (repaired["restored"], repaired["copied again"], repaired["left: the store refused"]) == (1, 1, 2)
    assert "InvalidArgument" in result.err


def test_it_asks_first(site: Site) -> None:
    site.fill(PATHS)
    before = site.facts()
    refused = site.run("repair")
    assert refused.code == 2
    assert "nobody can answer" in refused.err
    assert site.facts() == before


def manifest_keys(folder: Path) -> list[str]:
    with (folder / "manifest.csv").open(newline="") as file:
        return [unquote(key) for _, key in csv.reader(file)]


def test_the_manifest_has_only_what_was_proved(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    odd = "image/a b+%41 é.png"
    site.fill([*PATHS, odd, "image/shared.png", "image/shared.png"])
    assert site.run("-y").code == 0
    store.put_all(store.legacy_bucket, {"image/orphan.png": b"no row names it", PATHS[0]: b"changed"})
    store.put_all(store.production_bucket, {at_production(PATHS[1]): b"the application's own"})
    store.client.delete_object(Bucket=store.production_bucket, Key=at_production(PATHS[2]))
    put_in_one_part(store, PATHS[3])
    # one of the two rows that share an object is legacy again
    site.database.execute("UPDATE avatars SET path = 'image/shared.png' WHERE id = %s", len(PATHS) + 3)
    assert site.run("verify").code == 1
    verify_run = site.last_run()

    before = site.facts()
    result = site.run("manifest --json")
    assert result.code == 0, result
    expected = sorted([*PATHS[4:], odd])
    made = document(result)
    assert (made["objects"], made["verify_run"]) == (len(expected), str(verify_run.relative_to(site.folder)))
    folder = site.last_run()
    assert sorted(manifest_keys(folder)) == expected
    first = (folder / "manifest.csv").read_text().splitlines()[0]
    assert first == f"{store.legacy_bucket},image/a%20b%2B%2541%20%C3%A9.png"
    table = duckdb.read_parquet(str(folder / "manifest.parquet"))
    assert table.columns == ["bucket", "key", "size_bytes", "etag"]
    assert sorted(key for _, key, *_ in table.fetchall()) == expected
    assert site.facts() == before


def test_a_manifest_rests_on_evidence_as_it_was(site: Site) -> None:
    site.fill(PATHS)
    assert site.run("manifest").code == 2, "there was no verify yet"
    assert site.run("verify").code == 1
    verify_run = site.last_run()
    with duckdb.connect(verify_run / "evidence.duckdb") as evidence:
        evidence.execute("UPDATE verdict SET standing = 'equal', proof = 'ETag'")
    refused = site.run("manifest", str(verify_run))
    assert refused.code == 2
    assert "is not the evidence that its certificate names" in refused.err


def test_what_rows_or_runs_undid_since_the_verify_is_in_no_manifest(site: Site) -> None:
    site.fill([*PATHS, "image/later.png"])
    migrate(site, 13)
    site.database.execute("UPDATE avatars SET path = 'image/later.png' WHERE id = 13")
    assert site.run("verify").code == 1
    site.database.execute("UPDATE avatars SET path = 'avatar/later.png' WHERE id = 13")
    site.database.execute("UPDATE avatars SET path = %s WHERE id = 1", PATHS[0])  # legacy again, by whomever
    site.database.execute("INSERT INTO avatars VALUES (50, %s)", PATHS[1])  # a new row that names a legacy object
    site.database.execute("DELETE FROM avatars WHERE id = 3")  # no row names it any more
    made = site.run("manifest --json")
    assert made.code == 0, made
    assert (document(made)["objects"], document(made)["left_out"]) == (len(PATHS) - 3, 3)
    assert sorted(manifest_keys(site.last_run())) == PATHS[3:]
    store = site.store
    store.client.delete_object(Bucket=store.production_bucket, Key=at_production(PATHS[3]))
    store.put_all(store.legacy_bucket, {PATHS[4]: b"stored by the application meanwhile"})
    made = site.run("manifest --json")
    assert (document(made)["objects"], document(made)["left_out"]) == (len(PATHS) - 5, 5)
    assert sorted(manifest_keys(site.last_run())) == PATHS[5:]
    store.put_all(store.production_bucket, {at_production(PATHS[3]): body_of(PATHS[3])})
    store.put_all(store.legacy_bucket, {PATHS[4]: body_of(PATHS[4])})

    # one row more for each of two keys, in words that are on neither side: both may still be read by them
    other_names = [f"https://cdn.example.org/{PATHS[3]}", PATHS[4].removeprefix("image/"), "https://example.org/else"]
    for row, path in enumerate(other_names, 60):
        site.database.execute("INSERT INTO avatars VALUES (%s, %s)", row, path)
    made = site.run("manifest --json")
    assert (made.code, document(made)["left_out"]) == (0, 5), made
    because = {"found_different": 0, "named_otherwise": 2, "changed_since": 3, "same_name": 0, "unreadable": 0}
    assert document(made)["left_out_because"] == because
    assert sorted(manifest_keys(site.last_run())) == PATHS[5:]
    site.database.execute("DELETE FROM avatars WHERE id >= 60")
    # two more objects were stored anew
    assert document(site.run("manifest --json"))["left_out"] == 3 + 2, "what no row says any more holds no longer"

    elsewhere = site.with_environ(SKETCH_LEGACY_PREFIX="image/a/")
    refused = elsewhere.run("manifest")
    check_refused(refused, 2, "verified another site", "legacy_prefix", "'image/a/'")

    assert site.run("rollback --all runs -y").code == 0
    rolled_back = site.last_run()
    refused = site.run("manifest --json")
    assert refused.code == 1
    assert f"the run runs/{rolled_back.name} set rows at " in refused.err
    assert not list(site.last_run().glob("manifest*"))
    migrate(site, len(PATHS) + 1)
    assert site.run("manifest").code == 1, "a flip counts as a step back does"
    assert site.run("verify").code == 0
    assert site.run("manifest").code == 0


def test_a_step_back_that_only_the_database_knows_refuses_the_manifest(site: Site, databases: Databases) -> None:
    site.fill(PATHS)
    with databases.fresh() as ledger:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        kept = site.with_environ(SKETCH_LEDGER_URL=url)
        assert kept.run("ledger init").code == 0
        migrate(kept)
        assert kept.run("verify").code == 0
        assert kept.run("rollback --all runs -y").code == 0
        rolled_back = site.last_run()
        shutil.rmtree(rolled_back)  # as the folder of a container
        check_refused(kept.run("manifest"), 1, f"the run runs/{rolled_back.name} set rows at ")


STRAYS = {
    " image/a0.png": 0,
    "A1.PNG": 1,
    "uploads/2020/a2.png?v=1": 2,
    "image\\a3.png": 3,
    "thumbs/%61%34.png/": 4,
    '<img src="x/a5.png': 5,
    "a6.png\u00a0": 6,
    "%FF/a 7.png": 7,
}
"""Paths on neither side, and the number of the object whose name they end in."""


def test_a_name_that_a_row_on_neither_side_ends_in_is_in_no_manifest(site: Site) -> None:
    paths = [f"image/a{number}.png" for number in range(7)] + ["image/a%207.png", "image/other.png"]
    site.fill(paths)
    migrate(site, len(paths))
    for row, stray in enumerate(STRAYS, 50):
        site.database.execute("INSERT INTO avatars VALUES (%s, %s)", row, stray)
    site.run("verify")
    made = site.run("manifest --json")
    assert made.code == 0, made
    found = document(made)
    assert found["left_out"] == len(STRAYS) == sum(found["left_out_because"].values())
    assert found["left_out_because"]["changed_since"] == 0
    assert found["left_out_because"]["same_name"] == 5
    assert manifest_keys(site.last_run()) == ["image/other.png"]
    said = site.run("manifest").out
    assert "a row on neither side ends in the same name" in said
    assert "changed since" not in said


def test_what_a_deep_verify_found_to_differ_is_in_no_manifest_until_another_finds_it_equal(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    migrate(site)
    assert site.run("verify").code == 0
    said = "headers, metadata and tags were not compared: verify --metadata compares them"
    assert f"Their {said}" in site.run("manifest").out
    assert sorted(manifest_keys(site.last_run())) == PATHS

    place = {"Bucket": store.production_bucket, "Key": at_production(PATHS[0])}
    store.client.put_object(**place, Body=body_of(PATHS[0]), ContentType="text/strange")
    assert site.run("verify --deep").code == 1
    deep = site.last_run()
    for verify, unseen in ((None, 0), ("verify", 11), ("verify --deep 0.0001%", 11)):
        if verify is not None:
            assert site.run(verify).code == 0
        made = document(site.run("manifest --json"))
        assert (made["objects"], made["headers_not_compared"]) == (11, unseen)
        assert sorted(manifest_keys(site.last_run())) == PATHS[1:]
    assert made["left_out_because"]["found_different"] == 1
    assert "1  the newest verify that compared them found other content, headers" in site.run("manifest").out

    store.client.put_object(**place, Body=body_of(PATHS[0]))
    assert site.run("verify --deep").code == 0
    made = document(site.run("manifest --json"))
    assert (made["objects"], made["headers_not_compared"], made["left_out"]) == (12, 0, 0)
    (deep / "evidence.duckdb").unlink()
    check_refused(site.run("manifest"), 4, "evidence.duckdb is gone")


def put_in_one_part(store: Store, key: str) -> None:
    """Store a legacy object anew by a multipart upload, so that its ETag does not compare."""
    body = store.body(store.legacy_bucket, key)
    upload = store.client.create_multipart_upload(Bucket=store.legacy_bucket, Key=key)["UploadId"]
    where = {"Bucket": store.legacy_bucket, "Key": key, "UploadId": upload}
    part = store.client.upload_part(**where, PartNumber=1, Body=body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    store.client.complete_multipart_upload(**where, MultipartUpload=parts)
