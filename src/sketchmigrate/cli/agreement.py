"""What a person is asked before a migration writes anything: all that is about to be written, where, and how. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.plural import counted
from sketchmigrate.inspect.amount import amount_lines
from sketchmigrate.migration.no_clobber import AUTO, Means
from sketchmigrate.migration.opening import has_own_credentials
from sketchmigrate.migration.transfer_kind import TransferKind
from sketchmigrate.postgres.table import MOST_MOVED_ROWS
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from sketchmigrate.s3.probe.race import KEYS, RACE_SECONDS, RACES
from sketchmigrate.settings.sources import routes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sketchmigrate.core.routes import Route
    from sketchmigrate.core.source import Source
    from sketchmigrate.inspect.amount import Amount
    from sketchmigrate.migration.look_ahead import LookAhead
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.settling import Settling
    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Options
    from sketchmigrate.sides import Side

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


_STREAMED = {
    Means.CONDITIONAL_PUT: "is put if nothing is there (conditional-put)",
    Means.CONDITIONAL_COMPLETE: "is put in parts, which become it if nothing is there (conditional-complete)",
    Means.CHECK_FIRST: "is put after a look (check-first): what the application stores\nbetween the two would be"
    " replaced, and reported",
}


def migration_question(site: Site, settling: Settling, ahead: LookAhead, amount: Amount | None) -> str:
    """Say what a migration is about to write, and on lines of their own what the copies will not keep."""
    options = settling.options
    about = {
        "objects": objects_lines(site),
        "rows": (*rows_lines(site), f"in the database {site.database.where}"),
        **({"amount": amount_lines(amount)} if amount is not None and site.sample else {}),
        **({"moves": moves} if (moves := moving(site.sources)) else {}),
        **transfer(site.sides.production, options, ahead.not_tried),
        **whose_credentials(site),
    }
    many = how_many(site.estimated_rows, options.limit)
    return f"This migrates {many}.\n{listed(about)}\n{lines_of(ahead)}Nothing is deleted.\nGo on?"


def objects_lines(site: Site) -> Iterator[str]:
    """Say which objects go where, a move or two lines each."""
    routes = routes_of(site.settings).all
    legacy, production = site.sides.legacy.store_name, site.sides.production.store_name
    for number, route in enumerate(routes, start=1):
        is_last = number == len(routes)
        yield f"s3://{route.legacy_bucket}/{route.legacy_prefix}…{f' at {legacy}' * (is_last and legacy != production)}"
        yield f"to s3://{route.production_bucket}/{route.production_prefix}…{f' at {production}' * is_last}"


def rows_lines(site: Site) -> Iterator[str]:
    """Say which columns change, a line for each source."""
    for each in site.sources:
        source = each.source
        if (route := _only_route(source)) is not None:
            yield f"{source.table}.{source.column} from {route.legacy_prefix}… to {route.production_prefix}…"
            continue
        columns = [*([source.column] if source.column else []), *(f"{name} = {value!r}" for name, value in source.sets)]
        name = "" if source.name == f"{source.table}.{source.column}" else f"{source.name}: "
        yield f"{name}{source.table} ({', '.join(columns)}), {source.shape_name}"


def _only_route(source: Source) -> Route | None:
    """Return the route of a source whose rows hold a key and nothing more, where it has no other."""
    is_plain = source.shape_name == "key" and not source.sets and len(source.routes.all) == 1
    return source.routes.all[0] if is_plain else None


def moving(sources: Sequence[SourceTable]) -> tuple[str, ...]:
    """Say what an application meets where flips move rows to another partition; nothing where none does."""
    names = dict.fromkeys(each.source.table for each in sources if each.table.moves_rows)
    if not names:
        return ()
    return (
        f"rows of {', '.join(names)} move to another partition: an UPDATE of the application that",
        f"waits for such a row fails (40001), and has to be made again; a flip has {MOST_MOVED_ROWS} rows at most",
    )


def back_lines(sources: Sequence[SourceTable]) -> Iterator[str]:
    """Say which columns a rollback changes, a line for each source."""
    for each in sources:
        source = each.source
        if (route := _only_route(source)) is not None:
            prefixes = f"from {route.production_prefix}… back to {route.legacy_prefix}…"
            yield f"It sets {source.table}.{source.column} {prefixes}"
            continue
        columns = ", ".join(filter(None, (source.column, *(name for name, _ in source.sets))))
        yield f"It sets {source.table} ({columns}) back to what it held: source {source.name}"


def lines_of(ahead: LookAhead) -> str:
    """Return what copies will not keep, on lines of their own."""
    return "".join(f"{line}\n" for line in ahead.lines)


def how_many(estimated_rows: int | None, limit: int) -> str:
    """Say how many rows it is about, as far as anybody knows before they are read."""
    if limit and (estimated_rows is None or limit < estimated_rows):
        return f"up to {counted(limit, 'row')} (-l) and {'its' if limit == 1 else 'their'} objects"
    if estimated_rows is None:
        return "all legacy rows and their objects; how many, nobody knows: the table was never analysed"
    return f"the legacy rows among about {estimated_rows:,} (the planner's estimate), and their objects"


def transfer(production: Side, options: Options, not_tried: str) -> dict[str, Iterable[str]]:
    """Say how objects get to production, what keeps them from replacing others, and what is stored to find that out.

    ``not_tried`` is why the store is not tried; empty where it is.
    """
    streamed = options.transfer == TransferKind.STREAMED
    if options.overwrite:
        way = "each object passes through this machine" if streamed else "the store copies each object itself"
        return {"transfer": (f"{way}, and OVERWRITES what is there (-w)",)}
    if options.no_clobber == Means.CHECK_FIRST:
        return {"transfer": _way(Means.CHECK_FIRST, streamed=streamed)}
    if not_tried and options.no_clobber == AUTO:
        return {"transfer": _way(Means.CHECK_FIRST, streamed=streamed), "trial": (not_tried,)}
    trial = (
        f"some 30 objects of up to 20 bytes in {production}",
        f"{PROBE_FOLDER}…, and {RACES:,} writes to {KEYS} more, for up to {RACE_SECONDS:.0f} s;",
        "all are removed again, and the result is kept for 30 days",
    )
    if options.no_clobber == AUTO and streamed:
        return {
            "transfer": (
                "each object passes through this machine (streamed), and after your yes the store is tried:",
                "conditional-put, if it keeps that condition for sure. If not, check-first is used: what the",
                "application stores between a look and the put would be replaced, and reported; then it",
                "asks once more",
            ),
            "trial": trial,
        }
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
    return {"transfer": (*_way(Means(options.no_clobber), streamed=streamed), proved), "trial": trial}


def _way(means: Means, *, streamed: bool) -> tuple[str, ...]:
    if not streamed:
        return _TRANSFERS[means]
    return ("each object passes through this machine (streamed), and", *_STREAMED[means].splitlines())


def whose_credentials(site: Site) -> dict[str, Iterable[str]]:
    """Say so where the two sides are elsewhere, and only one has credentials of its own."""
    sides = site.sides
    own = [str(side.name) for side in sides if has_own_credentials(site.settings, side.name)]
    if sides.legacy.store_name == sides.production.store_name or len(own) != 1:
        return {}
    other = next(str(side.name) for side in sides if side.name not in own)
    return {"keys": (f"{own[0]} has credentials of its own; {other} is asked with those of both sides",)}


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
