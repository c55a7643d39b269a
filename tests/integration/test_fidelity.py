"""What each way to production keeps of an object: on real servers, cell by cell of the table in docs/fidelity.md."""

from __future__ import annotations

import asyncio
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.keeping import in_one, look_at
from sketchmigrate.migration.look_ahead import BucketRules, read_bucket_rules
from sketchmigrate.migration.no_clobber import Means, Strategy
from sketchmigrate.migration.stop import Stop
from sketchmigrate.migration.transfer import transfer_of
from sketchmigrate.migration.transfer_kind import TransferKind, copying_of
from sketchmigrate.s3 import CopyResult, CredentialSource, S3Client, S3Config
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.memory import MemoryBudget
from sketchmigrate.s3.streaming import WHOLE_BYTES, Streamer
from sketchmigrate.settings import Options
from tests.integration.test_no_clobber_objects import run
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.migration.keeping import Sample
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"
KEY = "image/a.png"
EXPIRES = "Wed, 21 Oct 2026 07:28:00 GMT"
CONTENT = {
    "ContentType": "image/png",
    "ContentEncoding": "identity",
    "ContentLanguage": "de",
    "ContentDisposition": 'inline; filename="a b.png"',
    "CacheControl": "max-age=60",
    "Expires": EXPIRES,
}
IN_AN_HOUR = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
METADATA = {"one": "1  2", "z": "", "a-b": "=?UTF-8?Q?=C3=BC?="}


class Property(NamedTuple):
    """Something that an object may have: how to give it to one, how to see it, and what gives it to all new ones."""

    given: dict[str, Any]
    seen: Callable[[Any, dict[str, Any]], object]
    of_all: tuple[tuple[str, str], ...] = ()


def _head(*names: str) -> Callable[[Any, dict[str, Any]], object]:
    def seen(client: Any, place: dict[str, Any]) -> object:
        found = client.head_object(**place, ChecksumMode="ENABLED")
        values = {name: found.get(name) for name in names}
        return values if any(values.values()) else None

    return seen


def _own_metadata(client: Any, place: dict[str, Any]) -> object:
    return {name: value for name, value in client.head_object(**place)["Metadata"].items() if name != "mtime"} or None


def _tags(client: Any, place: dict[str, Any]) -> object:
    return sorted((tag["Key"], tag["Value"]) for tag in client.get_object_tagging(**place).get("TagSet", [])) or None


def _others(client: Any, place: dict[str, Any]) -> object:
    try:
        acl = client.get_object_acl(**place)
    except ClientError as error:
        if error.response["Error"]["Code"] != "500":
            raise
        return None  # what moto says of an object in parts that was given none
    owner = acl["Owner"]["ID"]
    grants = [
        (grant["Grantee"].get("URI") or grant["Grantee"].get("ID"), grant["Permission"]) for grant in acl["Grants"]
    ]
    assert (owner, "FULL_CONTROL") in grants, "whoever owns it can go on using it"
    return sorted(grant for grant in grants if grant[0] != owner) or None


def _mtime(client: Any, place: dict[str, Any]) -> object:
    """Return when the content was made: of a legacy object that is when it was stored."""
    found = client.head_object(**place)
    of_itself = place["Key"].startswith("image/")
    return str(int(found["LastModified"].timestamp())) if of_itself else found["Metadata"].get("mtime")


PROPERTIES = {
    "the six content headers": Property(CONTENT, _head(*CONTENT)),
    "user metadata": Property({"Metadata": METADATA}, _own_metadata),
    "tags": Property({"Tagging": "a=1&b%20c=%C3%BC"}, _tags),
    "ACL, grants to others than the owner": Property({"ACL": "public-read"}, _others),
    "storage class, but archives": Property({"StorageClass": "STANDARD_IA"}, _head("StorageClass")),
    "last modified, as metadata": Property({}, _mtime),
    "encryption with a key of KMS": Property(
        {"ServerSideEncryption": "aws:kms"},
        _head("ServerSideEncryption"),
        (("x-amz-server-side-encryption", "aws:kms"),),
    ),
    "checksum of the uploader": Property({"ChecksumAlgorithm": "SHA256"}, _head("ChecksumSHA256")),
    "website redirect": Property({"WebsiteRedirectLocation": "/elsewhere"}, _head("WebsiteRedirectLocation")),
    "retention of Object Lock": Property(
        {"ObjectLockMode": "GOVERNANCE", "ChecksumAlgorithm": "SHA256"},
        _head("ObjectLockMode"),
        (("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", IN_AN_HOUR)),
    ),
    "legal hold": Property(
        {"ObjectLockLegalHoldStatus": "ON", "ChecksumAlgorithm": "SHA256"},
        _head("ObjectLockLegalHoldStatus"),
        (("x-amz-object-lock-legal-hold", "ON"),),
    ),
}

