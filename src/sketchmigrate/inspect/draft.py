"""A settings file for a site that was looked at: which moves to look for, and what the file says then. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.discover_report import references_toml
from sketchmigrate.settings.entries import MoveEntry
from sketchmigrate.settings.writing import comment, move_toml, toml_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.settings import Settings

MOST_PREFIXES = 30
"""Of a bucket with more prefixes only that of the settings is looked for: names of people, or numbers, are no kinds."""

_FOLDERS = ("moved/", "migrated/", "moved-by-sketch-migrate/")
_SIDES = ("legacy_bucket", "legacy_prefix", "production_bucket", "production_prefix")
_COLUMN = ("db_table", "db_key_column", "db_path_column")

_HEAD = """\
Settings of sketch-migrate, as init found the site. Look through it, and change what is not meant.
What is not here has its default; lib/config.py explains each setting. An environment variable SKETCH_<NAME>
overrides a line, and a flag both. No secrets: these come from the environment (SKETCH_DB_USER, SKETCH_DB_PASS,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, LEGACY_AWS_…, PRODUCTION_AWS_…), or from where libpq and AWS have them."""


class Prefixes(NamedTuple):
    """What the keys of a bucket begin with, up to the first slash; ``is_all`` unless it has more of them.

    ``has_others``: keys without a slash are there as well.
    """

    all: tuple[str, ...]
    is_all: bool
    has_others: bool


def candidates(settings: Settings, legacy: Prefixes, *, is_prefix_given: bool) -> tuple[MoveEntry, ...]:
    """Return a move for each prefix that legacy references may have, that of the settings the first.

    Where its keys go is known of that one alone; the others go to a folder that is in nobody's way.
    """
    usual = settings.legacy_prefix
    prefixes = [prefix for prefix in legacy.all if prefix != usual and prefix.isprintable()]
    if is_prefix_given or not legacy.is_all or len(legacy.all) > MOST_PREFIXES:
        prefixes = []
    free = [folder for folder in _FOLDERS if folder not in {*legacy.all, settings.production_prefix}]
    folder = free[0] if free else f"{settings.production_prefix}moved/"
    goes_to = {usual: settings.production_prefix} | {prefix: folder + prefix for prefix in prefixes}
    if settings.production_prefix in prefixes:
        goes_to[usual] = folder + usual  # or what is done would look as if it were not
    places = (
        (f"s3://{settings.legacy_bucket}/{old}", f"s3://{settings.production_bucket}/{new}")
        for old, new in goes_to.items()
    )
    return tuple(MoveEntry.model_validate({"legacy": old, "production": new}) for old, new in places)


@dataclass(frozen=True, slots=True)
class Draft:
    """The settings file. ``is_classic``: one column of keys, said without lists."""

    text: str
    is_classic: bool


def draft(
    settings: Settings,
    said: Collection[str],
    moves: Sequence[MoveEntry],
    found: Discovery,
    prefixes: Mapping[str, Prefixes],
) -> Draft:
    """Return the file. ``said`` are the settings that somebody gave, ``prefixes`` those of each side's bucket.

    ``moves`` are those that were looked for: those that references take are in the file.
    """
    taken = [move for move in moves if any(str(move.route) in column.moves for column in found.columns)]
    usual = moves[0]
    is_usual = usual.production == Location(settings.production_bucket, settings.production_prefix)
    classic = _classic_column(found) if is_usual and taken in ([], [usual]) else None
    others = [name for name in said if name not in {*_SIDES, *_COLUMN}]
    parts = ["\n".join(comment(_HEAD))]
    parts += _part("The database", {name: getattr(settings, name) for name in others if name.startswith("db_")})
    parts += _part("S3, and the rest", {name: getattr(settings, name) for name in others if name[:3] != "db_"})
    about = "\n".join(f"The {side} bucket has {_shown(each)}." for side, each in prefixes.items())
    if classic is not None or not found.columns:
        parts += _part(f"Which keys go where.\n{about}", {name: getattr(settings, name) for name in _SIDES})
        column = classic or {name: getattr(settings, name) for name in _COLUMN}
        what = "The column that holds the keys" if classic else "No column was found that mentions legacy: say which"
        parts += _part(what, column)
        return Draft("\n\n".join(parts) + "\n", is_classic=True)
    note = "Which keys go where: the longest legacy prefix of a key counts. Change the production prefixes to what the"
    note += "\napplication is to have; one may not begin as a legacy prefix does, where rows hold keys alone."
    first, *more = map(move_toml, taken or [usual])
    parts += ["\n".join([*comment(f"{note}\n{about}"), first]), *more]
    parts += ["\n".join(comment("The columns that mention legacy.")), references_toml(found.columns)]
    return Draft("\n\n".join(filter(None, parts)) + "\n", is_classic=False)


def _classic_column(found: Discovery) -> dict[str, object] | None:
    """Return the settings of the one column of keys that was found, if it is that."""
    if len(found.columns) != 1 or len(found.columns[0].entries) != 1:
        return None
    (entry,) = found.columns[0].entries
    if entry.shape != "key" or len(entry.key) != 1 or entry.key[0] == entry.column:
        return None
    return dict(zip(_COLUMN, (entry.table, entry.key[0], entry.column), strict=True))


def _part(title: str, values: Mapping[str, object]) -> list[str]:
    return ["\n".join([*comment(title), *toml_lines(values)])] if values else []


def _shown(prefixes: Prefixes) -> str:
    named = ", ".join(prefixes.all[:MOST_PREFIXES]) or "no prefix"
    more = " and more" if len(prefixes.all) > MOST_PREFIXES or not prefixes.is_all else ""
    return f"{named}{more}{', and keys without one' if prefixes.has_others else ''}"
