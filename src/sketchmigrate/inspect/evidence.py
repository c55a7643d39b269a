"""Both listings and all references in one DuckDB file, for SQL to judge.

It stays within ``MEMORY_LIMIT_MB`` and spills to the run's directory beyond that, so that its memory does not grow with
the number of objects. References come in as CSV files of a bounded size, objects as Arrow columns. What other columns
tell is not kept once more: a path that is prefix and tail, an ETag that is that of the other side. All work is on one
thread of its own, as DuckDB would hold up the event loop.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import duckdb

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.ledger.file_database import FileDatabase
from sketchmigrate.postgres.pages import csv_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sketchmigrate.core.pairing import Pairing
    from sketchmigrate.core.routes import Place, Route
    from sketchmigrate.core.rule import SideName
    from sketchmigrate.inspect.object_columns import ObjectColumns

T = TypeVar("T")

MEMORY_LIMIT_MB = 256

JUDGED_AT_ONCE = 700_000
"""So many references and objects a side are joined within that."""

MOST_PARTS = 64

_MD5_OF = """
CREATE TEMP MACRO md5_of(etag) AS
    CASE WHEN regexp_full_match(etag, '[0-9a-f]{32}') THEN CAST(etag AS UUID) END;
"""

BUCKETS = 256
_BUCKET_OF = "CREATE TEMP MACRO bucket_of(tail) AS (hash(tail) >> 56)::UTINYINT;"

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
INSERT INTO reference (source, key, slot, own_path, side, route, tail, bucket)
SELECT ?::USMALLINT, key, 0, CASE WHEN route_of(path) IS NULL THEN path END,
    side_of(path), route_of(path), tail_of(path) AS tail, bucket_of(tail) AS bucket
FROM {_read_csv(key="VARCHAR", path="VARCHAR")} ORDER BY bucket
"""  # noqa: S608 - made of our own words alone

_NAMED = f"""
INSERT INTO reference (source, key, slot, own_path, side, route, tail, bucket)
SELECT ?::USMALLINT, key, slot, CASE WHEN path = key_of(side, route, tail) THEN NULL ELSE path END, side, route, tail,
    bucket_of(tail) AS bucket
FROM {_read_csv(key="VARCHAR", slot="UINTEGER", path="VARCHAR", side="VARCHAR", route="USMALLINT", tail="VARCHAR")}
ORDER BY bucket
"""  # noqa: S608 - made of our own words alone

_OBJECTS = """
INSERT INTO {side}_object (route, tail, size_bytes, md5, other_etag, modified_utc, storage_class, bucket)
SELECT route, tail, size_bytes, {etag}, try_cast(modified AS TIMESTAMP), storage_class, bucket_of(tail) AS bucket
FROM listed ORDER BY bucket
"""

_DIGESTS = "etag, NULL"
_ANY_ETAGS = "md5_of(etag), CASE WHEN md5_of(etag) IS NULL THEN etag END"

NamedRow: TypeAlias = tuple[str, int, str, str, int | None, str | None]
"""A reference of a row: key, slot, path, side, route and tail; without these two what it names cannot be read."""


class ReferenceId(NamedTuple):
    """What tells a reference from all others: its source, the key of its row, and its slot there."""

    source: int
    key: str
    slot: int


@dataclass(frozen=True, slots=True)
class EvidenceSource:
    """What the evidence is about: a source. ``key_column`` names all columns of its key.

    ``is_copied``: its rows are read by SQL alone, as each is a key and nothing more, or on neither side.
    """

    name: str
    table_name: str
    key_column: str
    path_column: str
    shape: str = "key"
    max_path_chars: int | None = None
    max_path_bytes: int | None = None
    is_copied: bool = True


@dataclass(frozen=True, slots=True)
class EvidenceSite:
    """What the evidence is about: all sources, in their order, and how the keys of both sides belong together.

    ``endpoint_url`` is where legacy is, and production too unless ``production_endpoint_url`` is another.
    """

    version: str
    endpoint_url: str
    production_endpoint_url: str
    pairing: Pairing
    sources: tuple[EvidenceSource, ...]

    @property
    def moves(self) -> tuple[Route, ...]:
        """All moves."""
        return self.pairing.families[0].all

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(source.name for source in self.sources)

    def places(self, side: SideName) -> tuple[Place, ...]:
        """Return where the objects of a side lie."""
        return self.pairing.families[0].places(side)

    def first(self) -> dict[str, object]:
        """Return the first source, and where its objects are by the first move: the only ones, most often."""
        source, route = self.sources[0], self.moves[0]
        return {
            "table_name": source.table_name,
            "key_column": source.key_column,
            "path_column": source.path_column,
            "max_path_chars": source.max_path_chars,
            "max_path_bytes": source.max_path_bytes,
            "endpoint_url": self.endpoint_url,
            "legacy_bucket": route.legacy_bucket,
            "legacy_prefix": route.legacy_prefix,
            "production_bucket": route.production_bucket,
            "production_prefix": route.production_prefix,
        }

    def json(self) -> dict[str, object]:
        """Return the site as values for JSON."""
        moves = [str(route) for route in self.moves]
        return {
            **self.first(),
            "moves": moves,
            "sources": [asdict(source) for source in self.sources],
            "production_endpoint_url": self.production_endpoint_url,
        }


