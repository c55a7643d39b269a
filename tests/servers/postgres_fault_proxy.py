"""A proxy in front of PostgreSQL that cuts, stalls or refuses, at chosen statements, and keeps a record of it.

It follows the frontend/backend protocol (PostgreSQL manual, "Message Formats") far enough to know which statement runs
when: a Query, or an Execute of what was parsed and bound before. Clients that ask for TLS are told that there is none.
"""

from __future__ import annotations

import asyncio
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.servers.proxy_thread import ProxyThread, reset

if TYPE_CHECKING:
    from collections.abc import Callable

_TLS_REQUESTS = {80877103, 80877104}  # SSLRequest, GSSENCRequest
When: TypeAlias = Literal["before", "reply_lost"]


@dataclass(slots=True)
class _Rule:
    """Which running statement a fault befalls. The names of faults are those in ``hits``."""

    name: Literal["cut", "reply_lost", "stall", "reply_stalls", "act", "act_after"]
    pattern: re.Pattern[str]
    after: re.Pattern[str]
    skip: int
    times: int | None
    act: Callable[[], object] | None = None
    seen: int = 0

    def strikes(self, statement: str, transaction: list[str]) -> bool:
        """Decide for one statement, the last of its transaction so far, and count it."""
        if not self.pattern.search(statement) or not any(map(self.after.search, transaction)):
            return False
        self.seen += 1
        return self.skip < self.seen and (self.times is None or self.seen <= self.skip + self.times)


