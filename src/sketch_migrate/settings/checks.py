"""What a value of a setting may be. Pure.

A check takes the value as it was given (text from the environment and from flags, any object from a file) and returns
it in the setting's type, or raises ``ValueError`` saying what it must be. The text repeats the value only where no
secret can be in it: people do put passwords into URLs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

Check: TypeAlias = Callable[[object], object]

MAX_IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer names off, silently (manual, section 4.1.1): the cut name could be another table."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
"""Wider than today's rule of AWS (3 to 63, lower-case): older buckets and other stores have longer and mixed names."""

_TABLE_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


def text(value: object) -> str:
    """Return any text without control characters; empty where "not set" has a meaning."""
    if not isinstance(value, str):
        raise ValueError(f"it must be text, not {_kind(value)}")  # noqa: TRY004 - the loader awaits one kind of error
    if not value.isprintable():
        raise ValueError(f"{value!r} holds a character that cannot be seen")
    return value


def filled(value: object) -> str:
    """Text that is not empty."""
    checked = text(value)
    if not checked.strip():
        raise ValueError("it must not be empty")
    return checked


def host(value: object) -> str:
    """Name or address of a server, or the folder of its socket; a URL could carry a password and is none of these."""
    checked = text(value)
    if "://" in checked or "@" in checked:
        raise ValueError("it must be a host name, an address or a socket folder, not a URL")
    return checked


def database(value: object) -> str:
    """Name of a database: neither a URL nor a connection string, which libpq would take apart."""
    checked = text(value)
    if "://" in checked or "=" in checked:
        raise ValueError("it must be the name of a database, not a URL or a connection string")
    return checked


def whole(minimum: int, maximum: int | None = None) -> Check:
    """Make a check for a whole number from ``minimum`` to ``maximum``."""
    span = f"from {minimum} to {maximum}" if maximum is not None else f"of at least {minimum}"

    def check(value: object) -> int:
        number = _number(value, int)
        if number is None or number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"{value!r} must be a whole number {span}")
        return int(number)

    return check


def seconds(minimum: float) -> Check:
    """Make a check for a time in seconds, fractions allowed, of at least ``minimum``."""

    def check(value: object) -> float:
        number = _number(value, float)
        if number is None or not math.isfinite(number) or number < minimum:
            raise ValueError(f"{value!r} must be a number of seconds of at least {minimum:g}")
        return float(number)

    return check


def port(value: object) -> int | None:
    """TCP port, or None where it is left to libpq."""
    if value is None or value == "":
        return None
    checked = whole(1, 65535)(value)
    assert isinstance(checked, int)  # noqa: S101 - for the type checker: whole() returns nothing else
    return checked


def yes_or_no(value: object) -> bool:
    """Return a boolean; as text ``yes``/``no``, ``true``/``false``, ``on``/``off``, ``1``/``0``."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _YES | _NO:
        raise ValueError(f"{value!r} must be yes or no")
    return word in _YES


def choice(*words: str) -> Check:
    """Make a check for one of some words."""

    def check(value: object) -> str:
        if value not in words:
            named = ", ".join(word or "empty" for word in words)
            raise ValueError(f"{value!r} must be one of: {named}")
        return str(value)

    return check


def bucket(value: object) -> str:
    """Name of a bucket alone: 3 to 255 letters, digits, dots, hyphens and underscores."""
    checked = filled(value)
    if not _BUCKET.fullmatch(checked):
        raise ValueError(
            f"{checked!r} is not the name of a bucket: 3 to 255 letters, digits, dots, hyphens and underscores, "
            "without s3:// and without a key"
        )
    return checked


def prefix(value: object) -> str:
    """Return a folder of keys as it stands in the paths: with its closing slash, without one in front."""
    checked = filled(value)
    if checked.startswith("/"):
        raise ValueError(f"{checked!r} must not begin with a slash: keys do not, and no row would match")
    if not checked.endswith("/"):
        raise ValueError(f"{checked!r} must end with a slash, or it would match {checked + '-other/...'!r} as well")
    return checked


def endpoint(value: object) -> str:
    """``http://`` or ``https://``, a host and perhaps a port and a path; empty means AWS."""
    checked = text(value)
    if not checked:
        return checked
    try:
        parts = urlsplit(checked)
        has_host, has_port = bool(parts.hostname), parts.port != 0
    except ValueError:
        raise ValueError("it is not a URL that can be read: look at its host and port") from None
    if "@" in parts.netloc:
        raise ValueError("it must not hold a user or a password")
    if parts.scheme not in {"http", "https"} or not has_host or not has_port:
        raise ValueError(f"{checked!r} must begin with http:// or https:// and name a host")
    if parts.query or parts.fragment:
        raise ValueError("it must not hold a query (?) or a fragment (#)")
    return checked.rstrip("/")


def column(value: object) -> str:
    """Name of a column, exactly as PostgreSQL has it, without quotes."""
    return _identifier(filled(value))


def table(value: object) -> str:
    """Name of a table, perhaps with its schema: see ``table_name``."""
    checked = filled(value)
    table_name(checked)
    return checked


def table_name(db_table: str) -> tuple[str, ...]:
    """Take ``table``, ``schema.table`` or ``"My Schema"."t.x"`` apart; the parts go into ``psycopg.sql.Identifier``.

    A part is the name exactly as PostgreSQL has it: unlike in SQL, capitals are kept without quotes too. Only a name
    that holds a dot or a double quote needs double quotes around it, with inner ones doubled. Raises ``ValueError``.
    """
    parts: list[str] = []
    position = 0
    while True:
        match = _TABLE_PART.match(db_table, position)
        if match is None:
            raise ValueError(f'{db_table!r} must be table, schema.table, or with quotes "my.schema"."my.table"')
        quoted, plain = match.groups()
        parts.append(_identifier(plain if quoted is None else quoted.replace('""', '"')))
        position = match.end()
        if position == len(db_table):
            break
        if db_table[position] != ".":
            raise ValueError(f"{db_table!r} has something between a closing quote and the dot")
        position += 1
    if len(parts) > 2:  # noqa: PLR2004 - a schema and a table
        raise ValueError(f"{db_table!r} has {len(parts)} parts; a table has at most a schema in front")
    return tuple(parts)


def _identifier(name: str) -> str:
    size_bytes = len(name.encode())
    if size_bytes > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"{name!r} is {size_bytes} bytes long; PostgreSQL allows {MAX_IDENTIFIER_BYTES}")
    if not name.strip() or "\0" in name:
        raise ValueError(f"{name!r} is not a name")
    return name


def _number(value: object, kind: type[int | float]) -> float | None:
    """Read a number from itself or from text; None for all else, booleans (which are numbers to Python) included."""
    if isinstance(value, bool) or not isinstance(value, (str, int, kind)):
        return None
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return None


def _kind(value: object) -> str:
    """Name a value's type as a person says it."""
    names = {bool: "yes or no", int: "a number", float: "a number", dict: "a table", list: "a list", tuple: "a list"}
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")
