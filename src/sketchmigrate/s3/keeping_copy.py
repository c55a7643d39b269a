"""Copies within a store what CopyObject alone would not keep: that takes a look at each object before.

CopyObject keeps content headers, user metadata and tags, and takes one request. An ACL and a storage class are sent
with it, once they are known; a further header or entry of the metadata replaces all of it, so that all is sent (S3 API
reference, CopyObject: "x-amz-metadata-directive"), the tags too: Ceph 16 drops them then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.s3.copied_otherwise import WITHOUT_TAGS
from sketchmigrate.s3.headers import CONTENT_HEADERS, METADATA, MTIME
from sketchmigrate.s3.properties import Properties
from sketchmigrate.s3.wire.conditions import if_source_is

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.objects import Location
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.config import S3Config
    from sketchmigrate.s3.wire.conditions import Condition
    from sketchmigrate.s3.wire.messages import CopyResult


def takes_a_look(config: S3Config) -> bool:
    """Whether the copies of a store have to be told what they shall keep, by a look at each object."""
    keep = config.keep
    return keep.acl or keep.storage_class or keep.mtime or keep.tags == "required" or demands_content_header(config)


def demands_content_header(config: S3Config) -> bool:
    """Whether all new objects get a content header of the settings."""
    return any(name in CONTENT_HEADERS for name, _ in config.new_object_headers)


class KeepingCopy:
    """Copies as ``S3Client.copy`` does, after a look. For any number of concurrent callers."""

    def __init__(self, store: S3Client) -> None:
        self._store = store
        self._demands_content_header = demands_content_header(store.config)
        may_replace = self._demands_content_header or store.config.keep.mtime
        self._reads_tags = may_replace or store.config.keep.tags == "required"
        self._properties = Properties(store, store)

    async def copy(self, source: Location, target: Location, *conditions: Condition) -> CopyResult:
        """Copy an object, and see that it has what was to be kept. Raises as ``S3Client.copy`` does."""
        info = await self._store.head(source)
        kept = await self._properties.of(source, info, with_tags=self._reads_tags)
        is_replaced = self._demands_content_header or (MTIME in kept.headers and MTIME not in info.headers)
        sent = dict([if_source_is(info.etag)]) | (kept.headers if is_replaced else _undescribed(kept.headers))
        if is_replaced:
            sent["x-amz-metadata-directive"] = "REPLACE"
        if is_replaced and kept.tags:
            sent.update([WITHOUT_TAGS])  # those of the source, but with these

        async def copy(headers: Mapping[str, str]) -> CopyResult:
            return await self._store.copy(source, target, *conditions, headers=headers, info=info)

        tags = kept.tags if is_replaced else []
        done = await self._properties.store(target, kept._replace(headers=sent, tags=tags), copy)
        if done.in_parts:
            return done  # what it should have was seen as the parts became it
        if tags:
            await self._properties.see_with_tags(target, kept, done.etag)
        else:
            await self._properties.see(target, kept)
        return done


def _undescribed(kept: Mapping[str, str]) -> dict[str, str]:
    """Return what CopyObject does not keep by itself."""
    return {
        name: value for name, value in kept.items() if name not in CONTENT_HEADERS and not name.startswith(METADATA)
    }
