"""What a person is asked before a migration writes anything: all that is about to be written, where, and how. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.migration.no_clobber import AUTO, Means
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from sketchmigrate.s3.probe.race import KEYS, RACE_SECONDS, RACES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.migration.look_ahead import LookAhead
    from sketchmigrate.migration.settling import Settling
    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Options, Settings

_TRANSFERS = {
    Means.CONDITIONAL_COPY: ("the store copies each object itself, if nothing is there (conditional-copy)",),
    Means.CONDITIONAL_PUT: (
        "each object passes through this machine, and is put if nothing is there;",
        "those over 8 MiB the store copies in parts (conditional-put)",
    ),
    Means.CONDITIONAL_COMPLETE: (
        "the store copies each object in parts, and makes it of them if nothing is there",
        "(conditional-complete)",
    ),
    Means.CHECK_FIRST: (
        "a look, then the store copies the object itself (check-first): what the application",
        "stores between the two would be replaced, and reported",
    ),
}


def migration_question(site: Site, options: Options, ahead: LookAhead) -> str:
    """Say what a migration is about to write, and on lines of their own what the copies will not keep."""
    s = site.settings
    about = {
        "objects": (
            f"s3://{s.legacy_bucket}/{s.legacy_prefix}…",
            f"to s3://{s.production_bucket}/{s.production_prefix}… at {site.sides.production.store_name}",
        ),
        "rows": (
            f"{s.db_table}.{s.db_path_column} from {s.legacy_prefix}… to {s.production_prefix}…",
            f"in the database {site.database.where}",
        ),
        **transfer(s, options, ahead.not_tried),
    }
    many = how_many(site.table.estimated_rows, options.limit)
    return f"This migrates {many}.\n{listed(about)}\n{lines_of(ahead)}Nothing is deleted.\nGo on?"


def lines_of(ahead: LookAhead) -> str:
    """Return what copies will not keep, on lines of their own."""
    return "".join(f"{line}\n" for line in ahead.lines)


def how_many(estimated_rows: int | None, limit: int) -> str:
    """Say how many rows it is about, as far as anybody knows before they are read."""
    if limit and (estimated_rows is None or limit < estimated_rows):
        return f"up to {limit:,} rows (-l) and their objects"
    if estimated_rows is None:
        return "all legacy rows and their objects; how many, nobody knows: the table was never analysed"
    return f"the legacy rows among about {estimated_rows:,} (the planner's estimate), and their objects"


def transfer(settings: Settings, options: Options, not_tried: str) -> dict[str, Iterable[str]]:
    """Say how objects get to production, what keeps them from replacing others, and what is stored to find that out.

    ``not_tried`` is why the store is not tried; empty where it is.
    """
    if options.overwrite:
        return {"transfer": ("the store copies each object itself, and OVERWRITES what is there (-w)",)}
    if options.no_clobber == Means.CHECK_FIRST:
        return {"transfer": _TRANSFERS[Means.CHECK_FIRST]}
    if not_tried and options.no_clobber == AUTO:
        return {"transfer": _TRANSFERS[Means.CHECK_FIRST], "trial": (not_tried,)}
    trial = (
        f"some 30 objects of up to 20 bytes in s3://{settings.production_bucket}/{settings.production_prefix}",
        f"{PROBE_FOLDER}…, and {RACES:,} writes to {KEYS} more, for up to {RACE_SECONDS:.0f} s;",
        "all are removed again, and the result is kept for 30 days",
    )
    if options.no_clobber == AUTO:
        return {
            "transfer": (
                "after your yes the store is tried: conditional-copy, if it keeps that condition for",
                "sure, or conditional-put (through this machine). If none is proved,",
                "check-first is used: what the application stores between a look and the copy would",
                "be replaced, and reported; then it asks once more",
            ),
            "trial": trial,
        }
    proved = "if that is proved after your yes; else nothing is copied"
    return {"transfer": (*_TRANSFERS[Means(options.no_clobber)], proved), "trial": trial}


def listed(about: dict[str, Iterable[str]]) -> str:
    """Return a block of lines for each word, side by side with it."""
    indent = "\n" + " " * 12
    return "\n".join(f"  {word:<8}  {indent.join(lines)}" for word, lines in about.items())


def check_first_question(settling: Settling) -> str:
    """Ask once more where nothing better than a look was found; empty where that was asked for, or is not so."""
    if not settling.needs_consent:
        return ""
    return (
        "To replace nothing there is only check-first: a look before each copy. What the application stores under the\n"
        "same key between the two would be replaced, and its row reported as possibly overwritten.\n"
        "Go on all the same?"
    )
