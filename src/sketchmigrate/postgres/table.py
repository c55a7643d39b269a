"""The table of the references, as far as statements need to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from sketchmigrate.core.keys import TEXT_TYPES


@dataclass(frozen=True, slots=True)
class Table:
    """The table as the catalog describes it.

    ``key_type`` is the key column's SQL type, ``max_path_chars`` and ``max_path_bytes`` the path column's length or
    None, ``estimated_rows`` the planner's estimate or None where the table was never analysed. ``notices`` are facts
    that bear on a migration and that a person should know: triggers, row-level security.

    ``path_is_unique``: the path is in the key of a unique index without a condition and an expression, so that an
    UPDATE of it takes the row's strongest lock; ``no_path_twice``: alone in the key of one, as a text, so that no two
    rows hold the same. ``fires_after_update``: enabled AFTER UPDATE or constraint triggers of
    users may change the row once more, which RETURNING does not see. ``hides_rows``: row-level security is active for
    this user. ``encoding`` is the database's; ``holds_production`` says whether it has all of PRODUCTION_PREFIX.
    """

    name: tuple[str, ...]
    key_column: str
    path_column: str
    key_type: str
    max_path_chars: int | None = None
    max_path_bytes: int | None = None
    estimated_rows: int | None = None
    notices: tuple[str, ...] = ()
    is_partitioned: bool = False
    path_is_unique: bool = False
    no_path_twice: bool = False
    fires_after_update: bool = False
    hides_rows: bool = False
    encoding: str = "UTF8"
    holds_production: bool = True

    @property
    def has_text_key(self) -> bool:
        """Whether the key is a text, which is as the database's encoding has it."""
        return self.key_type in TEXT_TYPES

    def compose(self, template: LiteralString, **more: sql.Composable) -> sql.Composed:
        """Fill a statement's names in, quoted: rows of an ordinary table are its own (ONLY), not those of a child.

        The statement is to be executed with parameters, ``()`` where it has none: a ``%`` in a name is doubled.
        """
        table = _identifier(*self.name)
        return sql.SQL(template).format(
            table=table if self.is_partitioned else sql.SQL("ONLY ") + table,
            key=_identifier(self.key_column),
            path=_identifier(self.path_column),
            key_type=sql.SQL(self.key_type),  # format_type() of the server's own catalog
            **more,
        )


def _identifier(*names: str) -> sql.Identifier:
    return sql.Identifier(*(name.replace("%", "%%") for name in names))
