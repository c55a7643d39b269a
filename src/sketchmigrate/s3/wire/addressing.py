"""Where a request goes and how it spells the key: endpoint, path or virtual-host style, percent-encoding. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from sketchmigrate.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.objects import Location
    from sketchmigrate.s3.config import AddressingStyle

# Most keys need no encoding at all, and seeing that costs a third of what encoding them does.
_NEEDS_NO_ENCODING = re.compile(r"[A-Za-z0-9._~/-]*").fullmatch
# A bucket name that is one DNS label: only such a name is covered by the wildcard of AWS's certificate.
_IS_ONE_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch
DEFAULT_PORT = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """What a connection is made to. A tuple, because connections are kept by it and its hash is cheap."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """How requests for one bucket are addressed: ``path_prefix`` plus the encoded key is the request's path."""

    origin: Origin
    host_header: str
    path_prefix: str


def encode_key(key: str) -> str:
    """Percent-encode the UTF-8 bytes of a key: all but unreserved characters and ``/``; nothing is normalised.

    The same spelling is sent and signed, as the S3 API reference ("Signature Calculations", UriEncode) wants it. Bytes
    that are not UTF-8 travel as surrogate escapes and come out as they were.
    """
    if _NEEDS_NO_ENCODING(key):
        return key
    return quote(key, safe="/", errors="surrogateescape")


def encode_query(parameters: Mapping[str, str]) -> str:
    """Encode a query in canonical form: sorted by encoded name, ``name=`` for an empty value."""
    pairs = sorted((_encode_all(name), _encode_all(value)) for name, value in parameters.items())
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encode_all(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def copy_source(source: Location) -> str:
    """Spell the value of ``x-amz-copy-source``."""
    return f"/{source.bucket}/{encode_key(source.key)}"


def aws_host(region: str) -> str:
    """Return the regional host name of AWS S3."""
    return f"s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def address_of(bucket: str, *, endpoint_url: str, region: str, style: AddressingStyle, authority: str = "") -> Address:
    """Say how to address a bucket.

    ``auto`` is path style for an endpoint of one's own, and virtual-host style for AWS unless the bucket's name is not
    a single DNS label. ``authority`` is a ``host[:port]``, perhaps with its scheme, that a redirect named for this
    bucket; it replaces the endpoint's. Raises ``SettingsError`` for an endpoint that is not a URL of a server.
    """
    scheme, host, port, base_path = _split(endpoint_url or f"https://{aws_host(region)}")
    if authority:
        scheme, host, port, _ = _split(authority if "://" in authority else f"{scheme}://{authority}")
        if host.startswith(f"{bucket}."):
            return Address(Origin(host, port, scheme == "https"), _host_header(scheme, host, port), f"{base_path}/")
    virtual = style == "virtual" or (style == "auto" and not endpoint_url and _IS_ONE_LABEL(bucket) is not None)
    if virtual:
        host, prefix = f"{bucket}.{host}", f"{base_path}/"
    else:
        prefix = f"{base_path}/{encode_key(bucket)}/"
    return Address(Origin(host, port, scheme == "https"), _host_header(scheme, host, port), prefix)


def endpoint_of(endpoint_url: str, region: str) -> Origin:
    """Return what a person has set to be the store, whatever the bucket. Raises ``SettingsError`` as ``address_of``."""
    scheme, host, port, _ = _split(endpoint_url or f"https://{aws_host(region)}")
    return Origin(host, port, scheme == "https")


def _host_header(scheme: str, host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == DEFAULT_PORT[scheme] else f"{name}:{port}"


def _split(url: str) -> tuple[str, str, int, str]:
    """Split ``http(s)://host[:port][/path]`` into scheme, host, port and path without its last slash."""
    hint = "S3_ENDPOINT_URL is http://HOST:PORT or https://HOST; leave it empty for AWS."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"S3_ENDPOINT_URL is not a URL: {error}", hint=hint) from error
    if parts.scheme not in DEFAULT_PORT or not parts.hostname:
        raise SettingsError(f"S3_ENDPOINT_URL {url!r} does not begin with http:// or https:// and a host", hint=hint)
    if parts.username is not None or parts.query or parts.fragment:
        # The URL is not repeated here: what stands before an @ may be a secret.
        raise SettingsError("S3_ENDPOINT_URL carries a user, a query or a fragment, which it must not", hint=hint)
    return parts.scheme, parts.hostname, port or DEFAULT_PORT[parts.scheme], parts.path.rstrip("/")