CEPH_HAS_NO = {"storage class, but archives", "encryption with a key of KMS", "checksum of the uploader"}
"""These classes, keys and checksums are not there with Ceph 16 here."""

MORE_THAN_SAID = {
    ("moto", "CopyObject"): {"website redirect"},
    ("ceph", "CopyObject"): {"website redirect", "retention of Object Lock", "legal hold"},
}
"""What a server keeps and AWS does not: said to be dropped."""

LESS_THAN_SAID = {"retention of Object Lock", "legal hold"}
"""What both servers do not give an upload in parts that begins with it. AWS does (S3 API, CreateMultipartUpload)."""

WAYS = {
    "CopyObject": Means.CHECK_FIRST,
    "conditional-put": Means.CONDITIONAL_PUT,
    "in parts": Means.CONDITIONAL_COMPLETE,
    "streamed": Means.CONDITIONAL_PUT,
    "streamed in parts": Means.CONDITIONAL_PUT,
}
KEEP_ALL = Keep(acl=True, storage_class=True, mtime=True)
OF_ALL = "`NEW_OBJECT_HEADERS`"


def table() -> dict[str, dict[str, str]]:
    """Return the cells of the page's first table, by what and by way."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    first, _, *others = rows[: next(n for n, row in enumerate(rows) if row[0].strip() == "setting")]
    names = [name.strip() for name in first[1:]]
    return {row[0].strip(): dict(zip(names, (cell.strip() for cell in row[1:]), strict=True)) for row in others}


def client_of(store: Store, **config: Any) -> S3Client:
    keys = CredentialSource.static(store.access_key, store.secret_key)
    return S3Client(S3Config(endpoint_url=store.endpoint_url, retry_seconds=5, **config), keys)


def bring(store: Store, way: str, source: Location, target: Location, config: dict[str, Any]) -> int:
    """Bring one object a way, as a run with these settings of new objects does; return how many requests that took."""
    is_streamed = way.startswith("streamed")
    strategy = Strategy(WAYS[way], "for a test", guards_parts=True, is_streamed=is_streamed)
    kind = TransferKind.STREAMED if is_streamed else TransferKind.IN_STORE

    async def main() -> int:
        async with client_of(store, **config) as client:
            stop = Stop()
            options = Options(transfer=kind.value)
            copying = copying_of(sides_of(client), options, MemoryBudget(64 * 2**20), None, stop)
            if isinstance(copying, Streamer):
                copying.whole_bytes = -1 if way == "streamed in parts" else WHOLE_BYTES
            move = Move(Reference(1, source.key), target.key, source, target)
            outcome = await transfer_of(sides_of(client), copying, strategy).bring(move)
            assert isinstance(outcome, CopyResult)
            return client.requests_sent.total()

    return asyncio.run(main())


def place_of(location: Location) -> dict[str, Any]:
    """Name an object as boto3 does."""
    return {"Bucket": location.bucket, "Key": location.key}


def put(store: Store, source: Location, given: dict[str, Any]) -> None:
    until = (
        {"ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(seconds=60)} if "ObjectLockMode" in given else {}
    )
    store.client.put_object(Bucket=source.bucket, Key=source.key, Body=b"picture", **given, **until)


@pytest.fixture
def buckets(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return two buckets that know Object Lock, of the server of the test's parameter."""
    store: Store = request.getfixturevalue(f"{request.node.callspec.params['server']}_store")
    names = f"locked-{secrets.token_hex(6)}", f"locked-{secrets.token_hex(6)}"
    for name in names:
        store.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return names


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
@pytest.mark.parametrize("way", list(WAYS))
def test_each_cell_of_the_table_is_true(
    server: str, way: str, request: pytest.FixtureRequest, buckets: tuple[str, str]
) -> None:
    store: Store = request.getfixturevalue(f"{server}_store")
    cells = table()
    assert cells.keys() == PROPERTIES.keys()
    for what, (given, seen, of_all) in PROPERTIES.items():
        if server == "ceph" and what in CEPH_HAS_NO:
            continue
        source = Location(buckets[0], f"image/{what}")
        put(store, source, given)
        before = seen(store.client, place_of(source))
        cell = cells[what][way]
        assert cell in {"kept", "dropped", OF_ALL} or re.fullmatch(r"`KEEP_[A-Z_]+`", cell), cell
        assert bool(of_all) is (cell == OF_ALL), "what a setting gives to all is said"
        assert before is not None, f"{what} is there to be kept"
        configs: list[tuple[str, dict[str, Any]]] = [
            ("by default", {"keep": Keep()}),
            ("with all that can be kept", {"keep": KEEP_ALL}),
            *([("given to all", {"new_object_headers": of_all})] if of_all else []),
        ]
        for label, config in configs:
            target = Location(buckets[1], f"avatar/{what} {label}")
            bring(store, way, source, target, config)
            after = seen(store.client, place_of(target))
            keep = config.get("keep")
            is_said_to_be_kept = cell == "kept" or (cell.startswith("`KEEP_") and keep is KEEP_ALL) or keep is None
            if keep is None and what in LESS_THAN_SAID and "in parts" in way:
                assert after is None, "else the exception is not needed"
            elif what in MORE_THAN_SAID.get((server, way), ()):
                assert after == before or keep is KEEP_ALL, "else the exception is not needed"
            else:
                assert (after == before) is is_said_to_be_kept, (what, way, label, before, after)


