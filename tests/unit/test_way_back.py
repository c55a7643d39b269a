"""The way back of what was moved: from the value that is there to the one on record, as far as the settings lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from sketchmigrate.core.mapping import Mapping, Move, ObjectPair
from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.reference import Key, Reference
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.migration.flipping import FlipControl
from sketchmigrate.migration.planning import SourceTable
from sketchmigrate.migration.rollback import WayBack
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.table import Table
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.unit.shapes.site import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.ledger import Ledger
    from sketchmigrate.postgres.references import References

NO_SQL = cast("References", None)
"""Nothing is computed by SQL."""


class Record:
    """Tells the old values that this run is about to set."""

    def __init__(self, **olds: str) -> None:
        self._olds = olds

    async def new_paths(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Answer for those that it knows."""
        return {key: self._olds[f"row{key}"] for key in keys if f"row{key}" in self._olds}


def way_back(mapping: Mapping, **olds: str) -> WayBack:
    """Return what plans the way back of a source that is mapped so."""
    table = Table(("avatars",), RowKey.of("id", "bigint"), "path")
    source = SourceTable(source_of(Settings()), table, mapping, FlipControl.of(Settings()))
    return WayBack(source, cast("Ledger", cast("Any", Record(**olds))))


def pair(source: str, target: str) -> ObjectPair:
    """Return an object that is looked for, and the one that the row points at."""
    return ObjectPair(Location("new", source), Location("old", target))


async def test_back_is_from_production_to_legacy_and_says_so() -> None:
    back = way_back(mapping_of())
    row = Reference(7, "avatar/a")
    moved = Move(row, "image/a", Location("new", "avatar/a"), Location("old", "image/a"))
    assert await back.prepare([(row, "image/a")], NO_SQL) == {7: moved}


@pytest.mark.parametrize(
    ("now", "old"),
    [
        ("image/a", "image/a"),
        ("avatar/a", "image/b"),
        ("avatar/a", "avatar/a"),
        ("avatar/", "image/"),
        ("avatar/a", "elsewhere/a"),
        ("avatar/" + "x" * 1018, "image/" + "x" * 1018),
    ],
)
async def test_what_does_not_come_from_the_old_value_has_no_way_back(now: str, old: str) -> None:
    back = way_back(mapping_of())
    assert await back.prepare([(Reference(7, now), old)], NO_SQL) == {}


async def test_a_legacy_key_beyond_the_limit_is_no_way_back() -> None:
    back = way_back(mapping_of("image/longer/", "avatar/"))
    for size, found in ((1011, 1), (1012, 0)):
        row = Reference(7, "avatar/" + "x" * size)
        assert len(await back.prepare([(row, "image/longer/" + "x" * size)], NO_SQL)) == found


async def test_what_was_prepared_is_planned_once_and_then_this_runs_ledger_tells() -> None:
    back = way_back(mapping_of(), row2="image/2", row3="image/other")
    rows = [Reference(number, f"avatar/{number}") for number in (1, 2, 3, 4)]
    prepared = await back.prepare([(rows[0], "image/1")], NO_SQL)
    back.keep(prepared.values())
    planned = await back.plan(rows, NO_SQL)
    assert [(move.reference.key, move.new_path) for move in planned.moves] == [(1, "image/1"), (2, "image/2")]
    assert [(row.key, reason.kind) for row, reason in planned.refused] == [
        (3, ReasonKind.LEADS_ELSEWHERE),
        (4, ReasonKind.LEADS_ELSEWHERE),
    ]
    assert "'image/other'" in str(planned.refused[0][1])
    again = await back.plan(rows[:1], NO_SQL)
    assert (again.moves, len(again.refused)) == ([], 1), "it was not kept, and no ledger tells"


async def test_all_objects_of_a_row_go_back_and_where_it_may_be_a_part_that_part() -> None:
    old, whole, part = "{image/1,image/2}", "{avatar/1,avatar/2}", "{image/1,avatar/2}"
    for is_partial in (False, True):
        back = way_back(Mapping(Array(KeyNotation(PLAIN)), partial=is_partial))
        found = await back.prepare([(Reference(1, whole), old), (Reference(2, part), old)], NO_SQL)
        assert found[1].pairs == (pair("avatar/1", "image/1"), pair("avatar/2", "image/2"))
        assert (found[1].new_path, found[1].references) == (old, 2)
        assert (2 in found) is is_partial
        if is_partial:
            assert found[2].pairs == (pair("avatar/2", "image/2"),)
            assert (found[2].new_path, found[2].references) == (old, 1)
