"""A proxy lives in a thread of its own, with its own event loop, whatever the test and the tool do in theirs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Result = TypeVar("Result")


class ProxyThread:
    """A listening proxy on a port of ``host``, the record of what it did, and the thread it does it in.

    ``hits`` counts each fault by its name at the moment it was done. A test proves with it that its fault happened.
    An error in the proxy itself is raised when the block ends.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = 0
        self.hits: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []
        self._released = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it leaves. Connection errors that escape are a normal end."""
        raise AssertionError(f"{type(self).__name__} serves nobody: {reader} {writer}")

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._errors:
            raise ExceptionGroup(f"{type(self).__name__} failed", self._errors)

    def wait_until(self, condition: Callable[[], bool], *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for something that the proxy does; looked at whenever it did something. Raises ``TimeoutError``."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout_seconds):
                raise TimeoutError(f"did not happen within {timeout_seconds:g} s; hits so far: {dict(self.hits)}")

    def wait_for_hit(self, name: str, count: int = 1, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a fault was done ``count`` times. Raises ``TimeoutError``."""
        self.wait_until(lambda: self.hits[name] >= count, timeout_seconds=timeout_seconds)

    def release(self) -> None:
        """Let everything go on that is stalled at this moment."""
        self._call(self._release())

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the proxy's loop and wait for what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def _record(self, name: str = "") -> None:
        """Note that something was done: a fault, by its name, or anything that someone may wait for."""
        with self._changed:
            if name:
                self.hits[name] += 1
            self._changed.notify_all()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._welcome, self.host, self.port, limit=2**20)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _release(self) -> None:
        # The ones that wait keep their event; those that come later wait for a new one.
        self._released.set()
        self._released = asyncio.Event()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve_and_close(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve_and_close(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError
            ):  # someone left: what proxies are for
                await self.serve(reader, writer)
        except Exception as error:  # noqa: BLE001 # raised again at the end of the block, in the test's thread
            self._errors.append(error)
        finally:
            writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a TCP reset (RST), as a crashed peer or a firewall does; not with an orderly FIN."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
