"""What an error of PostgreSQL means for the work at hand. Pure.

Codes: PostgreSQL manual, appendix A, "PostgreSQL Error Codes".
"""

from __future__ import annotations

from enum import Enum

import psycopg

from sketchmigrate.core.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseRefused,
    DatabaseUnreachable,
    ReferenceRefused,
)


class ErrorKind(Enum):
    """What to do about an error."""

    AWAY = "away"  # the connection or the server is gone: wait, connect again, do it again
    READ_ONLY = "read-only"  # what a former primary says: ask it
    CONTENDED = "contended"  # a deadlock, a lock, a time limit: do it again, then with fewer rows
    ROW = "row"  # some row of the batch is not accepted: find out which
    REFUSED = "refused"  # nothing like it will ever be allowed
    UNKNOWN = "unknown"


_SHUT_DOWN = {"57P01", "57P02", "57P03", "57P05"}
_IDLE_TOO_LONG = {"25P03", "25P04"}
"""The server ends the connection, because we took too long: that is contention."""
_CONTENDED = {"40001", "40P01", "55P03", "57014"} | _IDLE_TOO_LONG
_READ_ONLY = "25006"
_REFUSED = {"28000", "28P01", "3D000", "3F000", "42P01", "42703", "42501"}
_ROW_CLASSES = {"22", "23", "44", "P0", "38", "39", "09"}
_STATEMENT_POOLING = "statement pooling"  # pgbouncer's words, in every release
_ROW_LEVEL_SECURITY = "ExecWithCheckOptions"  # the function of the server that says "violates row-level security"


def judge(error: psycopg.Error, *, is_broken: bool, is_flip: bool, is_primary: bool = False) -> ErrorKind:
    """Say what an error of a unit of work means.

    An outage is what is proved one: the connection ``is_broken`` afterwards, or the server, asked, takes no writes
    (``is_primary`` where it was asked and does). Whatever else stops a flip is a matter of its rows, by any code: a
    trigger may raise them all.
    """
    code = error.sqlstate or ""
    if is_broken:
        if _STATEMENT_POOLING in str(error):  # pgbouncer ends the connection with it
            return ErrorKind.REFUSED
        return ErrorKind.CONTENDED if code in _IDLE_TOO_LONG else ErrorKind.AWAY
    if code in _CONTENDED:
        return ErrorKind.CONTENDED
    if code == _READ_ONLY and not is_primary:
        return ErrorKind.READ_ONLY
    kind = ErrorKind.ROW if is_flip else classify(error)
    return ErrorKind.UNKNOWN if kind is ErrorKind.AWAY else kind


def classify(error: psycopg.Error) -> ErrorKind:
    """Say what an error means by its code, where nothing else is known of it.

    42501 is a missing privilege, unless row-level security raised it for one row.
    """
    code = error.sqlstate or ""
    broken = not code and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    row_level_security = code == "42501" and error.diag.source_function == _ROW_LEVEL_SECURITY
    rules = (
        (_STATEMENT_POOLING in str(error), ErrorKind.REFUSED),
        (broken or code in _SHUT_DOWN, ErrorKind.AWAY),
        (code in _CONTENDED, ErrorKind.CONTENDED),
        (row_level_security or code[:2] in _ROW_CLASSES, ErrorKind.ROW),
        (code in _REFUSED, ErrorKind.REFUSED),
    )
    return next((kind for holds, kind in rules if holds), ErrorKind.UNKNOWN)


def describe(error: psycopg.Error) -> str:
    """Return the server's first line, without the connection details that libpq puts around it."""
    text = error.diag.message_primary or str(error).strip().splitlines()[0] if str(error).strip() else ""
    return text or type(error).__name__


def translate(error: psycopg.Error, doing: str, kind: ErrorKind | None = None) -> DatabaseError:
    """Return our error for one of psycopg's: ``doing`` says what was being done, ``kind`` what was made of it."""
    kind = classify(error) if kind is None else kind
    message = f"{doing}: {describe(error)}"
    code = error.sqlstate or ""
    if kind is ErrorKind.AWAY:
        hint = "Look whether the database runs and can be reached, then run again: nothing is lost."
        return DatabaseUnreachable(message, hint=hint, sqlstate=code)
    if kind is ErrorKind.REFUSED:
        return DatabaseRefused(message, hint=_refusal_hint(error), sqlstate=code)
    if kind is ErrorKind.CONTENDED:
        return DatabaseBusy(message, hint=_contention_hint(error), sqlstate=code)
    if kind is ErrorKind.ROW:
        return ReferenceRefused(message, hint=_ROW_HINTS.get(code[:2], ""), sqlstate=code)
    return DatabaseError(message, sqlstate=code)


_ROW_HINTS = {
    "23": "Look at the row, and at the table's constraints.",
    "44": "Look at the row, and at the view's or the policy's check.",
    "P0": "A function of the database raised this, most likely that of a trigger: it says why.",
}
"""By class of the code; others can be anything."""


def _contention_hint(error: psycopg.Error) -> str:
    """Say what to do about what stood in the way, as far as the server tells it. Its words may be in any language."""
    code, said = error.sqlstate or "", describe(error)
    if code == "55P03":
        return "See who holds the lock (pg_stat_activity, pg_locks), or raise LOCK_TIMEOUT_MS."
    if code == "57014" and "statement timeout" in said:
        return (
            "A time limit ended the statement, and nothing says that a lock was the cause: STATEMENT_TIMEOUT_MS, or a"
            " statement_timeout of the role, the database or the server (look at pg_settings, as this role)."
        )
    if code == "57014" and "user request" in said:
        return "Somebody cancelled the statement (pg_cancel_backend). Run again: nothing is lost."
    return ""


