"""Repair copies what is too large to be put in parts, on a condition, where the store honours it for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.inspect.guard import PUT_LIMIT_BYTES
from tests.servers.condition_proxy import CompletesIfMatch

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request

LARGE = PUT_LIMIT_BYTES + 1
OWN = b"the application's own"


@pytest.mark.parametrize("in_the_window", [True, False])
def test_a_large_object_is_replaced_only_where_it_is_still_ours(moto_site: Site, *, in_the_window: bool) -> None:
    """The application replaces one after our last look and before the parts become the object."""
    site, store = moto_site, moto_site.store
    site.fill(["image/large.bin", "image/small.png"])
    store.put_all(store.legacy_bucket, {"image/large.bin": b"a" * LARGE})
    assert site.run("-y").code == 0
    changed = {"image/large.bin": b"b" * LARGE, "image/small.png": b"changed"}
    store.put_all(store.legacy_bucket, changed)
    done: list[str] = []

    def store_in_the_window(request: S3Request) -> None:
        if request.key == "avatar/large.bin" and request.operation == "complete_multipart_upload":
            done.append(request.headers["if-match"])
            if in_the_window:
                store.put_all(store.production_bucket, {"avatar/large.bin": OWN})

    with CompletesIfMatch(store) as s3:
        s3.before_request = store_in_the_window
        ran = site.at(store=store.via(s3.endpoint_url)).run("repair --deep --json -y")
    assert len(done) == 1, ran
    assert "those over 8 MiB with CompleteMultipartUpload with If-Match." in ran.err
    repaired = json.loads(ran.out)["repaired"]
    assert repaired["copied again"] == (1 if in_the_window else 2), ran
    assert repaired["left: production holds another object by now"] == in_the_window
    production = site.production_bodies()
    assert production["avatar/small.png"] == b"changed"
    assert production["avatar/large.bin"] == (OWN if in_the_window else changed["image/large.bin"])
    assert store.client.list_multipart_uploads(Bucket=store.production_bucket).get("Uploads", []) == []
