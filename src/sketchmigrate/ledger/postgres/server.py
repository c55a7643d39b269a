"""The database that holds ledgers: how it is reached, waited for, and made ready. Its errors name the ledger."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from psycopg import Error, ProgrammingError, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import LockNotAvailable

from sketchmigrate.core.errors import DatabaseError, DatabaseRefused, DatabaseUnreachable, SettingsError
from sketchmigrate.ledger.contract import EDITION, check_edition
from sketchmigrate.ledger.postgres.tables import CHANGED_IN, SCHEMA_NAME, TABLE_NAMES, TABLES
from sketchmigrate.postgres.blocking import is_read_only
from sketchmigrate.postgres.database import ALWAYS, CONNECT_TIMEOUT_SECONDS, KEPT_ALIVE, Database
from sketchmigrate.postgres.faults import translate
from sketchmigrate.postgres.watchdog import hung_up_after
from sketchmigrate.settings.values import LEDGER_URL, without_password

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.limits import Limits
    from sketchmigrate.postgres.patient_connection import PatientConnection
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.settings import Settings

T = TypeVar("T")

NAME = "ledger's database"
"""What messages call it."""

_LOOKING = "looking at the ledger"
READ_EDITION: LiteralString = "SELECT number FROM sketch_ledger.edition"
_NO_TABLES = {"42P01", "3F000"}
_NO_RIGHT = "42501"


def ledger_parameters(url: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return libpq's parameters for a ledger's URL, which has no password; the password is the environment's.

    It is taken from SKETCH_LEDGER_PASS, else from SKETCH_LEDGER_URL if that is this URL with a password, else by libpq
    from its own means. Raises ``SettingsError``.
    """
    whole = environ.get(LEDGER_URL, "")
    chosen_url = whole.strip() if without_password(whole) == url else url
    try:
        chosen = conninfo_to_dict(chosen_url.replace(" ", "%20"))  # libpq takes no blank in a URL
    except ProgrammingError:
        # the text of the error may quote a password
        hint = "For example: postgresql://ledger.example.com:5432/sketch"
        raise SettingsError("LEDGER_URL is not a URL that libpq understands", hint=hint) from None
    for name, variable in (("user", "SKETCH_LEDGER_USER"), ("password", "SKETCH_LEDGER_PASS")):
        if environ.get(variable):
            chosen[name] = environ[variable]
    if "PGCONNECT_TIMEOUT" not in environ:
        chosen.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
    return KEPT_ALIVE | chosen | ALWAYS


def ledger_database(url: str) -> str:
    """Return the name of the database in a ledger's URL, or an empty text. Raises ``SettingsError``."""
    return str(ledger_parameters(url, {}).get("dbname") or "")


