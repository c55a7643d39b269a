"""``verify`` on a site with each thing that can be wrong, provoked for real: it names each, and it changes nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import body_of
from tests.servers import s3_faults
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.tool import finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

MIGRATED = [f"image/avatar-{number:02}.png" for number in range(20)]


def is_of_the_listing(request: S3Request) -> bool:
    """Whether it asks for a page of a listing, and not, as the checks before, whether one may list."""
    return "max-keys=1000&" in request.target


def certificate(run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / "certificate.json").read_text())
    return document


def rows(document: dict[str, Any]) -> dict[str, int]:
    """The standings that have rows."""
    return {name: count for name, count in document["rows"].items() if count}


def at_production(path: str) -> str:
    return "avatar/" + path.removeprefix("image/")


@pytest.fixture
def migrated_site(any_site: Site) -> Site:
    """Twenty avatars, migrated by the tool itself; one that was always in production; a row of neither side."""
    any_site.fill([*MIGRATED, "avatar/born-here.png", None])
    done = any_site.run("-y -b 7 -p 2")
    assert done.code == 0, done
    return any_site


def test_all_is_well_after_a_migration(migrated_site: Site) -> None:
    site = migrated_site
    before = site.facts()
    result = site.run("verify")
    assert result.code == 0, result
    assert result.out.startswith("VERIFIED: 0 dangling, 0 unmigrated, 0 different\n")
    run = site.last_run()
    found = certificate(run)
    assert rows(found) == {"total": 22, "equal": 20, "alone": 1, "neither": 1}
    assert found["equality_proved_by"] == {"ETag": 20}
    assert found["objects"]["production"] == {
        "total": 21,
        "bytes": sum(len(body_of(path)) for path in [*MIGRATED, "avatar/born-here.png"]),
        "named_by_a_row": 21,
        "named_by_none": 0,
    }
    assert (run / "certificate.txt").read_text() in result.out
    evidence = run / "evidence.duckdb"
    assert found["evidence"] == {
        "file": str(evidence.relative_to(site.folder)),
        "sha256": hashlib.sha256(evidence.read_bytes()).hexdigest(),
    }
    assert {path.name for path in run.iterdir()} == {
        "certificate.json",
        "certificate.txt",
        "evidence.duckdb",
        "migrate.log",
        "run.json",
        "result.json",
        "run.lock",
    }
    assert site.facts() == before


def standing_of_each_problem(run: Path) -> dict[str, str]:
    """What the list of problems says of each path."""
    with (run / "problems.csv").open(newline="") as file:
        return {row["path"]: row["kind"] for row in csv.DictReader(file)}


def test_each_thing_that_is_wrong_is_named(migrated_site: Site) -> None:
    site, store = migrated_site, migrated_site.store
    legacy, production = store.legacy_bucket, store.production_bucket
    one, two, three, four, five = MIGRATED[:5]
    store.client.delete_object(Bucket=production, Key=at_production(one))
    store.put_all(legacy, {two: b"changed in legacy afterwards"})
    store.put_all(production, {at_production(three): b"stored by the application afterwards"})
    # both were written after us, in the same length: nothing can say whose fault it is
    size = len(body_of(four))
    store.put_all(legacy, {four: b"l" * size})
    store.put_all(production, {at_production(four): b"p" * size})
    site.database.execute("UPDATE avatars SET path = 'image/gone.png' WHERE id = 5")  # five's row
    store.put_all(legacy, {"image/late.png": b"late", "image/clash.png": b"clash"})
    store.put_all(production, {"avatar/clash.png": b"another"})
    site.database.execute("INSERT INTO avatars VALUES (101, 'image/late.png'), (102, 'image/clash.png')")
    before = site.facts()

    result = site.run("verify --no-progress")
    assert result.code == 1, result
    found = certificate(site.last_run())
    assert (found["dangling"], found["unmigrated"], found["different"]) == (2, 2, 2)
    assert (found["passed"], found["adds_up"]) == (False, True)
    assert rows(found) == {
        "total": 24,
        "equal": 15,
        "alone": 1,
        "neither": 1,
        "dangling": 1,
        "stale": 1,
        "rewritten": 1,
        "different": 1,
        "missing": 1,
        "unmigrated": 1,
        "conflict": 1,
    }
    assert found["objects"]["legacy"]["named_by_none"] == 1, "five's object"
    assert found["second_looks"] == 6
    run = site.last_run()
    assert standing_of_each_problem(run) == {
        at_production(one): "dangling",
        at_production(two): "stale",
        at_production(four): "different",
        "image/gone.png": "missing",
        "image/late.png": "unmigrated",
        "image/clash.png": "conflict",
    }
    assert [example["path"] for example in found["examples"]["stale"]] == [at_production(two)]
    assert site.facts() == before
    assert five not in site.facts().rows.values()

    assert result.out.startswith(
        "NOT AS IT SHOULD BE: 1 dangling, 1 missing, 1 unmigrated, 1 conflict, 1 different, 1 stale\n"
    )
    assert f"dangling: in production, but its object does not exist\n  1  {at_production(one)}\n" in result.out


def test_without_ledgers_the_times_tell_what_is_stale(site: Site) -> None:
    site.fill(["avatar/a.png", "avatar/b.png"])
    store = site.store
    store.put_all(store.legacy_bucket, {"image/b.png": b"older"})
    at_least_a_second_later(store, store.production_bucket, "avatar/b.png", b"newer in production")
    at_least_a_second_later(store, store.legacy_bucket, "image/a.png", b"newer in legacy")
    found = json.loads(site.run("verify --json").out)
    assert rows(found) == {"total": 2, "stale": 1, "different": 1}
    assert standing_of_each_problem(site.last_run()) == {"avatar/a.png": "stale", "avatar/b.png": "different"}


def test_deep_finds_what_etags_cannot_tell(moto_site: Site) -> None:
    """On moto, whose multipart ETags are those of S3."""
    site, store = moto_site, moto_site.store
    names = [f"{number}.bin" for number in range(6)]
    site.fill([f"avatar/{name}" for name in names])
    for name in names:
        body = store.body(store.production_bucket, f"avatar/{name}")
        other = body if name != "3.bin" else b"!" + body[1:]
        put_in_one_part(store, store.legacy_bucket, f"image/{name}", other)

    shallow = site.run("verify --json")
    found = json.loads(shallow.out)
    assert shallow.code == 0
    assert rows(found) == {"total": 6, "same size": 6}

    deep = site.run("verify --json --deep")
    found = json.loads(deep.out)
    assert deep.code == 1
    assert rows(found) == {"total": 6, "equal": 5, "different": 1}
    assert found["equality_proved_by"] == {"bytes": 5}
    assert found["deep"] == {"percent": 100.0, "references_compared": 6}
    assert standing_of_each_problem(site.last_run()) == {"avatar/3.bin": "different"}

    none = json.loads(site.run("verify --json --deep 0.0001%").out)
    assert none["deep"]["references_compared"] == 0


def test_keys_of_every_kind_are_paired_exactly(moto_site: Site) -> None:
    """Case, normal forms, quotes, line breaks, spaces, percent signs and tabs: nothing is folded into another."""
    site = moto_site
    tails = [
        "a b",
        "a+b",
        "a%20b",
        'q"uote',
        "q'uote",
        "comma,x",
        "é",
        "e\u0301",
        "É",
        "\\.",
        "\\N",
        "x//y",
        "../z",
        "🦊",
        "tab\tx",
    ]
    site.fill([f"image/{tail}" for tail in tails])
    assert site.run("-y").code == 0
    found = json.loads(site.run("verify --json").out)
    assert rows(found) == {"total": len(tails), "equal": len(tails)}


def test_uuid_and_text_keys(site: Site) -> None:
    site.database.execute("CREATE TABLE avatars (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), path text)")
    site.database.execute("INSERT INTO avatars (path) SELECT 'image/' || n || '.png' FROM generate_series(1, 9) n")
    site.store.put_all(site.store.legacy_bucket, {f"image/{number}.png": b"x" for number in range(1, 9)})
    found = json.loads(site.run("verify --json").out)
    assert rows(found) == {"total": 9, "unmigrated": 8, "missing": 1}
    site.database.execute("ALTER TABLE avatars ALTER id TYPE text")
    found = json.loads(site.run("verify --json").out)
    assert rows(found) == {"total": 9, "unmigrated": 8, "missing": 1}


def at_least_a_second_later(store: Store, bucket: str, key: str, body: bytes) -> None:
    """Store an object again and again until the store's clock, which some tell in seconds, has gone on."""
    store.put_all(bucket, {"clock": b""})
    start = store.client.head_object(Bucket=bucket, Key="clock")["LastModified"]
    while True:
        store.put_all(bucket, {key: body})
        if (store.client.head_object(Bucket=bucket, Key=key)["LastModified"] - start).total_seconds() >= 1:
            return


