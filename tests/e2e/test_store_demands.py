"""What single stores demand or lack is learned from their own words, and the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import counts
from tests.servers import s3_faults as faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request

MIB = 2**20


@pytest.fixture
def proxy(site: Site) -> Iterator[S3FaultProxy]:
    """A proxy in front of the site's store, that sees all."""
    with S3FaultProxy(site.store.endpoint_url, sees_probes=True) as between:
        yield between


def test_one_object_of_another_account_stops_no_command(site: Site, proxy: S3FaultProxy) -> None:
    """The first of the table and the second of the listing, on which reading was tried."""
    site.fill([f"image/{number}.png" for number in range(6)])
    foreign = ("image/0.png", "image/1.png")
    mine = site.at(store=site.store.via(proxy.endpoint_url))
    for operation in ("head", "get", "copy"):
        proxy.on(
            faults.status(403, "AccessDenied"),
            operation=operation,
            when=lambda request: (
                request.key in foreign or request.headers.get("x-amz-copy-source", "").endswith(foreign)
            ),
        )
    for command in ("-s", "plan"):
        done = mine.run(command)
        assert done.code == 0, done
    assert proxy.hits["status_403"] > 0
    done = mine.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=4, copied=4, failed=2)), done
    assert "AccessDenied" in done.out
    assert mine.run("verify").code == 1  # for the rows that are left


def test_a_side_of_which_nothing_can_be_read_is_refused(site: Site, proxy: S3FaultProxy) -> None:
    site.fill([f"image/{number}.png" for number in range(6)])
    for operation in ("head", "get"):
        proxy.on(faults.status(403, "AccessDenied"), operation=operation, key="^image/")
    done = site.at(store=site.store.via(proxy.endpoint_url)).run("-y")
    assert done.code == 3, done
    assert "not allowed to read" in done.err


def _lacks(*headers: str) -> faults.Fault:
    return faults.status(403, "AccessDenied", message=f"with an explicit deny in a bucket policy: {headers}")


def test_a_policy_that_demands_headers_is_quoted_and_met_by_a_setting(site: Site, proxy: S3FaultProxy) -> None:
    def is_bare(request: S3Request) -> bool:
        return request.headers.get("x-amz-acl") != "bucket-owner-full-control"

    for operation in ("copy", "put", "create_multipart_upload"):
        proxy.on(_lacks("x-amz-acl"), operation=operation, when=is_bare)
    site.fill([f"image/{number}.png" for number in range(6)])
    mine = site.at(store=site.store.via(proxy.endpoint_url))
    done = mine.run("-y")
    assert done.code == 3, done
    assert "explicit deny in a bucket policy" in done.err
    assert "NEW_OBJECT_HEADERS" in done.err
    proxy.hits.clear()
    done = mine.run("-y", "--new-object-headers", "X-Amz-Acl: bucket-owner-full-control")
    assert (done.code, done.counts) == (0, counts(migrated=6, copied=6)), done
    assert not proxy.hits["status_403"]


def test_a_store_without_listobjectsv2_is_listed_by_markers(site: Site, proxy: S3FaultProxy) -> None:
    proxy.on(faults.status(501, "NotImplemented"), operation="list", when=lambda request: "list-type" in request.query)
    site.fill([f"image/{number:04}.png" for number in range(1200)])
    done = site.at(store=site.store.via(proxy.endpoint_url)).run("-st")
    assert done.code == 0, done
    assert proxy.hits["status_501"] > 0
    assert done.tech_status == "tech_status 1200,0,1200,0,1200", done


def test_a_store_that_copies_at_most_10_mb_at_once_is_copied_from_in_parts(moto_site: Site) -> None:
    site = moto_site
    site.fill(["image/small.png", "image/large.png"])
    large = b"large" * (12 * MIB // 5)
    site.store.put_all(site.store.legacy_bucket, {"image/large.png": large})
    too_large = faults.status(400, "InvalidArgument", message="the maximum size of a copy is 10485760 bytes")
    with S3FaultProxy(site.store.endpoint_url) as proxy:
        proxy.on(too_large, operation="copy", key="large")
        done = site.at(store=site.store.via(proxy.endpoint_url)).run("-yw")
    assert (done.code, done.counts) == (0, counts(migrated=2, copied=2)), done
    assert proxy.hits["status_400"] == 1
    assert proxy.count("upload_part_copy") == 2, "no part is larger than the store's limit"
    assert site.production_bodies()["avatar/large.png"] == large


def test_a_bucket_with_a_default_lock_gets_the_checksums_that_it_wants(moto_site: Site) -> None:
    """Also on CopyObject, where moto wants one on CopyObject too."""
    store = moto_site.store
    locked = f"{store.production_bucket}-locked"
    store.client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    store.client.put_object_lock_configuration(
        Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    moto_site.fill([f"image/{number}.png" for number in range(6)])
    mine = moto_site.with_environ(SKETCH_PRODUCTION_BUCKET=locked)
    for way in ("-yw -l 3", "-y --no-clobber check-first"):
        done = mine.run(way)
        assert done.counts["failed"] == 0, done
    assert done.code == 0, done
    assert len(store.keys(locked, "avatar/")) >= 6
