"""S3 as the real client sees it: requests go in, replies come out, or are lost before or after their effect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import md5
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import parse_qs

from sketchmigrate.core.errors import S3Unreachable
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.s3.retry import Failure
from sketchmigrate.s3.wire.messages import Reply
from tests.simulation.world import StoredObject, digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.objects import Location
    from sketchmigrate.s3.wire.messages import Request
    from tests.simulation.world import World

T = TypeVar("T")
_CONDITIONS = ("if-none-match", "cf-copy-destination-if-none-match")
_CONDITION_OF = {"CopyObject": "copy", "PutObject": "put", "CompleteMultipartUpload": "complete"}


def simulated_client(world: World) -> S3Client:
    """Return the real client over the store in memory."""
    client = S3Client(S3Config(), cast("CredentialSource", SimpleNamespace()))
    client._exchange = cast("Any", SimulatedExchange(world))  # noqa: SLF001 # the seam: a request and what reads its reply
    return client


class SimulatedExchange:
    """Sends a request to the store in memory, again where the reply was lost, as the real exchange does."""

    def __init__(self, world: World) -> None:
        self.requests_sent: Counter[str] = Counter()
        self.limiter = SimpleNamespace(callers=3)
        self.pausing = 0
        self._world = world
        self._store = Store(world)

    async def perform(self, request: Request, read: Callable[[Request, Reply], T], _retry_seconds: float) -> T:
        """Send a request until its reply arrives, or the patience is over."""
        while True:
            request.attempts += 1
            reply = await self._send(request)
            if reply is not None:
                try:
                    return read(request, reply)
                except Failure as failure:
                    raise failure.error from failure
            if self._world.fault("gives up"):
                raise S3Unreachable(f"{request}: no answer")

    async def _send(self, request: Request) -> Reply | None:
        world = self._world
        await world.step(str(request))
        late = ("request late",) if world.scenario.guarded else ()
        fault = world.fault("request lost", "reply lost", *late)
        if fault == "request late":
            world.later(lambda: self._store.answer(request))
        reply = None if fault in {"request lost", "request late"} else self._store.answer(request)
        await world.step(f"{request}: {reply.status if reply and not fault else 'no'} reply")
        return None if fault else reply


@dataclass(slots=True)
class _Upload:
    place: tuple[str, str]
    parts: dict[str, bytes] = field(default_factory=dict)


class Store:
    """Carries out one request at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._uploads: dict[str, _Upload] = {}
        self._upload_ids = count()

    def answer(self, request: Request) -> Reply:
        """Carry a request out and reply."""
        answer: Callable[[Request], Reply] = getattr(self, f"_{request.operation}")
        return answer(request)

    def _HeadObject(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        stored = self._at(request.location)
        if stored is None:
            return Reply(404, b"", b"", bodiless=True)
        return Reply(200, self._head(stored, b"content-length: %d" % len(stored.body)), b"", bodiless=True)

    def _GetObject(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        stored = self._at(request.location)
        if stored is None:
            return _error(404, "NoSuchKey")
        headers = dict(request.headers)
        if headers.get("if-match", f'"{stored.etag}"') != f'"{stored.etag}"':
            return _error(412, "PreconditionFailed")
        first, last = (int(each) for each in headers["range"].removeprefix("bytes=").split("-"))
        last = min(last, len(stored.body) - 1)
        told = b"content-range: bytes %d-%d/%d" % (first, last, len(stored.body))
        return Reply(206, self._head(stored, told), stored.body[first : last + 1])

    def _GetObjectTagging(self, _request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        return Reply(200, b"", b"<Tagging><TagSet></TagSet></Tagging>")

    def _ListObjectVersions(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        key = parse_qs(request.query)["prefix"][0]
        versions = self._world.versions.get((request.location.bucket, key), [])
        listed = "".join(
            f'<Version><Key>{key}</Key><VersionId>{len(versions) - n}</VersionId><ETag>"{each.etag}"</ETag></Version>'
            for n, each in enumerate(versions)
        )
        document = f"<ListVersionsResult><IsTruncated>false</IsTruncated>{listed}</ListVersionsResult>"
        return Reply(200, b"", document.encode())

    def _CopyObject(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        assert request.source is not None
        source = self._at(request.source)
        if source is None:
            return _error(404, "NoSuchKey")
        if refused := self._refused(request):
            return refused
        return _document("CopyObjectResult", self._write(request.location, source.body, digest(source.body)))

    def _PutObject(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        if refused := self._refused(request):
            return refused
        etag = self._write(request.location, request.body, digest(request.body))
        return Reply(200, f'HTTP/1.1 200 OK\r\netag: "{etag}"'.encode(), b"")

    def _CreateMultipartUpload(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        upload_id = str(next(self._upload_ids))
        self._uploads[upload_id] = _Upload((request.location.bucket, request.location.key))
        result = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        return Reply(200, b"", result.encode())

    def _UploadPartCopy(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        assert request.source is not None
        source, upload = self._at(request.source), self._upload(request)
        if upload is None or source is None:
            return _error(404, "NoSuchKey" if upload else "NoSuchUpload")
        if dict(request.headers)["x-amz-copy-source-if-match"] != f'"{source.etag}"':
            return _error(412, "PreconditionFailed")
        upload.parts[parse_qs(request.query)["partNumber"][0]] = source.body
        return _document("CopyPartResult", digest(source.body))

    def _ListParts(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        upload = self._upload(request)
        if upload is None:
            return _error(404, "NoSuchUpload")
        parts = "".join(
            f'<Part><PartNumber>{number}</PartNumber><Size>{len(part)}</Size><ETag>"{digest(part)}"</ETag></Part>'
            for number, part in upload.parts.items()
        )
        return Reply(200, b"", f"<ListPartsResult>{parts}</ListPartsResult>".encode())

    def _CompleteMultipartUpload(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        upload = self._upload(request)
        if upload is None:
            return _error(404, "NoSuchUpload")
        if refused := self._refused(request):
            return refused
        digests = b"".join(md5(part, usedforsecurity=False).digest() for part in upload.parts.values())
        etag = f"{digest(digests)}-{len(upload.parts)}"
        self._write(request.location, b"".join(upload.parts.values()), etag)
        del self._uploads[parse_qs(request.query)["uploadId"][0]]
        return _document("CompleteMultipartUploadResult", etag)

    def _AbortMultipartUpload(self, request: Request) -> Reply:  # noqa: N802 # the operation's name in S3
        self._uploads.pop(parse_qs(request.query)["uploadId"][0], None)
        return Reply(204, b"", b"")

    def _upload(self, request: Request) -> _Upload | None:
        return self._uploads.get(parse_qs(request.query)["uploadId"][0])

    def _at(self, location: Location) -> StoredObject | None:
        return self._world.objects.get((location.bucket, location.key))

    def _refused(self, request: Request) -> Reply | None:
        """Refuse where a condition fails that this store honours; the others it ignores."""
        if self._at(request.location) is None:
            return None
        for name, value in request.headers:
            word = _CONDITION_OF[request.operation] if name == "if-none-match" else name
            if name in _CONDITIONS and value == "*" and word in self._world.scenario.honoured:
                return _error(412, "PreconditionFailed")
        return None

    def _head(self, stored: StoredObject, line: bytes) -> bytes:
        version = [b"x-amz-version-id: some"] if self._world.scenario.keeps_versions else []
        return b"\r\n".join([b"HTTP/1.1 200 OK", f'etag: "{stored.etag}"'.encode(), line, *version])

    def _write(self, location: Location, body: bytes, etag: str) -> str:
        self._world.trace.append(f"stored: {location}")
        self._world.put((location.bucket, location.key), StoredObject(body, etag, by_tool=True))
        return etag


def _document(name: str, etag: str) -> Reply:
    return Reply(200, b"", f'<{name}><ETag>"{etag}"</ETag></{name}>'.encode())


def _error(status: int, code: str) -> Reply:
    return Reply(status, b"", f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
