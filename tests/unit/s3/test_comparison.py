"""When ETags prove something."""

from __future__ import annotations

import pytest

from sketchmigrate.core.objects import ObjectInfo
from sketchmigrate.s3 import S3Config, same_content
from sketchmigrate.s3.comparison import Tags, differences
from sketchmigrate.s3.config import Keep

MD5 = "9b2cf535f27731c974343645a3985328"
OTHER = "00000000000000000000000000000000"
KMS = {"x-amz-server-side-encryption": "aws:kms"}
AES = {"x-amz-server-side-encryption": "AES256"}
CUSTOMER = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (ObjectInfo(7, MD5), ObjectInfo(8, MD5), False),
        (ObjectInfo(7, MD5), ObjectInfo(7, MD5), True),
        (ObjectInfo(7, f"{MD5}-2"), ObjectInfo(7, f"{MD5}-2"), True),
        (ObjectInfo(0, MD5), ObjectInfo(0, f"{OTHER}-1"), True),
        (ObjectInfo(7, MD5), ObjectInfo(7, OTHER), False),
        (ObjectInfo(7, MD5, AES), ObjectInfo(7, OTHER), False),
        (ObjectInfo(7, f"{MD5}-2"), ObjectInfo(7, MD5), None),
        (ObjectInfo(7, MD5, KMS), ObjectInfo(7, OTHER), None),
        (ObjectInfo(7, MD5), ObjectInfo(7, OTHER, CUSTOMER), None),
        (ObjectInfo(7, ""), ObjectInfo(7, ""), None),
        (ObjectInfo(7, "not-an-md5"), ObjectInfo(7, MD5), None),
    ],
)
def test_equal_etags_prove_equality_and_different_ones_only_sometimes_a_difference(
    one: ObjectInfo, other: ObjectInfo, verdict: bool | None
) -> None:
    assert same_content(one, other) is verdict
    assert same_content(other, one) is verdict


@pytest.mark.parametrize(
    ("legacy", "production", "told"),
    [
        ({"content-type": "image/png"}, {"content-type": "image/png"}, ""),
        (
            {"content-type": "image/png"},
            {"content-type": "binary/octet-stream"},
            "content-type: image/png in legacy, binary/octet-stream in production",
        ),
        ({"content-type": "image/png"}, {}, ""),  # a store that leaves it out tells nothing
        ({"content-encoding": "gzip"}, {}, "content-encoding: gzip in legacy, none in production"),
        ({"content-encoding": "aws-chunked,gzip"}, {"content-encoding": "gzip"}, ""),
        ({}, {"cache-control": "no-store"}, "cache-control: none in legacy, no-store in production"),
        (
            {"x-amz-meta-owner": "7"},
            {"x-amz-meta-owner": "8"},
            "x-amz-meta-owner: 7 in legacy, 8 in production",
        ),
        ({"x-amz-meta-mtime": "1.5"}, {"x-amz-meta-mtime": "2.5"}, ""),
        (
            {"x-amz-tagging-count": "2"},
            {"x-amz-tagging-count": "1"},
            "number of tags: 2 in legacy, 1 in production",
        ),
        ({"x-amz-tagging-count": "2"}, {}, ""),  # only asking tells whether it has none, or may not tell
        ({"last-modified": "then", "etag": "a", "x-amz-version-id": "1"}, {"last-modified": "now"}, ""),
    ],
)
def test_what_is_served_with_the_bytes_may_differ(
    legacy: dict[str, str], production: dict[str, str], told: str
) -> None:
    assert differences(ObjectInfo(7, MD5, legacy), ObjectInfo(7, MD5, production), S3Config()) == told


CLASS, COUNT, CONTROL = "x-amz-storage-class", "x-amz-tagging-count", "cache-control"


@pytest.mark.parametrize(
    ("config", "legacy", "production", "told"),
    [
        (S3Config(keep=Keep(tags="no")), {COUNT: "2"}, {COUNT: "0"}, ""),
        (S3Config(), {CLASS: "STANDARD_IA"}, {}, ""),
        (S3Config(keep=Keep(storage_class=True)), {CLASS: "STANDARD"}, {}, ""),
        (S3Config(keep=Keep(storage_class=True)), {CLASS: "DEEP_ARCHIVE"}, {}, ""),
        (
            S3Config(keep=Keep(storage_class=True)),
            {CLASS: "STANDARD_IA"},
            {},
            "storage class: STANDARD_IA in legacy, STANDARD in production",
        ),
        (S3Config(new_object_headers=((CONTROL, "max-age=9"),)), {CONTROL: "max-age=1"}, {CONTROL: "max-age=9"}, ""),
        (
            S3Config(new_object_headers=((CONTROL, "max-age=9"),)),
            {CONTROL: "max-age=1"},
            {CONTROL: "max-age=1"},
            "cache-control: max-age=9 by NEW_OBJECT_HEADERS, max-age=1 in production",
        ),
    ],
)
def test_what_new_objects_shall_have_is_no_difference(
    config: S3Config, legacy: dict[str, str], production: dict[str, str], told: str
) -> None:
    assert differences(ObjectInfo(7, MD5, legacy), ObjectInfo(7, MD5, production), config) == told


ONE: Tags = (("a", "1"),)
TWO: Tags = (("a", "1"), ("b", "2 & 3"))


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ((TWO, TWO[::-1]), ""),
        ((ONE, TWO), "tags: a=1 in legacy, a=1&b=2%20%26%203 in production"),
        (((), ONE), "tags: none in legacy, a=1 in production"),
        (None, "number of tags: 1 in legacy, 2 in production"),
    ],
)
def test_tags_themselves_count_for_more_than_their_number(tags: tuple[Tags, Tags] | None, told: str) -> None:
    legacy, production = (ObjectInfo(7, MD5, {"x-amz-tagging-count": count}) for count in "12")
    assert differences(legacy, production, S3Config(), tags) == told
    assert differences(legacy, production, S3Config(keep=Keep(tags="no")), tags) == ""
