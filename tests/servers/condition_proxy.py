"""A proxy that makes a server honour, ignore or reject each condition, whatever the server itself does."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sketchmigrate.s3.probe.findings import Question
from tests.servers.s3_fault_proxy import S3FaultProxy, call
from tests.servers.s3_faults import Answer, status

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.servers.http1 import S3Request
    from tests.servers.s3_fault_proxy import Hook, Upstream
    from tests.servers.s3_faults import Fault
    from tests.servers.stores import Store

_HEADERS = {
    ("copy", "if-none-match"): Question.COPY_IF_ABSENT,
    ("copy", "cf-copy-destination-if-none-match"): Question.COPY_IF_ABSENT_R2,
    ("put", "if-none-match"): Question.PUT_IF_ABSENT,
    ("complete_multipart_upload", "if-none-match"): Question.COMPLETE_IF_ABSENT,
    ("copy", "x-amz-copy-source-if-match"): Question.COPY_IF_SOURCE,
}
CONDITIONS = frozenset(_HEADERS.values())


class ConditionProxy(S3FaultProxy):
    """In front of moto, which does not mind that a header is missing from what was signed.

    What is neither honoured nor rejected is ignored: the server never sees the condition. Between the look and the
    write others may write, as on stores that check first; ``atomic`` keeps that out for the keys of the probe's races.
    """

    def __init__(
        self,
        store: Store,
        *,
        honours: Collection[Question] = (),
        rejects: Collection[Question] = (),
        atomic: bool = False,
    ) -> None:
        super().__init__(store.endpoint_url, sees_probes=True)
        self._atomic = atomic
        self.in_between: Hook | None = None  # between the look of a condition that holds and the write
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._client = store.client
        self._honours = honours
        self._rejects = rejects

    async def _handle(
        self, request: S3Request, fault: Fault | None, server: Upstream, writer: asyncio.StreamWriter
    ) -> bool:
        if not self._atomic or "/race-" not in request.key:
            return await super()._handle(request, fault, server, writer)
        async with self._locks[request.key]:
            return await super()._handle(request, fault, server, writer)

    async def _considered(self, request: S3Request, fault: Fault | None) -> tuple[S3Request, Fault | None]:
        """Judge the condition at this moment, and pass the request on without it."""
        for (operation, header), question in _HEADERS.items():
            if operation != request.operation or header not in request.headers:
                continue
            if question in self._rejects:
                return request, status(501, "NotImplemented")
            if question in self._honours and await asyncio.to_thread(self._fails, request, header):
                return request, _failed()
            if question in self._honours:
                await call(self.in_between, request)
            request = _without(request, header)
        return request, fault

    def _fails(self, request: S3Request, header: str) -> bool:
        """Whether a condition does not hold."""
        if header == "x-amz-copy-source-if-match":
            bucket, _, key = request.headers["x-amz-copy-source"].removeprefix("/").partition("/")
            return self._etag(bucket, key) != request.headers[header]
        return self._etag(request.bucket, request.key) != ""

    def _etag(self, bucket: str, key: str) -> str:
        try:
            return str(self._client.head_object(Bucket=bucket, Key=key)["ETag"])
        except ClientError:
            return ""


class CompletesIfMatch(S3FaultProxy):
    """In front of moto, which ignores If-Match on CompleteMultipartUpload: honours it, as AWS does (API reference)."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.endpoint_url, sees_probes=True)
        self._client = store.client

    async def _considered(self, request: S3Request, fault: Fault | None) -> tuple[S3Request, Fault | None]:
        wanted = request.headers.get("if-match", "")
        if request.operation != "complete_multipart_upload" or not wanted:
            return request, fault
        found = await asyncio.to_thread(self._client.head_object, Bucket=request.bucket, Key=request.key)
        return request, _failed() if found["ETag"] != wanted else fault


def _failed() -> Answer:
    return replace(status(412, "PreconditionFailed"), name="condition_failed")


def _without(request: S3Request, header: str) -> S3Request:
    head, end, body = request.message.wire.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(header.encode() + b":")]
    return replace(request, message=replace(request.message, wire=b"\r\n".join(lines) + end + body))
