"""Rows that no side recognises: a wrong prefix, column or bucket must not look like a table that is done."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import check_refused
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from tests.e2e.site import Site

OBJECTS = {f"image/{number}.png": b"picture" for number in range(5)}
URLS = [f"https://cdn.example.com/image/{number}.png" for number in range(5)]
BARE = [f"{number}.png" for number in range(5)]
READING = {"GET", "HEAD"}


def fill(site: Site, paths: list[str | None]) -> None:
    """Five legacy objects, and rows that may say anything."""
    site.database.create_avatars(paths)
    site.store.put_all(site.store.legacy_bucket, OBJECTS)


def document(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize(
    ("flags", "paths", "seems"),
    [
        ("-y", BARE, "a key without its prefix"),
        ("-y", ["img/1.png", None, ""], "a key with another prefix, 'img/'"),
        *((flags, URLS, "a URL") for flags in ("-d", "-y -l 1 -w", "-y --processes 2", "repair -y", "verify")),
    ],
)
def test_nothing_recognised_is_exit_1_and_nothing_is_written(
    site: Site, flags: str, paths: list[str | None], seems: str
) -> None:
    fill(site, paths)
    before = site.facts()
    with S3FaultProxy(site.store.endpoint_url) as proxy:
        done = site.at(store=site.store.via(proxy.endpoint_url)).run(flags)
        assert {request.method for request in proxy.requests} <= READING
    check_refused(done, 1, "nothing recognised: avatars has rows with a path")
    assert done.err.count(f"      seems to be {seems}") == min(3, sum(bool(path) for path in paths))
    assert site.facts() == before
    assert not list(site.last_run().glob("certificate.*"))


@pytest.mark.parametrize("paths", [URLS, BARE], ids=["URLs", "bare"])
def test_plan_and_status_say_which_objects_the_rows_mean(site: Site, paths: list[str | None]) -> None:
    fill(site, paths)
    plan = site.run("plan --json")
    assert plan.code == 1, plan
    kinds = {each["kind"]: each for each in document(plan.out)["findings"] if each["severity"] == "look"}
    assert kinds["nothing recognised"]["count"] == 5
    assert len(kinds["nothing recognised"]["examples"]) == 3
    assert kinds["unrecognised"]["count"] == 5
    assert "the legacy object image/0.png, which is there" in site.run("plan").out
    status = site.run("-s")
    assert status.code == 0, status
    assert "Nothing recognised: avatars has rows with a path" in status.out
    assert "100.0 %" not in status.out
    recognition = document(site.run("-s --json").out)["status"]["recognition"]
    assert {key: recognition[key] for key in ("nothing_recognised", "looked_at", "naming_a_legacy_object")} == {
        "nothing_recognised": True,
        "looked_at": 5,
        "naming_a_legacy_object": 5,
    }


@pytest.mark.parametrize(
    ("paths", "has_objects"),
    [([], True), ([None, ""], True), (URLS, False), (["avatar/1.png"], True)],
    ids=["no rows", "no paths", "no objects", "all done"],
)
def test_what_is_empty_or_done_is_exit_0(site: Site, paths: list[str | None], *, has_objects: bool) -> None:
    site.database.create_avatars(paths)
    site.store.put_all(site.store.production_bucket, {"avatar/1.png": b"picture"})
    if has_objects:
        site.store.put_all(site.store.legacy_bucket, OBJECTS)
    for flags in ("-y", "-d", "plan", "verify", "-s"):
        done = site.run(flags)
        assert done.code == (1 if flags == "plan" and paths == URLS else 0), done
        assert "nothing recognised" not in (done.out + done.err).lower()


ELSEWHERE = [f"images/{number}.png" for number in range(1, 9)]
RIGHT = "Are LEGACY_BUCKET and LEGACY_PREFIX right?"


def test_a_wrong_legacy_side_does_not_pass_as_done(site: Site) -> None:
    """The application writes to production already, so that one row is recognised."""
    site.database.create_avatars(["avatar/0.png", None, "", *ELSEWHERE])
    site.store.put_all(site.store.legacy_bucket, dict.fromkeys(ELSEWHERE, b"picture"))
    site.store.put_all(site.store.production_bucket, {"avatar/0.png": b"picture"})
    place = f"s3://{site.store.legacy_bucket}/image/"
    plan = site.run("plan --json")
    assert plan.code == 1, plan
    (finding,) = [each for each in document(plan.out)["findings"] if each["severity"] == "look"]
    assert (finding["kind"], finding["count"], len(finding["examples"])) == ("nothing in legacy", 8, 3)
    assert finding["what_to_do"].endswith(place)
    assert RIGHT in finding["what_to_do"]

    status = site.run("-s")
    assert status.code == 0, status
    assert "100.0 %  if legacy is the right place" in status.out
    runs = [site.run(flags) for flags in ("-y", "-d", "-y --processes 2")]
    for done, said in ((status, status.out), *((done, done.err) for done in runs)):
        assert done.code == 0, done
        assert f"{place} has no object" in said
        assert "8 with a path are on neither side" in said
        assert RIGHT in done.out
        assert said.count("seems to be a key with another prefix, 'images/'") == 3
        assert "Nothing to do." not in done.out
    assert document(site.run("-y --json").out)["nothing_in_legacy"] is True
    assert document(site.run("-s --json").out)["status"]["recognition"]["nothing_in_legacy"] is True

    verify = site.run("verify")
    assert verify.code == 0, verify
    certificate = (site.last_run() / "certificate.txt").read_text()
    for text in (verify.out, certificate):
        assert "Legacy holds no object, so nothing was compared." in text
    assert document((site.last_run() / "certificate.json").read_text())["nothing_compared"] is True
    right = site.with_environ(SKETCH_LEGACY_PREFIX="images/")
    done = right.run("-y --json")
    assert (done.code, document(done.out)["nothing_in_legacy"]) == (0, False), done
    assert document(right.run("verify --json").out)["nothing_compared"] is False


def test_what_names_a_legacy_object_in_another_way_is_not_done(site: Site) -> None:
    fill(site, ["avatar/1.png", *URLS, *BARE[1:4], "https://elsewhere.example.com/x"])
    site.store.put_all(site.store.production_bucket, {"avatar/1.png": b"picture"})
    status = site.run("-s")
    assert "8 of 9 rows on neither side that were looked at name a legacy object" in status.out
    assert re.search(r"^Done +11\.1 %$", status.out, re.MULTILINE)
    site.database.execute("INSERT INTO avatars SELECT n, 'other/' || n FROM generate_series(100, 2000) AS n")
    assert "11.1 %  at most" in site.run("-s").out


def test_one_row_among_many_that_means_a_legacy_object_is_a_finding(site: Site) -> None:
    """The others are migrated: only what names the object in another way is held against the table."""
    fill(site, ["avatar/1.png", "https://elsewhere.example.com/x.png", URLS[0], None])
    site.store.put_all(site.store.production_bucket, {"avatar/1.png": b"picture"})
    assert (done := site.run("-y")).code == 0, done
    verify = site.run("verify --json")
    assert verify.code == 1, verify
    found = document(verify.out)
    assert (found["rows"]["unrecognised"], found["rows"]["neither"], found["unmigrated"]) == (1, 2, 1)
    assert [each["path"] for each in found["examples"]["unrecognised"]] == [URLS[0]]
    plan = site.run("plan --json")
    assert plan.code == 1, plan
    looks = {each["kind"]: each["count"] for each in document(plan.out)["findings"] if each["severity"] == "look"}
    assert looks == {"unrecognised": 1}
    status = site.run("-s")
    assert status.code == 0, status
    assert "1 of 2 rows on neither side that were looked at name a legacy object in another way" in status.out
    assert "Nothing recognised" not in status.out


def test_the_status_names_rows_whose_object_the_store_refuses_to_show(site: Site) -> None:
    """Whether they name one is not known: that is no reason to call them none, or to end the status."""
    fill(site, ["avatar/1.png", *URLS[:2], "https://elsewhere.example.com/" + "x" * 1100])
    with S3FaultProxy(site.store.endpoint_url) as proxy:
        proxy.on(s3_faults.status(403, "AccessDenied"), key="^image/0.png$")
        denied = site.at(store=site.store.via(proxy.endpoint_url))
        status = denied.run("-s")
        recognition = document(denied.run("-s --json").out)["status"]["recognition"]
    assert status.code == 0, status
    assert "50.0 %  at most" in status.out
    assert "1 of 3 rows on neither side that were looked at name a legacy object in another way" in status.out
    assert "1 of 3 rows on neither side that were looked at may name a legacy object that is refused" in status.out
    assert "seems to be a URL; it cannot be looked at: HeadObject" in status.out
    assert (recognition["naming_a_legacy_object"], recognition["refused"]) == (1, 1)
    (example,) = [each for each in recognition["examples"] if each["refused"]]
    assert (example["path"], "AccessDenied" in example["refused"]) == (URLS[0], True)


def test_a_row_that_spells_an_object_otherwise_is_a_finding(site: Site) -> None:
    paths = [" image/0.png", "./image/1.png", "2.PNG", "IMAGE/3.PNG", "4.png ", "\t./IMAGE/0.PNG"]
    fill(site, ["avatar/1.png", *paths])
    site.store.put_all(site.store.production_bucket, {"avatar/1.png": b"picture"})
    plan, verify = site.run("plan --json"), site.run("verify --json")
    assert (plan.code, verify.code) == (1, 1), verify
    counted = {each["kind"]: each["count"] for each in document(plan.out)["findings"]}
    assert counted["unrecognised"] == document(verify.out)["rows"]["unrecognised"] == len(paths)
    with (site.last_run() / "problems.csv").open(encoding="utf-8", newline="") as file:
        found = {int(line["key"]): line["detail"] for line in csv.DictReader(file)}
    for row, number in enumerate([0, 1, 2, 3, 4, 0], start=2):
        assert found.pop(row).endswith(f" of the legacy object image/{number}.png, which is there")
    assert not found
    recognition = document(site.run("-s --json").out)["status"]["recognition"]
    assert recognition["naming_a_legacy_object"] == len(paths)


def test_a_recognised_row_behind_many_others_is_found(site: Site) -> None:
    """The first pages have none of either side: the table is read until one is found, and the run goes on."""
    fill(site, [])
    site.database.execute("INSERT INTO avatars SELECT n, 'other/' || n FROM generate_series(1, 30000) AS n")
    assert (done := site.run("-d")).code == 1, done
    site.database.execute("INSERT INTO avatars VALUES (30001, 'image/1.png')")
    done = site.run("-y")
    assert done.code == 0, done
    assert done.counts["migrated"] == 1
