"""The Unix socket in a run's directory, by which orders reach it: an order is a line of JSON, and so is the answer.

It is for the run's owner and root alone. A path may have 107 bytes (unix(7)), which that of a run's directory may
exceed: so it is reached by a descriptor of the directory, where the system has such a path (proc(5)).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import socket
import struct
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from sketchmigrate.core.errors import MigrateError, RunNotReached, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sketchmigrate.migration.control import Control

log = logging.getLogger(__name__)

SOCKET_NAME = "ctl.sock"

MOST_BYTES = 65_536
"""Of a line."""

ANSWER_SECONDS = 10.0
"""So long an answer is waited for: a run takes orders between two other things that it does."""

_DESCRIPTORS = Path("/proc/self/fd")
_PRIVATE = 0o077


class Peer(NamedTuple):
    """Who is at the other end."""

    user_id: int
    process_id: int

    def __str__(self) -> str:
        try:
            name = pwd.getpwuid(self.user_id).pw_name
        except KeyError:  # a container's user without a name
            name = f"user {self.user_id}"
        return f"{name} (process {self.process_id})" if self.process_id else name


def peer_of(connection: socket.socket) -> Peer:
    """Return who is at the other end of a connection (SO_PEERCRED, unix(7)); of elsewhere than Linux the owner."""
    if not hasattr(socket, "SO_PEERCRED"):
        return Peer(os.getuid(), 0)
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process_id, user_id, _ = struct.unpack("3i", told)
    return Peer(user_id, process_id)


@contextmanager
def _reached(directory: Path) -> Iterator[str]:
    """Give a short path to the socket as long as the context lasts. Raises ``OSError``."""
    if not _DESCRIPTORS.is_dir():
        yield str(directory / SOCKET_NAME)
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield str(_DESCRIPTORS / str(handle) / SOCKET_NAME)
    finally:
        os.close(handle)


@asynccontextmanager
async def taking_orders(directory: Path, control: Control) -> AsyncIterator[None]:
    """Have a run take orders by the socket in its directory, as long as the context lasts.

    Where the socket cannot be made, that is said, and the run goes on without.
    """
    serving: dict[asyncio.StreamWriter, asyncio.Task[object] | None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving[writer] = asyncio.current_task()
        try:
            with suppress(OSError, ValueError):  # it has gone, or sent a line without an end
                await _serve(reader, writer, control)
        finally:
            writer.close()
            del serving[writer]

    try:
        listener = _listen(directory)
    except OSError as error:
        text = "%s cannot be made (%s): sketch-migrate ctl does not reach this run."
        log.warning(text, directory / SOCKET_NAME, error.strerror or error)
        yield
        return
    server = await asyncio.start_unix_server(serve, sock=listener, limit=MOST_BYTES)
    try:
        with control.at_work():
            yield
    finally:
        server.close()
        with suppress(OSError):
            (directory / SOCKET_NAME).unlink()
        for writer in serving:
            writer.transport.abort()  # they read the end: Python 3.11 prints a traceback of those that are cancelled
        await asyncio.gather(*filter(None, serving.values()))


def _listen(directory: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reached(directory) as path:
            before = os.umask(_PRIVATE)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
        listener.listen()
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 - the library's
    return listener


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, control: Control) -> None:
    """Answer the orders of one connection."""
    peer = peer_of(writer.get_extra_info("socket"))
    while line := await reader.readline():
        writer.write(json.dumps(_answer(line, control, peer)).encode() + b"\n")
        await writer.drain()


def _answer(line: bytes, control: Control, peer: Peer) -> dict[str, object]:
    try:
        if peer.user_id not in {0, os.getuid()}:
            raise UsageError(f"{peer} may give no orders to this run", hint="It takes those of its owner, and of root.")
        order = _read(line)
        return control.take(order, str(peer))
    except MigrateError as error:
        return {"error": {"message": error.message, "hint": error.hint}}


def _read(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):  # the latter of what is nested too deeply
        told = None
    if not isinstance(told, dict):
        raise UsageError("an order is a JSON object, in a line")
    return told


class Caller:
    """Gives orders to one run, over one connection. A context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        """Connect. Raises ``RunNotReached``."""
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            with _reached(self._directory) as path:
                self._socket.connect(path)
        except OSError as error:
            self.__exit__()
            hint = "It has ended or was killed, asks its question yet, or only looks. sketch-migrate runs tells which."
            text = f"the run {self._directory} takes no orders ({error.strerror or error})"
            raise RunNotReached(text, hint=hint) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def order(self, word: str, **more: object) -> dict[str, Any]:
        """Give an order, and return the answer. Raises ``UsageError`` where it is refused, and ``RunNotReached``."""
        try:
            self._socket.sendall(json.dumps({"order": word, **more}).encode() + b"\n")
            line = self._lines.readline()
        except ConnectionError:
            line = b""
        except OSError as error:
            raise RunNotReached(f"the run {self._directory} does not answer ({error})") from error
        if not line:
            raise RunNotReached(f"the run {self._directory} has ended")
        answer: dict[str, Any] = json.loads(line)
        if (refused := answer.get("error")) is not None:
            raise UsageError(refused["message"], hint=refused["hint"])
        return answer
