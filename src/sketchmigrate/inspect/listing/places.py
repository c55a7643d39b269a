"""Lists all places of a side, one after the other, cut where references say that their objects are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.listing.complete import list_all

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from sketchmigrate.core.routes import Place, Routes
    from sketchmigrate.inspect.listing.complete import Sink
    from sketchmigrate.sides import Side


async def list_places(
    side: Side,
    places: Collection[Place],
    sink_of: Callable[[Place], Sink],
    *,
    cuts: Collection[Location] = (),
    expected: int | None = None,
    told: Callable[[str, int, int | None], None],
) -> None:
    """List each place to its end, into the sink that ``sink_of`` returns for it; see ``list_all``. Raises ``S3Error``.

    ``expected`` objects are guessed to be there, which says nothing of one place where there are several.
    """
    for place in places:
        only = len(places) == 1
        await list_all(
            side.store,
            place.bucket,
            place.prefix,
            sink_of(place),
            cuts=[cut.key for cut in cuts if cut.bucket == place.bucket],
            expected=expected if only else None,
            told=partial(told, side.name.value if only else f"{side.name.value} {place}"),
        )


def places_of_keys(routes: Routes, keys: Iterable[str]) -> Iterator[Location]:
    """Yield where the objects of these keys are on both sides, or may be; nothing for a key of neither."""
    for key in keys:
        if (route := routes.of_legacy(key)) is not None:
            yield from (Location(route.legacy_bucket, key), route.production(key))
        elif (route := routes.of_production(key)) is not None:
            yield from (route.legacy(key), Location(route.production_bucket, key))
