"""``plan`` and ``verify`` by S3 Inventories: the same as by listings, and what is wrong with one is named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.cli import inspection
from sketchmigrate.cli.main import main
from tests.e2e.site import check_refused
from tests.inventories import CSV, PARQUET, Entry, inventory_of
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import status

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site

ODD = (
    "a b",
    "a+b",
    "100%",
    "a%20b",
    "q?x&y=z",
    'quo"te',
    "comma,semi;",
    "Grüße/日本 語",
    "*~'()",
)


def odd_rows() -> list[str | None]:
    return [f"image/{name}.png" for name in ODD]


def by_inventories(site: Site, folder: Path, file_format: str, *, later: timedelta = timedelta()) -> Site:
    """The site, with inventories of both sides as they are now."""
    store = site.store
    legacy, production = (
        inventory_of(store, bucket, file_format, later=later).write(folder)
        for bucket in (store.legacy_bucket, store.production_bucket)
    )
    return site.with_environ(SKETCH_INVENTORY_LEGACY=str(legacy), SKETCH_INVENTORY_PRODUCTION=str(production))


def verified(site: Site) -> dict[str, Any]:
    done = site.run("verify --json")
    assert done.err.count("Traceback") == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize("file_format", [CSV, PARQUET])
def test_an_inventory_says_what_a_listing_says(moto_site: Site, tmp_path: Path, file_format: str) -> None:
    site = moto_site
    site.fill([*odd_rows(), "image/gone.png", "avatar/done.png", "avatar/dangling.png"],
              without_object=["image/gone.png", "avatar/dangling.png"])  # fmt: skip
    site.store.put_all(site.store.production_bucket, {"avatar/a b.png": b"another"})
    before = site.facts()
    listed = json.loads(site.run("plan --json").out)
    read = by_inventories(site, tmp_path / "inventories", file_format)
    with S3FaultProxy(site.store.endpoint_url) as s3:
        done = read.at(store=site.store.via(s3.endpoint_url)).run("plan --json")
        pages = [each.target for each in s3.requests if "max-keys=1000" in each.target]
    found = json.loads(done.out)
    assert (done.code, found["rows"]) == (1, listed["rows"]), done.err
    assert found["objects_to_copy"] == listed["objects_to_copy"] == len(ODD) - 1
    assert [(each["kind"], each["count"]) for each in found["findings"]] == [
        (each["kind"], each["count"]) for each in listed["findings"]
    ]
    assert listed["inventories"] == {"legacy": None, "production": None}
    assert found["inventories"]["legacy"].endswith("Z")
    assert len(pages) == 4, "both ends of each side, and no listing"
    assert site.facts() == before


def test_verify_by_inventories_says_so_and_manifest_refuses_it(moto_site: Site, tmp_path: Path) -> None:
    site = moto_site
    site.fill(odd_rows())
    assert site.run("-y").code == 0
    read = by_inventories(site, tmp_path / "inventories", PARQUET)
    done = read.run("verify")
    assert done.code == 0, done
    assert done.out.startswith("VERIFIED: 0 dangling, 0 unmigrated, 0 different\n")
    assert done.out.count("inventory of 20") == 4, "of each side, with its reading and with what it means"
    refused = read.run("manifest")
    check_refused(refused, 2, "rests on an inventory of", "legacy")
    assert site.run("verify").code == 0
    made = read.run("manifest")
    assert made.code == 0, made.err
    assert f"{len(ODD)} legacy objects" in made.out


def test_old_versions_and_delete_markers_are_no_objects(moto_site: Site, tmp_path: Path) -> None:
    site = moto_site
    site.fill(["image/kept.png", "image/deleted.png"], without_object=["image/deleted.png"])
    store = site.store
    inventory = inventory_of(store, store.legacy_bucket, CSV).with_versions(
        Entry("image/kept.png", 1, "e" * 32, "2020-01-01T00:00:00.000Z", is_latest=False),
        Entry("image/deleted.png", 1, "e" * 32, "2020-01-01T00:00:00.000Z", is_latest=False),
        Entry("image/deleted.png", 0, "", "2021-01-01T00:00:00.000Z", is_delete_marker=True),
    )
    read = site.with_environ(SKETCH_INVENTORY_LEGACY=str(inventory.write(tmp_path / "inventories")))
    found = verified(read)
    assert found["objects"]["legacy"]["total"] == 1
    assert found["adds_up"] is True
    assert (found["rows"]["unmigrated"], found["rows"]["missing"]) == (1, 1)


def test_what_was_stored_after_the_inventory_is_looked_at(site: Site) -> None:
    site.fill(["image/old.png", "image/changed.png", "avatar/own.png"])
    store = site.store
    legacy, production = store.legacy_bucket, store.production_bucket
    read = site.with_environ(
        SKETCH_INVENTORY_LEGACY=inventory_of(store, legacy, CSV).put(store, legacy),
        SKETCH_INVENTORY_PRODUCTION=inventory_of(store, production).put(store, production),
    )
    site.database.execute("INSERT INTO avatars VALUES (11, 'image/late.png'), (12, 'avatar/late.png')")
    site.database.execute("INSERT INTO avatars VALUES (13, 'image/nowhere.png')")
    store.put_all(legacy, {"image/late.png": b"late", "image/changed.png": b"longer than it was by far"})
    store.put_all(production, {"avatar/late.png": b"late", "avatar/changed.png": b"longer than it was by far"})
    found = verified(read)
    rows = {name: count for name, count in found["rows"].items() if count}
    assert rows == {"total": 6, "unmigrated": 3, "alone": 1, "equal": 1, "missing": 1}
    assert found["second_looks"] == 3, "those that no inventory has"
    assert found["inventories"]["production"] is not None
    names = {path.name for path in site.last_run().iterdir()}
    assert not [name for name in names if name.startswith("inventory-")], "what was brought is deleted again"


def test_a_store_that_fails_is_waited_for_as_long_as_the_settings_say(site: Site) -> None:
    """It is the run's own work, which an hour may have gone into, and none of the checks before it."""
    site.fill(["image/old.png"])
    legacy = site.store.legacy_bucket
    read = site.with_environ(
        SKETCH_INVENTORY_LEGACY=inventory_of(site.store, legacy).put(site.store, legacy),
        SKETCH_S3_RETRY_SECONDS="0.5",
    )
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(status(503, retry_after="1"), operation="get", key="part-1.parquet$", times=1)
        refused = read.at(store=site.store.via(s3.endpoint_url)).run("verify")
        check_refused(refused, 4, "part-1.parquet: SlowDown", "it asks to wait 1 s")


