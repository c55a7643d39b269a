"""The SQL that reads a data file of an inventory, and makes its keys the pairs of the site. Pure, in DuckDB's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.routes import not_longer
from sketchmigrate.core.rule import SideName, sql_literal
from sketchmigrate.inspect.inventory.document import Column, FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sketchmigrate.core.pairing import Pairing
    from sketchmigrate.core.routes import Place
    from sketchmigrate.inspect.inventory.document import DataFile, Document


def staged(side: SideName) -> str:
    """Return the table that has the objects of a data file of a side, for as long as they are sorted to their pairs."""
    return f"{side}_inventory_file"


def staging(document: Document, file: DataFile, side: SideName, places: Iterable[Place]) -> str:
    """Return the statement that takes in the current objects of these places; its parameter is the file's path.

    Old versions and delete markers are left out. A key that cannot be decoded, or a size that is none, is NULL.
    """
    below = " OR ".join(f"starts_with(key, {sql_literal(place.prefix)})" for place in places)
    columns = {column: _named(document, column) for column in Column}
    key, modified = columns[Column.KEY], columns[Column.MODIFIED]
    if document.file_format is FileFormat.CSV:
        # only CSV has keys URL-encoded, as forms are: a space is a plus sign, and a plus sign is %2B
        key = f"try(url_decode(replace({key}, '+', '%20')))"
        modified = f"try_cast({modified} AS TIMESTAMP)"
    else:
        modified = f"epoch_ms(epoch_ms({modified}))"  # without a zone, whichever kind of timestamp it is
    return f"""
    CREATE OR REPLACE TEMP TABLE {staged(side)} AS
    SELECT {key} AS key, try_cast({columns[Column.SIZE]} AS BIGINT) AS size_bytes,
        trim({columns[Column.ETAG]}, '"') AS etag, {modified} AS modified_utc,
        coalesce({columns[Column.STORAGE_CLASS]}, '') AS storage_class
    FROM {_reader(document, file)}
    WHERE coalesce(lower({columns[Column.IS_LATEST]}::VARCHAR), 'true') = 'true'
        AND coalesce(lower({columns[Column.IS_DELETE_MARKER]}::VARCHAR), 'false') <> 'true'
        AND (key IS NULL OR {below})
    """  # noqa: S608 - our own words, and names of the manifest as identifiers


def sorting(pairing: Pairing, side: SideName, bucket: str) -> Iterator[tuple[bool, str]]:
    """Yield statements that sort the staged objects of a bucket to their pairs, one for each route of the bucket.

    The answer of a statement is the number of its objects; with each comes whether they are to be counted: those of
    further families are the same once more. The longest prefix counts, as in ``Routes``.
    """
    number = 0
    for family in pairing.families:
        for route in family.all:
            number += 1
            of_bucket, prefix = route.place(side)
            if of_bucket != bucket:
                continue
            longer = not_longer(route, family.all) if side is SideName.LEGACY else ""
            statement = f"""
            INSERT INTO {side}_object (route, tail, size_bytes, md5, other_etag, modified_utc, storage_class, bucket)
            SELECT {number}, substr(key, {len(prefix) + 1}) AS tail, size_bytes,
                md5_of(etag), CASE WHEN md5_of(etag) IS NULL THEN etag END, modified_utc, storage_class,
                bucket_of(tail)
            FROM {staged(side)} WHERE starts_with(key, {sql_literal(prefix)}){longer}
            """  # noqa: S608 - our own words
            yield family is pairing.families[0], statement


def _named(document: Document, column: Column) -> str:
    place = document.place_of(column)
    if place is None:
        return "NULL"
    name = f"column{place}" if document.file_format is FileFormat.CSV else document.columns[place]
    return f'"{name}"'


def _reader(document: Document, file: DataFile) -> str:
    if document.file_format is FileFormat.PARQUET:
        return "read_parquet(?, binary_as_string = true)"
    types = ", ".join(f"'column{place}': 'VARCHAR'" for place, _ in enumerate(document.columns))
    return (
        "read_csv(?, auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"',"
        f" compression = '{'gzip' if file.is_compressed else 'none'}', max_line_size = 1000000, columns = {{{types}}})"
    )
