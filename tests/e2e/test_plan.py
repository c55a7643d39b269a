"""``plan`` names what a migration would meet, each provoked for real, and changes nothing."""

from __future__ import annotations

import csv
import json
import unicodedata
from typing import TYPE_CHECKING, Any

import duckdb

from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.tool import Finished

READING = {"GET", "HEAD"}
READING_STATEMENTS = {"BEGIN", "SET", "SELECT", "WITH", "COPY", "SAVEPOINT", "RELEASE", "COMMIT", "ROLLBACK"}


def document(result: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def findings(plan: dict[str, Any], severity: str) -> dict[str, int]:
    return {each["kind"]: each["count"] for each in plan["findings"] if each["severity"] == severity}


def examples(plan: dict[str, Any], kind: str) -> list[tuple[str | None, str | None]]:
    (found,) = [each for each in plan["findings"] if each["kind"] == kind]
    return [(example["key"], example["path"]) for example in found["examples"]]


def test_a_site_in_order_needs_no_look(any_site: Site) -> None:
    site = any_site
    site.fill([f"image/avatar-{number}.png" for number in range(30)] + ["avatar/done.png"])
    before = site.facts()
    with S3FaultProxy(site.store.endpoint_url) as s3, PostgresFaultProxy(site.database.port) as postgres:
        watched = site.at(database=site.database.via(postgres.port), store=site.store.via(s3.endpoint_url))
        result = watched.run("plan --json --rate 10 --price-copy 5 --price-read 1")
        assert {request.method for request in s3.requests} == READING
        assert {text.split()[0].upper() for text in postgres.statements} <= READING_STATEMENTS
    assert result.code == 0, result
    plan = document(result)
    assert plan["needs_a_look"] is False
    assert plan["rows"] == {"legacy": 30, "production": 1, "neither": 0, "to_migrate": 30, "in_place": 0}
    sizes = [stored.size_bytes for stored in before.legacy.values()]
    assert (plan["objects_to_copy"], plan["bytes_to_copy"]) == (30, sum(sizes))
    # 30 copies, a page of listing on each side, and one more for each; 30 looks
    assert plan["estimate"]["copies"] == 30 + 1 + 2
    assert plan["estimate"]["price_usd"] == (33 * 5 + 30 * 1) / 1000
    assert plan["estimate"]["seconds"] == 3.0
    assert findings(plan, "look") == {}
    assert site.facts() == before
    names = {path.name for path in site.last_run().iterdir()}
    assert names == {"evidence.duckdb", "migrate.log", "run.json", "result.json", "run.lock"}


def test_each_finding_is_named(moto_site: Site) -> None:
    """On moto, which takes every key."""
    site = moto_site
    nfc, nfd = (unicodedata.normalize(form, "image/é.png") for form in ("NFC", "NFD"))
    rows = {
        "image/plain.png": "unmigrated",
        "image/gone.png": "missing object",
        "image/taken.png": "taken",
        "image/in-place.png": "in place",
        "image/multipart.bin": "to compare",
        "image/" + "k" * 1018: "key too long",
        "image/": "only the prefix",
        "image/bell\a.png": "control character",
        "image/a//b.png": "odd key",
        "image/../up.png": "odd key",
        "image/Case.png": "twins",
        "image/case.png": "twins",
        nfc: "twins",
        nfd: "twins",
        "image/shared.png": "shared object",
        "image/both.png": "two rows, one key",
        "avatar/both.png": "its other row",
        "avatar/dangling.png": "dangling row",
        "avatar/differs.png": "different",
        "elsewhere/x.png": "neither side",
        "": "empty path",
    }
    without_object = {
        "image/gone.png",
        "image/",
        "image/bell\a.png",
        "image/multipart.bin",
        "avatar/dangling.png",
        "image/both.png",
    }
    site.fill([*rows, "image/shared.png", None], without_object=without_object)
    ids = {path: number for number, path in enumerate(rows, start=1)}
    store = site.store
    bodies = store.bodies(store.legacy_bucket)
    store.put_all(
        store.production_bucket, {"avatar/taken.png": b"another", "avatar/in-place.png": bodies["image/in-place.png"]}
    )
    store.put_all(
        store.legacy_bucket,
        {"image/orphan.png": b"o", "image/both.png": b"old both", "image/differs.png": b"!", "image/folder/": b""},
    )
    store.put_all(store.production_bucket, {"avatar/unknown.png": b"u", "avatar/multipart.bin": b"m" * 100})
    upload = store.client.create_multipart_upload(Bucket=store.legacy_bucket, Key="image/multipart.bin")["UploadId"]
    where = {"Bucket": store.legacy_bucket, "Key": "image/multipart.bin", "UploadId": upload}
    part = store.client.upload_part(**where, PartNumber=1, Body=b"m" * 100)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    store.client.complete_multipart_upload(**where, MultipartUpload=parts)
    before = site.facts()

    result = site.run("plan --json")
    assert result.code == 1, result
    plan = document(result)
    assert findings(plan, "look") == {
        "missing object": 2,  # boto3 could not list the one with a control character, so it was not stored
        "taken": 2,
        "two rows, one key": 1,
        "key too long": 1,
        "only the prefix": 1,
        "control character": 1,
        "dangling row": 1,
        "different": 2,  # avatar/both.png as well: another row's object has that name in legacy
    }
    assert findings(plan, "note") == {
        "odd key": 2,
        "to compare": 1,
        "twins": 4,
        "shared object": 1,
        "neither side": 1,
        "empty path": 2,
        "legacy object without a row": 1,
        "production object without a row": 1,
    }
    for path, kind in rows.items():
        if kind in {"key too long", "only the prefix", "control character", "two rows, one key", "dangling row"}:
            assert examples(plan, kind) == [(str(ids[path]), path)]
    assert sorted(path or "" for _, path in examples(plan, "twins")) == sorted(
        p for p, k in rows.items() if k == "twins"
    )
    assert [path for _, path in examples(plan, "taken")] == ["image/both.png", "image/taken.png"]
    # missing, taken, too long: none of these can be flipped
    assert plan["rows"]["in_place"] == 1
    assert site.facts() == before

    run = site.last_run()
    parquet = duckdb.read_parquet(str(run / "problems.parquet")).select("kind", "key", "path").fetchall()
    with (run / "problems.csv").open(newline="") as file:
        listed = [(row["kind"], row["key"], row["path"]) for row in csv.DictReader(file)]
    counted = {each["kind"]: each["count"] for each in plan["findings"] if each["examples"]}
    assert {kind: sum(row[0] == kind for row in parquet) for kind in counted} == counted
    assert sorted((kind, key or "", path or "") for kind, key, path in parquet) == sorted(listed)

    text = site.run("plan")
    assert text.code == 1
    assert "Look at these first\n           2  missing object\n" in text.out
    assert "\a" not in text.out


def test_what_the_table_has_is_named(site: Site) -> None:
    site.fill(["image/a.png", "avatar/b.png", "image/b.png", "image/long-name.png"])
    for statement in (
        "ALTER TABLE avatars ALTER path TYPE varchar(19)",
        "ALTER TABLE avatars ADD CONSTRAINT only_images CHECK (path LIKE '%.png')",
        "CREATE UNIQUE INDEX one_path ON avatars (path)",
        "CREATE INDEX lowered ON avatars (lower(path))",
        "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER watching BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION watch()",
        "CREATE TRIGGER not_this BEFORE DELETE ON avatars FOR EACH ROW EXECUTE FUNCTION watch()",
        "ALTER TABLE avatars ENABLE ROW LEVEL SECURITY",
        "CREATE PUBLICATION everything FOR TABLE avatars",
    ):
        site.database.execute(statement)
    plan = document(site.run("plan --json"))
    look, note = findings(plan, "look"), findings(plan, "note")
    assert (
        look.items()
        >= {
            "path too long": 1,
            "unique constraint": 1,
            "row-level security": 1,
            "trigger": 1,
            "constraint": 1,
        }.items()
    )
    assert note == {"unique index": 1, "index": 1, "publication": 1}
    assert examples(plan, "unique constraint") == [("3", "image/b.png")]
    assert examples(plan, "path too long") == [("4", "image/long-name.png")]
    by_kind = {each["kind"]: each["what_to_do"] for each in plan["findings"]}
    assert by_kind["trigger"].endswith(": watching")
    assert by_kind["constraint"].endswith(": only_images: CHECK (((path)::text ~~ '%.png'::text))")
    assert by_kind["index"].endswith(": lowered")
    assert plan["table"]["may_update"] is True


def test_a_missing_right_is_a_finding_and_no_error(site: Site) -> None:
    site.fill(["image/a.png"])
    reader = site.at(database=site.database.make_user("SELECT ON avatars"))
    result = reader.run("plan --json")
    assert result.code == 1, result
    assert findings(document(result), "look") == {"no right to flip": 1}


def test_the_wal_of_a_migration_lies_between_the_bounds(site: Site) -> None:
    """Of a table with six indexes; with a checkpoint just before, so that every page has its image."""
    site.fill([f"image/avatar-{number:05}.png" for number in range(500)])
    site.database.execute("ALTER TABLE avatars ADD owner text DEFAULT 'web', ADD born timestamptz DEFAULT now()")
    site.database.execute("INSERT INTO avatars SELECT 1000 + n, 'image/avatar-x.png' FROM generate_series(1, 5000) n")
    site.store.put_all(site.store.legacy_bucket, {"image/avatar-x.png": b"x"})
    for columns in ("path", "owner", "born", "(lower(path))", "(id % 7)"):
        site.database.execute(f"CREATE INDEX ON avatars ({columns})")
    site.database.execute("VACUUM ANALYZE avatars")
    plan = document(site.run("plan --json"))
    site.database.execute("CHECKPOINT")
    ((before,),) = site.database.execute("SELECT pg_current_wal_lsn() - '0/0'")
    done = site.run("-y")
    assert (done.code, done.counts["migrated"]) == (0, 5500), done
    ((after,),) = site.database.execute("SELECT pg_current_wal_lsn() - '0/0'")
    written = int(after - before)
    needs = plan["estimate"]
    assert needs["wal_bytes"] < written < needs["wal_bytes_most"], (written, needs)
    ((grown,),) = site.database.execute("SELECT pg_indexes_size('avatars')")
    assert needs["index_bytes"] < grown <= needs["index_bytes"] + needs["index_bytes_more"] + 16 * 8192


def test_probe_only_when_asked(moto_site: Site) -> None:
    site = moto_site
    site.fill(["image/a.png"])
    before = site.facts()
    unprobed = document(site.run("plan --json"))
    assert "--probe" in unprobed["no_clobber"]
    probed = document(site.run("plan --json --probe"))
    assert probed["no_clobber"].startswith("conditional-put, as the store honours PutObject, If-None-Match: *")
    assert site.facts() == before
