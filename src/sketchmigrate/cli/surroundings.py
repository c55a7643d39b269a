"""What a command says at its start of where S3 is: each value, and whence it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.migration.opening import is_one_store
from sketchmigrate.s3.credentials import side_variables
from sketchmigrate.s3.wire.addressing import address_of
from sketchmigrate.s3.wire.proxy import Proxies
from sketchmigrate.settings.sources import routes_of
from sketchmigrate.settings.stores import store_of, whence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.rule import SideName
    from sketchmigrate.settings.loading import Loaded

_NOT_HEEDED = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
"""What names another endpoint of AWS to AWS's own tools: here S3_ENDPOINT_URL does."""


def surroundings(loaded: Loaded, environ: Mapping[str, str]) -> str:
    """Return one line: endpoint, region, certificates where they are not the system's, proxy. Without a secret.

    Where the two sides are reached otherwise, it is a line for each, with the place of its credentials. Raises
    ``SettingsError`` where a proxy's variable holds no URL.
    """
    if is_one_store(loaded.settings, environ):
        return "S3: " + ", ".join(_parts(loaded, environ, BOTH_SIDES))
    told = {side: [*_parts(loaded, environ, (side,)), _whose(loaded, side, environ)] for side in BOTH_SIDES}
    return "\n".join(f"S3 of {side}: {', '.join(parts)}" for side, parts in told.items())


def _parts(loaded: Loaded, environ: Mapping[str, str], sides: Sequence[SideName]) -> list[str]:
    """Say how the store of sides is reached, which is the same for them."""
    settings = loaded.settings
    store, told = store_of(settings, sides[0]), whence(loaded.origins, sides[0])
    parts = [f"{store.endpoint_url or 'AWS'} ({told('endpoint_url')})", f"region {store.region} ({told('region')})"]
    if store.ca_bundle:
        parts.append(f"certificates {store.ca_bundle} ({told('ca_bundle')})")
    proxies = Proxies.from_environment(environ)
    routes = routes_of(settings).all
    buckets = (route.place(side).bucket for route in routes for side in sides)
    for bucket in dict.fromkeys(buckets):
        address = address_of(bucket, endpoint_url=store.endpoint_url, region=store.region, style=store.addressing_style)
        proxy = proxies.leading_to(address.origin)
        if proxy is not None:
            parts.append(f"proxy {proxy}")
        elif proxies.exempts(address.origin):
            parts.append(f"no proxy ({proxies.exempt_by})")
    if not store.endpoint_url:
        parts += [f"{name} is not heeded" for name in _NOT_HEEDED if environ.get(name, "").strip().lower() == "true"]
    return list(dict.fromkeys(parts))


def _whose(loaded: Loaded, side: SideName, environ: Mapping[str, str]) -> str:
    """Say where a side's credentials are from, in a word."""
    own = side_variables(side)[0]
    if environ.get(own, "").strip():
        return f"credentials of its own ({own})"
    profile = store_of(loaded.settings, side).profile
    return f"credentials of its profile {profile}" if profile else "credentials as both sides have them"
