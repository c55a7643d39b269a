"""The sources that the settings describe: the entries of REFERENCES, or the one of the classic settings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes, RoutesClash, ToldBy
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.core.source import Source

if TYPE_CHECKING:
    from sketchmigrate.settings.entries import ReferenceEntry
    from sketchmigrate.settings.lists import Lists
    from sketchmigrate.settings.schema import Settings


def sources_of(settings: Settings) -> tuple[Source, ...]:
    """Return the sources, in their order; of settings that were read and found right.

    Raises ``SettingsError`` for moves that the classic settings of the table cannot tell apart.
    """
    if not settings.has_lists:
        return (_classic(settings, classic_routes(settings)),)
    from sketchmigrate.settings.lists import lists_of  # noqa: PLC0415 - few need it

    lists = lists_of(settings)
    if not lists.references:
        try:
            lists.routes.check(ToldBy.KEY)
        except RoutesClash as clash:
            hint = "Say where the references are, in REFERENCES: keys in a column cannot tell these moves apart."
            raise SettingsError(f"MOVES: {clash}", hint=hint) from clash
        return (_classic(settings, lists.routes),)
    return tuple(_source(number, entry, lists) for number, entry in enumerate(lists.references))


def routes_of(settings: Settings) -> Routes:
    """Return which keys go where."""
    if not settings.moves:
        return classic_routes(settings)
    from sketchmigrate.settings.lists import lists_of  # noqa: PLC0415 - few need it

    return lists_of(settings).routes


def classic_routes(settings: Settings) -> Routes:
    """Return the one route of the settings of buckets and prefixes."""
    legacy = (settings.legacy_bucket, settings.legacy_prefix)
    return Routes((Route(*legacy, settings.production_bucket, settings.production_prefix),))


def _classic(settings: Settings, routes: Routes) -> Source:
    return Source(
        name=f"{settings.db_table}.{settings.db_path_column}",
        number=0,
        table=settings.db_table,
        key=(settings.db_key_column,),
        column=settings.db_path_column,
        shape=Whole(KeyNotation(routes)),
        shape_name="key",
        routes=routes,
        is_classic=True,
    )


def _source(number: int, entry: ReferenceEntry, lists: Lists) -> Source:
    return Source(
        name=entry.title,
        number=number,
        table=entry.table,
        key=entry.key,
        column=entry.column,
        shape=lists.computed_of(entry) if entry.expression else lists.shape_of(entry),
        shape_name=entry.shape,
        routes=lists.routes_of(entry),
        sets=tuple(entry.set.items()),
        where=entry.where,
        reads=entry.reads,
        expression=entry.expression,
        also_move=entry.also_move,
        partial=entry.partial,
    )