OTHERWISE = {
    "KEEP_TAGS": (Keep(tags="no"), Keep(tags="required")),
    "KEEP_ACL": (Keep(), Keep(acl=True)),
    "KEEP_STORAGE_CLASS": (Keep(), Keep(storage_class=True)),
    "KEEP_MTIME": (Keep(), Keep(mtime=True)),
}
"""Each setting as it takes the least, and as it takes the most."""


def test_each_setting_takes_as_many_requests_as_is_said(moto_store: Store) -> None:
    """Of an object that has all: with less to keep there are fewer."""
    source, target = Location(moto_store.legacy_bucket, KEY), Location(moto_store.production_bucket, "")
    put(moto_store, source, {"Tagging": "a=1", "ACL": "public-read"})

    def more(setting: str, way: str) -> int:
        least, most = (
            bring(moto_store, way, source, target._replace(key=f"avatar/{setting} {way} {number}"), {"keep": keep})
            for number, keep in enumerate(OTHERWISE[setting])
        )
        return most - least

    rows = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if "`KEEP_" in line]
    said = {row[0].strip(" `"): row[2:] for row in rows if row[0].strip(" `") in OTHERWISE}
    assert said.keys() == OTHERWISE.keys()
    for setting, cells in said.items():
        by_copy, by_others = (int(re.findall(r"\d+", cell)[-1]) for cell in cells)
        assert more(setting, "CopyObject") == by_copy, setting
        assert max(more(setting, way) for way in WAYS if way != "CopyObject") == by_others, setting


def test_a_store_that_passes_the_grants_over_fails_the_object(moto_store: Store, seaweed_store: Store) -> None:
    """SeaweedFS takes an ACL with a put, and keeps none."""
    source, target = Location(moto_store.legacy_bucket, KEY), Location(seaweed_store.production_bucket, "avatar/a.png")
    put(moto_store, source, {"ACL": "public-read"})
    with pytest.raises(S3Error, match=r"has not kept its ACL \(READ for everyone\)") as caught:
        asyncio.run(stream_between(moto_store, seaweed_store, source, target, Keep(acl=True)))
    assert "KEEP_ACL = no" in caught.value.hint
    put(moto_store, source, {})
    asyncio.run(stream_between(moto_store, seaweed_store, source, target, Keep(acl=True)))


