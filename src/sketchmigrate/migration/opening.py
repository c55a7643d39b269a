"""Opens the stores of both sides: one client where they are reached alike, else one for each side."""

from __future__ import annotations

import math
import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.migration.watch import SilenceWatch
from sketchmigrate.s3 import Caps, CredentialSource, S3Client, S3Config, room_for_connections
from sketchmigrate.s3.config import Keep
from sketchmigrate.s3.credentials import side_variables
from sketchmigrate.s3.wire.proxy import Proxies
from sketchmigrate.settings.sources import routes_of
from sketchmigrate.settings.stores import OWN_SETTINGS, setting_name, store_of
from sketchmigrate.settings.values import headers_of
from sketchmigrate.sides import Side, Sides

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sketchmigrate.settings import Settings


@asynccontextmanager
async def open_sides(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[tuple[Sides, SilenceWatch]]:
    """Open the stores, and watch whether they answer, as long as the context lasts.

    Raises ``SettingsError`` and ``CredentialsError`` where an access key has no secret.
    """
    async with AsyncExitStack() as opened:
        clients: dict[SideName, S3Client] = {}
        for side in BOTH_SIDES:
            if clients and is_one_store(settings, environ):
                clients[side] = clients[SideName.LEGACY]
                continue
            credentials = CredentialSource.of_side(side, store_of(settings, side).profile, environ)
            clients[side] = await opened.enter_async_context(S3Client(_config(settings, side, environ), credentials))
        silence = await opened.enter_async_context(SilenceWatch(_named(settings, clients)))
        route = routes_of(settings).all[0]
        legacy, production = (
            Side(side, clients[side], *route.place(side), str(store_of(settings, side))) for side in BOTH_SIDES
        )
        yield Sides(legacy, production), silence


def is_one_store(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether both sides are reached alike, with the same credentials: then they share a client and its limits."""
    legacy, production = (store_of(settings, side) for side in BOTH_SIDES)
    return legacy == production and not any(_has_own_variables(side, environ) for side in BOTH_SIDES)


def has_own_credentials(settings: Settings, side: SideName, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a side has credentials of its own, by variables or a profile."""
    return _has_own_variables(side, environ) or bool(store_of(settings, side).profile)


def _has_own_variables(side: SideName, environ: Mapping[str, str]) -> bool:
    return any(environ.get(variable, "").strip() for variable in side_variables(side))


def caps_of(settings: Settings, environ: Mapping[str, str] = os.environ, *, sharing: int = 1) -> Caps:
    """Return what one client of this process may do of what a person allows, where so many processes share it.

    Each store has its own caps; the bandwidth through this machine is half of each, as what is read from one is written
    to the other.
    """
    stores = 1 if is_one_store(settings, environ) else 2
    wanted = Caps(
        settings.max_concurrency,
        settings.max_requests_per_second or math.inf,
        (settings.max_bandwidth or math.inf) / stores,
    ).share(sharing)
    return replace(wanted, concurrency=max(1, room_for_connections(wanted.concurrency * stores) // stores))


def _config(settings: Settings, side: SideName, environ: Mapping[str, str]) -> S3Config:
    store = store_of(settings, side)
    is_one = is_one_store(settings, environ)
    return S3Config(
        endpoint_url=store.endpoint_url,
        region=store.region,
        addressing_style=store.addressing_style,
        ca_bundle=store.ca_bundle,
        requester_pays=store.requester_pays,
        caps=caps_of(settings, environ),
        proxies=Proxies.from_environment(environ),
        timeout_seconds=settings.s3_timeout_seconds,
        retry_seconds=settings.s3_retry_seconds,
        new_object_headers=headers_of(settings.new_object_headers),
        keep=Keep(
            tags=settings.keep_tags,
            acl=settings.keep_acl,
            storage_class=settings.keep_storage_class == "keep",
            mtime=settings.keep_mtime,
        ),
        called="" if is_one else str(side),
        own_settings=() if is_one else _own_names(settings, side, environ),
    )


def _own_names(settings: Settings, side: SideName, environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what to call settings and credentials in a message about one side, in place of what both have."""
    own = [(f"S3_{what.upper()}", setting_name(side, what).upper()) for what in OWN_SETTINGS]
    for variable in side_variables(side):
        name = variable.removeprefix(f"{side.upper()}_")
        if environ.get(variable, "").strip():
            own.append((name, variable))
        elif store_of(settings, side).profile:
            own.append((name, f"the profile of {setting_name(side, 'profile').upper()}"))
    return tuple(own)


def _named(settings: Settings, clients: Mapping[SideName, S3Client]) -> list[tuple[str, S3Client]]:
    """Return each client with what a person calls its store."""
    if clients[SideName.LEGACY] is clients[SideName.PRODUCTION]:
        return [("the store", clients[SideName.LEGACY])]
    return [(f"the store of {side} ({store_of(settings, side)})", client) for side, client in clients.items()]
