"""What a bucket says of its Object Lock and its uploads, and an object of its ACL; what stores say that have none."""

from __future__ import annotations

import pytest

from sketchmigrate.s3.wire.xml import NotS3
from sketchmigrate.s3.wire.xml_subresources import (
    NO_LOCK,
    Grant,
    ListedPart,
    ListedUpload,
    read_acl,
    read_object_lock,
    read_parts,
    read_uploads,
)

NAMESPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
LOCKED = b"<ObjectLockConfiguration %s><ObjectLockEnabled>Enabled</ObjectLockEnabled>%s</ObjectLockConfiguration>"
RULE = b"<Rule><DefaultRetention><Mode>COMPLIANCE</Mode>%s</DefaultRetention></Rule>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (LOCKED % (NAMESPACE, b""), (True, "")),
        (
            LOCKED % (NAMESPACE, RULE % b"<Days>1</Days>"),
            (True, "COMPLIANCE, 1 Days"),
        ),
        (
            LOCKED % (b"", RULE % b"<Years>7</Years>"),
            (True, "COMPLIANCE, 7 Years"),
        ),
        (b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", NO_LOCK),  # rclone's server
    ],
    ids=["no default", "days", "years", "takes it for a listing"],
)
def test_the_lock_of_a_bucket(body: bytes, expected: tuple[bool, str]) -> None:
    assert read_object_lock(body) == expected


def test_a_reply_that_is_cut_off_is_no_lock_that_is_known() -> None:
    with pytest.raises(NotS3):
        read_object_lock(LOCKED[:-20] % (NAMESPACE, RULE % b""))


def test_uploads_are_listed_with_their_exact_keys() -> None:
    upload = b"<Upload><Key>avatar/a+b%%2Bc</Key><UploadId>2~x</UploadId></Upload>"
    body = b"<ListMultipartUploadsResult %s>%s" + upload + b"</ListMultipartUploadsResult>"
    assert read_uploads(body % (NAMESPACE, b"<EncodingType>url</EncodingType>")) == [
        ListedUpload("avatar/a b+c", "2~x")
    ]
    assert read_uploads(body % (b"", b"")) == [ListedUpload("avatar/a+b%2Bc", "2~x")]


PART = b"<Part><PartNumber>%s</PartNumber><ETag>&quot;%s&quot;</ETag><Size>%s</Size></Part>"


def test_parts_are_listed_by_their_numbers() -> None:
    parts = PART % (b"1", b"aa", b"5242880") + PART % (b"10000", b"bb", b"1")
    body = b"<ListPartsResult %s><IsTruncated>%s</IsTruncated>" + parts + b"</ListPartsResult>"
    expected = {1: ListedPart("aa", 5242880), 10000: ListedPart("bb", 1)}
    assert read_parts(body % (NAMESPACE, b"true")) == (expected, True)
    assert read_parts(body % (b"", b"false")) == (expected, False)
    assert read_parts(b"<ListPartsResult/>") == ({}, False)


@pytest.mark.parametrize(
    "values",
    [(b"1e3", b"aa", b"1"), (b"-1", b"aa", b"1"), (b"100000", b"aa", b"1"), (b"1", b"aa", b"9" * 19), (b"1", b"", b"")],
)
def test_parts_that_make_no_sense_are_none(values: tuple[bytes, bytes, bytes]) -> None:
    with pytest.raises(NotS3):
        read_parts(b"<ListPartsResult>" + PART % values + b"</ListPartsResult>")


GRANT = "<Grant><Grantee><ID>%s</ID></Grantee><Permission>%s</Permission></Grant>"


def test_what_others_may_is_what_means_something_of_an_object() -> None:
    """WRITE does not (S3 User Guide): public-read-write gives no more than public-read, and is no difference."""
    grants = "".join(GRANT % each for each in [("me", "FULL_CONTROL"), ("all", "READ"), ("all", "WRITE")])
    acl = read_acl(f"<AccessControlPolicy><Owner><ID>me</ID></Owner>{grants}</AccessControlPolicy>".encode())
    assert acl.others == {Grant("all", "READ")}
    assert acl.gives(acl.others)
