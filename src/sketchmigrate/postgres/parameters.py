"""How the database is reached: libpq's parameters, from the settings and the environment. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import DatabaseRefused, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.settings import Settings

CONNECT_TIMEOUT_SECONDS = 10

KEPT_ALIVE: dict[str, Any] = {
    "application_name": "sketch-migrate",
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}
"""Notices within about a minute that the other machine is gone (PostgreSQL manual, section "Parameter Key Words")."""

ALWAYS = {"client_encoding": "UTF8"}
"""Sent as the connection is opened: it goes before PGCLIENTENCODING and the settings of role and database, and a pooler
keeps it."""

OLDEST_VERSION = 130000
"""PostgreSQL 13, as ``server_version`` counts. Tried are 15 and 18."""


def parameters(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return libpq's parameters: only what is set, so that its own variables and files hold for the rest.

    Raises ``SettingsError`` where DB_PORT has several ports and PGHOST not as many hosts.
    """
    hosts, ports = environ.get("PGHOST", "").split(","), str(settings.db_port or "").split(",")
    if not settings.db_host and "PGSERVICE" not in environ and len(ports) not in {1, len(hosts)}:
        hint = "Give one port for all hosts, or one for each."
        raise SettingsError(f"DB_PORT has {len(ports)} ports, PGHOST {len(hosts)} hosts", hint=hint)
    chosen: dict[str, str | int | None] = {
        "host": settings.db_host,
        "port": settings.db_port,
        "dbname": settings.db_name,
        "sslmode": settings.db_sslmode,
        "user": environ.get("SKETCH_DB_USER"),
        "password": environ.get("SKETCH_DB_PASS"),
        "connect_timeout": None if environ.get("PGCONNECT_TIMEOUT") else CONNECT_TIMEOUT_SECONDS,
    }
    return {name: value for name, value in chosen.items() if value} | KEPT_ALIVE | ALWAYS


def too_old(server_version: int, where: str, name: str = "database") -> DatabaseRefused | None:
    """Return the refusal of a server that is older than the oldest one which is known to do."""
    if server_version >= OLDEST_VERSION:
        return None
    major, minor = divmod(server_version, 10000)
    message = (
        f"the {name} at {where} is PostgreSQL {major}.{minor}; {OLDEST_VERSION // 10000} is the oldest that will do"
    )
    return DatabaseRefused(
        message, hint="Upgrade the server: its own maintainers support none as old as that any more."
    )


def place_named(reached_by: Mapping[str, Any]) -> str:
    """Return host, port and database of libpq's parameters, as far as they are set, for messages."""
    host = reached_by.get("host") or os.environ.get("PGHOST") or "local socket"
    port = reached_by.get("port") or os.environ.get("PGPORT") or 5432
    name = reached_by.get("dbname") or os.environ.get("PGDATABASE") or "default database"
    return f"{host}:{port}/{name}"
