"""What holds for one object ends nothing: a key that the store refuses, and one that is there in another spelling."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

LONG = "k" * 1100
REFUSED = {
    "rclone": ("a//b.png", "unsupported characters"),
    "ceph": (LONG, "InvalidObjectName"),
    "seaweed": ("../up.png", "InvalidRequest"),
}


def details(run: Path) -> dict[tuple[str, str], str]:
    """The list of problems of a run, verify or plan: kind or outcome, and path, to what is said of it."""
    with (run / "problems.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    names = ("kind", "detail") if "detail" in found[0] else ("outcome", "reason")
    return {(row[names[0]], row["path"]): row[names[1]] for row in found}


@pytest.mark.parametrize("store_name", ["rclone", "seaweed", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_a_key_that_the_store_refuses_is_the_finding_of_its_rows(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, store_name: str
) -> None:
    store: Store = request.getfixturevalue(f"{store_name}_store")
    name, words = REFUSED[store_name]
    legacy, production, whole = f"image/{name}", f"avatar/{name}", ["image/1.png", "image/2.png"]
    site = Site(database, store, tmp_path)
    site.fill([*whole, legacy, production], without_object=[legacy, production])
    assert site.run("plan").code == 1
    found = details(site.last_run())
    for kind, path in (("missing object", legacy), ("dangling row", production)):
        assert words in found[kind, path]

    assert site.run("verify").code == 1
    found = details(site.last_run())
    for kind, path in (("missing", legacy), ("dangling", production)):
        assert "it cannot be looked at: HeadObject" in found[kind, path]
        assert words in found[kind, path]

    repaired = site.run("repair -y --json")
    assert repaired.code == 1, repaired
    rows = json.loads(repaired.out)["rows"]
    assert (rows["equal"], rows["missing"], rows["dangling"]) == (2, 1, 1)
    assert site.run("manifest").code == 0


@pytest.mark.parametrize("is_all", [False, True])
def test_one_refusal_is_a_finding_and_a_store_that_refuses_all_ends_the_command(site: Site, *, is_all: bool) -> None:
    """From the second look at the dangling row on, its object is refused, or everything is."""
    site.fill(["image/1.png", "avatar/2.png"], without_object=["avatar/2.png"])
    refusal = s3_faults.status(403, "AccessDenied")
    with S3FaultProxy(site.store.endpoint_url) as s3:

        def begin_to_refuse(request: S3Request) -> None:
            if request.key == "image/2.png":  # the first half of that look
                s3.on(refusal, key="" if is_all else "^avatar/2.png$")

        s3.before_request = begin_to_refuse
        done = site.at(store=site.store.via(s3.endpoint_url)).run("verify")
        assert s3.hits[refusal.name]
    assert done.code == (3 if is_all else 1), done
    if not is_all:
        assert "AccessDenied" in details(site.last_run())["dangling", "avatar/2.png"]


MISSING = {  # what the row says, and how its object is spelt
    "image/caf\u00e9.png": ("image/cafe\u0301.png", "in Unicode normal form"),
    "image/a%20b.png": ("image/a b.png", "in percent-encoding"),
    "image/BIG.JPG": ("image/BIG.jpg", "in case"),
    "image/img_1.jpg": ("image/IMG_1.JPG", "in case"),
    "image/two words.png": ("image/two+words.png", "in percent-encoding"),
    "image/end.png ": ("image/end.png", "in white space at the end"),
}


def test_a_missing_row_names_the_object_that_it_probably_means(moto_site: Site) -> None:
    site = moto_site
    listed_only = "image/MiXeD.png"  # of all cases, only a listing finds this one
    site.fill([*MISSING, listed_only, "image/gone.png"], without_object=[*MISSING, listed_only, "image/gone.png"])
    there = [*(key for key, _ in MISSING.values()), "image/mIxEd.png"]
    site.store.put_all(site.store.legacy_bucket, dict.fromkeys(there, b"a picture"))
    for command, code in (("verify", 1), ("plan", 1), ("-d", 1), ("-y", 1)):
        assert site.run(command).code == code, command
        found = details(site.last_run())
        said = {path: words for (kind, path), words in found.items() if kind in ("missing", "missing object")}
        assert said.keys() == {*MISSING, listed_only, "image/gone.png"}, command
        for path, (_, words) in MISSING.items():
            assert "probably " in said[path], (command, path)
            assert f"which is there and differs {words}" in said[path], command
        assert ("mIxEd" in said[listed_only]) is (command in ("verify", "plan"))
        assert "probably" not in said["image/gone.png"]
    assert site.production_bodies() == {}


def test_so_does_a_dangling_one(moto_site: Site) -> None:
    site = moto_site
    site.fill(["avatar/a%20b.png", "avatar/gone.png"], without_object=["avatar/a%20b.png", "avatar/gone.png"])
    site.store.put_all(site.store.production_bucket, {"avatar/a b.png": b"a picture"})
    site.store.put_all(site.store.legacy_bucket, {"image/GONE.png": b"of the other side, and no help"})
    for command, kind in (("verify", "dangling"), ("plan", "dangling row")):
        assert site.run(command).code == 1
        found = details(site.last_run())
        assert "probably 'avatar/a b.png' is meant" in found[kind, "avatar/a%20b.png"]
        assert "probably" not in found[kind, "avatar/gone.png"]
