"""The proxy between here and the store: which one leads to a host, by the environment, and the way through it.

Rules: HTTPS_PROXY and HTTP_PROXY by the scheme of the store, in lower or upper case, the lower one first; what NO_PROXY
names is reached without. As in Python's urllib and so botocore; NO_PROXY also takes networks, as in curl.
"""

from __future__ import annotations

import asyncio
import ipaddress
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from sketchmigrate.core.errors import SettingsError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from sketchmigrate.s3.wire.addressing import Origin

MAX_REPLY_BYTES = 65_536
_DEFAULT_PORT = {"http": 80, "https": 443}
_OK = range(200, 300)
_REFUSED = range(400, 500)


class ProxyFailed(Exception):
    """The proxy cannot be reached, or does not lead to the store. ``is_final``: asking again brings nothing else."""

    def __init__(self, message: str, *, hint: str = "", is_final: bool = False) -> None:
        super().__init__(message)
        self.hint, self.is_final = hint, is_final


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that named it. ``authorization`` is a header's value, and shown nowhere."""

    host: str
    port: int
    tls: bool
    variable: str
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{name}:{self.port} ({self.variable})"

    @property
    def header_line(self) -> str:
        """The header that lets us through, or an empty text."""
        return f"proxy-authorization: {self.authorization}\r\n" if self.authorization else ""


@dataclass(frozen=True, slots=True)
class Proxies:
    """What the environment says of proxies, as it is written there: by scheme, the variable and its value."""

    urls: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    exempt: str = ""
    exempt_by: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Proxies:
        """Read the variables; one that is empty in lower case hides that in upper case."""

        def told(name: str) -> tuple[str, str]:
            variable = name if name in environ else name.upper()
            return variable, environ.get(variable, "").strip()

        found = {scheme: told(f"{scheme}_proxy") for scheme in _DEFAULT_PORT}
        exempt_by, exempt = told("no_proxy")
        return cls({scheme: each for scheme, each in found.items() if each[1]}, exempt, exempt_by)

    def leading_to(self, origin: Origin) -> Proxy | None:
        """Return the proxy for a host, or None. Raises ``SettingsError`` where its URL is none."""
        named = self.urls.get("https" if origin.tls else "http")
        return None if named is None or self.exempts(origin) else _proxy(*named)

    def exempts(self, origin: Origin) -> bool:
        """Whether the host is reached without a proxy that would else lead to it."""
        if not self.exempt or ("https" if origin.tls else "http") not in self.urls:
            return False
        return any(_names(each.strip(), origin) for each in self.exempt.split(","))


def _names(exempt: str, origin: Origin) -> bool:
    """Whether an entry of NO_PROXY is a host, perhaps with its port, a domain that it is in, or a network."""
    if exempt == "*":
        return True
    try:
        network = ipaddress.ip_network(exempt.strip("[]"), strict=False)
        return ipaddress.ip_address(origin.host) in network
    except ValueError:
        name = exempt.lstrip(".").lower()
        host = origin.host.lower()
        return bool(name) and any(f".{each}".endswith(f".{name}") for each in (host, f"{host}:{origin.port}"))


def _proxy(variable: str, url: str) -> Proxy:
    hint = f"For example: {variable}=http://proxy.example.com:3128"
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in _DEFAULT_PORT:
        # the value is not repeated: there may be a password in it
        text = f"{variable} (environment variable): it must be the URL of a proxy, beginning with http:// or https://"
        raise SettingsError(text, hint=hint)
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    return Proxy(host, port or _DEFAULT_PORT[parts.scheme], parts.scheme == "https", variable, authorization)


async def connect_through(
    proxy: Proxy, origin: Origin, protocol: asyncio.Protocol, tls_context: ssl.SSLContext | None
) -> None:
    """Connect ``protocol`` to a host by way of a proxy: ``tls_context`` None, and the proxy is sent the requests.

    With one, the proxy is asked for a tunnel (RFC 9110, section 9.3.6), and TLS is with the host. It also
    serves a proxy that itself speaks TLS. Raises ``ProxyFailed``, and ``OSError`` of the way behind the proxy.
    """
    loop = asyncio.get_running_loop()
    if not origin.tls:
        await _reach(proxy, protocol, tls_context)
        return
    asking = _Asking()
    transport = await _reach(proxy, asking, tls_context)
    try:
        where = f"{f'[{origin.host}]' if ':' in origin.host else origin.host}:{origin.port}"
        transport.write(f"CONNECT {where} HTTP/1.1\r\nhost: {where}\r\n{proxy.header_line}\r\n".encode())
        _judge(proxy, origin, await asking.replied)
        secured = await loop.start_tls(
            transport, protocol, cast("ssl.SSLContext", tls_context), server_hostname=origin.host
        )
    except BaseException:
        transport.abort()
        raise
    if secured is not None:
        protocol.connection_made(secured)  # start_tls tells it to nobody


async def _reach(proxy: Proxy, protocol: asyncio.Protocol, tls_context: ssl.SSLContext | None) -> asyncio.Transport:
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol, proxy.host, proxy.port, ssl=tls_context if proxy.tls else None
        )
    except OSError as error:
        text = f"the proxy {proxy} cannot be reached: {error.strerror or error}"
        raise ProxyFailed(
            text, hint=f"Is {proxy.variable} right? NO_PROXY names hosts that are reached without."
        ) from error
    return transport


def _judge(proxy: Proxy, origin: Origin, reply: bytes) -> None:
    """Raise ``ProxyFailed`` unless a proxy's reply says that the tunnel is there."""
    line = reply.partition(b"\r\n")[0].decode("latin-1")
    version, _, rest = line.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/") or not status.isdigit():
        raise ProxyFailed(f"the proxy {proxy} does not speak HTTP; it said {reply[:40]!r}")
    if int(status) not in _OK:
        said = "".join(letter if letter.isprintable() else " " for letter in rest[:100]).strip()
        raise refused(proxy, origin, int(status), said)


def refused(proxy: Proxy, origin: Origin, status: int, said: str) -> ProxyFailed:
    """Return what it means that a proxy itself answers, and not the store."""
    hint = ""
    if status == 407:  # noqa: PLR2004 - Proxy Authentication Required: RFC 9110, section 15.5.8
        hint = f"Give its user and password: {proxy.variable}=http://USER:PASSWORD@HOST:PORT"
    return ProxyFailed(f"the proxy {proxy} does not lead to {origin}: {said}", hint=hint, is_final=status in _REFUSED)


class _Asking(asyncio.Protocol):
    """Awaits the head of a proxy's reply to CONNECT."""

    def __init__(self) -> None:
        self.replied: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Take a piece of the reply."""
        self._received += data
        if not self.replied.done() and (b"\r\n\r\n" in self._received or len(self._received) > MAX_REPLY_BYTES):
            self.replied.set_result(self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that there will be no reply."""
        if not self.replied.done():
            self.replied.set_exception(exc or ConnectionResetError("the proxy closed the connection"))
