"""When ETags prove something."""

from __future__ import annotations

import pytest

from sketchmigrate.core.objects import ObjectInfo
from sketchmigrate.s3 import other_headers, same_content

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
            "same bytes, other content-type: image/png in legacy, binary/octet-stream in production",
        ),
        ({"content-type": "image/png"}, {}, ""),  # a store that leaves it out tells nothing
        ({"content-encoding": "gzip"}, {}, "same bytes, other content-encoding: gzip in legacy, none in production"),
        ({"content-encoding": "aws-chunked,gzip"}, {"content-encoding": "gzip"}, ""),
        ({}, {"cache-control": "no-store"}, "same bytes, other cache-control: none in legacy, no-store in production"),
        (
            {"x-amz-meta-owner": "7"},
            {"x-amz-meta-owner": "8"},
            "same bytes, other x-amz-meta-owner: 7 in legacy, 8 in production",
        ),
        ({"x-amz-meta-mtime": "1.5"}, {"x-amz-meta-mtime": "2.5"}, ""),
        (
            {"x-amz-tagging-count": "2"},
            {"x-amz-tagging-count": "1"},
            "same bytes, other number of tags: 2 in legacy, 1 in production",
        ),
        ({"x-amz-tagging-count": "2"}, {}, ""),  # only asking tells whether it has none, or may not tell
        ({"last-modified": "then", "etag": "a", "x-amz-version-id": "1"}, {"last-modified": "now"}, ""),
    ],
)
def test_what_is_served_with_the_bytes_may_differ(
    legacy: dict[str, str], production: dict[str, str], told: str
) -> None:
    assert other_headers(ObjectInfo(7, MD5, legacy), ObjectInfo(7, MD5, production)) == told
