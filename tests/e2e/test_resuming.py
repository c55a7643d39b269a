"""A run that is killed in the middle of an upload: the next one resumes it, or aborts it, and touches no other."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site
from tests.e2e.two_stores import TwoStores
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database, Databases
    from tests.servers.stores import Store

SOURCE, TARGET = "image/large.bin", "avatar/large.bin"
PART_BYTES = 5 * 2**20
PARTS = 3
BODY = b"".join(bytes([number]) * PART_BYTES for number in range(PARTS - 1)) + b"the rest"
SENT = 1
"""So many parts have been sent when the run is killed."""


@pytest.fixture
def pair(seaweed_store: Store, moto_store: Store, database: Database, tmp_path: Path) -> TwoStores:
    """A site with one object, which was made of three parts."""
    site = TwoStores(database, moto_store, tmp_path, legacy=seaweed_store)
    site.fill([SOURCE])
    put_in_parts(seaweed_store, SOURCE, BODY)
    return site


def put_in_parts(store: Store, key: str, body: bytes) -> None:
    where = {"Bucket": store.legacy_bucket, "Key": key}
    upload = store.client.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, first in enumerate(range(0, len(body), PART_BYTES), start=1):
        sent = store.client.upload_part(
            **where, UploadId=upload, PartNumber=number, Body=body[first : first + PART_BYTES]
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    store.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})


def open_uploads(site: Site) -> dict[str, str]:
    """Return the keys of what is left open, by the ids."""
    found = site.store.client.list_multipart_uploads(Bucket=site.store.production_bucket)
    return {each["UploadId"]: each["Key"] for each in found.get("Uploads", [])}


def kill_within_the_upload(site: Site, flags: str) -> str:
    """Run, and kill that when one of the parts is there; return the id of the upload."""
    store, before = site.store, open_uploads(site)
    with S3FaultProxy(store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), operation="upload_part", skip=SENT)
        running = replace(site, store=store.via(s3.endpoint_url)).start(flags)
        s3.wait_for_hit("stall")
        ((upload_id, key),) = (open_uploads(site).items()) - before.items()
        where = {"Bucket": store.production_bucket, "Key": key, "UploadId": upload_id}
        s3.wait_until(lambda: len(store.client.list_parts(**where).get("Parts", [])) == SENT)
        running.kill()
        assert running.wait() == -signal.SIGKILL
        running.communicate()
    assert open_uploads(site).keys() - before.keys() == {upload_id}
    return upload_id


def with_ledger_in(ledgers: Database, site: TwoStores) -> TwoStores:
    url = f"postgresql://{ledgers.host}:{ledgers.port}/{ledgers.name}"
    environ = {"SKETCH_LEDGER_URL": url, "SKETCH_LEDGER_USER": ledgers.user, "SKETCH_LEDGER_PASS": ledgers.password}
    site = replace(site, environ=environ)
    assert site.run("ledger init").code == 0
    return site


def legacy_etag(site: TwoStores) -> str:
    found: str = site.of_legacy.client.head_object(Bucket=site.of_legacy.legacy_bucket, Key=SOURCE)["ETag"]
    return found


def production_etag(site: Site) -> str:
    found: str = site.store.client.head_object(Bucket=site.store.production_bucket, Key=TARGET)["ETag"]
    return found


@pytest.mark.parametrize(
    ("flags", "ledger_in_database"),
    [("-y", False), ("-y --processes 2", False), ("-y --processes 2", True)],
    ids=["one process", "files of two", "a database for two"],
)
def test_the_next_run_sends_what_is_missing(
    pair: TwoStores, databases: Databases, flags: str, ledger_in_database: bool
) -> None:
    """And leaves an upload of the same key alone that is not ours."""
    with databases.fresh() as ledgers:
        site = with_ledger_in(ledgers, pair) if ledger_in_database else pair
        theirs = {"Bucket": site.store.production_bucket, "Key": TARGET}
        foreign = site.store.client.create_multipart_upload(**theirs)["UploadId"]
        kill_within_the_upload(site, flags)
        if ledger_in_database:  # as if it had been silent for a minute
            ledgers.execute("UPDATE sketch_ledger.run SET alive_at = alive_at - interval '61 s'")
        with S3FaultProxy(site.store.endpoint_url) as s3:
            done = site.by_way_of(production=s3.endpoint_url).run(flags)
            sent = {name: s3.count(name) for name in ("create_multipart_upload", "upload_part", "list_parts")}
            aborted = s3.count("abort_multipart_upload")
        assert done.code == 0, done
        assert (sent, aborted) == ({"create_multipart_upload": 0, "upload_part": PARTS - SENT, "list_parts": 1}, 0)
        assert site.production_bodies() == {TARGET: BODY}
        assert production_etag(site) == legacy_etag(site)
        assert site.database.paths() == {1: TARGET}
        assert open_uploads(site) == {foreign: TARGET}
        with S3FaultProxy(site.store.endpoint_url) as s3:
            assert site.by_way_of(production=s3.endpoint_url).run("-y").code == 0
            assert s3.count("abort_multipart_upload") == 0, "it is on record that it has ended"


def test_an_object_that_was_replaced_since_is_begun_anew(pair: TwoStores) -> None:
    kill_within_the_upload(pair, "-y")
    changed = BODY[:-1] + b"!"
    put_in_parts(pair.of_legacy, SOURCE, changed)
    with S3FaultProxy(pair.store.endpoint_url) as s3:
        done = pair.by_way_of(production=s3.endpoint_url).run("-y")
        assert (s3.count("upload_part"), s3.count("abort_multipart_upload")) == (PARTS, 1)
    assert done.code == 0, done
    assert pair.production_bodies() == {TARGET: changed}
    assert open_uploads(pair) == {}


def test_an_upload_whose_parts_may_not_be_listed_is_begun_anew(pair: TwoStores) -> None:
    kill_within_the_upload(pair, "-y")
    with S3FaultProxy(pair.store.endpoint_url) as s3:
        s3.on(s3_faults.status(403, "AccessDenied"), operation="list_parts")
        done = pair.by_way_of(production=s3.endpoint_url).run("-y")
        assert s3.hits["status_403"] == 1
        assert (s3.count("upload_part"), s3.count("abort_multipart_upload")) == (PARTS, 1)
    assert done.code == 0, done
    assert pair.production_bodies() == {TARGET: BODY}
    assert open_uploads(pair) == {}


def test_an_upload_that_nobody_needs_is_aborted_at_the_end_of_a_whole_run(pair: TwoStores) -> None:
    """The row is gone. A run with a limit may not have met it."""
    left = kill_within_the_upload(pair, "-y")
    pair.database.execute("UPDATE avatars SET path = 'image/other.bin'")
    pair.of_legacy.put_all(pair.of_legacy.legacy_bucket, {"image/other.bin": b"other"})
    assert pair.run("-y -l 1").code == 0
    assert open_uploads(pair) == {left: TARGET}
    done = pair.run("-y")
    assert done.code == 0, done
    assert f"The upload of s3://{pair.store.production_bucket}/{TARGET}, which was left unfinished" in done.err
    assert open_uploads(pair) == {}
    assert pair.production_bodies() == {"avatar/other.bin": b"other"}


def test_a_run_within_the_store_aborts_what_a_streamed_one_has_left(
    moto_store: Store, database: Database, tmp_path: Path
) -> None:
    site = Site(database, moto_store, tmp_path, {"SKETCH_STREAM_MEMORY": "8M"})
    site.fill([SOURCE])
    moto_store.put_all(moto_store.legacy_bucket, {SOURCE: BODY + BODY})
    kill_within_the_upload(site, "-y --transfer streamed")
    done = site.run("-y")
    assert done.code == 0, done
    assert "which was left unfinished, was aborted." in done.err
    assert open_uploads(site) == {}
    assert site.production_bodies() == {TARGET: BODY + BODY}


def test_a_repair_resumes_as_well(pair: TwoStores) -> None:
    assert pair.run("-y").code == 0
    pair.store.delete_all(pair.store.production_bucket, [TARGET])
    kill_within_the_upload(pair, "repair -y")
    with S3FaultProxy(pair.store.endpoint_url) as s3:
        done = pair.by_way_of(production=s3.endpoint_url).run("repair -y")
        assert (s3.count("create_multipart_upload"), s3.count("upload_part")) == (0, PARTS - SENT)
    assert done.code == 0, done
    assert pair.production_bodies() == {TARGET: BODY}
    assert open_uploads(pair) == {}