_REFUSAL_HINTS = {
    "28000": "Look whether the role may still log in, and at the server's pg_hba.conf.",
    "28P01": "Set SKETCH_DB_USER and SKETCH_DB_PASS (or PGUSER and PGPASSWORD, or ~/.pgpass).",
    "3D000": "Look at DB_NAME: the database is not there any more.",
    "3F000": "Look at DB_TABLE: its schema is not there any more.",
    "42P01": "Look at DB_TABLE: the table was renamed, moved or dropped, or the user may not use its schema.",
    "42703": "Look at DB_KEY_COLUMN and DB_PATH_COLUMN: a column was renamed or dropped.",
    "42501": "Give the database user the rights that sketch-migrate grants prints, then run again.",
}


def _refusal_hint(error: psycopg.Error) -> str:
    """Say what to do about what is not allowed. A server names the function in which an error was raised, if any."""
    if _STATEMENT_POOLING in str(error):
        return "A flip is a transaction: set pool_mode of the pooler to transaction or session, or connect past it."
    if "function" in (error.diag.context or ""):
        return (
            "It is a trigger's function that may not do this: give the database user that right, or declare the"
            " function SECURITY DEFINER."
        )
    return _REFUSAL_HINTS.get(error.sqlstate or "", "")


def connect_failure(error: psycopg.Error, where: str, name: str = "database") -> DatabaseError:
    """Return our error for a connection that could not be made. ``where`` is host:port/database, ``name`` what it is.

    libpq reports most of these without a code, so its (never translated) text decides.
    """
    text = " ".join(str(error).split())
    code = error.sqlstate or ""
    for needles, kind, problem, hint in _CONNECT_FAILURES:
        if any(needle in text for needle in needles):
            return kind(f"{problem.format(name=name)} ({where})", hint=hint, sqlstate=code)
    return DatabaseUnreachable(f"no connection to the {name} at {where}: {text}", sqlstate=code)


_CONNECT_FAILURES: tuple[tuple[tuple[str, ...], type[DatabaseError], str, str], ...] = (
    (  # in front of TLS: the S of SSH's greeting is also PostgreSQL's word for yes to TLS
        ("received invalid response to", "expected authentication request", "unexpected message from server"),
        DatabaseUnreachable,
        "what answers there is not PostgreSQL",
        "Look at DB_HOST and DB_PORT.",
    ),
    (
        ("password authentication failed", "no password supplied", "Ident authentication", "Peer authentication"),
        DatabaseRefused,
        "the {name} does not accept this user and password",
        "Set SKETCH_DB_USER and SKETCH_DB_PASS (or PGUSER and PGPASSWORD, or ~/.pgpass).",
    ),
    (
        ("SSL off", "no encryption", "SSL required", "requires SSL", "server requires encryption"),
        DatabaseRefused,
        "the {name} wants an encrypted connection, or does not let this user in from here",
        "Set DB_SSLMODE to require or verify-full, and look at the server's pg_hba.conf.",
    ),
    (
        ("no pg_hba.conf entry", "pg_hba.conf rejects"),
        DatabaseRefused,
        "the {name} does not let this user in from here",
        "Look at the server's pg_hba.conf, and at DB_SSLMODE.",
    ),
    (
        ("server does not support SSL", "certificate verify failed", "root certificate file", "SSL error"),
        DatabaseRefused,
        "the encrypted connection to the {name} could not be set up",
        "Look at DB_SSLMODE and PGSSLROOTCERT: the server's certificate must be one that they allow.",
    ),
    (  # in front of the next, whose words it contains
        ("permission denied for database",),
        DatabaseRefused,
        "the user lacks the privilege CONNECT on the {name}",
        "GRANT CONNECT ON DATABASE … TO the user; the command grants prints all that is needed.",
    ),
    (
        (
            "too many connections",
            "remaining connection slots",
            "sorry, too many clients",
            "no more connections allowed",
        ),
        DatabaseUnreachable,
        "the {name}, or a pooler, has no connection left",
        "Wait for others to end, raise the limit (of the role, the database, the server, the pooler), or lower -p.",
    ),
    (
        ("is not permitted to log in",),
        DatabaseRefused,
        "the role may not log in to the {name}",
        "ALTER ROLE … LOGIN, or set SKETCH_DB_USER (or PGUSER) to one that may.",
    ),
    (
        ("is not currently accepting connections",),
        DatabaseRefused,
        "the {name} takes no connections",
        "ALTER DATABASE … ALLOW_CONNECTIONS true, or look at DB_NAME.",
    ),
    (
        ("does not exist",),
        DatabaseRefused,
        "there is no such {name} or role",
        "Look at DB_NAME and SKETCH_DB_USER.",
    ),
    (
        ("could not translate host name", "failed to resolve host", "Name or service not known", "nodename nor"),
        DatabaseUnreachable,
        "the host name of the {name} cannot be resolved",
        "Look at DB_HOST.",
    ),
    (
        ("Connection refused", "No such file or directory"),
        DatabaseUnreachable,
        "nothing listens where the {name} should be",
        "Look at DB_HOST and DB_PORT, and whether the database runs.",
    ),
    (
        ("timeout expired", "timed out", "No route to host", "Network is unreachable"),
        DatabaseUnreachable,
        "the {name} does not answer",
        "Look at DB_HOST and DB_PORT: is it PostgreSQL that listens there, and does a firewall let you through?",
    ),
)
