"""One request, from its signature to an understood reply: slots, connections, retries, redirects, credentials."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sketchmigrate.core.errors import CredentialsError, MigrateError, S3Error, SettingsError
from sketchmigrate.core.traffic import Counted
from sketchmigrate.flow.limiter import Limiter
from sketchmigrate.s3 import failures
from sketchmigrate.s3.retry import SAID_SECONDS, Failure, FailureKind, Patience
from sketchmigrate.s3.slots import Slots
from sketchmigrate.s3.wire.addressing import Address, address_of, encode_key, endpoint_of
from sketchmigrate.s3.wire.messages import Reply, Request, wire
from sketchmigrate.s3.wire.pool import Pool
from sketchmigrate.s3.wire.proxy import ProxyFailed
from sketchmigrate.s3.wire.redirect import is_own
from sketchmigrate.s3.wire.sigv4 import Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.flow.caps import Caps
    from sketchmigrate.s3.config import S3Config
    from sketchmigrate.s3.credentials import CredentialSource
    from sketchmigrate.s3.slots import Caller
    from sketchmigrate.s3.wire.pool import Pending
    from sketchmigrate.s3.wire.proxy import Proxy
    from sketchmigrate.s3.wire.transport import Connection

logger = logging.getLogger(__name__)
_OK = 200
T = TypeVar("T")
E = TypeVar("E", bound=MigrateError)


@dataclass(frozen=True, slots=True)
class Route:
    """How requests for a bucket are addressed and signed."""

    address: Address
    signer: Signer
    proxy: Proxy | None

    @property
    def where(self) -> str:
        """What a request is sent to, for messages."""
        origin = self.address.origin
        return str(origin) if self.proxy is None else f"{origin} behind the proxy {self.proxy}"


class Refused(NamedTuple):
    """The last request that the store answered with a refusal for now; since when it said nothing else, monotonic."""

    since: float
    attempts: int
    error: S3Error


class Exchange:
    """Sends requests until they succeed, fail for good, or have failed for too long. Serves hundreds of callers."""

    def __init__(self, config: S3Config, credentials: CredentialSource) -> None:
        self.config = config
        self.counted = Counted()
        self.stored_bytes = 0  # of objects and parts, whatever became of them afterwards
        self._credentials = credentials
        self.limiter: Limiter[Caller] = Limiter(config.caps, time.monotonic())
        self._slots = Slots(self.limiter)
        self.pausing = 0  # requests that wait for their next attempt, among them:
        self.pausing_unanswered = 0  # those whose attempt got no reply
        self.pausing_as_told = 0  # those that wait because the answer said how long
        self.refused: Refused | None = None  # None from the next other answer on
        self._routes: dict[str, Route] = {}
        self._regions: dict[str, str] = {}
        self._authorities: dict[str, str] = {}
        self._clock_offset_seconds = 0
        self._progress_at = 0.0
        self._said_until = 0.0
        self._stopping = asyncio.Event()

    @property
    def _side(self) -> str:
        """How a message begins where there are two stores."""
        return f"{self.config.called}: " if self.config.called else ""

    @property
    def answered_at(self) -> float:
        """When bytes of a reply last came or of a body went, or our own cap held them; monotonic, 0 for never."""
        return self._pool.moved_at if "_pool" in self.__dict__ else 0.0

    @property
    def oldest(self) -> Pending | None:
        """The request that waits longest for its reply."""
        return self._pool.oldest() if "_pool" in self.__dict__ else None

    @cached_property
    def _pool(self) -> Pool:
        return Pool(self.config.timeout_seconds, lambda: self._tls_context)

    @cached_property
    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.config.ca_bundle or None)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"S3_CA_BUNDLE {self.config.ca_bundle!r} cannot be read: {error.strerror or error}",
                hint="It (or AWS_CA_BUNDLE, or the profile's ca_bundle) is the path of a file with certificates in PEM"
                " form; without any, the system's own are taken.",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def limit(self, caps: Caps) -> None:
        """Take other caps from now on."""
        self.limiter.limit(caps)
        self._slots.hand_over()

    def stop_retrying(self) -> None:
        """End all waits between attempts; what fails from now on is given up."""
        self._stopping.set()

    async def close(self) -> None:
        """Close all connections."""
        self._slots.close()
        if "_pool" in self.__dict__:
            await self._pool.close()

    async def perform(self, request: Request, read: Callable[[Request, Reply], T], retry_seconds: float) -> T:
        """Send a request until ``read`` accepts the reply, and return what it read.

        ``read`` raises ``Failure`` for a reply that is not the success it looks for. Raises an ``S3Error``.
        """
        patience: Patience | None = None
        fresh = False
        while True:
            route = self._routes.get(request.location.bucket)
            try:
                if (
                    route is None
                    or route.signer.credentials is not self._credentials.current
                    or self._credentials.is_due()
                ):
                    route = await self._route(request.location.bucket)
                reply = await self._attempt(request, route, fresh=fresh)
                value = read(request, reply)
            except Failure as failure:
                patience = patience or Patience(retry_seconds)
                fresh = failure.kind is FailureKind.STALE
                self._note(request, failure)
                if failure.kind is FailureKind.UNEXPLAINED:
                    failure = await self._explained(request, failure, route)
                self._drop_vain_hint(failure)
                await self._recover(request, failure, patience, route)
            except (SettingsError, CredentialsError) as error:
                raise self._named(error) from error.__cause__
            else:
                self._progress_at = self._pool.loop.time()
                self.refused = None
                return value

    async def _attempt(self, request: Request, route: Route, *, fresh: bool = False) -> Reply:
        """Send a request once, when a slot is free; any reply is returned."""
        limiter = self.limiter
        lane = None if limiter.enter() else await self._slots.wait(request)
        connection: Connection | None = None
        pool = self._pool
        address = route.address
        try:
            connection = None if fresh else pool.take(address.origin)
            if connection is None:
                connection = await pool.connect(address.origin, route.proxy)
            data = self._signed(request, route)
            request.attempts += 1
            began = time.monotonic()
            reply = await connection.send(data, request, limiter.caps.bytes_per_second)
        except (OSError, UnicodeError, ProxyFailed, *failures.NO_REPLY) as error:
            self.counted.no_reply(request.operation)
            raise failures.connection_failure(request, route.where, error) from error
        except asyncio.CancelledError:
            if connection is not None:
                connection.close()  # its reply would be taken for the next request's
            raise
        else:
            pool.moved_at = now = time.monotonic()
            seconds = now - began - connection.pacing.held_seconds
            if limiter.by_prefix:
                limiter.replied_below(request.prefixes, now, seconds)
            elif limiter.congestion.replied(now, seconds):  # for each request: one call less
                limiter.decided(now)
            self.counted.reply(request.operation, reply.status, seconds)
            if request.payload_bytes:
                self._count_payload(request, reply, now)
            pool.give_back(connection)
            return reply
        finally:
            limiter.leave(lane)
            if limiter.waiting:
                self._slots.hand_over()

    def _count_payload(self, request: Request, reply: Reply, now: float) -> None:
        """Count what was stored; what was read may have been less than was asked for."""
        if not request.body:
            self.limiter.correct(now, len(reply.body) - request.payload_bytes)
        elif reply.status == _OK:
            self.stored_bytes += request.payload_bytes

    def _note(self, request: Request, failure: Failure) -> None:
        """Tell the limiter of a failure that may come from too many requests."""
        if failure.kind is FailureKind.THROTTLED:
            self.limiter.refused(time.monotonic(), request.prefixes)
        elif failure.kind is FailureKind.TRANSIENT:
            self.limiter.faulted(time.monotonic(), request.prefixes)

    def _signed(self, request: Request, route: Route) -> bytes:
        address = route.address
        path = address.path_prefix + encode_key(request.location.key)
        headers = [("host", address.host_header), *request.headers]
        if self.config.requester_pays:
            headers.append(("x-amz-request-payer", "requester"))
        now = int(time.time()) + self._clock_offset_seconds
        lines = route.signer.sign(now, request.method, path, request.query, headers, payload_sha256=request.body_sha256)
        target = f"{path}?{request.query}" if request.query else path
        if route.proxy is not None and not address.origin.tls:
            target = f"http://{address.host_header}{target}"  # RFC 9112, section 3.2.2
            lines += route.proxy.header_line
        return wire(request.method, target, lines, request.body)

    # -- routes

    async def _route(self, bucket: str) -> Route:
        source = self._credentials
        if source.current is None or source.is_due():
            await source.refresh()
        credentials = source.current
        assert credentials is not None  # noqa: S101 - refresh raises otherwise
        route = self._routes.get(bucket)
        if route is None or route.signer.credentials is not credentials:
            region = self._regions.get(bucket, self.config.region)
            address = address_of(
                bucket,
                endpoint_url=self.config.endpoint_url,
                region=region,
                style=self.config.addressing_style,
                authority=self._authorities.get(bucket, ""),
            )
            proxy = self.config.proxies.leading_to(address.origin)
            route = self._routes[bucket] = Route(address, self._signer(credentials, region), proxy)
        return route

    def _signer(self, credentials: Credentials, region: str) -> Signer:
        """Share one signer among the buckets of a region: what it keeps is the same for all of them."""
        for route in self._routes.values():
            if route.signer.credentials is credentials and route.signer.region == region:
                return route.signer
        return Signer(credentials, region)

    # -- failures

    async def _recover(self, request: Request, failure: Failure, patience: Patience, route: Route | None) -> None:
        """Do what the failure calls for, so that another attempt makes sense; else raise its error."""
        if self._stopping.is_set():
            raise self._named(failure.error) from failure
        if failure.kind is FailureKind.MOVED:
            self._refuse_strangers(request, failure, route)
        match failure.kind:
            case FailureKind.STALE if patience.first(FailureKind.STALE):
                return
            case FailureKind.MOVED if patience.first(FailureKind.MOVED) and self._follow(request, failure, route):
                return
            case FailureKind.SKEWED if patience.first(FailureKind.SKEWED) and self._set_clock(failure):
                return
            case FailureKind.EXPIRED if patience.first(FailureKind.EXPIRED) and route is not None:
                await self._credentials.refresh(route.signer.credentials)
                return
            case FailureKind.TRANSIENT | FailureKind.THROTTLED | FailureKind.STALE:
                now = self._pool.loop.time()
                is_paced = self.limiter.paces(request.prefixes)
                pause_seconds = patience.pause_seconds(
                    failure, now, self._progress_at, random.random, is_paced=is_paced
                )
                if pause_seconds >= 0:
                    self._say(request, failure, pause_seconds)
                    await self._pause(pause_seconds, failure)
                    if not self._stopping.is_set():
                        return
        self._note_end(failure)
        raise self._named(failure.error) from failure

    def _note_end(self, failure: Failure) -> None:
        """Take note that a request has failed for good: then not all is refused for now.

        Nor is it where nobody waits any more: what is refused later is another story.
        """
        is_answer = failure.kind is FailureKind.FATAL and failure.error.status
        if is_answer or not self.pausing:
            self.refused = None

    def _named(self, error: E) -> E:
        """Let an error name the side, where there are two stores, and the settings that hold for this one."""
        if self.config.called and isinstance(error, S3Error) and not error.message.startswith(self._side):
            error.message = self._side + error.message
        for name, own in self.config.own_settings:
            error.message, error.hint = (re.sub(rf"\b{name}\b", own, text) for text in (error.message, error.hint))
        return error

    def _say(self, request: Request, failure: Failure, pause_seconds: float) -> None:
        """Log why a request waits; a long pause that the store asks for is a warning, once for all who pause."""
        if failure.error.status:
            since = time.monotonic() if self.refused is None else self.refused.since
            self.refused = Refused(since, request.attempts, failure.error)
        now = self._pool.loop.time()
        asked_for = failure.retry_after_seconds >= SAID_SECONDS and now >= self._said_until
        if asked_for:
            self._said_until = now + pause_seconds
        level = logging.WARNING if asked_for else logging.DEBUG
        logger.log(level, "%s; trying again in %.1f s", failure.error, pause_seconds)

    async def _pause(self, seconds: float, failure: Failure) -> None:
        unanswered, as_told = not failure.error.status, failure.retry_after_seconds > 0
        self.pausing += 1
        self.pausing_unanswered += unanswered
        self.pausing_as_told += as_told
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        finally:
            self.pausing -= 1
            self.pausing_unanswered -= unanswered
            self.pausing_as_told -= as_told

    async def _explained(self, request: Request, failure: Failure, route: Route | None) -> Failure:
        """Find out why a HEAD was refused: only a reply with a body names the code, so ask for the first byte.

        With the headers of the HEAD, as one of them may be what was refused; what part of the object it was about is
        left away. A HEAD that names another region than the one it was signed for was refused for that.
        """
        if route is not None and failure.region not in ("", route.signer.region):
            failure.kind = FailureKind.MOVED
            return failure
        headers = [*request.headers, ("range", "bytes=0-0")]
        question = Request(request.operation, "GET", request.location, headers=headers)
        try:
            reply = await self._attempt(question, route or await self._route(question.location.bucket))
        except Failure as other:
            return other
        if reply.status in (200, 206):
            # what the HEAD was refused for has passed, unless it is the part
            failure.kind = FailureKind.FATAL if request.query else FailureKind.TRANSIENT
            return failure
        return failures.reply_failure(request, reply)

    def _drop_vain_hint(self, failure: Failure) -> None:
        """Let no hint say to set what is set."""
        if failure.error.hint == failures.elsewhere_hint(self.config.region):
            failure.error.hint = ""

    def _refuse_strangers(self, request: Request, failure: Failure, route: Route | None) -> None:
        """Raise ``RedirectRefused`` where a redirect leads away from the endpoint that a person has set."""
        if failure.target is None or route is None:
            return
        endpoint = endpoint_of(self.config.endpoint_url, self.config.region)
        here = endpoint._replace(tls=endpoint.tls or route.address.origin.tls)
        if not is_own(here, failure.target, self.config.region):
            raise self._named(failures.stranger(request, here, failure.target, failure.error)) from failure

    def _follow(self, request: Request, failure: Failure, route: Route | None) -> bool:
        """Remember the region or host that a redirect named for the bucket. False if it named neither, or no news."""
        bucket = request.location.bucket
        if route is not self._routes.get(bucket):
            return True  # another request has followed meanwhile
        region, authority = failure.region, ""
        if failure.target is not None and route is not None:
            scheme = failure.target.scheme or ("https" if route.address.origin.tls else "http")
            authority = f"{scheme}://{failure.target.authority}"
        known = self._regions.get(bucket, self.config.region)
        if region and region != known:
            self._regions[bucket] = region
            logger.warning("%sbucket %s is in region %s, not %s: it is asked there", self._side, bucket, region, known)
            if not self.config.endpoint_url:
                authority = ""  # AWS's host follows from the region
        elif authority and authority != self._authorities.get(bucket):
            name = self.config.name_of("S3_ENDPOINT_URL")
            logger.warning("the store sends requests for bucket %s to %s: check %s", bucket, authority, name)
        else:
            return False
        if authority:
            self._authorities[bucket] = authority
        self._routes.pop(bucket, None)
        return True

    def _set_clock(self, failure: Failure) -> bool:
        """Take the store's time as given in the refusal. False if it did not tell."""
        if failure.store_time is None:
            return False
        offset_seconds = round(failure.store_time.timestamp() - time.time())
        if abs(offset_seconds - self._clock_offset_seconds) > 1:
            self._clock_offset_seconds = offset_seconds
            logger.warning("%sthis machine's clock is %d s off the store's: set it (NTP)", self._side, -offset_seconds)
        return True
