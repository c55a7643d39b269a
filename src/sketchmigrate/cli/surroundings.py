"""What a command says at its start of where S3 is: each value, and whence it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.s3.wire.addressing import address_of
from sketchmigrate.s3.wire.proxy import Proxies
from sketchmigrate.settings.sources import routes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.settings import Loaded

_NOT_HEEDED = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
"""What names another endpoint of AWS to AWS's own tools: here S3_ENDPOINT_URL does."""


def surroundings(loaded: Loaded, environ: Mapping[str, str]) -> str:
    """Return one line: endpoint, region, certificates where they are not the system's, proxy. Without a secret.

    Raises ``SettingsError`` where a proxy's variable holds no URL.
    """
    settings, origins = loaded.settings, loaded.origins

    def whence(name: str) -> str:
        return origins[name].brief if name in origins else "default"

    parts = [
        f"{settings.s3_endpoint_url or 'AWS'} ({whence('s3_endpoint_url')})",
        f"region {settings.region} ({whence('s3_region')})",
    ]
    if settings.s3_ca_bundle:
        parts.append(f"certificates {settings.s3_ca_bundle} ({whence('s3_ca_bundle')})")
    proxies = Proxies.from_environment(environ)
    routes = routes_of(settings).all
    buckets = (bucket for route in routes for bucket in (route.legacy_bucket, route.production_bucket))
    for bucket in dict.fromkeys(buckets):
        address = address_of(
            bucket,
            endpoint_url=settings.s3_endpoint_url,
            region=settings.region,
            style=settings.s3_addressing_style,
        )
        proxy = proxies.leading_to(address.origin)
        if proxy is not None:
            parts.append(f"proxy {proxy}")
        elif proxies.exempts(address.origin):
            parts.append(f"no proxy ({proxies.exempt_by})")
    if not settings.s3_endpoint_url:
        parts += [f"{name} is not heeded" for name in _NOT_HEEDED if environ.get(name, "").strip().lower() == "true"]
    return "S3: " + ", ".join(dict.fromkeys(parts))
