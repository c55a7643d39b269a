"""The URLs that a store itself has for its buckets, in each of their styles. Pure.

Sources: S3 User Guide, "Methods for accessing a bucket", "Using dual-stack endpoints", "Legacy endpoints".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

GLOBAL_REGION = "us-east-1"

# s3.eu-west-1, s3-eu-west-1 and s3.dualstack.eu-west-1; s3 alone and s3-external-1 are the global endpoint
_aws_host = re.compile(
    r"(?P<bucket>.+\.)?s3(?:(?P<dualstack>\.dualstack)?[.-](?P<region>[a-z]{2,4}(?:-[a-z]+)+-\d+)|-external-1)?"
    r"\.amazonaws\.com(?:\.cn)?"
).fullmatch
_DEFAULT_PORTS = {"http": (":80",), "https": (":443",), "": (":80", ":443")}


class Endpoint(StrEnum):
    """Which of the hosts of AWS a URL names; a store with an endpoint of its own has one alone."""

    REGIONAL = "s3.*"
    DUALSTACK = "s3.dualstack.*"
    GLOBAL = "s3"


class Style(NamedTuple):
    """How a store's URL is made: the bucket in the host (``virtual``) or in the path, and the host."""

    virtual: bool
    endpoint: Endpoint


STYLES: tuple[Style | None, ...] = (
    None,
    *(Style(virtual, endpoint) for virtual in (True, False) for endpoint in Endpoint),
)
"""All styles; None is ``s3://bucket/key``."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Where the buckets of one side are; no ``endpoint_url`` is AWS."""

    endpoint_url: str
    region: str

    @property
    def is_aws(self) -> bool:
        """Whether that is AWS."""
        return not self.endpoint_url or _aws_host(urlsplit(self.endpoint_url).hostname or "") is not None

    def read_as(self, style: Style | None, bucket: str) -> tuple[list[str], str] | None:
        """Return how URLs of a bucket begin, in small letters, and their path before the key.

        The region is ``*`` there, as a bucket has but one, and as well this one, which needs no second look. None
        where this store has no such URLs.
        """
        if style is None:
            return [f"s3://{bucket}"], "/"
        if self.is_aws:
            hosts, base = {f"{style.endpoint}.amazonaws.com", self._aws_host(style.endpoint)}, ""
        elif style.endpoint is Endpoint.REGIONAL:
            host, base = self._host_and_path()
            hosts = {host}
        else:
            return None
        before = f"{bucket.lower()}." if style.virtual else ""
        starts = [f"{scheme}//{before}{host}" for scheme in ("https:", "http:", "") for host in hosts]
        return starts, _path(style, base, bucket)

    def write(self, style: Style | None, bucket: str) -> str:
        """Return what stands before a key of this bucket, from the two slashes on.

        The global endpoint is written only in its own region: it knows no region that AWS has opened since 2019.
        """
        if style is None:
            return f"//{bucket}/"
        if self.is_aws:
            is_global = style.endpoint is Endpoint.GLOBAL and self.region == GLOBAL_REGION
            regional = style.endpoint if style.endpoint is Endpoint.DUALSTACK else Endpoint.REGIONAL
            host, base = self._aws_host(Endpoint.GLOBAL if is_global else regional), ""
        else:
            host, base = self._host_and_path()
        return "//" + (f"{bucket}.{host}" if style.virtual else host) + _path(style, base, bucket)

    def _aws_host(self, endpoint: Endpoint) -> str:
        country = ".cn" if self.region.startswith("cn-") else ""
        return f"{endpoint.replace('*', self.region)}.amazonaws.com{country}"

    def _host_and_path(self) -> tuple[str, str]:
        parts = urlsplit(self.endpoint_url)
        return plain_host(parts.scheme, parts.netloc), parts.path.rstrip("/")


def plain_host(scheme: str, host: str) -> str:
    """Return a host (and port) in small letters, without a port that is the scheme's own (RFC 3986, section 6.2.3)."""
    host = host.lower().removesuffix(":")
    for port in _DEFAULT_PORTS.get(scheme, ()):
        host = host.removesuffix(port)
    return host


def without_region(host: str) -> str | None:
    """Return a host of AWS as ``StorePlace.read_as`` has it; None for any other."""
    found = _aws_host(host)
    if found is None:
        return None
    endpoint = Endpoint.DUALSTACK if found["dualstack"] else Endpoint.REGIONAL if found["region"] else Endpoint.GLOBAL
    return f"{found['bucket'] or ''}{endpoint}.amazonaws.com"


def _path(style: Style, base: str, bucket: str) -> str:
    return f"{base}/" if style.virtual else f"{base}/{bucket}/"
