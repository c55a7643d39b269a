"""The types of settings: how each is read, and what this domain demands of it. Pure.

A refusal is a ``ValueError`` saying what the value must be. It repeats the value only where no secret can be in it:
people do put passwords into URLs.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from sketchmigrate.settings.readers import Read, one_of, or_none, plain_text, real, size, whole, yes_or_no
from sketchmigrate.settings.schema import MAX_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer names off, silently (manual, section 4.1.1): the cut name could be another table."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
"""Wider than today's rule of AWS (3 to 63, lower-case): older buckets and other stores have longer and mixed names."""

LEAST_MEMORY_BYTES = 8_000_000
"""A part of an upload has 5 MiB at least (S3 User Guide, "Amazon S3 multipart upload limits")."""

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_port = whole(1, MAX_PORT)

_LIBPQ_URL = re.compile(
    r"(?P<scheme>postgres(?:ql)?://)(?:(?P<user>[^/@:]*)(?::[^/@]*)?@)?(?P<place>[^@?]*)(?:\?(?P<more>[^@]*))?"
)
"""Manual of PostgreSQL, section "Connection URIs". What a password has of ``/`` and ``@`` is percent-encoded there.

Not by ``psycopg.conninfo``: it keeps no URL as it was written, which is what is shown, and settings would load libpq.
"""

_SECRETS = {"password", "sslpassword"}

LEDGER_URL, REPLICA_URLS = "SKETCH_LEDGER_URL", "SKETCH_REPLICA_URLS"
"""The variables that may have passwords in them."""

_TABLE_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def _visible(value: str) -> str:
    if not value.isprintable():
        hidden = next(sign for sign in value if not sign.isprintable())
        raise ValueError(f"it holds {hidden!r}, a character that cannot be seen")
    return value


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("it must not be empty")
    return text


def _without(*signs: str, must_be: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if any(sign in text for sign in signs):
            raise ValueError(f"it must be {must_be}")
        return text

    return check


def bucket_name(text: str) -> str:
    """Check the name of a bucket. Raises ``ValueError``."""
    if not _BUCKET.fullmatch(text):
        raise ValueError(
            f"{text!r} is not the name of a bucket: 3 to 255 letters, digits, dots, hyphens and underscores, "
            "without s3:// and without a key"
        )
    return text


def _prefix(text: str) -> str:
    if text.startswith("/"):
        raise ValueError(f"{text!r} must not begin with a slash: keys do not, and no row would match")
    if not text.endswith("/"):
        raise ValueError(f"{text!r} must end with a slash, or it would match {text + '-other/...'!r} as well")
    return text


def manifest_place(text: str) -> tuple[str, str] | None:
    """Return bucket and key of an ``s3://`` URL, None for the path of a file. Raises ``ValueError``."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return None
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not key or key.endswith("/"):
        raise ValueError(f"{text!r} must be the path or the s3:// URL of an inventory's manifest.json")
    return bucket_name(bucket), key


def _inventories(text: str) -> str:
    for each in text.split(",") if text else ():
        if not each.strip():
            raise ValueError(f"{text!r} has an empty place between two commas, or at its end")
        manifest_place(each.strip())
    return text


def _ports(value: object) -> int | str:
    """Read one port, which is a number, or several, as libpq has them."""
    if not (isinstance(value, str) and "," in value):
        return _port(value)
    ports = [port.strip() for port in value.split(",")]
    if not all(_PORT.fullmatch(port) and int(port) <= MAX_PORT for port in ports):
        raise ValueError("not ports")
    return ",".join(ports)


_URL_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, section 3.3."""


def _endpoint(text: str) -> str:
    if not text:
        return text
    try:
        parts = urlsplit(text)
        has_host, has_port = bool(parts.hostname), parts.port != 0
    except ValueError:
        raise ValueError("it is not a URL that can be read: look at its host and port") from None
    if "@" in parts.netloc:
        raise ValueError("it must not hold a user or a password")
    if parts.scheme not in {"http", "https"} or not has_host or not has_port:
        raise ValueError(f"{text!r} must begin with http:// or https:// and name a host")
    if parts.query or parts.fragment:
        raise ValueError("it must not hold a query (?) or a fragment (#)")
    if not _URL_PATH.fullmatch(parts.path):
        raise ValueError(f"{parts.path!r} is no path of a URL: spaces and the like are percent-encoded there")
    return text.rstrip("/")


def without_password(url: str) -> str:
    """Return a libpq URL without the passwords in it, nor blanks around it; what is no such URL comes back as it is."""
    parts = _LIBPQ_URL.fullmatch(url.strip())
    if parts is None:
        return url
    more = [each for each in (parts["more"] or "").split("&") if unquote(each.partition("=")[0]) not in _SECRETS]
    user = "" if parts["user"] is None else parts["user"] + "@"
    return parts["scheme"] + user + parts["place"] + ("?" + "&".join(more) if any(more) else "")


def _ledger_url(url: str) -> str:
    url = url.strip()
    if url and not _LIBPQ_URL.fullmatch(url):
        raise ValueError("it must be a URL as libpq has them, beginning with postgresql://")
    if len(without_password(url)) < len(url.rstrip("?&")):
        raise ValueError(f"it must hold no password, unless it is in the environment: export it as {LEDGER_URL}")
    return url


def without_passwords(urls: str) -> str:
    """Return libpq URLs, with blanks between them, without the passwords in them."""
    return " ".join(map(without_password, urls.split()))


def _replica_urls(urls: str) -> str:
    for url in urls.split():
        if not _LIBPQ_URL.fullmatch(url):
            raise ValueError("it must be URLs as libpq has them, with blanks between them: postgresql://…")
        if len(without_password(url)) < len(url.rstrip("?&")):
            where = f"unless it is in the environment: export it as {REPLICA_URLS}"
            raise ValueError(f"it must hold no password, {where}")
    return " ".join(urls.split())


def identifier(name: str) -> str:
    """Check the name of a column, or a part of a table's. Raises ``ValueError``."""
    size_bytes = len(name.encode())
    if size_bytes > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"{name!r} is {size_bytes} bytes long; PostgreSQL allows {MAX_IDENTIFIER_BYTES}")
    if not name.strip() or "\0" in name:
        raise ValueError(f"{name!r} is not a name")
    return name


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
        parts.append(identifier(plain if quoted is None else quoted.replace('""', '"')))
        position = match.end()
        if position == len(db_table):
            break
        if db_table[position] != ".":
            raise ValueError(f"{db_table!r} has something between a closing quote and the dot")
        position += 1
    if len(parts) > 2:  # noqa: PLR2004 - a schema and a table
        raise ValueError(f"{db_table!r} has {len(parts)} parts; a table has at most a schema in front")
    return tuple(parts)


