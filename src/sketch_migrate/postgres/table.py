"""The table of the references, as far as statements need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql


@dataclass(frozen=True, slots=True)
class Table:
    """The table as the catalog describes it.

    ``key_type`` is the key column's SQL type, ``max_path_chars`` the path column's length or None, ``estimated_rows``
    the planner's estimate or None where the table was never analysed. ``notices`` are facts that bear on a migration
    and that a person should know: triggers, row-level security.

    ``path_is_unique``: the path is in a unique index without a condition and an expression, so that an UPDATE of it
    takes the row's strongest lock. ``fires_after_update``: enabled AFTER UPDATE or constraint triggers of users may
    change the row once more, which RETURNING does not see.
    """

    name: tuple[str, ...]
    key_column: str
    path_column: str
    key_type: str
    max_path_chars: int | None = None
    estimated_rows: int | None = None
    notices: tuple[str, ...] = ()
    is_partitioned: bool = False
    path_is_unique: bool = False
    fires_after_update: bool = False

    def compose(self, template: LiteralString, **more: sql.Composable) -> sql.Composed:
        """Fill a statement's names in, quoted."""
        return sql.SQL(template).format(
            table=sql.Identifier(*self.name),
            key=sql.Identifier(self.key_column),
            path=sql.Identifier(self.path_column),
            key_type=sql.SQL(self.key_type),  # format_type() of the server's own catalog
            **more,
        )