async def stream_between(legacy: Store, production: Store, source: Location, target: Location, keep: Keep) -> None:
    async with client_of(legacy) as one, client_of(production, keep=keep) as other:
        await Streamer(one, other, MemoryBudget(64 * 2**20)).copy(source, target)


def test_grants_to_single_ids_leave_the_owner_all_rights(moto_store: Store) -> None:
    source, target = Location(moto_store.legacy_bucket, KEY), Location(moto_store.production_bucket, "avatar/a.png")
    put(moto_store, source, {"GrantRead": 'id="75bb57f0"', "GrantReadACP": 'id="75bb57f0"'})
    bring(moto_store, "conditional-put", source, target, {"keep": Keep(acl=True)})
    grants = _others(moto_store.client, place_of(target))
    assert grants == [("75bb57f0", "READ"), ("75bb57f0", "READ_ACP")]


@pytest.mark.ceph
def test_a_grant_to_whoever_owns_the_new_object_is_kept_by_that(ceph_store: Store) -> None:
    """What another account has uploaded for the owner of the bucket: all rights are that owner's, in the copy too."""
    legacy, production = ceph_store.legacy_bucket, ceph_store.production_bucket
    other = ceph_store.owner.client(access_key="otherkey", secret_key="othersecret")
    everybody = "http://acs.amazonaws.com/groups/global/AllUsers"
    ceph_store.client.put_bucket_acl(Bucket=legacy, GrantWrite=f'uri="{everybody}"', GrantFullControl='id="test"')
    other.put_object(Bucket=legacy, Key=KEY, Body=b"x", ACL="bucket-owner-full-control")
    source, target = Location(legacy, KEY), Location(production, "avatar/a.png")
    for way in ("CopyObject", "streamed"):
        bring(ceph_store, way, source, target._replace(key=f"avatar/{way}"), {"keep": Keep(acl=True)})
        assert _others(ceph_store.client, place_of(target._replace(key=f"avatar/{way}"))) is None


@pytest.mark.parametrize("way", list(WAYS))
def test_tags_that_are_required_and_not_kept_fail_the_object(moto_store: Store, way: str) -> None:
    """The store says that all is well, and has stored none."""
    source, target = Location(moto_store.legacy_bucket, KEY), Location(moto_store.production_bucket, "avatar/a.png")
    put(moto_store, source, {"Tagging": "a=1"})
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        nothing = s3_faults.Answer("no tags", 200, b"<Tagging><TagSet></TagSet></Tagging>", {})
        s3.on(
            nothing,
            times=None,
            when=lambda request: (
                "tagging" in request.query and request.method == "GET" and request.key.startswith("avatar/")
            ),
        )
        through = moto_store.via(s3.endpoint_url)
        with pytest.raises(S3Error, match="has not kept its tags"):
            bring(through, way, source, target, {"keep": Keep(tags="required")})
        bring(through, way, source, target._replace(key="avatar/b.png"), {"keep": Keep()})


@pytest.mark.parametrize("way", list(WAYS))
def test_tags_that_may_not_be_written_are_left_away_unless_they_are_required(moto_store: Store, way: str) -> None:
    source, target = Location(moto_store.legacy_bucket, KEY), Location(moto_store.production_bucket, "avatar/a.png")
    put(moto_store, source, {"Tagging": "a=1"})
    with S3FaultProxy(moto_store.endpoint_url) as s3:
        denied = s3_faults.status(403, "AccessDenied")
        writes = {"PUT", "POST"}
        s3.on(
            denied,
            times=None,
            when=lambda request: request.method in writes and takes_tags(request),
        )
        through = moto_store.via(s3.endpoint_url)
        with pytest.raises(S3Error, match="AccessDenied"):
            bring(through, way, source, target, {"keep": Keep(tags="required")})
        assert moto_store.keys(moto_store.production_bucket) == []
        bring(through, way, source, target, {"keep": Keep()})
        assert s3.hits[denied.name] == 3 if "parts" in way else 2
    assert _tags(moto_store.client, place_of(target)) is None


