"""``doctor``: what this machine and its surroundings are like, for whoever sets the tool up or asks for help."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from platform import platform
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude, error_json, show_failure
from sketchmigrate.cli.versions import versions
from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.inspect import doctor
from sketchmigrate.inspect.doctor import Check
from sketchmigrate.migration.opening import is_one_store
from sketchmigrate.postgres.database import Database
from sketchmigrate.report.text import printable
from sketchmigrate.s3.wire.addressing import address_of
from sketchmigrate.s3.wire.proxy import Proxies
from sketchmigrate.settings import effective, other_than_default
from sketchmigrate.settings.sources import routes_of
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sketchmigrate.cli.start import Start
    from sketchmigrate.core.rule import SideName
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.s3.wire.addressing import Origin
    from sketchmigrate.settings import Settings
    from sketchmigrate.settings.loading import Loaded


def doctor_command(start: Start) -> int:
    """Look, and show; return 0, or 1 where something is wrong. Raises nothing for what it finds."""
    terminal = start.terminal
    told = versions()
    _show("Versions", [Check(*each) for each in (*told.items(), ("platform", platform()))], terminal)
    try:
        loaded = start.loaded
    except SettingsError as error:
        show_failure(terminal, error)
        return conclude(terminal, start.options, error_json(error), error.exit_code)
    settings = loaded.settings
    found = {
        "Settings": _told(loaded),
        "Machine": [*doctor.machine(settings.max_concurrency), doctor.run_folder(Path(settings.run_dir).expanduser())],
        "Network": doctor.names(_hosts(settings)),
        "Servers": [*_stores(settings), *asyncio.run(_databases(settings))],
        "Credentials": asyncio.run(_credentials(settings)),
    }
    for title, checks in found.items():
        if checks:  # no name is looked up where all servers are given by their addresses
            _show(title, checks, terminal)
    wrong = [check for checks in found.values() for check in checks if check.problem]
    terminal.result(f"\n{len(wrong)} of these need a look." if wrong else "\nNothing is wrong with these.")
    document = {
        "versions": told,
        "checks": [{"about": title.lower(), **check._asdict()} for title, checks in found.items() for check in checks],
    }
    return conclude(terminal, start.options, document, ExitCode.finished(left=bool(wrong)))


def _show(title: str, checks: Sequence[Check], terminal: Terminal) -> None:
    width = max((len(check.what) for check in checks), default=0)
    lines = [f"\n{title}"]
    for check in checks:
        lines.append(f"  {printable(check.what):<{width}}  {printable(check.found)}".rstrip())
        if check.problem:
            lines.append(f"  {'':<{width}}  ! {printable(check.problem)}")
    terminal.result("\n".join(lines), is_verbatim=True)


def _told(loaded: Loaded) -> list[Check]:
    """Say of each setting that is not the default where it was written."""
    changed = other_than_default(effective(loaded.settings))
    return [
        Check(name, f"{value!r} ({origin.brief})" if (origin := loaded.origins.get(name.lower())) else repr(value))
        for name, value in changed.items()
    ] or [Check("all", "the defaults")]


def _sides(settings: Settings) -> Iterator[tuple[str, SideName]]:
    """Return each store with what it is called."""
    if is_one_store(settings):
        yield "the store", BOTH_SIDES[0]
    else:
        yield from ((f"the store of {side}", side) for side in BOTH_SIDES)


def _origin(settings: Settings, side: SideName) -> Origin:
    store, place = store_of(settings, side), routes_of(settings).all[0].place(side)
    style = store.addressing_style
    return address_of(place.bucket, endpoint_url=store.endpoint_url, region=store.region, style=style).origin


def _hosts(settings: Settings) -> list[str]:
    stores = [_origin(settings, side).host for _, side in _sides(settings)]
    return [*stores, *(host for host in settings.db_host.split(",") if host and not host.startswith(("/", "@")))]


def _stores(settings: Settings) -> Iterator[Check]:
    proxies = Proxies.from_environment(os.environ)
    for what, side in _sides(settings):
        origin = _origin(settings, side)
        if (proxy := proxies.leading_to(origin)) is not None:
            yield Check(what, f"{origin} behind the proxy {proxy}, which probe asks")
        else:
            yield doctor.store(what, origin, store_of(settings, side).ca_bundle)


async def _databases(settings: Settings) -> list[Check]:
    return [await doctor.database("the database", Database(settings, stopping=asyncio.Event()))]


async def _credentials(settings: Settings) -> list[Check]:
    stores = [
        await doctor.credentials(f"credentials of {what}", side, store_of(settings, side).profile, os.environ)
        for what, side in _sides(settings)
    ]
    return [*stores, doctor.database_secrets(settings, os.environ)]
