"""The settings file that ``init`` writes: the moves that are looked for, and the two ways of saying what was found."""

from __future__ import annotations

import tomllib

import pytest

from sketchmigrate.core.routes import Routes, ToldBy
from sketchmigrate.inspect.discover import Discovery, FoundColumn, likely_rows
from sketchmigrate.inspect.draft import MOST_PREFIXES, Prefixes, candidates, draft
from sketchmigrate.inspect.mention_shapes import Form
from sketchmigrate.settings import Settings
from sketchmigrate.settings.entries import ReferenceEntry

SETTINGS = Settings(db_name="site")
USUAL = "s3://sketch-legacy-s3/image/ -> s3://sketch-production-s3/avatar/"


def prefixes(*names: str, is_all: bool = True) -> Prefixes:
    return Prefixes(names, is_all, has_others=False)


def moves_of(*names: str, is_all: bool = True, is_prefix_given: bool = False) -> list[str]:
    found = candidates(SETTINGS, prefixes(*names, is_all=is_all), is_prefix_given=is_prefix_given)
    Routes(tuple(move.route for move in found)).check(ToldBy.KEY)
    return [str(move.route) for move in found]


def test_each_prefix_is_looked_for_and_the_usual_one_first() -> None:
    other = "s3://sketch-legacy-s3/thumbs/ -> s3://sketch-production-s3/moved/thumbs/"
    assert moves_of("thumbs/", "image/") == [USUAL, other]
    assert moves_of("thumbs/") == [USUAL, other]
    assert moves_of() == [USUAL]


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (["thumbs/"], {"is_prefix_given": True}),
        (["thumbs/"], {"is_all": False}),
        ([f"{number}/" for number in range(MOST_PREFIXES + 1)], {}),
    ],
)
def test_that_of_the_settings_alone(names: list[str], more: dict[str, bool]) -> None:
    assert moves_of(*names, **more) == [USUAL]


def test_no_key_would_be_legacy_again_where_it_goes() -> None:
    assert moves_of("image/", "avatar/", "moved/", "migrated/") == [
        "s3://sketch-legacy-s3/image/ -> s3://sketch-production-s3/moved-by-sketch-migrate/image/",
        "s3://sketch-legacy-s3/avatar/ -> s3://sketch-production-s3/moved-by-sketch-migrate/avatar/",
        "s3://sketch-legacy-s3/moved/ -> s3://sketch-production-s3/moved-by-sketch-migrate/moved/",
        "s3://sketch-legacy-s3/migrated/ -> s3://sketch-production-s3/moved-by-sketch-migrate/migrated/",
    ]


def column(entry: ReferenceEntry, move: str = USUAL) -> FoundColumn:
    return FoundColumn(
        table=entry.table, column=entry.column, type_name="text", forms={Form.KEY: 3}, rows=3, is_counted=True,
        covered_rows=0, covered_by=(), unmovable_rows=0, left_rows=0, examples=(), key=entry.key, indexes=(),
        triggers=(), moves=(move,), entries=(entry,),
    )  # fmt: skip


def found(*columns: FoundColumn) -> Discovery:
    return Discovery(
        schemas=("public",), is_full=False, tables=1, rows=9, columns=columns, naming=(), media_types=(), too_long=(),
        unreadable=(), hidden=(), not_looked_at=(), not_migrated=(), empty_prefixes=(),
    )  # fmt: skip


def written(*columns: FoundColumn, listed: tuple[str, ...] = ("image/",)) -> tuple[dict[str, object], bool]:
    legacy = prefixes(*listed)
    moves = candidates(SETTINGS, legacy, is_prefix_given=False)
    made = draft(SETTINGS, ["db_name"], moves, found(*columns), {"legacy": legacy, "production": prefixes()})
    return tomllib.loads(made.text), made.is_classic


KEYS = ReferenceEntry(table="pictures", key=("number",), column="file", shape="key")


def test_one_column_of_keys_is_said_with_the_classic_settings() -> None:
    said, is_classic = written(column(KEYS))
    assert is_classic
    assert said == {
        "db_name": "site",
        "legacy_bucket": "sketch-legacy-s3",
        "legacy_prefix": "image/",
        "production_bucket": "sketch-production-s3",
        "production_prefix": "avatar/",
        "db_table": "pictures",
        "db_key_column": "number",
        "db_path_column": "file",
    }


@pytest.mark.parametrize(
    ("entry", "listed"),
    [
        (ReferenceEntry(table="pictures", key=("number",), column="file", shape="url"), ("image/",)),
        (ReferenceEntry(table="pictures", key=("a", "b"), column="file", shape="key"), ("image/",)),
        (ReferenceEntry(table="pictures", key=("file",), column="file", shape="key"), ("image/",)),
        (KEYS, ("image/", "avatar/")),
    ],
)
def test_all_else_with_lists(entry: ReferenceEntry, listed: tuple[str, ...]) -> None:
    move = str(candidates(SETTINGS, prefixes(*listed), is_prefix_given=False)[0].route)
    said, is_classic = written(column(entry, move), listed=listed)
    assert not is_classic
    assert set(said) == {"db_name", "moves", "references"}
    assert isinstance(said["moves"], list)
    assert len(said["moves"]) == 1


def test_where_nothing_can_be_moved_the_usual_move_is_there() -> None:
    said, _ = written(column(ReferenceEntry(table="pages", key=("id",), column="body", shape="text"), move=""))
    assert said["moves"] == [
        {"legacy": "s3://sketch-legacy-s3/image/", "production": "s3://sketch-production-s3/avatar/"}
    ]


@pytest.mark.parametrize(
    ("by_sample", "by_statistics", "rows"), [(100, 120, 120), (100, 0, 100), (100, 1000, 100), (0, 0, 0)]
)
def test_old_statistics_do_not_count(by_sample: int, by_statistics: int, rows: int) -> None:
    assert likely_rows(by_sample, by_statistics) == rows
