"""What a bucket says of its Object Lock and its uploads, and what stores say that have none."""

from __future__ import annotations

import pytest

from sketchmigrate.s3.wire.xml import NotS3
from sketchmigrate.s3.wire.xml_subresources import NO_LOCK, ListedUpload, read_object_lock, read_uploads

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
