"""What ``--deep`` reads is the pair as it is then; a change, or a refusal, is no reason to certify or to end it all."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import body_of
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request
    from tests.tool import Finished

PATHS = ("image/a.png", "image/b.png", "image/c.png")
LISTINGS = 4
"""Of both sides: one page each to check that they can be used, then all."""


def standings(done: Finished) -> dict[str, int]:
    return {name: count for name, count in json.loads(done.out)["rows"].items() if count}


def put_in_production(site: Site, key: str, body: bytes) -> None:
    site.store.client.put_object(Bucket=site.store.production_bucket, Key=key, Body=body)


@pytest.fixture
def migrated(moto_site: Site) -> Site:
    moto_site.fill(PATHS)
    assert moto_site.run("-y").code == 0
    return moto_site


@pytest.mark.parametrize("shared", ["", "--processes 2"])
def test_one_object_that_may_not_be_read_is_that_row_s_finding(migrated: Site, shared: str) -> None:
    with S3FaultProxy(migrated.store.endpoint_url) as s3:
        refused = s3_faults.status(403, "AccessDenied")
        s3.on(refused, operation="get", key=r"avatar/a\.png")
        done = migrated.at(store=migrated.store.via(s3.endpoint_url)).run(f"verify --deep --json {shared}")
        assert s3.hits[refused.name] == 1
    assert (done.code, standings(done)) == (1, {"total": 3, "equal": 2, "not read": 1}), done
    assert "AccessDenied" in json.loads(done.out)["examples"]["not read"][0]["detail"]


def test_what_was_deleted_or_replaced_before_it_was_read_is_looked_at(migrated: Site) -> None:
    """One object is gone, and its row still names it; another one was replaced by the application."""
    changed: list[str] = []
    one_by_one = threading.Lock()

    def change(request: S3Request) -> None:
        with one_by_one:  # no object is looked at before
            if changed or s3.count("list") < LISTINGS or request.operation == "list":
                return
            changed.append(request.key)
            migrated.store.client.delete_object(Bucket=migrated.store.production_bucket, Key="avatar/a.png")
            put_in_production(migrated, "avatar/b.png", b"the application's")

    with S3FaultProxy(migrated.store.endpoint_url) as s3:
        s3.before_request = change
        done = migrated.at(store=migrated.store.via(s3.endpoint_url)).run("verify --deep --json")
    assert changed
    assert (done.code, standings(done)) == (1, {"total": 3, "equal": 1, "rewritten": 1, "dangling": 1}), done


def test_what_never_stays_the_same_is_not_called_read(migrated: Site) -> None:
    versions = 0

    def replace(request: S3Request) -> None:
        nonlocal versions
        if request.operation == "get" and request.key == "avatar/a.png":
            versions += 1
            put_in_production(migrated, "avatar/a.png", str(versions % 10).encode() * len(body_of("image/a.png")))

    with S3FaultProxy(migrated.store.endpoint_url) as s3:
        s3.before_request = replace
        done = migrated.at(store=migrated.store.via(s3.endpoint_url)).run("verify --deep --json")
    assert versions >= 3
    assert (done.code, standings(done)) == (1, {"total": 3, "equal": 2, "not read": 1}), done
    detail = json.loads(done.out)["examples"]["not read"][0]["detail"]
    assert detail == "it was another object after each of the 3 times that it was read"


def test_a_size_that_cannot_be_looked_up_fails_no_copy(moto_site: Site) -> None:
    moto_site.fill(PATHS)
    with S3FaultProxy(moto_site.store.endpoint_url) as s3:
        refused = s3_faults.status(403, "AccessDenied")
        s3.on(refused, key=r"avatar/[abc]\.png", when=lambda request: request.operation in {"head", "get"})
        done = moto_site.at(store=moto_site.store.via(s3.endpoint_url)).run("-yw")
        assert s3.hits[refused.name] >= len(PATHS)
    assert (done.code, done.counts["migrated"]) == (0, len(PATHS)), done
    assert "3  objects, at least 0 bytes" in done.out