def _table(text: str) -> str:
    table_name(text)
    return text


_NEW_OBJECT_HEADER = re.compile(
    r"x-amz-(?:acl|grant-[a-z-]+|storage-class|server-side-encryption(?!-customer)[a-z-]*"
    r"|object-lock-[a-z-]+|checksum-algorithm)|cache-control"
)
"""What CopyObject takes for the new object beside what it keeps of the source (S3 API reference, CopyObject), and how
long browsers keep it. The keys of SSE-C are secrets; the other content headers, metadata and tags stay the source's."""


def _new_object_headers(text: str) -> str:
    """Check headers, one behind the other with semicolons or lines between them; return them in one spelling."""
    return "; ".join(f"{name}: {value}" for name, value in headers_of(text))


def headers_of(text: str) -> tuple[tuple[str, str], ...]:
    """Take ``x-amz-acl: private; x-amz-storage-class: STANDARD`` apart; names come in lower case.

    Raises ``ValueError``.
    """
    headers: dict[str, str] = {}
    for part in filter(None, map(str.strip, re.split(r"[;\n]", text))):
        name, colon, value = part.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not value or not value.isascii() or not value.isprintable():
            raise ValueError(f"{part!r} must be a header as in x-amz-acl: bucket-owner-full-control")
        if not _NEW_OBJECT_HEADER.fullmatch(name):
            raise ValueError(
                f"{name!r} must be x-amz-acl, x-amz-grant-…, x-amz-storage-class, x-amz-server-side-encryption (not"
                " with a customer's key), x-amz-object-lock-…, x-amz-checksum-algorithm or Cache-Control"
            )
        if name in headers:
            raise ValueError(f"{name!r} is there twice")
        headers[name] = value
    return tuple(headers.items())


def _entries(value: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, dict) for each in value):
        raise ValueError("it must be a list of entries")
    if not all(isinstance(name, str) for each in value for name in each):
        raise ValueError("the names in its entries must be text")
    return tuple(map(dict, value))


def _time_zone(name: str) -> str:
    if name != "UTC":  # which is there without the system's data
        import zoneinfo  # noqa: PLC0415 - few name another

        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is not a time zone that this machine knows, such as Europe/Berlin") from None
    return name


