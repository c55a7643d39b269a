"""The two sides of a pair of keys, and how a prefix is written in SQL; ``core.routes`` maps keys. Pure."""

from __future__ import annotations

import re
from enum import StrEnum


class SideName(StrEnum):
    """Where a path belongs by its looks."""

    LEGACY = "legacy"
    PRODUCTION = "production"
    NEITHER = "neither"


BOTH_SIDES = (SideName.LEGACY, SideName.PRODUCTION)


def like_pattern(prefix: str) -> str:
    """Return PostgreSQL's pattern of LIKE for texts with a prefix."""
    return re.sub(r"([\\%_])", r"\\\1", prefix) + "%"


def sql_literal(text: str) -> str:
    """Write a text in SQL; a backslash is a sign like any other (SQL standard, PostgreSQL, DuckDB)."""
    return "'" + text.replace("'", "''") + "'"
