"""Both listings and all references in one DuckDB file, for SQL to judge.

It stays within ``MEMORY_LIMIT_MB`` and spills to the run's directory beyond that, so that its memory does not grow with
the number of objects. Rows come in as CSV files of a bounded size: 200 000 of them load in 0.2 s, where parameter lists
take 0.8 s and twice the memory. All work is on one thread of its own, as DuckDB would hold up the event loop.
"""

from __future__ import annotations

import csv
import os
from dataclasses import astuple, dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.objects import Location
from sketchmigrate.core.rule import Rule
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.ledger.file_database import FileDatabase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

T = TypeVar("T")

MEMORY_LIMIT_MB = 256
FETCH_ROWS = 10_000


def _read_csv(**columns: str) -> str:
    """Write the table function that reads one of our CSV files: every field quoted but NULL."""
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    return (
        "read_csv(?, auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"', strict_mode = true,"
        " new_line = '\\n', parallel = false,"
        f" allow_quoted_nulls = false, max_line_size = 1000000, columns = {{{types}}})"
    )


_REFERENCES = f"""
INSERT INTO reference
SELECT key, path, side_of(path), tail_of(path) FROM {_read_csv(key="VARCHAR", path="VARCHAR")}
"""  # noqa: S608 - made of our own words alone

# concat(): a bare column would be read as a timestamp at once, and a text that is none would fail the file
_OBJECTS = f"""
SELECT tail, size_bytes, etag, try_cast(concat(modified) AS TIMESTAMP), storage_class
FROM {_read_csv(tail="VARCHAR", size_bytes="BIGINT", etag="VARCHAR", modified="VARCHAR", storage_class="VARCHAR")}
"""  # noqa: S608 - made of our own words alone


@dataclass(frozen=True, slots=True)
class EvidenceSite:
    """What the evidence is about: the columns of the table ``site``, in their order."""

    version: str
    table_name: str
    key_column: str
    path_column: str
    max_path_chars: int | None
    max_path_bytes: int | None
    endpoint_url: str
    legacy_bucket: str
    legacy_prefix: str
    production_bucket: str
    production_prefix: str

    @property
    def rule(self) -> Rule:
        """How the keys of both sides belong together."""
        return Rule(self.legacy_prefix, self.production_prefix)

    def legacy(self, tail: str) -> Location:
        """Return where the legacy object of a pair is."""
        return Location(self.legacy_bucket, self.rule.legacy_key(tail))

    def production(self, tail: str) -> Location:
        """Return where the production object of a pair is."""
        return Location(self.production_bucket, self.rule.production_key(tail))


