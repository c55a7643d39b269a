"""How the key of one side becomes the key of the other: all that maps keys goes by it. Pure.

What it says in Python it says in SQL as well, for PostgreSQL and for DuckDB: ``tests/integration/test_rule.py`` holds
the three against each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class SideName(StrEnum):
    """Where a path belongs by its looks."""

    LEGACY = "legacy"
    PRODUCTION = "production"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Rule:
    """One prefix is exchanged for another, and nothing else: ``image/a/b.png`` and ``avatar/a/b.png`` are a pair.

    The ``tail`` is what the two have in common. A path that has both prefixes is a legacy one.
    """

    legacy_prefix: str
    production_prefix: str

    def side_of(self, path: str) -> SideName:
        """Return the side that a path is on."""
        if path.startswith(self.legacy_prefix):
            return SideName.LEGACY
        return SideName.PRODUCTION if path.startswith(self.production_prefix) else SideName.NEITHER

    def legacy_key(self, tail: str) -> str:
        """Return the legacy key of a pair."""
        return self.legacy_prefix + tail

    def production_key(self, tail: str) -> str:
        """Return the production key of a pair."""
        return self.production_prefix + tail

    def forward(self, key: str) -> str:
        """Return the production key of a legacy one. Raises ``ValueError`` for another."""
        return self.production_key(_tail(key, self.legacy_prefix))

    def backward(self, key: str) -> str:
        """Return the legacy key of a production one. Raises ``ValueError`` for another."""
        return self.legacy_key(_tail(key, self.production_prefix))

    @property
    def longer_bytes(self) -> int:
        """How many bytes a production key has more than its legacy key."""
        return len(self.production_prefix.encode()) - len(self.legacy_prefix.encode())

    @property
    def legacy_pattern(self) -> str:
        """PostgreSQL's pattern of LIKE, under the collation "C", for paths with the legacy prefix."""
        return like_pattern(self.legacy_prefix)

    @property
    def production_pattern(self) -> str:
        """The same for the production prefix; a path that has both prefixes is a legacy one, which is asked first."""
        return like_pattern(self.production_prefix)

    @property
    def duckdb_macros(self) -> str:
        """What makes DuckDB's ``side_of`` and ``tail_of`` (a path), ``legacy_key`` and ``production_key`` (of a tail).

        NULL is on neither side, where nothing has a tail.
        """
        legacy, production = sql_literal(self.legacy_prefix), sql_literal(self.production_prefix)
        of_legacy, of_production = f"starts_with(path, {legacy})", f"starts_with(path, {production})"
        return f"""
CREATE OR REPLACE TEMP MACRO side_of(path) AS CASE
    WHEN {of_legacy} THEN 'legacy' WHEN {of_production} THEN 'production' ELSE 'neither'
END;
CREATE OR REPLACE TEMP MACRO tail_of(path) AS CASE
    WHEN {of_legacy} THEN substr(path, {len(self.legacy_prefix) + 1})
    WHEN {of_production} THEN substr(path, {len(self.production_prefix) + 1})
END;
CREATE OR REPLACE TEMP MACRO legacy_key(tail) AS {legacy} || tail;
CREATE OR REPLACE TEMP MACRO production_key(tail) AS {production} || tail;
"""


def _tail(key: str, prefix: str) -> str:
    if not key.startswith(prefix):
        message = f"{key!r} does not begin with {prefix!r}"
        raise ValueError(message)
    return key[len(prefix) :]


def like_pattern(prefix: str) -> str:
    """Return PostgreSQL's pattern of LIKE for texts with a prefix."""
    return re.sub(r"([\\%_])", r"\\\1", prefix) + "%"


def sql_literal(text: str) -> str:
    """Write a text in SQL; a backslash is a sign like any other (SQL standard, PostgreSQL, DuckDB)."""
    return "'" + text.replace("'", "''") + "'"
