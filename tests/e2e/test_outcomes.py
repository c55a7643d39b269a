"""What becomes of each entry, as its row and its objects are: counts, rows, objects, exit code and list of problems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.site import body_of, counts, problems
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site


@pytest.mark.parametrize("flags", ["-y", "-yw", "-y --processes 2 --range-rows 60"])
def test_a_limit_holds_over_many_pages(site: Site, flags: str) -> None:
    """A page has 100 rows at first. One row is held: it counts as well."""
    site.fill([f"image/{number:03}.png" for number in range(250)])
    with site.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM avatars WHERE id = 3 FOR UPDATE")
        done = site.with_environ(SKETCH_DB_RETRY_SECONDS="1").run(f"{flags} -l 150 -b 40")
    assert done.counts["scanned"] == 150, done
    flipped = [path for path in site.database.paths().values() if path and path.startswith("avatar/")]
    assert len(flipped) == done.counts["migrated"] >= 149


def test_every_outcome_of_objects_at_once(any_site: Site) -> None:
    site, store = any_site, any_site.store
    paths = [
        *(None, "", "image/", "image", "images/no.png", "avatar/done.png"),
        *("image/plain.png", "image/a/b/c.png", "image/image/x.png", "image/empty.png"),
        *("image/missing.png", "image/twice.png", "image/conflict.png", "image/same.png", "image/gone.png"),
        *("image/twice.png", "image/same-size.png"),
    ]
    site.fill(paths, without_object=["image/", "image/missing.png", "image/gone.png"])
    store.put_all(store.legacy_bucket, {"image/empty.png": b""})
    there = {
        "avatar/conflict.png": b"stored by the application",
        "avatar/same.png": body_of("image/same.png"),
        "avatar/gone.png": b"whatever",
        "avatar/same-size.png": body_of("image/same-size.png").upper(),
    }
    store.put_all(store.production_bucket, there)
    before = site.facts()

    done = site.run("-yt -b 3 -p 2")
    migrated = ["plain.png", "a/b/c.png", "image/x.png", "empty.png", "twice.png", "same.png", "twice.png"]
    # the object that two rows share is copied once
    assert (done.code, done.counts) == (1, counts(migrated=7, missing=2, conflict=2, failed=1, copied=5)), done
    after = site.facts()
    assert after.legacy == before.legacy
    assert after.rows == {
        key: f"avatar/{path[6:]}" if path and path[6:] in migrated else path for key, path in before.rows.items()
    }
    assert {key: after.production[key] for key in there} == {key: before.production[key] for key in there}
    expected_bodies = {f"avatar/{name}": body_of(f"image/{name}") for name in migrated}
    expected_bodies |= there | {"avatar/empty.png": b"", "avatar/done.png": body_of("avatar/done.png")}
    assert site.production_bodies() == expected_bodies
    listed = problems(site, done)
    assert {path: outcome for path, (outcome, _) in listed.items()} == {
        "image/": "failed",
        "image/missing.png": "missing",
        "image/gone.png": "missing",
        "image/conflict.png": "conflict",
        "image/same-size.png": "conflict",
    }
    assert "names no object" in listed["image/"][1]
    assert "nothing to compare" in listed["image/gone.png"][1]
    for path in listed:
        assert re.search(rf"^  (missing|conflict|failed) +\d+  {path}$", done.out, re.MULTILINE)

    again = site.run("-y")
    assert (again.code, again.counts) == (1, counts(missing=2, conflict=2, failed=1))
    assert problems(site, again) == listed
    assert site.facts() == after

    overwritten = site.run("-yw")
    assert (overwritten.code, overwritten.counts) == (1, counts(migrated=2, missing=2, failed=1, copied=2))
    final = site.production_bodies()
    for name in ("conflict.png", "same-size.png"):
        assert final[f"avatar/{name}"] == body_of(f"image/{name}")
    assert site.facts().legacy == before.legacy


@pytest.mark.parametrize("flags", ["-y", "-yw"])
def test_an_object_that_several_rows_share_is_copied_once(site: Site, flags: str) -> None:
    site.fill([*["image/default.png"] * 6, "image/other.png"])
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="default.png")
        process = site.at(store=site.store.via(s3.endpoint_url)).start(flags)
        s3.wait_for_hit("stall")
        s3.wait_for_requests(2, "copy")  # the seventh row was begun, so all were
        s3.release()
        done = finish(process)
        assert [request.key for request in s3.requests if request.operation == "copy"].count("avatar/default.png") == 1
    assert (done.code, done.counts) == (0, counts(migrated=7, copied=2)), done
    assert site.database.paths() == dict.fromkeys(range(1, 7), "avatar/default.png") | {7: "avatar/other.png"}


def test_where_etags_do_not_compare_the_bytes_decide(moto_site: Site) -> None:
    site, store = moto_site, moto_site.store
    paths = ["image/same.png", "image/differs-at-the-end.png"]
    site.fill(paths)
    for path, body in ((paths[0], body_of(paths[0])), (paths[1], body_of(paths[1])[:-1] + b"!")):
        where = {"Bucket": store.production_bucket, "Key": path.replace("image/", "avatar/")}
        upload_id = store.client.create_multipart_upload(**where)["UploadId"]
        part = store.client.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=body)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        store.client.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload=parts)
    before = site.facts()
    assert before.production["avatar/same.png"].etag != before.legacy["image/same.png"].etag
    assert [found.size_bytes for found in before.production.values()] == [
        found.size_bytes for found in before.legacy.values()
    ]
    done = site.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=1, conflict=1, copied=0)), done
    after = site.facts()
    assert after.production == before.production
    assert after.rows == {1: "avatar/same.png", 2: paths[1]}


STRANGE = {
    "spaces": ["a b.png", " leading", "trailing ", "two  spaces"],
    "signs": ["a+b.png", "%41.png", "%2F.png", "%", "a&b=c?d#e;f:g@h,$!*.png", "~tilde", "[b]{c}|^`"],
    "quotes": ["it's.png", 'say "hi".png', "<tag>&amp;.png", "back\\slash.png"],
    "unicode": ["héllo.png", "日本語.png", "e\u0301.png", "\u00e9.png", "🎨.png", "\u202ertl.png", "ß"],
    "slashes": ["a//b.png", "/leading.png", "trailing/", "a/../b.png", "../up.png", "./here.png", ".", "..", "a/./b"],
    "long": ["x" * 1017, "é" * 508 + "x"],
}


def test_strange_keys_arrive_byte_for_byte(any_site: Site) -> None:
    """But those that the store refuses. A backslash is a slash to SeaweedFS."""
    site = any_site
    refused = set() if site.store.takes_any_key else {"slashes", "long"}
    refused |= {"quotes"} if site.store.name == "seaweed" else set()
    names = [name for kind, some in STRANGE.items() if kind not in refused for name in some]
    paths = [f"image/{name}" for name in names]
    site.fill(paths)
    before = site.facts()
    assert set(before.legacy) == set(paths)
    dry = site.run("-dv")
    assert (dry.code, dry.counts["migrated"]) == (0, len(paths)), dry
    assert site.facts() == before
    done = site.run("-ytv -b 3")
    assert (done.code, done.counts) == (0, counts(migrated=len(paths), copied=len(paths))), done
    assert done.tech_status == f"tech_status {len(paths)},{len(paths)},0,{len(paths)},{len(paths)}"
    after = site.facts()
    assert after.rows == {key: f"avatar/{name}" for key, name in enumerate(names, 1)}
    assert after.legacy == before.legacy
    assert site.production_bodies() == {f"avatar/{name}": body_of(f"image/{name}") for name in names}


def test_a_missing_object_is_missing_whatever_is_in_its_name(any_site: Site) -> None:
    """The XML in which rclone and moto repeat a control character is none."""
    paths = ["image/a\x01b.png", "image/\x1b[2Jred.png", "image/new\nline.png", "image/\uffff.png"]
    any_site.fill(paths, without_object=paths)
    for flags in ("-y", "-yw"):
        done = any_site.run(flags)
        assert (done.code, done.counts) == (1, counts(missing=4)), done


def test_a_name_that_would_drive_the_terminal_is_shown_escaped(site: Site) -> None:
    paths = ["image/\x1b[2Jred.png", "image/new\nline.png", "image/\u202egnp.exe"]
    site.fill(paths, without_object=paths)
    done = site.run("-yv")
    assert (done.code, done.counts) == (1, counts(missing=3)), done
    assert set(problems(site, done)) == set(paths)
    log = (site.last_run() / "migrate.log").read_text()
    for text in (done.out, log):
        assert not set("\x1b\u202e") & set(text)
        assert r"image/\x1b[2Jred.png" in text
        assert r"image/new\nline.png" in text


def test_a_mapped_key_that_is_too_long_stops_nobody_else(moto_site: Site) -> None:
    site, too_long = moto_site, "image/" + "x" * 1018
    site.fill(["image/a.png", too_long, "image/b.png"])
    done = site.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=2, failed=1, copied=2)), done
    assert problems(site, done) == {too_long: ("failed", "the production key would be 1025 bytes long; S3 allows 1024")}
    assert site.database.paths() == {1: "avatar/a.png", 2: too_long, 3: "avatar/b.png"}


def test_the_terminal_shows_twenty_and_the_list_has_all(site: Site) -> None:
    paths = [f"image/missing-{number}.png" for number in range(25)]
    site.fill([*paths, "image/there.png"], without_object=paths)
    done = site.run("-y -b 4")
    assert (done.code, done.counts) == (1, counts(migrated=1, missing=25, copied=1))
    assert "These need a person (the first 20 of 25):" in done.out
    assert re.findall(r"^  missing +(\d+)  image/missing-", done.out, re.MULTILINE) == [str(n) for n in range(1, 21)]
    assert set(problems(site, done)) == set(paths)
    assert "Finished, but 25 entries need a person." in done.out


def test_a_limit_is_exact_and_the_rest_is_left_for_the_next_run(site: Site) -> None:
    paths = [f"image/{number}.png" for number in range(9)]
    site.fill([*paths, "avatar/done.png"])
    first = site.run("-yt -l 5 -b 2")
    assert (first.code, first.counts) == (1, counts(migrated=5, copied=5)), first
    assert first.tech_status == "tech_status 9,6,4,6,10"
    assert "Finished what was asked for; legacy rows are left." in first.out
    dry = site.run("-d -l 3")
    assert (dry.code, dry.counts["migrated"]) == (1, 3)
    exact = site.run("-yt -l 4")
    assert (exact.code, exact.counts, exact.tech_status) == (
        0,
        counts(migrated=4, copied=4),
        "tech_status 9,10,0,10,10",
    )
    assert site.run("-y -l 4").code == 0


def test_both_sides_in_one_bucket(site: Site) -> None:
    site.fill(["image/a.png", "image/b/c.png"])
    one = site.with_environ(SKETCH_PRODUCTION_BUCKET=site.store.legacy_bucket)
    done = one.run("-yt")
    assert (done.code, done.counts) == (0, counts(migrated=2, copied=2)), done
    assert done.tech_status == "tech_status 2,2,0,2,2"
    assert site.legacy_bodies() == {
        path: body_of(path) for path in ("avatar/a.png", "avatar/b/c.png", "image/a.png", "image/b/c.png")
    }
    assert site.production_bodies() == {}


def test_wildcards_in_a_prefix_are_letters(site: Site) -> None:
    site.fill(["image/a.png"])
    site.database.execute("UPDATE avatars SET path = 'im_g%e/a.png'")
    site.database.execute("INSERT INTO avatars VALUES (2, 'imXgYe/b.png')")
    site.store.put_all(site.store.legacy_bucket, {"im_g%e/a.png": b"a", "imXgYe/b.png": b"b"})
    done = site.with_environ(SKETCH_LEGACY_PREFIX="im_g%e/").run("-yt")
    assert (done.code, done.counts, done.tech_status) == (0, counts(migrated=1, copied=1), "tech_status 1,1,0,1,2"), (
        done
    )
    assert site.database.paths() == {1: "avatar/a.png", 2: "imXgYe/b.png"}


@pytest.mark.parametrize(
    ("without_object", "listed"), [([], ["image/a.png/"]), (["image/a.png"], ["image/a.png/", "image/"])]
)
def test_legacy_is_listed_whole_only_where_the_first_path_names_no_object(
    site: Site, without_object: list[str], listed: list[str]
) -> None:
    site.fill(["image/a.png", "image/b.png"], without_object=without_object)
    with S3FaultProxy(site.store.endpoint_url) as s3:
        done = site.at(store=site.store.via(s3.endpoint_url)).run("-d -p 1")
        queries = [parse_qs(urlsplit(each.target).query) for each in s3.requests if "list-type=2" in each.target]
    assert [query["prefix"][0] for query in queries] == [*listed, "avatar/"]
    assert "reading was not tried" not in done.out + done.err