class Evidence(FileDatabase):
    """The evidence of one run. Use as an async context manager; every method raises ``RunDirectoryError``.

    With a ``site`` the file is made anew; without, an existing one is opened and can only be read. ``rule`` says how
    the keys of both sides belong together, and SQL in it has the rule's macros.
    """

    rule: Rule

    def __init__(self, path: Path, site: EvidenceSite | None = None, *, memory_limit_mb: int = MEMORY_LIMIT_MB) -> None:
        super().__init__("the evidence", path, duckdb.Error)
        self.path = path
        self._site = site
        self._memory_limit_mb = memory_limit_mb
        self._database: duckdb.DuckDBPyConnection

    async def load_references(self, content: bytes) -> None:
        """Take in rows of key and path, as PostgreSQL's COPY writes CSV; the side of each is told by its prefix."""

        def load() -> None:
            scratch = self._scratch()
            try:
                scratch.write_bytes(content)
                self._database.execute(_REFERENCES, [str(scratch)])
            finally:
                scratch.unlink(missing_ok=True)

        await self._call(load)

    async def load_objects(self, side: str, rows: Iterable[tuple[str, int, str, str, str]]) -> None:
        """Take in objects of one side: tail, bytes, ETag, and time of change and class as the store has them."""
        statement = f"INSERT INTO {side}_object {_OBJECTS}"

        def load() -> None:
            scratch = self._scratch()
            try:
                with scratch.open("w", encoding="utf-8", newline="") as file:
                    csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
                self._database.execute(statement, [str(scratch)])
            finally:
                scratch.unlink(missing_ok=True)

        await self._call(load)

    async def forget_objects(self, side: str) -> None:
        """Drop all objects of one side."""
        await self.execute(f"TRUNCATE {side}_object")

    async def attach(self, path: Path, name: str) -> None:
        """Open the evidence of another run beside this one, for reading, under a name for SQL."""
        target = str(path).replace("'", "''")
        await self.execute(f"ATTACH '{target}' AS {name} (READ_ONLY)")

    async def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows into one of the evidence's own tables, whose columns they have."""
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            places = ", ".join("unnest(?)" for _ in columns)
            await self._call(lambda: self._database.execute(f"INSERT INTO {table} SELECT {places}", columns))

    async def note_reading(self, what: str, began_at_utc: datetime, ended_at_utc: datetime, entries: int) -> None:
        """Write down when something was read, and how much it was."""
        row = (what, began_at_utc.replace(tzinfo=None), ended_at_utc.replace(tzinfo=None), entries)
        await self.insert("reading", [row])

    async def script(self, name: str) -> None:
        """Run one of the files in ``inspect/sql``."""
        text = files("sketchmigrate.inspect").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
        await self._call(lambda: self._database.execute(text))

    async def execute(self, statement: str) -> None:
        """Run a statement that has no answer."""
        await self._call(lambda: self._database.execute(statement))

    async def ask(self, question: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of an answer: for short ones."""
        return await self._call(lambda: self._database.execute(question, parameters).fetchall())

    async def stream(self, question: str, parameters: Sequence[object] = ()) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Yield an answer of any length, some thousand rows at a time; nothing may be written meanwhile."""
        cursor = await self._call(lambda: self._database.cursor().execute(question, parameters))
        while rows := await self._call(lambda: cursor.fetchmany(FETCH_ROWS)):
            yield rows

    async def export(self, question: str, path: Path, *, header: bool = True) -> None:
        """Write an answer into a file: Parquet or CSV, by its name."""
        kind = "(FORMAT parquet)" if path.suffix == ".parquet" else f"(FORMAT csv, HEADER {str(header).lower()})"
        target = str(path).replace("'", "''")

        def write() -> None:
            path.touch(mode=0o600)
            self._database.execute(f"COPY ({question}) TO '{target}' {kind}")

        await self._call(write)

    def _open(self) -> None:
        config: dict[str, Any] = {
            "memory_limit": f"{self._memory_limit_mb}MB",
            "temp_directory": str(self.path.with_suffix(".tmp")),
            "threads": min(4, os.cpu_count() or 1),
            "preserve_insertion_order": False,  # keeping it costs memory, and SQL says the order that it wants
            "autoinstall_known_extensions": False,  # nothing is downloaded
            "autoload_known_extensions": False,
        }
        self._database = duckdb.connect(self.path, read_only=self._site is None, config=config)
        self._database.execute("SET enable_progress_bar = false")  # where Python was started with -c, it is on stdout
        if self._site is not None:
            self.path.chmod(0o600)
            schema = files("sketchmigrate.inspect").joinpath("sql", "schema.sql").read_text(encoding="utf-8")
            self._database.execute(schema)
            values = astuple(self._site)
            self._database.execute(f"INSERT INTO site VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - question marks
        (prefixes,) = self._database.execute("SELECT legacy_prefix, production_prefix FROM site").fetchall()
        self.rule = Rule(*prefixes)
        self._database.execute(self.rule.duckdb_macros)

    def _close(self) -> None:
        self._database.close()

    def _scratch(self) -> Path:
        return self.path.with_suffix(".csv")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex. Raises ``RunDirectoryError``."""
    try:
        with path.open("rb") as file:
            hashed = sha256()
            while piece := file.read(2**20):
                hashed.update(piece)
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror or error}"
        raise RunDirectoryError(text, hint=disk_hint(error)) from error
    return hashed.hexdigest()