class PostgresFaultProxy(ProxyThread):
    """Use as a context manager; ``port`` (loopback) is what to give to the client.

    ``statements`` holds the text of every statement that was to run, in order. ``before_statement`` is called with it
    before it goes to the server, in a thread of its own, so it may use psycopg.

    Faults in ``hits``: ``cut`` and ``reply_lost`` at a statement, ``cut_all`` (connections), ``stall`` (times that
    something had to wait), ``turned_away`` (connections), ``act`` and ``act_after`` (calls).
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._server_port = port
        self._rules: list[_Rule] = []
        self._sessions: set[_Session] = set()
        self._flowing: asyncio.Event | None = None
        self._turns_away = False
        self._cuts = 0
        self.statements: list[str] = []
        self.before_statement: Callable[[str], None] | None = None

    def cut_at(
        self, pattern: str, *, after: str = "", skip: int = 0, times: int | None = 1, when: When = "before"
    ) -> None:
        """Reset the connection at a statement that matches (a regular expression, any case).

        Before it is forwarded, so that the server never runs it; or ``reply_lost``: the server runs it and says so to
        nobody. ``skip`` statements that match pass first. ``after`` is to match a statement of the same transaction:
        a COMMIT by itself does not tell what it commits.
        """
        name: Literal["cut", "reply_lost"] = "cut" if when == "before" else "reply_lost"
        self._rules.append(_Rule(name, _compile(pattern), _compile(after), skip, times))

    def stall_at(
        self, pattern: str, *, after: str = "", skip: int = 0, times: int | None = 1, after_server: bool = False
    ) -> None:
        """Keep a statement that matches back until ``release``; with ``after_server``, the reply to it instead."""
        name: Literal["stall", "reply_stalls"] = "reply_stalls" if after_server else "stall"
        self._rules.append(_Rule(name, _compile(pattern), _compile(after), skip, times))

    def act_at(
        self,
        pattern: str,
        act: Callable[[], object],
        *,
        after: str = "",
        skip: int = 0,
        times: int | None = 1,
        after_server: bool = False,
    ) -> None:
        """Call ``act``, in a thread of its own, before a statement that matches goes to the server.

        With ``after_server`` the server has done it, and the client learns of it when ``act`` has returned.
        """
        name: Literal["act", "act_after"] = "act_after" if after_server else "act"
        self._rules.append(_Rule(name, _compile(pattern), _compile(after), skip, times, act))

    def clear(self) -> None:
        """Forget all rules for statements."""
        self._rules.clear()

    def cut_all(self) -> None:
        """Reset every connection, now."""
        self._call(self._cut_all())

    def stall(self) -> None:
        """Let nothing pass in either direction until ``resume``."""
        self._call(self._stall())

    def turn_away(self) -> None:
        """Accept new connections only to reset them, each counted, until ``resume``."""
        self._turns_away = True

    def shut(self) -> None:
        """Stop listening: new connections are refused by the kernel, which nobody can count, until ``resume``."""
        self._call(self._shut())

    def resume(self) -> None:
        """End ``stall``, ``turn_away`` and ``shut``; on the same port."""
        self._turns_away = False
        self._call(self._resume())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if self._turns_away:
            self._record("turned_away")
            reset(writer)
            return
        cuts = self._cuts
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        if cuts != self._cuts:  # every connection was cut while this one was made
            self._record("cut_all")
            reset(writer)
            reset(server_writer)
            return
        session = _Session(self, reader, writer, server_reader, server_writer)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            server_writer.close()

    async def pass_gate(self) -> None:
        """Wait while everything is stalled."""
        while (flowing := self._flowing) is not None:
            self._record("stall")
            await flowing.wait()

    async def reach(self, statement: str, transaction: list[str]) -> _Rule | None:
        """Do what is to be done before a statement; return the rule of which something is left for the session."""
        self.statements.append(statement)
        self._record()
        if self.before_statement is not None:
            await asyncio.to_thread(self.before_statement, statement)
        rule = next((rule for rule in self._rules if rule.strikes(statement, transaction)), None)
        if rule is not None and rule.name == "stall":
            await self.hold()
        if rule is not None and rule.name == "act":
            await self.call(rule)
        return rule

    async def call(self, rule: _Rule) -> None:
        """Do what a rule asks for."""
        if rule.act is not None:
            self._record(rule.name)
            await asyncio.to_thread(rule.act)

    async def hold(self) -> None:
        """Wait until ``release``."""
        released = self._released
        self._record("stall")
        await released.wait()

    def did(self, fault: str) -> None:
        """Record a fault that a session has done."""
        self._record(fault)

    async def _cut_all(self) -> None:
        self._cuts += 1
        for session in list(self._sessions):
            self._record("cut_all")
            session.cut()

    async def _stall(self) -> None:
        self._flowing = self._flowing or asyncio.Event()

    async def _shut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _resume(self) -> None:
        if self._flowing is not None:
            self._flowing.set()
            self._flowing = None
        if self._listener is None:
            await self._listen()


class _Session:
    """One client's connection and its connection to the server."""

    def __init__(
        self,
        proxy: PostgresFaultProxy,
        client_reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._client_reader = client_reader
        self._client = client
        self._server_reader = server_reader
        self._server = server
        self._parsed: dict[bytes, str] = {}
        self._bound: dict[bytes, str] = {}
        self._transaction: list[str] = []
        self._fault: _Rule | None = None  # what is to happen to the reply
        self._withheld = b""

    async def run(self) -> None:
        """Pass messages both ways until one side leaves."""
        pumps = [asyncio.create_task(self._from_client()), asyncio.create_task(self._from_server())]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def cut(self) -> None:
        """Reset the client's connection; the server sees the client leave and rolls back."""
        reset(self._client)
        reset(self._server)

    async def _from_client(self) -> None:
        await self._startup()
        while True:
            kind, body, wire = await _read_message(self._client_reader)
            await self._proxy.pass_gate()
            statement = self._follow(kind, body)
            if statement is not None:
                if statement.upper().startswith("BEGIN"):
                    self._transaction.clear()
                self._transaction.append(statement)
                rule = await self._proxy.reach(statement, self._transaction)
                if rule is not None and rule.name == "cut":
                    self._proxy.did(rule.name)
                    self.cut()
                    return
                if rule is not None and rule.name in {"reply_lost", "reply_stalls", "act_after"}:
                    self._fault = rule
            self._server.write(wire)
            await self._server.drain()

    async def _startup(self) -> None:
        """Pass the first message on; it has no type. No to those who ask for encryption first."""
        while True:
            size = await self._client_reader.readexactly(4)
            body = await self._client_reader.readexactly(struct.unpack("!i", size)[0] - 4)
            if struct.unpack("!i", body[:4])[0] not in _TLS_REQUESTS:
                break
            self._client.write(b"N")
        await self._proxy.pass_gate()
        self._server.write(size + body)

    async def _from_server(self) -> None:
        while True:
            kind, _, wire = await _read_message(self._server_reader)
            await self._proxy.pass_gate()
            rule = self._fault
            if rule is not None and rule.name == "reply_stalls":
                self._fault = None
                await self._proxy.hold()
            elif rule is not None:
                self._withheld += wire
                if kind != b"Z":  # ReadyForQuery: it is done
                    continue
                if rule.name == "reply_lost":
                    self._proxy.did(rule.name)
                    self.cut()
                    return
                await self._proxy.call(rule)
                wire, self._withheld, self._fault = self._withheld, b"", None
            self._client.write(wire)
            await self._client.drain()

    def _follow(self, kind: bytes, body: bytes) -> str | None:
        """Keep track of what is parsed and bound; return the text of the statement that this message runs, if any."""
        if kind == b"Q":
            return body.rstrip(b"\0").decode()
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._parsed[name] = text.decode()
        elif kind == b"B":
            portal, name, _ = body.split(b"\0", 2)
            self._bound[portal] = self._parsed[name]
        elif kind == b"E":
            return self._bound[body.split(b"\0", 1)[0]]
        return None


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes, bytes]:
    """Return a message's type, its body, and the whole of it."""
    head = await reader.readexactly(5)
    body = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
    return head[:1], body, head + body


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
