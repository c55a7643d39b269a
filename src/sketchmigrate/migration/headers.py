"""In what else than bytes two stored objects differ, where their HEADs may have to be completed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import S3Error, S3Refused
from sketchmigrate.s3.acl import ACL_HEADERS, in_words
from sketchmigrate.s3.comparison import Tags, class_of, differences, same_content
from sketchmigrate.s3.headers import TAG_COUNT
from sketchmigrate.s3.properties import acl_of

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.sides import Sides


async def differing_headers(
    sides: Sides, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo
) -> str:
    """Say in what two objects differ of which HEADs were seen; nothing where they do not.

    Nothing is asked for but the tags of an object whose HEAD told no number, where that of the other side told one: it
    has none, or they may not be told to this user (S3 API reference, HeadObject: "x-amz-tagging-count"); the tags of
    both where they are required, and both ACLs where these are kept. Raises ``S3Error``.
    """
    config, tags = sides.production.store.config, None
    if config.keep.tags == "required":
        tags = await _tags_of(sides.legacy.store, source), await _tags_of(sides.production.store, target)
    elif config.keep.tags != "no" and (TAG_COUNT in legacy.headers) != (TAG_COUNT in production.headers):
        legacy = await _with_tag_count(sides.legacy.store, source, legacy)
        production = await _with_tag_count(sides.production.store, target, production)
    told = differences(legacy, production, config, tags) or await _lost_grants(sides, source, target)
    return f"same bytes, other {told}" if told else ""


async def _tags_of(store: S3Client, location: Location) -> Tags:
    return tuple(sorted(await store.tags(location)))


async def _lost_grants(sides: Sides, source: Location, target: Location) -> str:
    """Say what legacy's ACL grants and production's does not, where it is kept; else nothing. Raises ``S3Error``."""
    if not sides.production.store.config.keep.acl:
        return ""
    ours, theirs = await acl_of(sides.legacy.store, source), await acl_of(sides.production.store, target)
    wanted = ours.others if ours else frozenset()
    if not wanted or (theirs is not None and theirs.gives(wanted)):
        return ""
    given = theirs.others if theirs else ()
    return f"ACL: {in_words(sorted(wanted))} in legacy, {in_words(sorted(given)) or 'none'} in production"


async def _with_tag_count(store: S3Client, location: Location, info: ObjectInfo) -> ObjectInfo:
    if TAG_COUNT in info.headers:
        return info
    try:
        tags = await store.tags(location)
    except S3Error as error:
        if not error.is_unsupported:
            raise
        return info
    return replace(info, headers={**info.headers, TAG_COUNT: str(len(tags))})


class Metadata(NamedTuple):
    """In what two objects differ besides their bytes, in words, or empty; and whether their tags were compared."""

    differing: str
    with_tags: bool


class MetadataReader:
    """Compares content headers, user metadata and tags of two objects, by their HEADs and the tags themselves.

    And ACLs, where they are kept. Tags are not asked for where both HEADs told that there are none. No
    number told means none, or that the store never tells, or that they may not be told (S3 API reference, HeadObject:
    "x-amz-tagging-count"), so it is asked. A store whose first answer is no document of tags is asked no more.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides, self._config = sides, sides.production.store.config
        self._legacy, self._production = _TagReader(sides.legacy.store), _TagReader(sides.production.store)

    async def compare(self, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo) -> Metadata:
        """Compare two objects of which HEADs were seen. Raises ``S3Error``, ``ObjectMissing`` where one is gone."""
        keeps_tags = self._config.keep.tags != "no"
        tags = await self._tags(source, legacy, target, production) if keeps_tags else None
        told = differences(legacy, production, self._config, tags) or await _lost_grants(self._sides, source, target)
        proved = "same bytes, " if told and same_content(legacy, production) else ""
        return Metadata(f"{proved}other {told}" if told else "", with_tags=tags is not None)

    async def may_be_changed(
        self, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo
    ) -> bool:
        """Whether production's tags, ACL or class may be what somebody else has made of them since: a copy undoes that.

        Neither has a time of its last change. So tags are given to an object alone that has none, and an ACL or a class
        that is another than legacy's is left.
        """
        config = self._config
        if config.keep.storage_class and class_of(production) != class_of(legacy):
            return True
        theirs = await self._production.read(target, production)
        if theirs is None and self._production.knows_tags:
            return True
        if theirs and (config.keep.tags == "no" or theirs != await self._legacy.read(source, legacy)):
            return True
        return await self._has_another_acl(source, target)

    async def _has_another_acl(self, source: Location, target: Location) -> bool:
        """Whether production's ACL is not legacy's, as far as it is told, and no setting gives all objects one."""
        if any(name.startswith(ACL_HEADERS) for name, _ in self._config.new_object_headers):
            return False
        try:
            given = await acl_of(self._sides.production.store, target)
        except S3Refused:
            if self._config.keep.acl:
                raise
            return False  # who keeps no ACLs need not be allowed to read them
        if given is None or not (given.others or self._config.keep.acl):
            return False
        ours = await acl_of(self._sides.legacy.store, source)
        return ours is None or not given.gives(ours.others) or not given.others <= ours.others

    async def _tags(
        self, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo
    ) -> tuple[Tags, Tags] | None:
        ours = await self._legacy.read(source, legacy)
        theirs = None if ours is None else await self._production.read(target, production)
        return None if ours is None or theirs is None else (ours, theirs)


class _TagReader:
    """Reads the tags of objects of one store."""

    def __init__(self, store: S3Client) -> None:
        self._store = store
        self._first = asyncio.Lock()
        self._answers: bool | None = None

    @property
    def knows_tags(self) -> bool:
        """Whether the store may have tags, as far as it was asked."""
        return self._answers is not False

    async def read(self, location: Location, info: ObjectInfo) -> Tags | None:
        """Return all tags of an object of which ``info`` was seen, None where they cannot be told."""
        if info.headers.get(TAG_COUNT) == "0":
            return ()
        if self._answers is None:
            async with self._first:  # a store that sends the object instead is to send one alone
                if self._answers is None:
                    return await self._ask(location, info)
        return await self._ask(location, info) if self._answers else None

    async def _ask(self, location: Location, info: ObjectInfo) -> Tags | None:
        try:
            tags = tuple(sorted(await self._store.tags(location)))
        except S3Error as error:
            if not error.is_unsupported:
                raise
            self._answers = self._answers or isinstance(error, S3Refused)  # which may be about this one
            return None
        self._answers = True
        told = info.headers.get(TAG_COUNT)
        return tags if told in (None, str(len(tags))) else None  # not all may be read, or they were changed meanwhile
