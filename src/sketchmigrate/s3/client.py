"""The operations on one store: head, get, copy, put, delete, list. ``multipart`` has those of uploads in parts.

::

    async with S3Client(S3Config(endpoint_url=…), CredentialSource.from_environment()) as client:
        result = await client.copy(Location("legacy", "image/a.png"), Location("production", "avatar/a.png"))

Every operation raises an ``S3Error``: ``ObjectMissing``, ``BucketMissing``, ``PreconditionFailed`` (``ObjectExists``
for ``IF_ABSENT``), ``S3Refused`` and ``CredentialsError`` at once; ``S3Unreachable``, ``S3Busy`` and ``S3Malformed``
after trying for ``retry_seconds``. A request that was sent again may have taken effect before: all operations here can
be repeated without harm.
"""

from __future__ import annotations

import time
from collections import Counter
from copy import copy as shallow_copy
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from sketchmigrate.core.errors import ObjectMissing, PreconditionFailed, S3Error, StoredDamaged
from sketchmigrate.core.objects import Location, ObjectInfo
from sketchmigrate.flow.limiter import Pressure
from sketchmigrate.s3 import listing, replies
from sketchmigrate.s3.copied_otherwise import WITHOUT_TAGS, CopiedOtherwise
from sketchmigrate.s3.dialect import Learned
from sketchmigrate.s3.exchange import Exchange, Refused
from sketchmigrate.s3.failures import object_exists
from sketchmigrate.s3.headers import header_list
from sketchmigrate.s3.listing import Paging
from sketchmigrate.s3.properties import Properties
from sketchmigrate.s3.wire import xml
from sketchmigrate.s3.wire.addressing import copy_source, encode_query, endpoint_of
from sketchmigrate.s3.wire.conditions import only_if_absent
from sketchmigrate.s3.wire.messages import CopyResult, Request
from sketchmigrate.s3.wire.xml_subresources import SUBRESOURCE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from sketchmigrate.core.traffic import Traffic
    from sketchmigrate.flow.caps import Caps
    from sketchmigrate.s3.config import S3Config
    from sketchmigrate.s3.credentials import CredentialSource
    from sketchmigrate.s3.etags import Digests
    from sketchmigrate.s3.wire.conditions import Condition
    from sketchmigrate.s3.wire.messages import Reply
    from sketchmigrate.s3.wire.pool import Pending
    from sketchmigrate.s3.wire.xml_listings import ListedVersion, ListPage
    from sketchmigrate.s3.wire.xml_subresources import ObjectLock

T = TypeVar("T")


