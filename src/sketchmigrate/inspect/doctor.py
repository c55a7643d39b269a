"""What a machine and its surroundings have that a run needs, looked at one by one. Changes nothing."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import ssl
import time
from contextlib import closing
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import CredentialsError, MigrateError
from sketchmigrate.flow.caps import FILES_BESIDES
from sketchmigrate.s3.credentials import CredentialSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sketchmigrate.core.rule import SideName
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.s3.wire.addressing import Origin
    from sketchmigrate.settings import Settings

ASK_SECONDS = 5.0
MOST_OFFSET_SECONDS = 60
"""S3 refuses requests that are 15 minutes off (S3 API reference, RequestTimeTooSkewed); a lag is read in seconds."""

LEAST_FREE_BYTES = 10**9


class Check(NamedTuple):
    """What was looked at, what was found, and what is wrong with that; empty where nothing is."""

    what: str
    found: str
    problem: str = ""


def machine(max_concurrency: int) -> list[Check]:
    """Look at cores and open files."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = max_concurrency + FILES_BESIDES
    is_short = hard != resource.RLIM_INFINITY and hard < needed
    told = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    problem = (
        f"MAX_CONCURRENCY {max_concurrency:,} takes {needed:,}: the run makes do with fewer requests at once"
        if is_short
        else ""
    )
    return [Check("cores", str(cores)), Check("open files, at most", told, problem)]


def run_folder(folder: Path) -> Check:
    """Look whether runs can be made below a folder, and how much room there is."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    what = f"RUN_DIR {folder}"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(what, f"{there} is there", "no run can be made there: it is no folder, or you may not write to it")
    free = shutil.disk_usage(there).free
    problem = "less than 1 GB: docs/operations.md says what a run needs" if free < LEAST_FREE_BYTES else ""
    return Check(what, f"{free / 1e9:,.1f} GB free", problem)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", "") or str(error) or type(error).__name__


def names(hosts: Iterable[str]) -> list[Check]:
    """Look up hosts that have names."""
    return [_name(host) for host in dict.fromkeys(hosts) if not _is_address(host)]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _name(host: str) -> Check:
    what, began = f"DNS {host}", time.monotonic()
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Check(what, "not found", _words(error))
    addresses = ", ".join(dict.fromkeys(str(each[4][0]) for each in found))
    return Check(what, f"{addresses} in {1000 * (time.monotonic() - began):.0f} ms")


def store(what: str, origin: Origin, ca_bundle: str) -> Check:
    """Ask a store's server for anything, and compare its clock with ours. It needs no credentials to tell the time."""
    try:
        with closing(_connection(origin, ca_bundle)) as connection:
            connection.request("HEAD", "/")
            reply = connection.getresponse()
            date, now = reply.getheader("date", ""), time.time()
    except (OSError, HTTPException) as error:
        return Check(what, f"no answer from {origin}", _words(error))
    found = f"{origin} answers with status {reply.status}"
    try:
        offset = now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Check(what, f"{found}, and does not tell the time")
    problem = "set this machine's clock (NTP)" if abs(offset) > MOST_OFFSET_SECONDS else ""
    return Check(what, f"{found}, {_clock(offset)}", problem)


def _connection(origin: Origin, ca_bundle: str) -> HTTPConnection:
    if not origin.tls:
        return HTTPConnection(origin.host, origin.port, timeout=ASK_SECONDS)
    context = ssl.create_default_context(cafile=ca_bundle or None)
    return HTTPSConnection(origin.host, origin.port, timeout=ASK_SECONDS, context=context)


def _clock(offset: float) -> str:
    if abs(offset) <= 1:  # a date has whole seconds
        return "its clock is ours"
    return f"this machine's clock is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} its clock"


async def database(what: str, database: Database) -> Check:
    """Connect, and ask for the server's version and time."""
    try:
        connection = await database.connect()
    except MigrateError as error:
        return Check(what, f"no connection to {database.where}", error.message)
    try:
        cursor = await connection.execute("SELECT current_user, extract(epoch FROM clock_timestamp())::float8")
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - it is one row
        server = connection.info.parameter_status("server_version")
        tls = "TLS" if connection.pgconn.ssl_in_use else "no TLS"
        found = f"PostgreSQL {server} at {database.where} as {row[0]}, {tls}, {_clock(time.time() - float(row[1]))}"
        return Check(what, found)
    finally:
        await connection.close()
        await database.close()


async def credentials(what: str, side: SideName, profile: str, environ: Mapping[str, str]) -> Check:
    """Look for the credentials of a side. What is found is shown by the end of its access key alone."""
    try:
        source = CredentialSource.of_side(side, profile, environ)
        await source.refresh()
    except CredentialsError as error:
        return Check(what, "none", error.message)
    except MigrateError as error:
        return Check(what, "not usable", error.message)
    assert source.current is not None  # noqa: S101 - refresh raises otherwise
    key = source.current.access_key
    return Check(what, f"access key …{key[-4:]} ({source.whence}), which is not tried here: plan does")


def database_secrets(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Say where the user and the password of the database are, as far as variables tell."""
    names = ("SKETCH_DB_USER", "SKETCH_DB_PASS", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE")
    told = [name for name in names if environ.get(name, "").strip()]
    passwords = Path("~/.pgpass").expanduser()
    told += [str(passwords)] if passwords.is_file() else []
    return Check(f"credentials of {settings.db_name or 'the database'}", ", ".join(told) or "no variable is set")
