"""Mappings of one move and keys as they are, and the source of settings, for tests of what is below a site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.mapping import Mapping
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.settings.sources import sources_of

if TYPE_CHECKING:
    from sketchmigrate.core.source import Source
    from sketchmigrate.settings import Settings


def mapping_of(
    legacy_prefix: str = "image/",
    production_prefix: str = "avatar/",
    buckets: tuple[str, str] = ("old", "new"),
    *,
    max_path_chars: int | None = None,
    max_path_bytes: int | None = None,
) -> Mapping:
    """Return that of a column of keys."""
    route = Route(buckets[0], legacy_prefix, buckets[1], production_prefix)
    return Mapping(Whole(KeyNotation(Routes((route,)))), max_path_chars, max_path_bytes)


def source_of(settings: Settings) -> Source:
    """Return the one source of these settings."""
    (source,) = sources_of(settings)
    return source
