"""What an object has besides its bytes: read of a legacy object as far as it is to be kept, and given to the new one.

What that is, the settings say (``Keep``, in the configuration of production's client). What a store of either side
knows nothing of is learned from what it says, and not asked for again.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sketchmigrate.core.errors import NOT_DONE_AT_ALL, S3Error, S3Refused
from sketchmigrate.core.objects import Location
from sketchmigrate.s3.acl import canned_acl, grant_headers, in_words
from sketchmigrate.s3.headers import TAG_COUNT, kept_headers, tags_header, tags_of
from sketchmigrate.s3.wire.xml import NotS3
from sketchmigrate.s3.wire.xml_subresources import Grant, read_acl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.wire.xml_subresources import Acl

logger = logging.getLogger(__name__)
T = TypeVar("T")

TAG_QUESTIONS = 20
"""Of so many objects whose read tells no number of tags these are asked for, to see whether the store tells it."""

_NO_ACLS = frozenset({"NotImplemented", "MethodNotAllowed"})
_NO_ACL_STATUSES = NOT_DONE_AT_ALL | {HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
"""The last where the question is taken for one for the object, and that has no bytes (rclone's server)."""

_OF_ONE_OBJECT = frozenset({"InvalidTag", "BadRequest"})
"""What S3 says with 400 of tags that an object cannot have: it takes those of others."""

_NONE: frozenset[Grant] = frozenset()


class Kept(NamedTuple):
    """What the new object shall have besides its bytes; ``grants`` are those to others than the owner."""

    headers: dict[str, str]
    tags: list[tuple[str, str]]
    grants: frozenset[Grant] = _NONE


class Properties:
    """Reads what objects have, and sees that the new ones have it. For any number of concurrent callers.

    ``asks_for_tags``: tags are asked for where a reply tells no number of them; else of the first ``tag_questions``
    such objects, and then of all if one of these had some.
    """

    def __init__(
        self,
        legacy: S3Client,
        production: S3Client,
        *,
        asks_for_tags: bool = False,
        tag_questions: int = TAG_QUESTIONS,
    ) -> None:
        self._legacy, self._production = legacy, production
        self._keep = production.config.keep
        self._asks_for_tags = asks_for_tags or self._keep.tags == "required"
        self._tag_questions = tag_questions
        self._takes_tags = True  # production, until it is seen that it does not
        self._has_taken_tags = False  # it was seen that it does
        self._tells_tags = True  # production, until it is seen that it does not
        self._knows_acls = True  # legacy, until it is seen that it does not
        self._owners: dict[str, str] = {}
        self._warned: set[str] = set()

    async def of(self, source: Location, info: ObjectInfo, *, with_tags: bool = True) -> Kept:
        """Read what is to be kept of a legacy object of which ``info`` was seen. Raises ``S3Error``."""
        with_tags = with_tags and self._keep.tags != "no" and self._takes_tags
        tags = await self._tags(source, info) if with_tags else []
        grants = await self._grants(source) if self._keep.acl and self._knows_acls else _NONE
        return Kept(kept_headers(info.headers, self._keep), tags, grants)

    async def store(self, target: Location, kept: Kept, store: Callable[[dict[str, str]], Awaitable[T]]) -> T:
        """Store something with what is kept; without tags where production takes none, or not of this user.

        Raises ``S3Error``, and that too where tags are required and not taken.
        """
        headers = kept.headers
        if kept.grants:
            headers = headers | await self._acl_headers(target, kept.grants)
        if not kept.tags:
            return await store(headers)
        try:
            stored = await store(headers | tags_header(kept.tags))
        except S3Error as error:
            if self._keep.tags == "required" or not error.is_unsupported:
                raise
            refusal = error
        else:
            self._has_taken_tags = True
            return stored
        try:
            stored = await store(headers)
        except S3Error as error:
            if error.is_unsupported:
                raise refusal from None  # it was not for the tags
            raise
        self._learn_of_tags(refusal)
        return stored

    async def see(self, target: Location, kept: Kept) -> None:
        """See that an object that was just made has the tags that are required, and the grants.

        Raises ``S3Error`` where a store has passed them over.
        """
        if kept.tags and self._keep.tags == "required" and not await self._has(target, kept.tags):
            raise _not_kept(target, "tags", "KEEP_TAGS is required", "KEEP_TAGS = if-allowed")
        if kept.grants:
            acl = await acl_of(self._production, target)
            if acl is None or not acl.gives(kept.grants):
                raise _not_kept(target, f"ACL ({in_words(kept.grants)})", "KEEP_ACL is yes", "KEEP_ACL = no")

    async def see_with_tags(self, target: Location, kept: Kept, etag: str) -> None:
        """See the same, and give the object with this ETag the tags that the store has passed over.

        Ceph 16 ignores those that an upload in parts begins with, and those of a copy with other metadata. Raises
        ``S3Error``.
        """
        if kept.tags and self._takes_tags and not await self._has(target, kept.tags):
            seen = await self._production.find(target)
            if seen is not None and seen.etag == etag:  # nobody has stored another one
                await self._put_tags(target, kept.tags)
        else:
            kept = kept._replace(tags=[])  # they are there
        await self.see(target, kept)

    async def _has(self, target: Location, tags: list[tuple[str, str]]) -> bool:
        """Whether an object has these tags, or that is not told to this user: it was made with them."""
        if not self._tells_tags:
            return True
        try:
            return sorted(await self._production.tags(target)) == sorted(tags)
        except S3Error as error:
            if self._keep.tags == "required" or not error.is_unsupported:
                raise
            self._tells_tags = False
            self._warn(
                f"production tells no tags ({_named(error)}): whether the objects have theirs, which were sent, is not"
                " known"
            )
            return True

    async def _put_tags(self, target: Location, tags: list[tuple[str, str]]) -> None:
        try:
            await self._production.put_tags(target, tags)
        except S3Error as error:
            if self._keep.tags == "required" or not error.is_unsupported:
                raise
            self._learn_of_tags(error)

    async def _tags(self, source: Location, info: ObjectInfo) -> list[tuple[str, str]]:
        """Return the tags of an object, where a read tells their number, or the store is seen to tell none of those.

        Nearly every store tells it. Whether this one does, the first objects show, which are asked.
        """
        told = info.headers.get(TAG_COUNT)
        if told == "0" or not (told or self._asks_for_tags or self._tag_questions):
            return []
        if not told:
            self._tag_questions = max(0, self._tag_questions - 1)
        try:
            tags = await tags_of(self._legacy, source, info)
        except S3Error as error:
            if self._keep.tags == "required" or not error.is_unsupported:
                raise
            self._tag_questions, self._asks_for_tags = 0, False
            if told or isinstance(error, S3Refused):
                self._warn(f"the tags of legacy objects may not be read ({_named(error)}): the new ones have none")
            else:
                logger.debug("the store knows no tags: of %s it says %s", source, error)
            return []
        self._asks_for_tags = self._asks_for_tags or (not told and bool(tags))
        return tags

    async def _grants(self, source: Location) -> frozenset[Grant]:
        acl = await acl_of(self._legacy, source)
        if acl is None:
            self._knows_acls = False
            self._warn("legacy's store knows no ACLs: there is none to keep")
            return _NONE
        return acl.others

    async def _acl_headers(self, target: Location, grants: frozenset[Grant]) -> dict[str, str]:
        if canned := canned_acl(grants):
            return {"x-amz-acl": canned}
        if target.bucket not in self._owners:
            acl = await acl_of(self._production, Location(target.bucket, ""))
            self._owners[target.bucket] = acl.owner if acl else ""
        try:
            return grant_headers(grants, self._owners[target.bucket])
        except ValueError as error:
            raise S3Error(f"{target}: {error}", hint="Set KEEP_ACL to no, or give that grant by hand.") from error

    def _learn_of_tags(self, refusal: S3Error) -> None:
        """Say that production took an object without its tags alone; send none any more to a store that takes none.

        A refusal may be about one place, or one object's tags.
        """
        self._warn(f"production takes no tags ({_named(refusal)}): the objects lose theirs")
        is_of_one = self._has_taken_tags or refusal.code in _OF_ONE_OBJECT
        if refusal.status in NOT_DONE_AT_ALL or (refusal.status == HTTPStatus.BAD_REQUEST and not is_of_one):
            self._takes_tags = False

    def _warn(self, text: str) -> None:
        """Say something once."""
        if text not in self._warned:
            self._warned.add(text)
            logger.warning("%s", text)


async def acl_of(store: S3Client, location: Location) -> Acl | None:
    """Return the ACL of an object, or with an empty key of a bucket; None where the store knows none.

    Raises ``S3Error``.
    """
    operation = "GetObjectAcl" if location.key else "GetBucketAcl"
    try:
        return read_acl(await store.subresource(operation, location, "acl"))
    except NotS3:
        return None  # rclone's server answers with the object
    except S3Error as error:
        if error.code in _NO_ACLS or error.status in _NO_ACL_STATUSES:
            return None
        raise


def _named(error: S3Error) -> str:
    return error.code or (f"status {error.status}" if error.status else "no answer")


def _not_kept(target: Location, what: str, why: str, instead: str) -> S3Error:
    text = f"{target} was made, and production's store has not kept its {what}"
    return S3Error(text, hint=f"{why}; with {instead} objects are migrated without.")
