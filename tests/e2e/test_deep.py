"""``--deep`` finds what only bytes tell: alone, on several processes and on a cluster, though a worker is killed."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Site, body_of
from tests.servers import s3_faults
from tests.servers.databases import fresh_database
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.stores import fresh_buckets
from tests.tool import finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.demo.servers import PostgresServer
    from tests.e2e.site import Facts
    from tests.servers.stores import Store, StoreServer
    from tests.tool import Finished

PATHS = [f"image/avatar-{number}.png" for number in range(6)]
WRONG, CHANGED = PATHS[3], PATHS[5]


def at_production(path: str) -> str:
    return "avatar/" + path.removeprefix("image/")


def with_a_wrong_byte(path: str) -> bytes:
    return b"!" + body_of(path)[1:]


def put_in_one_part(store: Store, bucket: str, key: str, body: bytes) -> None:
    """Store an object by a multipart upload of one part, so that its ETag is no MD5 of the content."""
    upload = store.client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    part = store.client.upload_part(**where, PartNumber=1, Body=body)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    store.client.complete_multipart_upload(**where, MultipartUpload=parts)


def hide_a_wrong_byte(site: Site) -> None:
    """Migrate; then store each legacy object anew in one part, one of them with another byte."""
    site.fill(PATHS)
    assert site.run("-y").code == 0
    store = site.store
    for path in PATHS:
        put_in_one_part(store, store.legacy_bucket, path, with_a_wrong_byte(path) if path == WRONG else body_of(path))


@pytest.fixture(scope="module")
def hidden(
    postgres: PostgresServer, moto: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Finished, Facts]]:
    """Such a site that no test changes, what one process finds there, and its facts; on moto, as its ETags are S3's."""
    with fresh_database(postgres) as database, fresh_buckets(moto) as store:
        site = Site(database, store, tmp_path_factory.mktemp("hidden"))
        hide_a_wrong_byte(site)
        yield site, site.run("verify --json --deep"), site.facts()


def standings(document: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in document["rows"].items() if count}


def what_was_found(result: Finished) -> dict[str, Any]:
    """All of a certificate but the times, the places and the hash of a file that has them."""
    document = json.loads(result.out)
    told = ("passed", "adds_up", "rows", "equality_proved_by", "deep", "objects", "examples", "exit_code")
    return {name: document[name] for name in told}


def test_only_the_bytes_tell(hidden: tuple[Site, Finished, Facts]) -> None:
    site, alone, _ = hidden
    assert site.run("verify").code == 0
    found = what_was_found(alone)
    assert (alone.code, standings(found)) == (1, {"total": len(PATHS), "equal": len(PATHS) - 1, "stale": 1})
    assert found["equality_proved_by"] == {"bytes": len(PATHS) - 1}
    assert [example["path"] for example in found["examples"]["stale"]] == [at_production(WRONG)]


@pytest.mark.parametrize("shared", ["--processes 2", "--cluster local:2"])
def test_workers_find_what_one_process_finds_though_one_is_killed(
    hidden: tuple[Site, Finished, Facts], shared: str
) -> None:
    site, alone, before = hidden
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), operation="get", times=2)
        running = site.at(store=site.store.via(s3.endpoint_url)).start(f"verify --json --deep {shared}")
        s3.wait_for_hit("stall", 2)  # with one pair for each task, both workers are at work
        log = (site.last_run() / "migrate.log").read_text()
        joined = re.findall(r"(\S+) joined: process (\d+) on ", log)
        assert len(joined) == 2
        (victim, process), _ = joined
        os.kill(int(process), signal.SIGKILL)
        s3.release()
        result = finish(running)
        # both objects of each pair, and the one more that the killed worker had asked for
        assert s3.count("get") == 2 * len(PATHS) + 1
    assert result.err.count(f"{victim} was lost") == 1, result.err
    assert what_was_found(result) == what_was_found(alone)
    assert site.facts() == before


def test_repair_mends_a_wrong_byte_and_leaves_what_is_not_ours(moto_site: Site) -> None:
    """The one was changed in legacy, as our ledger knows; in place of the other the application stored its own."""
    site, store = moto_site, moto_site.store
    hide_a_wrong_byte(site)
    put_in_one_part(store, store.production_bucket, at_production(CHANGED), with_a_wrong_byte(CHANGED))
    before = site.facts()
    result = site.run("repair --json -y --deep")
    found = json.loads(result.out)
    assert found["repaired"]["copied again"] == 1, result
    assert (result.code, standings(found)) == (1, {"total": len(PATHS), "equal": len(PATHS) - 1, "different": 1})
    assert store.body(store.production_bucket, at_production(WRONG)) == with_a_wrong_byte(WRONG)
    after = site.facts()
    assert (after.rows, after.versions, after.legacy) == (before.rows, before.versions, before.legacy)
    changed = {key for key in after.production if after.production[key] != before.production[key]}
    assert changed == {at_production(WRONG)}


def test_a_plan_settles_what_is_in_place_already(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    site.fill(PATHS)
    put_in_one_part(store, store.production_bucket, at_production(PATHS[0]), body_of(PATHS[0]))
    put_in_one_part(store, store.production_bucket, at_production(WRONG), with_a_wrong_byte(WRONG))

    def found(*flags: str) -> tuple[int, int, dict[str, int], Any]:
        document = json.loads(site.run("plan --json", *flags).out)
        kinds = {each["kind"]: each["count"] for each in document["findings"]}
        told = {kind: kinds[kind] for kind in ("to compare", "taken") if kind in kinds}
        return document["exit_code"], document["rows"]["in_place"], told, document["deep"]

    assert found() == (0, 0, {"to compare": 2}, None)
    assert found("--deep") == (1, 1, {"taken": 1}, {"percent": 100.0, "references_compared": 2})


def test_control_c_ends_a_cluster_as_well(hidden: tuple[Site, Finished, Facts]) -> None:
    site, *_ = hidden
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), operation="get")
        running = site.at(store=site.store.via(s3.endpoint_url)).start("verify --deep --cluster local:1")
        s3.wait_for_hit("stall")
        running.send_signal(signal.SIGINT)
        ended = finish(running)  # nobody released them; the pipe closes with the last process
    assert ended.code == 130, ended
    assert "Traceback" not in ended.err
    assert not list(site.last_run().glob("certificate*"))


@pytest.mark.parametrize(
    ("command", "work"),
    [
        ("verify", "the work of --deep and --metadata: neither is given"),
        ("plan", "the reading of --deep, which is not"),
    ],
)
def test_workers_without_work_are_refused(untouched_site: Site, command: str, work: str) -> None:
    refused = untouched_site.run(f"{command} --processes 2")
    assert refused.code == 2
    assert f"--processes shares {work}" in refused.err