class LedgerServer(Database):
    """The database of the ledgers."""

    def __init__(self, settings: Settings, *, stopping: asyncio.Event) -> None:
        reached_by = ledger_parameters(settings.ledger_url)
        super().__init__(
            settings,
            stopping=stopping,
            reached_by=reached_by,
            name=NAME,
            for_writing=True,
            watched=TABLE_NAMES,
            tables=f"the ledger's tables ({SCHEMA_NAME})",
        )

    async def connect(self) -> PatientConnection:
        """Open a connection whose commits are on disk. Raises ``DatabaseUnreachable`` or ``DatabaseRefused``."""
        try:
            return await super().connect()
        except DatabaseError as error:
            raise of_the_ledger(error) from error

    async def run(
        self,
        session: Session,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        doing: str,
        limits: Limits | None = None,
    ) -> T:
        """Run ``work`` in one transaction that is on disk when this returns; see ``Session.run``."""

        async def durably(connection: AsyncConnection) -> T:
            await connection.execute(_DURABLE)
            return await work(connection)

        try:
            return await session.run(durably, doing=doing, limits=limits)
        except DatabaseRefused as error:
            raise refusal(error, self.where) from error

    async def check(self, session: Session) -> None:
        """Check that the tables are there, and are those of this version. Raises ``DatabaseError``."""
        self._check_edition(await self.run(session, _read_edition, doing=_LOOKING))

    async def check_at_once(self, *, for_writing: bool) -> None:
        """Connect once and check the same, and with ``for_writing`` that it takes writes. Raises ``DatabaseError``.

        Tables that somebody has locked are left to ``check``, which waits for them.
        """
        connection = await self.connect()
        try:
            with hung_up_after(CONNECT_TIMEOUT_SECONDS, connection):
                read_only = for_writing and await is_read_only(connection)
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = {self.settings.lock_timeout_ms}")
                    edition = await _read_edition(connection)
        except LockNotAvailable:
            edition = EDITION
        except TimeoutError as error:
            hint = "Look whether it, or a pooler in front of it, hangs."
            raise DatabaseUnreachable(f"the {NAME} does not answer ({self.where})", hint=hint) from error
        except Error as error:
            failure = translate(error, _LOOKING)
            raise refusal(failure, self.where) if isinstance(failure, DatabaseRefused) else failure from error
        finally:
            await self.leave(connection)
        self._check_edition(edition)
        if read_only:
            hint = "Is it a standby, or is default_transaction_read_only on? LEDGER_URL has to name the primary."
            raise DatabaseUnreachable(f"the {NAME} takes no writes ({self.where})", hint=hint)

    def _check_edition(self, found: int) -> None:
        check_edition(found, self.where)
        if found < CHANGED_IN:
            text = f"the tables of the ledger at {self.where} are of edition {found}, and this version has {EDITION}"
            raise DatabaseRefused(text, hint="Upgrade them: sketch-migrate ledger init")

    async def make_tables(self, session: Session) -> None:
        """Make the tables that are not there, and upgrade those of an earlier edition. Raises ``DatabaseError``."""

        async def make(connection: AsyncConnection) -> str:
            row: Any = await (await connection.execute("SHOW server_encoding")).fetchone()
            if row[0] == "UTF8":
                # two at once would both find nothing there
                await connection.execute("SELECT pg_advisory_xact_lock(hashtext('sketch_ledger'))")
                for statement in TABLES:
                    await connection.execute(sql.SQL(statement))
            return str(row[0])

        encoding = await self.run(session, make, doing="making the ledger's tables")
        if encoding != "UTF8":
            hint = "Make one for it: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0;"
            raise DatabaseRefused(f"the database at {self.where} has the encoding {encoding}: no path fits", hint=hint)
        await self.check(session)


async def _read_edition(connection: AsyncConnection) -> int:
    row: Any = await (await connection.execute(READ_EDITION)).fetchone()
    return int(row[0]) if row else 0


def refusal(error: DatabaseRefused, where: str) -> DatabaseRefused:
    """Return what a refusal means for a ledger at that place."""
    if error.sqlstate in _NO_TABLES:
        text = f"the database at {where} has no tables for a ledger"
        return DatabaseRefused(text, hint="Make them: sketch-migrate ledger init", sqlstate=error.sqlstate)
    hint = error.hint
    if error.sqlstate == _NO_RIGHT:
        hint = "An administrator can give the rights: sketch-migrate ledger init --print shows the statements."
    # that a connection was refused says where already
    text = error.message if where in error.message else f"{error.message} ({where})"
    return DatabaseRefused(text, hint=hint, sqlstate=error.sqlstate)


def of_the_ledger(error: DatabaseError) -> DatabaseError:
    """Return what to tell of a connection that could not be made."""
    kind = DatabaseUnreachable if isinstance(error, DatabaseUnreachable) else DatabaseRefused
    hint = "Look at LEDGER_URL, and at SKETCH_LEDGER_USER and SKETCH_LEDGER_PASS (or PGUSER, PGPASSWORD, ~/.pgpass)."
    # where the cause is known there is a hint, which names the settings of the table's database
    return kind(error.message, hint=hint if error.hint else "", sqlstate=error.sqlstate)


# Where the server is told to wait for a standby as well, that stays.
_DURABLE = sql.SQL(
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)
