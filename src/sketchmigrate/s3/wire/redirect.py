"""Where a store may send us: which host a redirect names, and whether it is the store's own. Pure.

A redirect is followed with signed requests, a session token with them, and what the other host then says of a copy is
believed. So it may lead only to the domain of the endpoint that a person has set, or stay within one partition of AWS,
and never from https to http.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from sketchmigrate.s3.wire.addressing import DEFAULT_PORT, Origin

AWS_PARTITIONS = (
    ("amazonaws.com", "api.aws"),
    ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("amazonaws.eu", "api.amazonwebservices.eu"),
    ("c2s.ic.gov", "api.aws.ic.gov"),
    ("sc2s.sgov.gov", "api.aws.scloud"),
    ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
)
"""The domains of each: of the usual endpoints and of the dual-stack ones (botocore, ``data/partitions.json``)."""

is_region = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
"""A region becomes part of a host name and of a signed header: what else a store says is none."""

_IS_HOST = re.compile(r"[a-z0-9_.-]{1,253}").fullmatch
_IS_S3_LABEL = re.compile(r"s3(-[a-z0-9-]+)?").fullmatch
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gov", "net", "or", "org"})


class Target(NamedTuple):
    """What a redirect names: ``scheme`` is empty where it names none, ``authority`` is ``host[:port]``."""

    scheme: str
    host: str
    authority: str


def target_of(told: str) -> Target | None:
    """Read a Location (RFC 9110, section 10.2.2) or an ``<Endpoint>``; None where it names no host."""
    try:
        parts = urlsplit(told if "//" in told else f"//{told}")
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            name = f"[{ipaddress.IPv6Address(host)}]"
        elif _IS_HOST(host):
            name = host
        else:
            return None
    except ValueError:
        return None
    if parts.scheme not in {"", *DEFAULT_PORT} or "@" in parts.netloc:
        return None
    return Target(parts.scheme, host, name if port is None else f"{name}:{port}")


def is_own(origin: Origin, target: Target, region: str) -> bool:
    """Whether a redirect of the endpoint ``origin`` may be followed.

    Its own are the host itself, on any port, and what is below its domain (``domain_of``).
    """
    if origin.tls and target.scheme == "http":
        return False
    here, there = _plain(origin.host), _plain(target.host)
    if here == there:
        return True
    if _is_address(here) or _is_address(there):
        return False
    for partition in AWS_PARTITIONS:
        if any(_is_below(here, domain) for domain in partition):
            return any(_is_below(there, domain) for domain in partition)
    return _is_below(there, domain_of(here, region))


def is_aws(endpoint_url: str) -> bool:
    """Whether an endpoint, empty for the usual one, is that of AWS, in any partition."""
    host = _plain(urlsplit(endpoint_url).hostname or "")
    return not endpoint_url or any(_is_below(host, domain) for partition in AWS_PARTITIONS for domain in partition)


def partition_of(region: str) -> str:
    """Return the part of AWS that a region is in (AWS General Reference, "Amazon Resource Names")."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def domain_of(host: str, region: str) -> str:
    """Return the domain of an endpoint: its host, or what is behind the labels that S3 hosts begin with.

    Those are ``s3`` (or ``s3-REGION``) and the name of the region: ``s3.eu-1.example.com`` is of ``example.com``, where
    eu-1 is the region. Which domains anyone can register below is known to nobody without a list; so nothing more is
    cut off, and never so much that a domain such as ``co.uk`` is left.
    """
    rest = host.split(".")
    for leads in (_IS_S3_LABEL, region.lower().__eq__):
        if len(rest) > 2 and leads(rest[0]):  # noqa: PLR2004 - a domain of one label is nobody's
            rest = rest[1:]
    is_registry = len(rest) == 2 and len(rest[1]) == 2 and rest[0] in _SECOND_LEVEL  # noqa: PLR2004 - such as co.uk
    return host if is_registry else ".".join(rest)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
