"""The same bytes with other headers are another object; what could not be read is not certified as read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.e2e.site import body_of, problems
from tests.e2e.test_deep import put_in_one_part
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request
    from tests.tool import Finished

PATHS = ("image/a.png", "image/b.png", "image/c.png")
SAID = "same bytes, other content-type: image/png in legacy, text/plain in production"


def document(result: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.out)
    return found


def put(site: Site, key: str, body: bytes, *, production: bool = True, **headers: Any) -> None:
    bucket = site.store.production_bucket if production else site.store.legacy_bucket
    site.store.client.put_object(Bucket=bucket, Key=key, Body=body, **headers)


def test_a_run_and_plan_call_them_taken_and_overwrite_replaces_them(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    for path in PATHS:
        put(site, path, body_of(path), production=False, ContentType="image/png")
    put(site, "avatar/a.png", body_of("image/a.png"), ContentType="text/plain")
    put(site, "avatar/b.png", body_of("image/b.png"), ContentType="image/png")
    planned = site.run("plan --json")
    (taken,) = [each for each in document(planned)["findings"] if each["kind"] == "taken"]
    assert (planned.code, taken["count"], taken["examples"][0]["detail"]) == (1, 1, SAID)
    assert document(planned)["rows"]["in_place"] == 1
    done = site.run("-y --json")
    assert done.code == 1, done
    outcomes = {word: count for word, count in document(done)["outcomes"].items() if count}
    assert outcomes == {"migrated": 2, "conflict": 1}
    assert document(done)["problems"][0]["reason"] == f"production holds the {SAID}"
    assert document(done)["objects_copied"] == 1
    assert site.run("-yw").code == 0
    served = site.store.client.head_object(Bucket=site.store.production_bucket, Key="avatar/a.png")
    assert served["ContentType"] == "image/png"


def test_deep_verify_does_not_certify_them(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    assert site.run("-y").code == 0
    put(site, "avatar/a.png", body_of("image/a.png"), Metadata={"owner": "7"}, ContentEncoding="gzip")
    done = site.run("verify --deep --json")
    assert done.code == 1, done
    found = document(done)
    assert (found["rows"]["other headers"], found["rows"]["equal"], found["different"]) == (1, 2, 1)
    assert "content-encoding: none in legacy, gzip" in found["examples"]["other headers"][0]["detail"]
    assert "x-amz-meta-owner: none in legacy, 7" in found["examples"]["other headers"][0]["detail"]
    told = (site.last_run() / "certificate.txt").read_text()
    assert told.startswith("NOT AS IT SHOULD BE: 1 other headers\n")


def test_what_a_condition_keeps_from_being_read_is_read_without_one(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    assert site.run("-y").code == 0
    with S3FaultProxy(site.store.endpoint_url) as s3:
        refused = s3_faults.status(412, "PreconditionFailed")
        s3.on(refused, operation="get", when=lambda request: "if-match" in request.headers)
        done = site.at(store=site.store.via(s3.endpoint_url)).run("verify --deep --json")
        assert s3.hits[refused.name] == 6
    assert done.code == 0, done
    assert document(done)["equality_proved_by"] == {"bytes": 3}


def test_what_cannot_be_read_is_not_certified(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    assert site.run("-y").code == 0
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(s3_faults.status(412, "PreconditionFailed"), operation="get", key=r"avatar/a\.png")
        done = site.at(store=site.store.via(s3.endpoint_url)).run("verify --deep --json")
    assert done.code == 1, done
    found = document(done)
    assert (found["rows"]["not read"], found["rows"]["equal"], found["passed"]) == (1, 2, False)
    assert found["deep"]["references_compared"] == 2
    assert "PreconditionFailed" in found["examples"]["not read"][0]["detail"]


def test_a_copy_that_finds_no_source_is_not_believed_where_a_look_finds_it(site: Site) -> None:
    site.fill(PATHS)
    with S3FaultProxy(site.store.endpoint_url) as s3:
        lost = s3_faults.status(404, "NoSuchKey")
        s3.on(lost, operation="copy", key=r"avatar/a\.png")
        done = site.at(store=site.store.via(s3.endpoint_url)).run("-y --json")
        assert s3.hits[lost.name] == 1
    assert done.code == 1, done
    (problem,) = document(done)["problems"]
    assert problem["outcome"] == "failed"
    assert problem["reason"].startswith("a look finds the legacy object, and yet: ")
    assert "NoSuchKey" in problem["reason"]


def test_a_dry_run_counts_only_what_it_would_copy(moto_site: Site) -> None:
    moto_site.fill(PATHS)
    put(moto_site, "avatar/a.png", body_of("image/a.png"))
    done = moto_site.run("-d")
    assert (done.code, done.counts["migrated"]) == (0, 3), done
    assert "  to copy     2  objects" in done.out


def test_the_number_of_tags_is_asked_for_where_one_side_alone_tells_it(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    put(site, "image/a.png", body_of("image/a.png"), production=False, Tagging="a=1&b=2")
    put(site, "avatar/a.png", body_of("image/a.png"))
    put(site, "avatar/b.png", body_of("image/b.png"))
    with S3FaultProxy(site.store.endpoint_url) as s3:
        asked: list[str] = []

        def note(request: S3Request) -> None:
            if "tagging" in request.query and request.operation != "put":
                asked.append(request.key)

        s3.before_request = note
        through = site.at(store=site.store.via(s3.endpoint_url))
        done = through.run("-d")
        tried, *asked = asked
        assert tried.startswith("image/"), "whether tags may be read is tried with one"
        assert asked == ["avatar/a.png"], "of the others nothing is asked"
        expected = "production holds the same bytes, other number of tags: 2 in legacy, 0 in production"
        assert problems(through, done) == {"image/a.png": ("conflict", expected)}
        refused = s3_faults.status(403, "AccessDenied")
        s3.on(refused, when=lambda request: "tagging" in request.query)
        done = through.run("-d")
        assert s3.hits[refused.name] == 2, "one that is tried, and that of the number"
    assert (done.code, done.counts["migrated"]) == (0, 3), "who may not read tags compares none"


def test_an_object_that_goes_while_its_tags_are_asked_for_ends_nothing(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    put(site, "image/a.png", body_of("image/a.png"), production=False, Tagging="a=1&b=2")
    put(site, "avatar/a.png", body_of("image/a.png"))
    gone: list[str] = []

    def delete(request: S3Request) -> None:
        if "tagging" in request.query and request.operation != "put" and not gone:
            gone.append(request.key)
            site.store.client.delete_object(Bucket=site.store.production_bucket, Key=request.key)

    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.before_request = delete
        done = site.at(store=site.store.via(s3.endpoint_url)).run("plan --json")
    assert gone == ["avatar/a.png"]
    assert "error" not in document(done), done
    assert document(done)["rows"]["legacy"] == 3


def test_a_second_look_sees_headers_too(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    assert site.run("-y").code == 0
    put(site, "avatar/a.png", b"another, as long as the listing lasts")
    anew: list[str] = []

    def between(request: S3Request) -> None:
        if request.operation == "head" and request.key == "avatar/a.png" and not anew:
            anew.append(request.key)
            put(site, "avatar/a.png", body_of("image/a.png"), ContentType="text/plain")

    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.before_request = between
        done = site.at(store=site.store.via(s3.endpoint_url)).run("verify --json")
    assert anew
    assert (done.code, document(done)["rows"]["other headers"]) == (1, 1), done
    assert "other content-type: " in document(done)["examples"]["other headers"][0]["detail"]


def test_what_plan_cannot_read_is_still_to_compare(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    put_in_one_part(site.store, site.store.production_bucket, "avatar/a.png", body_of("image/a.png"))
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(s3_faults.status(403, "InvalidObjectState"), operation="get", key=r"avatar/a\.png")
        planned = document(site.at(store=site.store.via(s3.endpoint_url)).run("plan --deep --json"))
        assert s3.hits["status_403"]
    (found,) = [each for each in planned["findings"] if each["kind"] == "to compare"]
    assert (found["count"], planned["deep"]["references_compared"], planned["rows"]["to_migrate"]) == (1, 0, 3)
    assert "InvalidObjectState" in found["examples"][0]["detail"]
