"""A proxy in front of any S3 server that breaks chosen requests in chosen ways, and keeps a record of it.

Requests pass byte for byte (path and Host are signed). Each client connection has its own connection to the server.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import urlsplit

from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from tests.patience import PATIENCE_SECONDS
from tests.servers.http1 import Message, S3Request, read_reply, read_request
from tests.servers.proxy_thread import ProxyThread, reset
from tests.servers.s3_faults import Answer, Cut, Edit, Fault, Hold

Hook: TypeAlias = Callable[[S3Request], Awaitable[None] | None]
"""Called in the middle of a request. A plain function runs in a thread of its own, so it may use boto3."""


@dataclass(slots=True)
class Rule:
    """Which requests a fault befalls: all conditions must hold. ``seen`` and ``done`` count as it goes."""

    fault: Fault
    operation: str
    key: str
    when: Callable[[S3Request], bool] | None
    skip: int
    times: int | None
    probability: float
    seen: int = 0
    done: int = 0

    def strikes(self, request: S3Request, dice: random.Random) -> bool:
        """Decide for one request, and count it."""
        if self.operation not in {"", request.operation} or not re.search(self.key, request.key):
            return False
        if self.when is not None and not self.when(request):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.done >= self.times):
            return False
        if self.probability < 1 and dice.random() >= self.probability:
            return False
        self.done += 1
        return True


class S3FaultProxy(ProxyThread):
    """Use as a context manager; ``endpoint_url`` is what to give to the client.

    The tool's probe of the store passes unseen, as it would be in the way of what a test counts and breaks, unless the
    proxy ``sees_probes``.

    ``requests`` holds every request in its order, ``struck`` each fault's name with its request. ``before_request``
    runs before a request goes to the server; ``after_reply`` when the server has done it and the client does not know.
    """

    def __init__(self, endpoint_url: str, *, seed: int = 0, sees_probes: bool = False) -> None:
        super().__init__()
        self._sees_probes = sees_probes
        upstream = urlsplit(endpoint_url)
        self._upstream = (upstream.hostname or "", upstream.port or 80)
        self._dice = random.Random(seed)
        self._rules: list[Rule] = []
        self._idle: set[asyncio.StreamWriter] = set()
        self.requests: list[S3Request] = []
        self.struck: list[tuple[str, S3Request]] = []
        self.before_request: Hook | None = None
        self.after_reply: Hook | None = None

    @property
    def endpoint_url(self) -> str:
        """The proxy's own address."""
        return f"http://{self.host}:{self.port}"

    def on(
        self,
        fault: Fault,
        *,
        operation: str = "",
        key: str = "",
        when: Callable[[S3Request], bool] | None = None,
        skip: int = 0,
        times: int | None = None,
        probability: float = 1.0,
    ) -> Rule:
        """Let a fault befall requests; the first rule that strikes wins.

        ``operation`` is a word of ``S3Request.operation``, ``key`` a regular expression searched in the key, ``when``
        any other condition; of the requests that match, ``skip`` pass first and at most ``times`` are struck.
        """
        rule = Rule(fault, operation, key, when, skip, times, probability)
        self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget all rules; what is stalled stays so until ``release``."""
        self._rules.clear()

    def wait_for_requests(self, count: int, operation: str = "", *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until so many requests (of an operation) have come. Raises ``TimeoutError``."""
        self.wait_until(lambda: self.count(operation) >= count, timeout_seconds=timeout_seconds)

    def count(self, operation: str = "") -> int:
        """Say how many requests (of an operation) have come."""
        return sum(1 for request in self.requests if operation in {"", request.operation})

    def close_idle(self) -> None:
        """Close every connection that is between two requests, as servers do with idle ones: ``idle_closed``."""
        self._call(self._close_idle())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass requests on until one side leaves or a fault ends the connection."""
        server = Upstream(*self._upstream)
        try:
            while (message := await self._next_request(reader, writer)) is not None:
                request = S3Request(len(self.requests) + 1, message)
                if PROBE_FOLDER in request.target and not self._sees_probes:
                    writer.write((await server.ask(request)).wire)
                    continue
                self.requests.append(request)
                fault = next((rule.fault for rule in self._rules if rule.strikes(request, self._dice)), None)
                self._record()
                if not await self._handle(request, fault, server, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            reset(writer)  # the server is gone: so are we
        finally:
            server.close()

    async def _next_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Message | None:
        self._idle.add(writer)
        try:
            return await read_request(reader, writer)
        finally:
            self._idle.discard(writer)

    async def _close_idle(self) -> None:
        for writer in self._idle:
            self._record("idle_closed")
            writer.close()

    async def _handle(
        self, request: S3Request, fault: Fault | None, server: Upstream, writer: asyncio.StreamWriter
    ) -> bool:
        """Carry one request out, with its fault; say whether the connection goes on."""
        released = self._released  # a release while the server is asked counts for this one, too
        await call(self.before_request, request)
        request, fault = await self._considered(request, fault)
        if isinstance(fault, Hold) and not fault.after_server:
            await self._hold(fault, request, released)
        reply: Message | None = None
        if isinstance(fault, Edit):
            request = replace(request, message=replace(request.message, wire=fault.request(request.message.wire)))
        if fault is None or isinstance(fault, Hold | Edit) or fault.forwarded:
            reply = await server.ask(request)
            await call(self.after_reply, request)
        if isinstance(fault, Hold) and fault.after_server:
            await self._hold(fault, request, released)
        if isinstance(fault, Answer):
            self._strike(fault.name, request)  # before the client can know: a test that saw the fault finds it here
            writer.write(fault.render(request.method, reply.content if reply else b""))
        elif isinstance(fault, Cut):
            self._strike(fault.name, request)
            wire = reply.wire if reply else b""
            writer.write(wire[: round(len(wire) * fault.share)])
            await writer.drain()
            reset(writer)
            return False
        elif isinstance(fault, Edit) and reply is not None:
            self._strike(fault.name, request)
            writer.write(fault.reply(reply.wire))
        elif reply is not None:
            writer.write(reply.wire)
        await writer.drain()
        return reply is None or reply.headers.get("connection", "").lower() != "close"

    async def _considered(self, request: S3Request, fault: Fault | None) -> tuple[S3Request, Fault | None]:
        """Return what is to be passed on, and the fault that befalls it: for proxies that play another server."""
        return request, fault

    async def _hold(self, fault: Hold, request: S3Request, released: asyncio.Event) -> None:
        self._strike(fault.name, request)
        try:
            async with asyncio.timeout(fault.seconds):
                await (asyncio.Event() if fault.name == "delay" else released).wait()
        except TimeoutError:
            return  # its time is over

    def _strike(self, name: str, request: S3Request) -> None:
        self.struck.append((name, request))
        self._record(name)


class Upstream:
    """A connection to the server, opened when needed and again when the server has closed it while idle."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: S3Request) -> Message:
        """Send a request as it came and return the server's reply."""
        if self._streams is not None:
            reader, writer = self._streams
            if reader.at_eof() or writer.is_closing():
                self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=2**20)
        reader, writer = self._streams
        writer.write(request.message.wire)
        reply = await read_reply(reader, request.method)
        if reply.headers.get("connection", "").lower() == "close":
            self.close()
        return reply

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def call(hook: Hook | None, request: S3Request) -> None:
    """Call a hook, if there is one."""
    if hook is None:
        return
    if inspect.iscoroutinefunction(hook):
        await hook(request)
    else:
        await asyncio.to_thread(hook, request)