def _command_line(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"it must be a command line as a shell has it: {error}") from None
    return text


_no_url = _without("://", "@", must_be="a host name, an address or a socket folder, not a URL")
_no_conninfo = _without("://", "=", must_be="the name of a database, not a URL or a connection string")

Entries: TypeAlias = Annotated[tuple[dict[str, Any], ...], Read(_entries)]

Text: TypeAlias = Annotated[str, Read(plain_text, _visible)]
Filled: TypeAlias = Annotated[str, Read(plain_text, _visible, _filled)]
CommandLine: TypeAlias = Annotated[str, Read(plain_text, _visible, _command_line)]
TimeZone: TypeAlias = Annotated[str, Read(plain_text, _visible, _filled, _time_zone)]

Connections: TypeAlias = Annotated[int, Read(whole(1, 10_000))]
Rows: TypeAlias = Annotated[int, Read(whole(1, 2**31 - 1))]
Sessions: TypeAlias = Annotated[int, Read(whole(0, 10_000))]
Milliseconds: TypeAlias = Annotated[int, Read(whole(1, 2**31 - 1))]
TimeoutSeconds: TypeAlias = Annotated[float, Read(real(0.1, "a number of seconds of at least 0.1"))]
PatienceSeconds: TypeAlias = Annotated[float, Read(real(0, "a number of seconds of at least 0"))]
Rate: TypeAlias = Annotated[float, Read(real(0, "a number of at least 0"))]
Percent: TypeAlias = Annotated[float, Read(real(0, "a number from 0 to 100", most=100))]
Bandwidth: TypeAlias = Annotated[
    int, Read(size("a number of bytes a second of at least 0, perhaps with K, M or G behind it"))
]
Bytes: TypeAlias = Annotated[int, Read(size("a number of bytes of at least 0, perhaps with K, M or G behind it"))]
Memory: TypeAlias = Annotated[
    int, Read(size("a number of bytes of at least 8M, perhaps with K, M or G behind it", LEAST_MEMORY_BYTES))
]
YesOrNo: TypeAlias = Annotated[bool, Read(yes_or_no)]
YesNoOrEmpty: TypeAlias = Annotated[bool | None, Read(or_none(yes_or_no, "yes or no, or empty"))]

Host: TypeAlias = Annotated[str, Read(plain_text, _visible, _no_url)]
Ports: TypeAlias = Annotated[
    int | str | None,
    Read(or_none(_ports, "a whole number from 1 to 65535, or one for each host, with commas between them")),
]
Database: TypeAlias = Annotated[str, Read(plain_text, _visible, _no_conninfo)]
SslMode: TypeAlias = Annotated[
    str, Read(one_of("", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"))
]
Table: TypeAlias = Annotated[str, Read(plain_text, _visible, _filled, _table)]
Column: TypeAlias = Annotated[str, Read(plain_text, _visible, _filled, identifier)]

NewObjectHeaders: TypeAlias = Annotated[str, Read(plain_text, _new_object_headers)]
KeepTags: TypeAlias = Annotated[Literal["if-allowed", "required", "no"], Read(one_of("if-allowed", "required", "no"))]
KeepStorageClass: TypeAlias = Annotated[Literal["bucket-default", "keep"], Read(one_of("bucket-default", "keep"))]
LedgerUrl: TypeAlias = Annotated[str, Read(plain_text, _visible, _ledger_url)]
ReplicaUrls: TypeAlias = Annotated[str, Read(plain_text, _visible, _replica_urls)]
PauseForAutovacuum: TypeAlias = Annotated[
    Literal["wraparound", "any", "never"], Read(one_of("wraparound", "any", "never"))
]
Endpoint: TypeAlias = Annotated[str, Read(plain_text, _visible, _endpoint)]
AddressingStyle: TypeAlias = Annotated[Literal["auto", "path", "virtual"], Read(one_of("auto", "path", "virtual"))]
OwnAddressingStyle: TypeAlias = Annotated[
    Literal["", "auto", "path", "virtual"], Read(one_of("", "auto", "path", "virtual"))
]
Inventories: TypeAlias = Annotated[str, Read(plain_text, _visible, _inventories)]
Bucket: TypeAlias = Annotated[str, Read(plain_text, _visible, _filled, bucket_name)]
Prefix: TypeAlias = Annotated[str, Read(plain_text, _visible, _filled, _prefix)]