def put_in_one_part(store: Store, bucket: str, key: str, body: bytes) -> None:
    """Store an object by a multipart upload of one part, so that its ETag is no MD5 of the content."""
    upload = store.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    part = store.client.upload_part(**where, PartNumber=1, Body=body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    store.client.complete_multipart_upload(**where, MultipartUpload=parts)


def test_a_signal_ends_it_and_changes_nothing(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(5)])
    before = site.facts()
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), when=is_of_the_listing)
        running = site.at(store=site.store.via(s3.endpoint_url)).start("verify")
        s3.wait_for_hit("stall")
        running.send_signal(signal.SIGTERM)
        ended = finish(running)
    assert ended.code == 143, ended
    assert site.facts() == before


def test_what_the_application_does_meanwhile_is_not_called_wrong(site: Site) -> None:
    """After the rows were read and before the listings: a row and its object deleted, another row given a new path."""
    site.fill(["avatar/goes.png", "avatar/moves.png", "avatar/stays.png"])
    store = site.store
    hit: list[str] = []

    def between(request: S3Request) -> None:
        if is_of_the_listing(request) and request.bucket == store.production_bucket and not hit:
            hit.append(request.target)
            site.database.execute("DELETE FROM avatars WHERE id = 1")
            store.put_all(store.production_bucket, {"avatar/moved.png": b"moved"})
            site.database.execute("UPDATE avatars SET path = 'avatar/moved.png' WHERE id = 2")
            for name in ("goes", "moves"):
                store.client.delete_object(Bucket=store.production_bucket, Key=f"avatar/{name}.png")

    with S3FaultProxy(store.endpoint_url) as s3:
        s3.before_request = between
        result = site.at(store=store.via(s3.endpoint_url)).run("verify --json")
    assert hit
    assert result.code == 0, result
    found = json.loads(result.out)
    assert rows(found) == {"total": 3, "alone": 1, "changed": 2}
    assert found["second_looks"] == 2


def test_a_listing_that_breaks_off_is_an_error_and_no_certificate(site: Site) -> None:
    site.fill(["avatar/a.png"])
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(s3_faults.truncated_200(forwarded=True), when=is_of_the_listing)
        flags = "verify --json --s3-retry-seconds 0.5"
        result = site.at(store=site.store.via(s3.endpoint_url)).run(flags)
        assert s3.hits["truncated_200"]
    assert result.code == 3, result
    assert json.loads(result.out)["error"]["type"] == "S3Malformed"
    assert not list(site.last_run().glob("certificate*"))


def test_a_database_that_goes_away_is_waited_for(site: Site) -> None:
    site.fill([f"avatar/{number}.png" for number in range(3)])
    with PostgresFaultProxy(site.database.port) as postgres:
        postgres.cut_at("string_agg")
        result = site.at(database=site.database.via(postgres.port)).run("verify --json")
        assert postgres.hits["cut"] == 1
    assert result.code == 0, result
    assert rows(json.loads(result.out)) == {"total": 3, "alone": 3}
