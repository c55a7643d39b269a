"""What a user of the store may do is found out before anything is changed: on Ceph, which has users and policies."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site, check_refused, counts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store

pytestmark = pytest.mark.ceph

LIST, READ = ["s3:ListBucket"], ["s3:GetObject"]
WRITE = ["s3:PutObject", "s3:AbortMultipartUpload"]


@pytest.fixture
def owner(database: Database, ceph_store: Store, tmp_path: Path) -> Site:
    """A small site on Ceph, as the user that may do everything."""
    site = Site(database, ceph_store, tmp_path)
    site.fill(["image/a.png", "image/b.png", "avatar/c.png"])
    return site


def as_other(owner: Site, *, legacy: Sequence[str], production: Sequence[str]) -> Site:
    """Return the site as a user with these rights in the two buckets, and no others."""
    for bucket, actions in ((owner.store.legacy_bucket, legacy), (owner.store.production_bucket, production)):
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam:::user/other"]},
                "Action": action,
                "Resource": f"arn:aws:s3:::{bucket}" + ("" if action == "s3:ListBucket" else "/*"),
            }
            for action in actions
        ]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
            owner.store.client.put_bucket_policy(Bucket=bucket, Policy=policy)
    server = replace(owner.store.server, access_key="otherkey", secret_key="othersecret")
    return owner.at(store=replace(owner.store, server=server))


@pytest.mark.parametrize(
    ("legacy", "production", "refused"),
    [
        ([], [], "list s3://{legacy}/image/"),
        (LIST + READ, [], "list s3://{production}/avatar/"),
        (LIST, LIST + READ + WRITE, "read s3://{legacy}/image/"),
        (LIST + READ, LIST + READ, "write into s3://{production}/avatar/"),
    ],
    ids=["list legacy", "list production", "read legacy", "write production"],
)
def test_a_missing_right(owner: Site, legacy: list[str], production: list[str], refused: str) -> None:
    before = owner.facts()
    done = as_other(owner, legacy=legacy, production=production).run("-y")
    buckets = {"legacy": owner.store.legacy_bucket, "production": owner.store.production_bucket}
    check_refused(
        done, 3, f"not allowed to {refused.format(**buckets)}", "AccessDenied", "(which takes s3:", hint=False
    )
    assert owner.facts() == before


def test_the_right_to_call_an_upload_off_is_asked_for(owner: Site) -> None:
    before = owner.facts()
    done = as_other(owner, legacy=LIST + READ, production=LIST + READ + ["s3:PutObject"]).run("-y")
    check_refused(
        done,
        3,
        f"s3://{owner.store.production_bucket}/avatar/",
        "was not called off",
        "takes s3:AbortMultipartUpload",
        hint=False,
    )
    assert owner.facts() == before


# what finds out how to replace nothing deletes what it made for it
@pytest.mark.parametrize(("flags", "more"), [("-y", ["s3:DeleteObject"]), ("-yw", [])])
def test_the_rights_that_are_enough(owner: Site, flags: str, more: list[str]) -> None:
    before = owner.facts()
    done = as_other(owner, legacy=LIST + READ, production=LIST + READ + WRITE + more).run(flags)
    assert (done.code, done.counts) == (0, counts(migrated=2, copied=2)), done
    after = owner.facts()
    assert after.rows == {1: "avatar/a.png", 2: "avatar/b.png", 3: "avatar/c.png"}
    assert after.legacy == before.legacy
    assert sorted(after.production) == ["avatar/a.png", "avatar/b.png", "avatar/c.png"]


def test_a_dry_run_and_a_status_need_no_right_to_write(owner: Site) -> None:
    before = owner.facts()
    reader = as_other(owner, legacy=LIST + READ, production=LIST + READ)
    assert reader.run("-s").code == 0
    assert reader.run("-dv").code == 0
    assert owner.facts() == before


def test_a_secret_that_is_wrong(owner: Site) -> None:
    before = owner.facts()
    check_refused(owner.with_environ(AWS_SECRET_ACCESS_KEY="wrong").run("-y"), 3, "SignatureDoesNotMatch")
    check_refused(owner.with_environ(AWS_ACCESS_KEY_ID="nobody").run("-y"), 3, "InvalidAccessKeyId")
    assert owner.facts() == before
