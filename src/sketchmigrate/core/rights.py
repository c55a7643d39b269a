"""The rights that a command needs at the database and at the store, in the tool's own terms. Pure.

Source of the actions: the Service Authorization Reference for Amazon S3, and "Permissions" of each operation in the S3
API reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sketchmigrate.core.rule import SideName

LIST = "s3:ListBucket"
LIST_VERSIONS = "s3:ListBucketVersions"
GET_LOCK = "s3:GetBucketObjectLockConfiguration"
LIST_UPLOADS = "s3:ListBucketMultipartUploads"
GET = "s3:GetObject"
PUT = "s3:PutObject"
ABORT = "s3:AbortMultipartUpload"
LIST_PARTS = "s3:ListMultipartUploadParts"
GET_TAGS = "s3:GetObjectTagging"
PUT_TAGS = "s3:PutObjectTagging"
DELETE = "s3:DeleteObject"
DELETE_VERSION = "s3:DeleteObjectVersion"
GET_ENCRYPTION = "s3:GetEncryptionConfiguration"
GET_ACL = "s3:GetObjectAcl"
PUT_ACL = "s3:PutObjectAcl"
GET_BUCKET_ACL = "s3:GetBucketAcl"
GET_RETENTION = "s3:GetObjectRetention"
PUT_RETENTION = "s3:PutObjectRetention"
GET_HOLD = "s3:GetObjectLegalHold"
PUT_HOLD = "s3:PutObjectLegalHold"
DECRYPT = "kms:Decrypt"
GENERATE_KEY = "kms:GenerateDataKey"

WRITING = (GET, PUT, ABORT, GET_TAGS, PUT_TAGS)
"""What storing an object and looking at it takes."""


class OptionalRight(NamedTuple):
    """Actions that a command goes without, and says less then, or leaves something behind; ``purpose`` says what for.

    They are on one side: on its ``bucket``, on its ``objects``, on what a ``probe`` makes there, on its KMS ``keys``.
    """

    purpose: str
    side: str
    bucket: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


COMPARING = (
    OptionalRight("compares tags", "legacy", objects=(GET_TAGS,)),
    OptionalRight("compares headers and tags of what is in production already", "production", objects=(GET, GET_TAGS)),
)

LOOK_AHEAD = (
    OptionalRight(
        "tells beforehand what the bucket does to each new object: Object Lock, encryption",
        "production",
        bucket=(GET_LOCK, GET_ENCRYPTION),
    ),
    OptionalRight(
        "tells by a sample which ACLs, retentions and legal holds copies do not keep",
        "legacy",
        objects=(GET_ACL, GET_RETENTION, GET_HOLD),
    ),
)
"""HEAD tells retention and legal hold to whom they may be told alone (S3 API reference, HeadObject)."""

CLEARING_VERSIONS = OptionalRight(
    "removes what the probe made for good, where the bucket keeps versions",
    "production",
    bucket=(LIST_VERSIONS,),
    probe=(DELETE_VERSION,),
)
RESUMING = OptionalRight(
    "resumes the uploads that a killed run has left, where objects are streamed; else they are begun anew",
    "production",
    objects=(LIST_PARTS,),
)
READING_KEYS = OptionalRight("reads legacy objects that are encrypted with a key of KMS", "legacy", keys=(DECRYPT,))
WRITING_KEYS = OptionalRight(
    "stores and reads objects where the production bucket encrypts with a key of KMS",
    "production",
    keys=(GENERATE_KEY, DECRYPT),
)


class Rights(NamedTuple):
    """What one command does on either side.

    ``legacy`` and ``production`` are actions on objects below the prefix, ``probe`` those on the folder that a probe
    makes in production; the sides that are ``listed`` need the right to list as well, and production that to list
    versions where ``versions`` is set. ``reads`` and ``updates`` are about the table; with ``tries_flip`` it updates
    with --trial alone; with ``by_block`` it may read tables in the order of their blocks. Of the sides in
    ``inventories`` it reads the S3 Inventory that the settings name.
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
    by_block: bool = False
    optional: tuple[OptionalRight, ...] = ()
    inventories: tuple[SideName, ...] = ()

    def at(self, side: str) -> Rights:
        """Return the part of them that one side's store has to give."""
        listed = tuple(each for each in self.listed if each == side)
        optional = tuple(each for each in self.optional if each.side == side)
        inventories = tuple(each for each in self.inventories if each == side)
        here = self._replace(listed=listed, optional=optional, inventories=inventories)
        if side == "legacy":
            return here._replace(production=(), probe=(), versions=False)
        return here._replace(legacy=())