class S3Client:
    """An asynchronous client of one store, for one event loop and any number of concurrent callers.

    Connections open when they are needed. How many requests are in flight, ``congestion`` finds out, within the caps.
    """

    def __init__(self, config: S3Config, credentials: CredentialSource) -> None:
        self.config = config
        self._exchange = Exchange(config, credentials)
        self._retry_seconds = config.retry_seconds
        self._learned = Learned(config.copy_limit_bytes, config.part_size_bytes)
        self._new_object_headers = list(config.new_object_headers)
        self._copy_headers = [*config.new_object_headers, *([WITHOUT_TAGS] if config.keep.tags == "no" else [])]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._exchange.close()

    @cached_property
    def properties(self) -> Properties:
        """What objects have besides their bytes that are copied in parts within this store; learned once for all."""
        return Properties(self, self, asks_for_tags=True)

    @property
    def requests_sent(self) -> Counter[str]:
        """Requests by operation (``CopyObject`` …), repeated ones and those without a reply included."""
        return Counter({operation: sum(counts.values()) for operation, counts in self.traffic.replies.items()})

    @property
    def stored_bytes(self) -> int:
        """Bytes of objects and parts that the store took from this client."""
        return self._exchange.stored_bytes

    @property
    def traffic(self) -> Traffic:
        """What went over the wire so far, and what is under way."""
        exchange = self._exchange
        limiter = exchange.limiter
        return exchange.counted.traffic(limiter.in_flight, limiter.window, exchange.stored_bytes)

    @property
    def concurrency(self) -> int:
        """How many callers at once keep the store as busy as it should be; it changes while they are at work."""
        exchange = self._exchange
        return exchange.limiter.callers + exchange.pausing

    @property
    def pressure(self) -> Pressure:
        """What keeps more requests from being sent at this moment: mostly pauses that the store asked for, or else."""
        exchange = self._exchange
        told_to_wait = exchange.pausing_as_told > exchange.limiter.in_flight
        return Pressure.REFUSALS if told_to_wait else exchange.limiter.pressure(time.monotonic())

    @property
    def slowest_prefix(self) -> str:
        """The prefix for whose own rate most requests wait; empty where that is not what they wait for."""
        return self._exchange.limiter.slowest

    @property
    def asked(self) -> int:
        """Requests without an answer: under way, or waiting for their next attempt after one that got none."""
        return self._exchange.limiter.in_flight + self._exchange.pausing_unanswered

    @property
    def awaits_retries(self) -> bool:
        """Whether more of them wait for their next attempt than are under way."""
        return self._exchange.pausing > self._exchange.limiter.in_flight

    @property
    def refused(self) -> Refused | None:
        """The last refusal, where nothing has succeeded since, and requests wait for their next attempt."""
        return self._exchange.refused if self._exchange.pausing else None

    @property
    def oldest(self) -> Pending | None:
        """The request that waits longest for its reply, if any does."""
        return self._exchange.oldest

    @property
    def answered_at(self) -> float:
        """When bytes of a reply last came or of a body went, or our own cap held them; monotonic, 0 for never."""
        return self._exchange.answered_at

    def limit(self, caps: Caps) -> None:
        """Take other caps from now on."""
        self._exchange.limit(caps)

    def retrying(self, seconds: float) -> S3Client:
        """Return this client with another patience: the same connections, limits and counters.

        For the checks before a run, where a wrong host name should be told at once and not after minutes. It needs no
        closing of its own.
        """
        other = shallow_copy(self)
        other._retry_seconds = seconds  # noqa: SLF001 - a copy of this client
        return other

    def stop_retrying(self) -> None:
        """End all waits between attempts at once and make no further ones: what fails raises its last error."""
        self._exchange.stop_retrying()

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS guards what is sent and read."""
        return endpoint_of(self.config.endpoint_url, self.config.region).tls

    # -- objects

    async def head(self, location: Location, *, checksums: bool = False, part_number: int = 0) -> ObjectInfo:
        """Return size, ETag and headers of an object, with ``checksums`` those that S3 tells when asked for them too.

        With a ``part_number`` the size is that of the part, as far as the store knows parts. A missing bucket looks
        like a missing object here.
        """
        query = encode_query({"partNumber": str(part_number)}) if part_number else ""
        headers = [("x-amz-checksum-mode", "ENABLED")] * checksums
        request = Request("HeadObject", "HEAD", location, query=query, headers=headers)
        return await self._exchange.perform(request, replies.object_info, self._retry_seconds)

    async def find(self, location: Location) -> ObjectInfo | None:
        """Return what ``head`` tells of an object, or None where there is none."""
        try:
            return await self.head(location)
        except ObjectMissing:
            return None

    async def get(self, location: Location, first_byte: int, last_byte: int, *, if_match: str = "") -> bytes:
        """Return the bytes of a range, both ends included, cut at the object's end.

        ``if_match`` is an ETag that the object must have, else ``PreconditionFailed``.
        """
        headers = [("range", f"bytes={first_byte}-{last_byte}")]
        if if_match:
            headers.append(("if-match", f'"{if_match}"'))
        request = Request("GetObject", "GET", location, headers=headers, payload_bytes=last_byte - first_byte + 1)
        return await self._exchange.perform(request, replies.ranged(first_byte, last_byte), self._retry_seconds)

    async def read_beginning(self, location: Location, first_bytes: int) -> tuple[ObjectInfo, bytes]:
        """Return what a HEAD tells about an object, and its first bytes, all of them if it has no more, at once."""
        headers = [("range", f"bytes=0-{first_bytes - 1}")]
        request = Request("GetObject", "GET", location, headers=headers, payload_bytes=first_bytes)
        try:
            return await self._exchange.perform(request, replies.beginning(first_bytes), self._retry_seconds)
        except S3Error as error:
            if error.status != replies.RANGE_NOT_SATISFIABLE:
                raise
            info = await self.head(location)  # an object of no bytes has no first byte
            if info.size_bytes:
                raise
            return info, b""

    async def copy(
        self,
        source: Location,
        target: Location,
        *conditions: Condition,
        headers: Mapping[str, str] | None = None,
        info: ObjectInfo | None = None,
    ) -> CopyResult:
        """Copy an object within the store, with its content headers, user metadata and tags.

        ``headers`` are sent with it, and say what the copy shall have otherwise. An object that the store refuses to
        copy whole for its size is copied in parts, after a look at it, unless ``info`` was seen. One whose tags this
        user may not copy is copied without, unless they are required. An ``ObjectMissing`` is about the source.
        """
        learned = self._learned
        asked = (self, learned, source, target, conditions, headers, info)
        if learned.source_was_too_large and (done := await CopiedOtherwise(*asked).in_parts_again()):
            return done
        sent = [("x-amz-copy-source", copy_source(source)), *conditions, *self._copy_headers]
        if headers:
            sent += self._undemanded(headers)
        request = Request("CopyObject", "PUT", target, headers=sent, source=source)
        if learned.wants_checksums:
            learned.add_checksum(request)
        try:
            etag = await self._exchange.perform(request, replies.copied, self._retry_seconds)
        except PreconditionFailed as error:
            if only_if_absent(conditions):
                raise object_exists(error, request) from error
            raise
        except S3Error as error:
            return await CopiedOtherwise(*asked).after(error, request)
        return CopyResult(etag)

    async def put(
        self,
        location: Location,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *conditions: Condition,
        digests: Digests | None = None,
    ) -> str:
        """Store an object and return its ETag. ``headers`` are sent (and signed) with it.

        With ``digests``, the checksums of the body, one of them goes with it.

        Where a first attempt's reply was lost, ``IF_ABSENT`` fails at the second because the first one was carried out:
        then what is there is compared, and equal content is success.
        """
        request = Request(
            "PutObject",
            "PUT",
            location,
            headers=[*self.headers_of_new(headers or {}), *conditions],
            body=body,
            body_sha256=digests.sha256 if digests else sha256(body).hexdigest(),
            payload_bytes=len(body),
        )
        try:
            return await self.store_body(request, digests)
        except PreconditionFailed as error:
            if request.attempts > 1 and (etag := await self._holds(location, body)):
                return etag
            if only_if_absent(conditions):
                raise object_exists(error, request) from error
            raise

    async def _holds(self, location: Location, body: bytes) -> str:
        """Return the ETag of an object if its content is ``body``, else an empty string."""
        info = await self.head(location)
        if info.size_bytes != len(body):
            return ""
        if body and await self.get(location, 0, len(body) - 1, if_match=info.etag) != body:
            return ""
        return info.etag

    async def delete(self, location: Location, version_id: str = "") -> None:
        """Delete an object, or one version of it for good. That it is gone already is no error, as in S3 itself."""
        query = encode_query({"versionId": version_id}) if version_id else ""
        request = Request("DeleteObject", "DELETE", location, query=query)
        try:
            await self._exchange.perform(request, replies.done, self._retry_seconds)
        except ObjectMissing:
            return

    async def tags(self, location: Location) -> list[tuple[str, str]]:
        """Return an object's tags; none where the store says that it has none at all, which it is asked once."""
        if not self._learned.knows_tags:
            return []
        tags = await self._subresource("GetObjectTagging", location, "tagging", replies.tags)
        if tags is None:
            self._learned.knows_tags = False
        return tags or []

    async def put_tags(self, location: Location, tags: Sequence[tuple[str, str]]) -> None:
        """Replace an object's tags."""
        body = xml.tagging_document(tags)
        request = Request("PutObjectTagging", "PUT", location, query="tagging=", body=body)
        request.body_sha256 = sha256(body).hexdigest()
        self._learned.add_checksum(request)  # which S3 wants here (S3 API reference, PutObjectTagging)
        await self._exchange.perform(request, replies.done, self._retry_seconds)

    async def subresource(self, operation: str, location: Location, name: str) -> bytes:
        """Return the document of a subresource, such as ``acl``, of an object, or with an empty key of a bucket."""
        return await self._subresource(operation, location, name, replies.document)

    def _subresource(
        self, operation: str, location: Location, name: str, read: Callable[[Request, Reply], T]
    ) -> Awaitable[T]:
        """Ask for no more than a document has: a store that knows no subresources answers with the object itself."""
        headers = [("range", f"bytes=0-{SUBRESOURCE_BYTES - 1}")]
        return self.perform(Request(operation, "GET", location, query=f"{name}=", headers=headers), read)

    # -- listings

    async def list_page(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str = "",
        continuation_token: str = "",
        max_keys: int = 1000,
        delimiter: str = "",
    ) -> ListPage:
        """Return up to ``max_keys`` objects under a prefix, after the key ``start_after`` or from a page's token on.

        With a ``delimiter`` keys that have it behind the prefix are not listed, but what they begin with, up to it.
        """
        return await listing.list_page(
            self._exchange,
            self._learned,
            bucket,
            prefix,
            start_after=start_after,
            continuation_token=continuation_token,
            max_keys=max_keys,
            delimiter=delimiter,
            retry_seconds=self._retry_seconds,
        )

    async def list_pages(
        self, bucket: str, prefix: str, *, start_after: str = "", max_keys: int = 1000
    ) -> AsyncGenerator[ListPage, None]:
        """Yield all pages of a listing, or all after a key. It is complete or it raises, as one without an end does."""
        token: str | None = ""
        paging = Paging(f"ListObjectsV2 s3://{bucket}/{prefix}")
        while token is not None:
            page = await self.list_page(
                bucket, prefix, start_after=start_after, continuation_token=token, max_keys=max_keys
            )
            paging.take(page)
            yield page
            token = page.next_token

    async def versions(self, bucket: str, prefix: str) -> list[ListedVersion]:
        """Return up to 1 000 versions and delete markers under a prefix, those of one key newest first."""
        query = encode_query({"versions": "", "encoding-type": "url", "prefix": prefix})
        request = Request("ListObjectVersions", "GET", Location(bucket, ""), query=query)
        return await self._exchange.perform(request, replies.versions, self._retry_seconds)

    async def object_lock(self, bucket: str) -> ObjectLock:
        """Return what Object Lock does in a bucket; nothing, where the store knows none. Raises ``S3Refused``."""
        request = Request("GetObjectLockConfiguration", "GET", Location(bucket, ""), query="object-lock=")
        return await self._exchange.perform(request, replies.object_lock, self._retry_seconds)

    # -- what the operations of other modules are made of

    @property
    def part_size_bytes(self) -> int:
        """How large the parts of a copy are, unless there would be too many."""
        return min(self.config.part_size_bytes, self._learned.part_limit_bytes)

    def may_cut_smaller(self, error: S3Error, part_bytes: int) -> bool:
        """Whether a part of this size was refused for it; then ``part_size_bytes`` is less now."""
        return self._learned.is_part_too_large(error, part_bytes)

    def perform(self, request: Request, read: Callable[[Request, Reply], T]) -> Awaitable[T]:
        """Send a request, again where that helps, and return what ``read`` makes of the reply."""
        return self._exchange.perform(request, read, self._retry_seconds)

    async def store_body(self, request: Request, digests: Digests | None = None) -> str:
        """Send a body and return its ETag; with a checksum where ``digests`` are given, or the store wants one.

        Raises ``StoredDamaged`` where the reply tells another checksum than was sent.
        """
        learned = self._learned
        if digests is not None or learned.wants_checksums:
            learned.add_checksum(request, digests)
        try:
            stored = await self.perform(request, replies.stored)
        except S3Error as error:
            if not learned.wants_checksum_of(request, error):
                raise
            stored = await self.perform(request, replies.stored)
        if learned.sends_sha256 and learned.is_stored_damaged(request, stored.sha256):
            raise StoredDamaged(f"{request}: the store tells the checksum of other bytes than it was sent", stored.etag)
        return stored.etag

    def compare_checksums(self) -> None:
        """Have the replies to bodies tell a checksum, where the store does that: its ETags do not tell the bytes."""
        self._learned.prefer_sha256()

    def headers_of_new(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the headers to make an object with; those that the settings demand of every new one win."""
        return [*self._undemanded(headers), *self._new_object_headers]

    def _undemanded(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        names = {name for name, _ in self._new_object_headers}
        return [header for header in header_list(headers) if header[0] not in names]