class Evidence(FileDatabase):
    """The evidence of one run. Use as an async context manager; every method raises ``RunDirectoryError``.

    The file is made anew. SQL in it has the macros of the site's ``Pairing``.
    """

    def __init__(self, path: Path, site: EvidenceSite, *, memory_limit_mb: int = MEMORY_LIMIT_MB) -> None:
        super().__init__("the evidence", path, duckdb.Error)
        self.path = path
        self.site = site
        self._memory_limit_mb = memory_limit_mb
        self._database: duckdb.DuckDBPyConnection

    async def load_references(self, content: bytes, source: int = 0) -> None:
        """Take in rows of key and path, as PostgreSQL's COPY writes CSV; the side of each is told by its prefix."""
        await self._load(_REFERENCES, source, content)

    async def load_named(self, source: int, rows: Iterable[NamedRow]) -> None:
        """Take in references of a source."""
        await self._load(_NAMED, source, csv_of(rows))

    async def load_objects(self, side: str, objects: ObjectColumns) -> None:
        """Take in objects of one side."""
        statement = _OBJECTS.format(side=side, etag=_DIGESTS if objects.are_digests else _ANY_ETAGS)
        columns = objects.columns()

        def load() -> None:
            self._database.register("listed", columns)
            try:
                self._database.execute(statement)
            finally:
                self._database.unregister("listed")

        await self._call(load)

    async def _load(self, statement: str, source: int, content: bytes) -> None:
        def load() -> None:
            scratch = self._scratch()
            try:
                scratch.write_bytes(content)
                self._database.execute(statement, [source, str(scratch)])
            finally:
                scratch.unlink(missing_ok=True)

        await self._call(load)

    async def forget_objects(self, side: SideName, place: Place) -> None:
        """Drop all objects of a place of one side."""
        routes = ", ".join(
            str(number)
            for number, route in enumerate(self.site.pairing.routes, start=1)
            if place.holds(route.place(side))
        )
        await self.execute(f"DELETE FROM {side}_object WHERE route IN ({routes})")  # noqa: S608 - numbers

    async def attach(self, path: Path, name: str) -> None:
        """Open the evidence of another run beside this one, for reading, under a name for SQL."""
        target = str(path).replace("'", "''")
        await self.execute(f"ATTACH '{target}' AS {name} (READ_ONLY)")

    async def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert rows into one of the evidence's own tables, whose columns they have."""
        if rows:
            await self._call(lambda: self._insert(table, rows))

    async def note_reading(self, what: str, began_at_utc: datetime, ended_at_utc: datetime, entries: int) -> None:
        """Write down when something was read, and how much it was."""
        row = (what, began_at_utc.replace(tzinfo=None), ended_at_utc.replace(tzinfo=None), entries)
        await self.insert("reading", [row])

    async def judge(self) -> None:
        """Pass a verdict on each reference, from the listings alone, part by part: see ``sql/verdict.sql``."""
        text = _script("verdict")
        parts = await self.parts(JUDGED_AT_ONCE)
        for part in range(parts):
            await self.execute(text.format(is_of_part=of_part(part, parts)))
        await self.script("unrecognised")

    async def parts(self, rows_at_once: int) -> int:
        """Return into how many parts all pairs are parted, so that a join of one of them stays in memory.

        There are at most ``MOST_PARTS``, as each of them looks through all tables once: beyond that the joins spill.
        """
        ((rows,),) = await self.ask(
            "SELECT greatest((SELECT count(*) FROM legacy_object), (SELECT count(*) FROM production_object),"
            " (SELECT count(*) FROM reference))"
        )
        return max(1, min(MOST_PARTS, -(-int(rows) // rows_at_once)))

    async def script(self, name: str) -> None:
        """Run one of the files in ``inspect/sql``."""
        text = _script(name)
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

    async def export(self, question: str, path: Path) -> None:
        """Write an answer into a file: Parquet or CSV, by its name."""
        kind = "(FORMAT parquet)" if path.suffix == ".parquet" else "(FORMAT csv, HEADER true)"
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
        self._database = duckdb.connect(self.path, config=config)
        self._database.execute("SET enable_progress_bar = false")  # where Python was started with -c, it is on stdout
        self.path.chmod(0o600)
        site = self.site
        self._database.execute(_script("schema").replace("{key_of}", site.pairing.duckdb_key))
        self._insert("site", [(site.version, *site.first().values())])
        self._insert(
            "source",
            [
                (number, each.name, each.table_name, each.max_path_chars, each.max_path_bytes, each.is_copied)
                for number, each in enumerate(site.sources)
            ],
        )
        self._database.execute(site.pairing.duckdb_macros)
        self._database.execute(f"CREATE TEMP MACRO key_of(side, route, tail) AS {site.pairing.duckdb_key}")
        self._database.execute(_MD5_OF + _BUCKET_OF)

    def _insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        places = ", ".join("unnest(?)" for _ in columns)
        self._database.execute(f"INSERT INTO {table} SELECT {places}", columns)

    def _close(self) -> None:
        self._database.close()

    def _scratch(self) -> Path:
        return self.path.with_suffix(".csv")


def of_part(part: int, parts: int, bucket: str = "bucket") -> str:
    """Return the condition that a bucket belongs to one of some parts of all buckets."""
    first, end = (BUCKETS * each // parts for each in (part, part + 1))
    return f"{bucket} BETWEEN {first} AND {end - 1}" if parts > 1 else "true"


def _script(name: str) -> str:
    return files("sketchmigrate.inspect").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


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
