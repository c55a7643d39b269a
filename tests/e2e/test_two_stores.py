"""From one store into another: a whole migration with all that comes before and after it."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.s3.probe.findings import Question
from tests.e2e.site import body_of, counts
from tests.e2e.two_stores import TwoStores
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.tool import finish

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

PATHS = [f"image/{'sub/' * (number % 2)}{number}.png" for number in range(1, 7)]
FLIPPED = {number: f"avatar/{path.removeprefix('image/')}" for number, path in enumerate(PATHS, start=1)}
COPIES = {path: body_of(f"image/{path.removeprefix('avatar/')}") for path in FLIPPED.values()}

PAIRS = [("moto", "seaweed"), ("seaweed", "rclone"), ("rclone", "moto")]


def site_of(legacy: Store, production: Store, database: Database, folder: Path) -> TwoStores:
    return TwoStores(database, production, folder, legacy=legacy)


@pytest.fixture(params=PAIRS, ids="-".join)
def any_pair(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> TwoStores:
    one, other = (request.getfixturevalue(f"{name}_store") for name in request.param)
    return site_of(one, other, database, tmp_path)


@pytest.fixture
def pair(moto_store: Store, seaweed_store: Store, database: Database, tmp_path: Path) -> TwoStores:
    """From moto to SeaweedFS, which honours a condition on a put."""
    return site_of(moto_store, seaweed_store, database, tmp_path)


def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_there_and_back(any_pair: TwoStores) -> None:
    site = any_pair
    site.fill(PATHS)
    before, legacy = site.database.paths(), site.legacy_bodies()
    done = site.run("-y")
    assert done.code == 0, done
    assert done.counts == counts(migrated=6, copied=6)
    places = f"legacy is at {site.of_legacy.endpoint_url}, production at {site.store.endpoint_url}"
    assert f"Transfer: streamed, because {places}." in done.err
    assert site.database.paths() == FLIPPED
    assert site.production_bodies() == COPIES
    assert site.legacy_bodies() == legacy
    again = site.run("-y")
    assert (again.code, again.counts["scanned"]) == (0, 0), again
    result = site.run("verify --deep")
    assert result.code == 0, result
    certificate = document((site.last_run() / "certificate.json").read_text())
    assert certificate["site"]["endpoint_url"] == site.of_legacy.endpoint_url
    assert certificate["site"]["production_endpoint_url"] == site.store.endpoint_url
    assert document(site.run("manifest --json").out)["objects"] == len(PATHS)
    back = site.run("rollback -y --all=runs")
    assert back.code == 0, back
    assert site.database.paths() == before


def test_what_only_looks_looks_at_both(pair: TwoStores) -> None:
    pair.fill([*PATHS, "avatar/done.png"], without_object=[PATHS[0]])
    status = document(pair.run("-s --json").out)["status"]
    assert (status["legacy"]["objects"], status["production"]["objects"]) == (5, 1)
    dry = pair.run("-d")
    assert (dry.counts["migrated"], dry.counts["missing"]) == (5, 1), dry
    assert pair.production_bodies() == {"avatar/done.png": body_of("avatar/done.png")}
    plan = document(pair.run("plan --json").out)
    assert plan["objects_to_copy"] == 5, plan


def test_nothing_is_replaced_unless_that_is_asked_for(pair: TwoStores) -> None:
    pair.fill(PATHS)
    pair.store.put_all(pair.store.production_bucket, {FLIPPED[1]: b"the application's"})
    done = pair.run("-y")
    assert done.counts == counts(migrated=5, conflict=1, copied=5), done
    assert pair.store.body(pair.store.production_bucket, FLIPPED[1]) == b"the application's"
    assert "To replace nothing: conditional-put" in done.err
    assert pair.run("-yw").code == 0
    assert pair.production_bodies() == COPIES


def test_the_question_says_how_and_whose_credentials(pair: TwoStores) -> None:
    pair.fill(PATHS)
    environ = {
        "PRODUCTION_AWS_ACCESS_KEY_ID": "",
        "PRODUCTION_AWS_SECRET_ACCESS_KEY": "",
        "AWS_ACCESS_KEY_ID": pair.store.access_key,
        "AWS_SECRET_ACCESS_KEY": pair.store.secret_key,
    }
    terminal = pair.with_environ(**environ).on_a_terminal("")
    terminal.expect(r"Go on\?")
    asked = " ".join((terminal.before or "").split())
    for part in (
        f"{pair.of_legacy.legacy_bucket}/image/… at {pair.of_legacy.endpoint_url}",
        f"to s3://{pair.store.production_bucket}/avatar/… at {pair.store.endpoint_url}",
        "each object passes through this machine (streamed)",
        "legacy has credentials of its own; production is asked with those of both sides",
    ):
        assert part in asked, asked
    terminal.sendline("y")
    terminal.expect("All migrated")
    terminal.wait()
    assert terminal.exitstatus == 0


def test_a_copy_within_a_store_is_refused_between_two(pair: TwoStores) -> None:
    pair.fill(PATHS)
    done = pair.run("-y --transfer in-store")
    assert done.code == 3, done
    assert "--transfer in-store is not possible: legacy is at " in done.err
    for more in ("--transfer streamed", ""):
        refused = pair.run(f"-y --no-clobber conditional-copy {more}")
        assert refused.code == 2, refused
        assert "is for copies within a store" in refused.err
    assert pair.production_bodies() == {}


@pytest.fixture
def one_store(moto_store: Store, database: Database, tmp_path: Path) -> Iterator[tuple[TwoStores, S3FaultProxy]]:
    """Two accounts of one store, by way of a proxy."""
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        through = moto_store.via(s3.endpoint_url)
        site = site_of(through, through, database, tmp_path)
        site.fill(PATHS)
        yield replace(site, environ={"PRODUCTION_AWS_ACCESS_KEY_ID": "another"}), s3


def by_another(request: S3Request) -> bool:
    """Whether it is production's account that asks for something of legacy's bucket."""
    return "another/" in request.headers.get("authorization", "") and request.key.startswith("image/")


def test_one_store_is_told_by_what_both_accounts_see(one_store: tuple[TwoStores, S3FaultProxy]) -> None:
    site, s3 = one_store
    done = site.run("-y --json --no-clobber check-first")
    assert done.code == 0, done
    assert document(done.out)["transfer"] == "in-store"
    assert "both sides see the same: 6 legacy objects were looked at" in done.err
    assert s3.count("copy") == 6
    assert site.production_bodies() == COPIES


def test_a_probe_takes_two_accounts_of_one_store_for_one(
    seaweed_store: Store, database: Database, tmp_path: Path
) -> None:
    """What is read and put is then what is small, and not what goes in few parts. It races anew, for seconds."""
    site = site_of(seaweed_store, seaweed_store, database, tmp_path)
    site.fill(PATHS)
    found = document(site.run("probe --json").out)
    assert found["exit_code"] == 0, found
    assert found["left_behind"] == []
    assert {each["question"]: each["proved"] for each in found["proofs"]}[Question.PUT_IF_ABSENT] is True
    assert (found["transfer"], found["no_clobber"]) == ("in-store", "conditional-put"), found
    assert found["window"].startswith("an object of over 8 MiB"), found


def test_a_probe_says_what_a_migration_would_settle(
    one_store: tuple[TwoStores, S3FaultProxy], rclone_store: Store
) -> None:
    site, s3 = one_store
    versioning = {"Status": "Enabled"}  # where objects have versions, nothing is raced, which takes seconds each time
    site.store.client.put_bucket_versioning(Bucket=site.store.production_bucket, VersioningConfiguration=versioning)
    probed = site.run("probe")
    assert "Objects are brought by a migration: in-store, because both sides see the same: 6 legacy" in probed.out
    s3.on(s3_faults.status(403, "AccessDenied"), when=by_another)
    probed = site.run("probe --json")
    found = document(probed.out)
    assert found["transfer"] == "streamed", probed
    assert "is AccessDenied" in found["transfer_reason"]
    found = document(replace(site, legacy=rclone_store).run("probe --json").out)
    assert found["transfer_reason"].startswith("legacy is at ")


@pytest.mark.parametrize("wanted", ["auto", "in-store"])
def test_an_account_that_cannot_read_legacy_is_sent_the_objects(
    one_store: tuple[TwoStores, S3FaultProxy], wanted: str
) -> None:
    site, s3 = one_store
    s3.on(s3_faults.status(403, "AccessDenied"), when=by_another)
    done = site.run(f"-y --json --transfer {wanted}")
    assert f"with its credentials, s3://{site.of_legacy.legacy_bucket}/image/" in done.err
    assert "is AccessDenied" in done.err
    assert s3.count("copy") == 0
    assert done.code == (3 if wanted == "in-store" else 0), done
    assert site.production_bodies() == ({} if wanted == "in-store" else COPIES)


def test_another_object_of_the_same_name_is_no_proof_of_one_store(one_store: tuple[TwoStores, S3FaultProxy]) -> None:
    site, s3 = one_store
    other = s3_faults.Answer("another", 200, b"", headers={"Content-Length": "7", "ETag": '"0"'})
    s3.on(other, operation="head", key="image/sub/3.png", when=by_another)
    done = site.run("-y --json")
    assert done.code == 0, done
    assert "is another object" in done.err
    assert document(done.out)["transfer"] == "streamed"


def test_streaming_within_one_store_can_be_asked_for(moto_store: Store, database: Database, tmp_path: Path) -> None:
    from tests.e2e.site import Site  # noqa: PLC0415 - its own kind of site

    site = Site(database, moto_store, tmp_path)
    site.fill(PATHS)
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        done = site.at(store=moto_store.via(s3.endpoint_url)).run("-y --transfer streamed")
        assert (s3.count("copy"), s3.count("put")) == (0, 6)
    assert done.code == 0, done
    assert site.production_bodies() == COPIES


LARGE = b"0123456789abcdef" * (20 * 2**16)
"""20 MiB: sent in parts."""


def open_uploads(site: TwoStores) -> list[str]:
    found = site.store.client.list_multipart_uploads(Bucket=site.store.production_bucket)
    return sorted(each["Key"] for each in found.get("Uploads", []))


@pytest.mark.parametrize("size_bytes", [1_000, len(LARGE)])
def test_an_object_of_the_application_that_was_replaced_is_reported(
    moto_store: Store, rclone_store: Store, database: Database, tmp_path: Path, size_bytes: int
) -> None:
    """Rclone honours no condition, and tells another ETag when it has made an object of parts than afterwards."""
    site = site_of(moto_store, rclone_store, database, tmp_path)
    site.fill(PATHS[:1])
    site.of_legacy.put_all(site.of_legacy.legacy_bucket, {PATHS[0]: LARGE[:size_bytes]})

    def store(request: S3Request) -> None:
        if request.operation in {"put", "complete_multipart_upload"} and request.key == FLIPPED[1]:
            rclone_store.put_all(rclone_store.production_bucket, {FLIPPED[1]: b"the application's"})
            database.execute("UPDATE avatars SET path = %s WHERE id = 1", FLIPPED[1])

    with S3FaultProxy(rclone_store.endpoint_url) as s3:
        s3.before_request = store
        done = site.by_way_of(production=s3.endpoint_url).run("-y")
    assert done.code == 1, done
    assert "possibly overwritten" in done.out + done.err


def test_a_large_object_that_was_changed_is_copied_again(
    moto_store: Store, rclone_store: Store, database: Database, tmp_path: Path
) -> None:
    site = site_of(moto_store, rclone_store, database, tmp_path)
    site.fill(PATHS[:1])
    legacy = site.of_legacy
    legacy.put_all(legacy.legacy_bucket, {PATHS[0]: LARGE})
    assert site.run("-y").code == 0
    time.sleep(1.1)  # so that the time of change tells
    changed = LARGE[:-1] + b"x"
    legacy.put_all(legacy.legacy_bucket, {PATHS[0]: changed})
    done = site.run("repair -y --json")
    assert done.code == 0, done
    assert document(done.out)["repaired"]["copied again"] == 1
    assert rclone_store.body(rclone_store.production_bucket, FLIPPED[1]) == changed


def test_a_plan_knows_what_passes_through_this_machine(pair: TwoStores) -> None:
    pair.fill(PATHS)
    copied_bytes = sum(map(len, pair.legacy_bodies().values()))
    plan = document(pair.with_environ(SKETCH_MAX_BANDWIDTH="100").run("plan --json").out)
    assert plan["transfer"] == "streamed"
    assert plan["estimate"]["seconds"] >= 2 * copied_bytes / 100
    assert "MAX_BANDWIDTH" in plan["estimate"]["rate_from"]


@pytest.mark.parametrize("flags", ["-y", "-y --processes 2 --range-rows 2"])
def test_the_progress_says_how_many_bytes_pass(pair: TwoStores, flags: str) -> None:
    pair.fill(PATHS)
    bodies = dict.fromkeys(PATHS, bytes(300_000))
    pair.of_legacy.put_all(pair.of_legacy.legacy_bucket, bodies)
    slow = pair.with_environ(SKETCH_MAX_BANDWIDTH="1M")  # half of it to write: all takes some seconds
    terminal = slow.on_a_terminal(flags)
    terminal.expect(r"of 6 rows, [\d.]+ [kM]B")
    terminal.expect(r"[\d.]+ [kM]B/s")
    terminal.expect("All migrated")
    terminal.wait()
    assert terminal.exitstatus == 0


def test_a_worker_asks_a_store_once_what_it_does_not_know(pair: TwoStores) -> None:
    """Not anew with each of its ranges."""
    paths = [f"image/{number}.png" for number in range(40)]
    pair.fill(paths)
    for path in paths:
        tags = {"TagSet": [{"Key": "owner", "Value": "42"}]}
        pair.of_legacy.client.put_object_tagging(Bucket=pair.of_legacy.legacy_bucket, Key=path, Tagging=tags)
    with S3FaultProxy(pair.store.endpoint_url) as s3:
        refused = s3_faults.status(501, "NotImplemented")
        s3.on(refused, when=lambda request: "x-amz-tagging" in request.headers)
        site = pair.by_way_of(production=s3.endpoint_url).with_environ(SKETCH_MAX_CONCURRENCY="2")
        done = site.run("-yw --processes 2 --range-rows 5 -p 1 -b 5")
        assert done.counts == counts(migrated=40, copied=40), done
        assert 1 <= s3.hits[refused.name] <= 4, "once in each process, and not in each of eight ranges"


def test_a_stop_leaves_no_upload(pair: TwoStores) -> None:
    pair.fill(PATHS[:1])
    pair.of_legacy.put_all(pair.of_legacy.legacy_bucket, {PATHS[0]: LARGE})
    with S3FaultProxy(pair.store.endpoint_url) as s3:
        s3.on(s3_faults.stall(), operation="upload_part", skip=1)
        running = pair.by_way_of(production=s3.endpoint_url).start("-y")
        s3.wait_for_hit("stall")
        running.send_signal(signal.SIGINT)
        time.sleep(0.5)  # or both signals are one
        running.send_signal(signal.SIGINT)
        done = finish(running)
    assert done.code == 130, done
    assert open_uploads(pair) == []
    assert pair.run("-y").code == 0


def test_a_repair_streams_as_well(pair: TwoStores) -> None:
    pair.fill(PATHS)
    assert pair.run("-y -l 5").code == 1
    time.sleep(1.1)  # so that the time of change tells
    pair.of_legacy.put_all(pair.of_legacy.legacy_bucket, {PATHS[0]: b"changed since"})
    pair.store.delete_all(pair.store.production_bucket, [FLIPPED[2]])
    done = pair.run("repair -y --json")
    assert done.code == 0, done
    repaired = {name: count for name, count in document(done.out)["repaired"].items() if count}
    assert repaired == {"copied again": 1, "restored": 1}
    assert pair.database.paths() == FLIPPED
    assert pair.production_bodies() == COPIES | {FLIPPED[1]: b"changed since"}


@pytest.mark.parametrize("side", ["legacy", "production"])
def test_what_is_wrong_names_its_side(pair: TwoStores, side: str) -> None:
    pair.fill(PATHS)
    wrong = pair.with_environ(**{f"{side.upper()}_AWS_SECRET_ACCESS_KEY": ""})
    done = wrong.run("-y")
    assert done.code == 2, done
    assert f"{side.upper()}_AWS_ACCESS_KEY_ID is set, but {side.upper()}_AWS_SECRET_ACCESS_KEY is not" in done.err
    nowhere = pair.with_environ(**{f"SKETCH_{side.upper()}_S3_ENDPOINT_URL": "http://127.0.0.1:9"})
    unreachable = nowhere.with_environ(SKETCH_S3_RETRY_SECONDS="0").run("-y")
    assert unreachable.code == 3, unreachable
    assert f"error: {side}: 127.0.0.1:9: the connection was refused" in unreachable.err
    assert f"{side.upper()}_S3_ENDPOINT_URL and the network right?" in unreachable.err
    if side == "production":  # moto believes any
        another = pair.with_environ(PRODUCTION_AWS_SECRET_ACCESS_KEY="another").run("-y")
        assert another.code == 3, another
        assert "error: production: " in another.err
        assert "Check PRODUCTION_AWS_SECRET_ACCESS_KEY" in another.err
    no_bucket = pair.with_environ(**{f"SKETCH_{side.upper()}_BUCKET": "no-such-bucket"}).run("-y")
    assert no_bucket.code == 3, no_bucket
    store = pair.of_legacy if side == "legacy" else pair.store
    assert f"there is no bucket no-such-bucket at {store.endpoint_url}" in no_bucket.err
    assert pair.production_bodies() == {}
