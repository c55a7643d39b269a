"""How far rows lie in the order of their key and of their paths, and so from how many blocks each order reads them.

By the statistics of ANALYZE (PostgreSQL manual, view pg_stats, ``correlation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString, NamedTuple

from psycopg import sql

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.postgres.table import Table

TIMES_LESS = 2
"""So many times fewer blocks have to be read by it: both ways are reckoned from statistics."""

_SPREAD: LiteralString = """
SELECT greatest(c.reltuples, 0)::float8, c.relpages::float8,
    (SELECT s.correlation::float8 FROM pg_stats s
        WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %(key)s AND NOT s.inherited),
    (SELECT s.correlation::float8 FROM pg_stats s
        WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = %(path)s
        AND NOT s.inherited)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%(table)s)
"""


class RowSpread(NamedTuple):
    """What statistics say of a table: its rows and blocks, and how far the order of a column is that of the blocks.

    None where nothing is known: the table was not analysed, or the role may not read the column.
    """

    rows: float
    blocks: float
    key_correlation: float | None
    path_correlation: float | None

    def is_less_by_path(self, legacy_rows: float) -> bool:
        """Whether so many legacy rows are read by their paths from far fewer blocks than by the key, as reckoned."""
        if not self.rows or self.key_correlation is None or self.path_correlation is None:
            return False
        return TIMES_LESS * self.blocks_by_path(legacy_rows) <= self._blocks_a_row(self.key_correlation) * self.rows

    @property
    def is_less_by_block(self) -> bool:
        """Whether all blocks, each read once, are far fewer than are read by the key, as reckoned."""
        if not self.rows or self.key_correlation is None:
            return False
        return TIMES_LESS * self.blocks <= self._blocks_a_row(self.key_correlation) * self.rows

    def blocks_by_path(self, legacy_rows: float) -> float:
        """Return from about how many blocks so many legacy rows are read by their paths; at most one for each."""
        return self._blocks_a_row(self.path_correlation or 0.0) * legacy_rows

    def _blocks_a_row(self, correlation: float) -> float:
        """Reckon as the planner does: from one block for each row to each block once, by the correlation's square."""
        share = correlation**2
        return (1 - share) + share * self.blocks / self.rows


async def read_spread(connection: AsyncConnection, table: Table) -> RowSpread | None:
    """Return what statistics say of a table, of whose key the first column counts; None where it is gone."""
    name = sql.Identifier(*table.name).as_string(connection)
    names = {"table": name, "path": table.path_column, "key": table.key.columns[0].name}
    row = await (await connection.execute(_SPREAD, names)).fetchone()
    return None if row is None else RowSpread(*row)