def test_a_damaged_file_is_refused(untouched_site: Site, tmp_path: Path) -> None:
    site = untouched_site
    manifest = inventory_of(site.store, site.store.legacy_bucket).write(tmp_path)
    read = site.with_environ(SKETCH_INVENTORY_LEGACY=str(manifest))
    assert read.run("plan").code == 0
    (damaged, *_) = sorted(tmp_path.rglob("part-1.parquet"))
    content = bytearray(damaged.read_bytes())
    content[-9] ^= 1
    damaged.write_bytes(content)
    check_refused(read.run("plan"), 3, str(damaged), "MD5")
    damaged.unlink()
    check_refused(read.run("plan"), 3, "part-1.parquet", "is not on this machine")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"file_format": "ORC"}, "the format ORC"),
        ({"columns": ("Bucket", "Key", "Size", "StorageClass")}, "the inventory lacks ETag, LastModifiedDate"),
        ({"bucket": "of-another-bucket"}, "an inventory of the bucket of-another-bucket"),
        ({"entries": ()}, "does not cover s3://"),
    ],
)
def test_a_wrong_inventory_is_refused(untouched_site: Site, tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    site = untouched_site
    right = inventory_of(site.store, site.store.legacy_bucket, later=timedelta(days=1))
    manifest = replace(right, **wrong).write(tmp_path)
    check_refused(site.run("plan", "--inventory-legacy", str(manifest)), 2, "INVENTORY_LEGACY: ", told)


def test_one_of_a_time_to_come_is_refused(untouched_site: Site, tmp_path: Path) -> None:
    site = untouched_site
    manifest = inventory_of(site.store, site.store.legacy_bucket, later=timedelta(days=2)).write(tmp_path)
    refused = site.run("plan", "--inventory-legacy", str(manifest))
    check_refused(refused, 2, f"INVENTORY_LEGACY: {manifest}: the inventory is of ", "this machine's clock says")


def test_an_inventory_of_a_part_of_the_place_is_refused(untouched_site: Site, tmp_path: Path) -> None:
    site = untouched_site
    right = inventory_of(site.store, site.store.legacy_bucket, later=timedelta(days=1))
    for entries, lacking in ((right.entries[:1], "image/2.png"), (right.entries[1:], "image/1.png")):
        manifest = replace(right, entries=entries).write(tmp_path)
        check_refused(site.run("verify", "--inventory-legacy", str(manifest)), 2, "does not cover", repr(lacking))
    assert site.run("verify", "--inventory-legacy", str(right.write(tmp_path))).code == 1, "rows are unmigrated"


def test_a_missing_inventory_is_named(untouched_site: Site) -> None:
    site = untouched_site
    absent = f"s3://{site.store.legacy_bucket}/inventories/manifest.json"
    check_refused(site.run("plan", "--inventory-legacy", absent), 2, f"INVENTORY_LEGACY: {absent}", hint=False)
    gone = "INVENTORY_PRODUCTION: gone.json cannot be read: No such file"
    check_refused(site.run("plan", "--inventory-production", "gone.json"), 2, gone, hint=False)
    check_refused(site.run("plan", "--inventory-production", "s3://bucket"), 2, "--inventory-production")


def test_however_much_looks_wrong_by_an_inventory_all_of_it_is_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a listing no more than so many are, and here that is one. In this process, where the number can be set."""
    monkeypatch.setattr(inspection, "MOST_SECOND_LOOKS", 1)
    monkeypatch.chdir(site.folder)
    for name, value in site.settings.items():
        monkeypatch.setenv(name, value)
    empty = replace(inventory_of(site.store, site.store.legacy_bucket), entries=()).write(site.folder)
    site.fill(["image/1.png", "image/2.png", "image/gone.png", "image/gone-too.png"],
              without_object=["image/gone.png", "image/gone-too.png"])  # fmt: skip
    for flags, looks in (([], 1), (["--inventory-legacy", str(empty)], 4)):
        assert main(["sketch-migrate", "verify", "--json", *flags]) == 1
        found = json.loads(capsys.readouterr().out)
        assert (found["second_looks"], found["rows"]["missing"]) == (looks, 2)
