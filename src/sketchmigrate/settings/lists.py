"""MOVES, URLS and REFERENCES together: each entry by itself, and all of them beside each other. Pure.

Imported only where a settings file has one of them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.notation import KeyNotation, Notation
from sketchmigrate.core.routes import Routes, RoutesClash, ToldBy
from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.expression import Computed
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.core.urls import UrlForm, UrlNotation
from sketchmigrate.settings.entries import MoveEntry, ReferenceEntry, UrlEntry
from sketchmigrate.settings.files import ValueOrigin
from sketchmigrate.settings.schema import Settings, setting_fields
from sketchmigrate.settings.sources import classic_routes
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from sketchmigrate.core.shapes.contract import Shape
    from sketchmigrate.core.store_urls import StorePlace

_UNUSED = {
    "references": ("db_table", "db_key_column", "db_path_column"),
    "moves": ("legacy_bucket", "legacy_prefix", "production_bucket", "production_prefix"),
}
"""The settings that a list takes the place of."""

_EXAMPLES = {
    "moves": 'legacy = "s3://sketch-legacy-s3/image/", production = "s3://sketch-production-s3/avatar/"',
    "urls": 'legacy = "https://old.example.com/{key}", production = "https://cdn.example.com/{key}"',
    "references": 'table = "documents", column = "attachment", shape = "json", paths = ["$.file.id"]',
}

Entry = TypeVar("Entry", bound="BaseModel")


@dataclass(frozen=True, slots=True)
class Lists:
    """What the three lists say, checked. Without any moves there is the one route of the classic settings."""

    routes: Routes
    forms: tuple[UrlForm, ...]
    references: tuple[ReferenceEntry, ...]
    legacy: StorePlace
    production: StorePlace

    def routes_of(self, source: ReferenceEntry) -> Routes:
        """Return the routes that a source's keys may take."""
        return self.routes.chosen(source.moves)

    def shape_of(self, source: ReferenceEntry) -> Shape:
        """Return how a source's values are read."""
        routes = self.routes_of(source)
        notation: Notation = KeyNotation(routes)
        if source.holds_urls:
            notation = self.urls_of(source)
        if source.shape == "json":
            return Json(notation, source.paths)
        if source.shape == "array":
            return Array(notation)
        if source.shape == "text":
            return Text(notation, KeyNotation(routes) if source.value == "key" else None)
        return Whole(notation)

    def computed_of(self, source: ReferenceEntry) -> Shape:
        """Return how the keys are read that SQL gives of a source's row, as ``text[]``."""
        return Computed(Array(KeyNotation(self.routes_of(source))))

    def urls_of(self, source: ReferenceEntry) -> UrlNotation:
        """Return how a source's URLs are read."""
        routes = self.routes_of(source)
        buckets = {route.legacy_bucket for route in routes.all}
        forms = tuple(form for form in self.forms if form.bucket in buckets)
        return UrlNotation(routes, forms, self.legacy, self.production, source.s3_urls)


def lists_of(settings: Settings) -> Lists:
    """Return what the lists say of settings that were read and found right."""
    names = (each.name for each in fields(settings))
    return read_lists(settings, {name: ValueOrigin(name.upper(), "the settings") for name in names})


def read_lists(settings: Settings, origins: Mapping[str, ValueOrigin]) -> Lists:
    """Return what the lists say; ``origins`` says where each was written.

    Raises ``SettingsError`` naming file and entry, or both of two that contradict each other.
    """
    moves = _entries("moves", MoveEntry, settings.moves, origins)
    urls = _entries("urls", UrlEntry, settings.urls, origins)
    references = _entries("references", ReferenceEntry, settings.references, origins)
    for name, unused in _UNUSED.items():
        if getattr(settings, name):
            _refuse_unused(name, unused, settings, origins)
    where_moves = str(origins.get("moves", "the settings of buckets and prefixes"))
    legacy, production = (store_of(settings, side).place for side in BOTH_SIDES)
    routes = _checked(
        where_moves,
        "moves",
        lambda: Routes(tuple(each.route for each in moves)) if moves else classic_routes(settings),
    )
    forms = tuple(_form(each, routes, f"{origins['urls']}, entry {n}") for n, each in enumerate(urls, start=1))
    lists = Lists(routes, forms, tuple(references), legacy, production)
    titles: dict[str, int] = {}
    for number, source in enumerate(references, start=1):
        where = f"{origins['references']}, entry {number} ({source.title})"
        if source.title in titles:
            text = f"{where}: entry {titles[source.title]} has this name as well"
            raise SettingsError(text, hint="Give each a name of its own: name = …")
        titles[source.title] = number
        _checked(where, "references", partial(_check_source, source, lists))
    return lists


