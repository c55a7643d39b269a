"""The rights that a command needs at the database and at the store, in the tool's own terms. Pure.

Source of the actions: the Service Authorization Reference for Amazon S3, and "Permissions" of each operation in the S3
API reference.
"""

from __future__ import annotations

from typing import NamedTuple

LIST = "s3:ListBucket"
LIST_VERSIONS = "s3:ListBucketVersions"
GET_LOCK = "s3:GetBucketObjectLockConfiguration"
LIST_UPLOADS = "s3:ListBucketMultipartUploads"
GET = "s3:GetObject"
PUT = "s3:PutObject"
ABORT = "s3:AbortMultipartUpload"
GET_TAGS = "s3:GetObjectTagging"
PUT_TAGS = "s3:PutObjectTagging"
DELETE = "s3:DeleteObject"

WRITING = (GET, PUT, ABORT, GET_TAGS, PUT_TAGS)
"""What storing an object and looking at it takes."""


class Rights(NamedTuple):
    """What one command does on either side.

    ``legacy`` and ``production`` are actions on objects below the prefix, ``probe`` those on the folder that a probe
    makes in production; the sides that are ``listed`` need the right to list as well, and production that to list
    versions where ``versions`` is set. ``reads`` and ``updates`` are about the table; with ``tries_flip`` it updates
    with --trial alone.
    """

    purpose: str
    reads: bool = True
    updates: bool = False
    listed: tuple[str, ...] = ("legacy", "production")
    legacy: tuple[str, ...] = (GET,)
    production: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    versions: bool = False
    tries_flip: bool = False