def takes_tags(request: S3Request) -> bool:
    """Whether a request would give an object tags: in a header, or from its source."""
    copies = "x-amz-copy-source" in request.headers and not request.query
    return (
        "x-amz-tagging" in request.headers
        or "tagging" in request.query
        or (copies and "x-amz-tagging-directive" not in request.headers)
    )


@pytest.mark.parametrize("way", list(WAYS))
def test_a_cache_control_of_all_new_objects_leaves_the_other_headers(moto_store: Store, way: str) -> None:
    source, target = Location(moto_store.legacy_bucket, KEY), Location(moto_store.production_bucket, "avatar/a.png")
    put(moto_store, source, CONTENT | {"Metadata": METADATA, "Tagging": "a=1"})
    config = {"new_object_headers": (("cache-control", "max-age=31536000"),)}
    bring(moto_store, way, source, target, config)
    found = moto_store.client.head_object(**place_of(target))
    assert {name: found[name] for name in CONTENT} == CONTENT | {
        "CacheControl": "max-age=31536000",
        "Expires": found["Expires"],
    }
    assert found["Metadata"] == METADATA
    assert _tags(moto_store.client, place_of(target)) == [("a", "1")]


def test_the_current_version_comes_along_and_no_other(moto_store: Store) -> None:
    source, target = Location(moto_store.legacy_bucket, KEY), Location(moto_store.production_bucket, "avatar/a.png")
    for bucket in (source.bucket, target.bucket):
        moto_store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        moto_store.client.put_object(**place_of(source), Body=body)
    bring(moto_store, "CopyObject", source, target, {})
    assert moto_store.client.get_object(**place_of(target))["Body"].read() == b"second"
    assert len(moto_store.client.list_object_versions(Bucket=target.bucket)["Versions"]) == 1


@pytest.mark.parametrize("way", ["CopyObject", "streamed"])
def test_what_is_encrypted_with_a_key_of_the_customer_cannot_be_read(ceph_store: Store, way: str) -> None:
    source, target = Location(ceph_store.legacy_bucket, KEY), Location(ceph_store.production_bucket, "avatar/a.png")
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    put(ceph_store, source, key)
    with pytest.raises(S3Error, match=r"NotImplemented|InvalidArgument"):
        bring(ceph_store, way, source, target, {})
    assert ceph_store.keys(ceph_store.production_bucket) == []


def test_the_requests_are_counted_and_what_is_not_told_is_said_once(store: Store) -> None:
    store.put_all(store.legacy_bucket, {f"image/{n}": b"picture" for n in range(5)})
    objects = [Location(store.legacy_bucket, f"image/{n}") for n in range(5)]

    async def scenario(client: S3Client) -> tuple[Sample, int]:
        sample = await look_at(sides_of(client), in_one(objects), encryption="")
        return sample, client.requests_sent.total()

    sample, sent = run(store, scenario)
    assert sample.objects == 5
    assert sample.requests == sent <= 2 * 5 + 1
    assert len(sample.untold) == (store.name == "rclone")  # it does not know ACLs, and is asked for one
    assert sample.dropped(None) == []


def rules_of(store: Store, bucket: str) -> BucketRules:
    return run(store, lambda client: read_bucket_rules(sides_of(client, production_bucket=bucket).production))


def test_the_rules_of_a_bucket(store: Store) -> None:
    rules = run(
        store, lambda client: read_bucket_rules(sides_of(client, production_bucket=store.production_bucket).production)
    )
    assert (rules.keeps_objects, rules.about_lock(), rules.about_encryption()) == (False, "", "")
    lists_instead = store.name in {"rclone", "ceph"}  # they have no default encryption
    assert len(rules.untold) == lists_instead
    if store.name == "rclone":
        return
    locked = f"locked-{secrets.token_hex(6)}"
    store.client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    assert not run(
        store, lambda client: read_bucket_rules(sides_of(client, production_bucket=locked).production)
    ).keeps_objects
    store.client.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    rules = rules_of(store, locked)
    assert rules.keeps_objects
    assert "keeps each new object (GOVERNANCE, 3 Days)" in rules.about_lock()