def _entries(
    name: str, kind: type[Entry], entries: tuple[dict[str, Any], ...], origins: Mapping[str, ValueOrigin]
) -> list[Entry]:
    return [
        _entry(f"{origins[name]}, entry {number}", name, kind, each) for number, each in enumerate(entries, start=1)
    ]


def _entry(where: str, name: str, kind: type[Entry], given: dict[str, Any]) -> Entry:
    said = given.get("name")
    where = f"{where} ({said})" if isinstance(said, str) and said.isprintable() and said else where
    for key in given:
        if key not in kind.model_fields:
            close = difflib.get_close_matches(str(key), kind.model_fields, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            hint = f"There are: {', '.join(kind.model_fields)}."
            if str(key).lower() in {declared.name for declared in setting_fields()}:
                hint = f"In TOML, settings stand above the first [[{name}]]: what is below belongs to it."
            raise SettingsError(f"{where}: there is no {key!r} in an entry{meant}", hint=hint)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        reason = str(fault.get("ctx", {}).get("error", fault["msg"]))
        field = f"{fault['loc'][0]}: " if fault["loc"] else ""
        raise SettingsError(f"{where}: {field}{reason}", hint=f"For example: {_EXAMPLES[name]}") from error


def _refuse_unused(name: str, unused: tuple[str, ...], settings: Settings, origins: Mapping[str, ValueOrigin]) -> None:
    usual = Settings()
    for each in unused:
        if getattr(settings, each) != getattr(usual, each):
            text = f"{origins[each]} and {origins[name]} are both set, and with {name.upper()} the first is not used"
            raise SettingsError(text, hint=f"Take {each.upper()} out, and say it in an entry of {name.upper()}.")


def _form(entry: UrlEntry, routes: Routes, where: str) -> UrlForm:
    buckets = sorted({route.legacy_bucket for route in routes.all})
    bucket = entry.bucket or buckets[0]
    if not entry.bucket and len(buckets) > 1:
        text = f"{where}: the moves have several legacy buckets, and it does not say which one is meant"
        raise SettingsError(text, hint=f"Add bucket = one of: {', '.join(buckets)}.")
    if bucket not in buckets:
        close = difflib.get_close_matches(bucket, buckets, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise SettingsError(
            f"{where}: no move begins in bucket {bucket!r}{meant}", hint=f"There are: {', '.join(buckets)}."
        )
    return UrlForm(entry.legacy, entry.production, bucket)


Result = TypeVar("Result")


def _checked(where: str, name: str, make: Callable[[], Result]) -> Result:
    """Make something of entries, and put a refusal into words."""
    try:
        return make()
    except RoutesClash as clash:
        hint = 'Choose other prefixes, or let a source choose its moves: moves = ["name"].'
        raise SettingsError(f"{where}: {clash}", hint=hint) from clash
    except ValueError as error:
        raise SettingsError(f"{where}: {error}", hint=f"For example: {_EXAMPLES[name]}") from error


def _check_source(source: ReferenceEntry, lists: Lists) -> None:
    """Make sure that a source's sides can be told apart. Raises ``ValueError``."""
    routes = lists.routes_of(source)
    if source.shape == "text" and source.value == "key":
        empty = next((r for r in routes.all if not (r.legacy_prefix and r.production_prefix)), None)
        if empty is not None:
            raise ValueError(f"value: with the empty prefix of {empty} every word of a text would be a key")
    lists.shape_of(source)
    try:
        if source.holds_urls:
            lists.urls_of(source).check()
        if not source.holds_urls or source.value == "key":
            routes.check(ToldBy.KEY)
    except RoutesClash as clash:
        if not source.set:
            raise
        if not source.where:
            text = f"where: it has to say which rows are legacy, as the reference does not tell it ({clash})"
            raise ValueError(text) from clash
