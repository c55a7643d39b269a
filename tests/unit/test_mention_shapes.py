"""What values of a column are taken for, and the entries that follow: as a run would read them, nothing invented."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.array import element_text
from sketchmigrate.inspect.mention_patterns import Sought
from sketchmigrate.inspect.mention_shapes import Eye, Form, Place, Sights, chosen_forms, entries
from sketchmigrate.postgres.text_columns import ColumnKind
from sketchmigrate.settings import Settings
from sketchmigrate.settings.files import ValueOrigin
from sketchmigrate.settings.lists import Lists, read_lists

ORIGINS = {name: ValueOrigin(name, "site.toml") for name in ("moves", "urls", "references")}
S3 = "https://sketch-legacy-s3.s3.us-east-1.amazonaws.com"
URLS = [{"legacy": "https://old.example.com/{key}", "production": "https://cdn.example.com/{key}"}]
TEXT, JSON, ARRAY = ColumnKind


def lists_of(**given: object) -> Lists:
    return read_lists(Settings.of({"urls": URLS, **given}), ORIGINS)


LISTS = lists_of()
SOUGHT = Sought(LISTS)


def sights_of(kind: ColumnKind, *values: str, sought: Sought = SOUGHT) -> Sights:
    sights = Sights(Eye(sought, kind))
    for value in values:
        sights.add(value)
    return sights


def shapes_of(kind: ColumnKind, *values: str, sought: Sought = SOUGHT) -> list[dict[str, object]]:
    made = entries(Place("t", ("id",), "c"), kind, sights_of(kind, *values, sought=sought))
    kept = {"shape", "value", "paths"}
    return [
        {name: each for name, each in entry.model_dump(exclude_defaults=True).items() if name in kept} for entry in made
    ]


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (TEXT, ["image/1.png", "image/a b.png"], [{"shape": "key"}]),
        (TEXT, [f"{S3}/image/1.png?v=2", "//old.example.com/image/2"], [{"shape": "url"}]),
        (TEXT, ["s3://sketch-legacy-s3/image/1"], [{"shape": "url"}]),
        (TEXT, [f"<img src='{S3}/image/1.png'>", f"{S3}/image/2.png"], [{"shape": "text"}]),
        (TEXT, ["![x](image/1.png)"], [{"shape": "text", "value": "key"}]),
        (TEXT, ["image/1.png", f"{S3}/image/1.png"], [{"shape": "key"}, {"shape": "url"}]),
        (TEXT, ["image/1.png", f"at {S3}/image/1.png"], [{"shape": "key"}, {"shape": "text"}]),
        (JSON, ['{"id": "image/1"}'], [{"shape": "json", "paths": ("$.id",)}]),
        (JSON, [r'{"src": "https:\/\/OLD.example.com\/image\/1"}'],
         [{"shape": "json", "paths": ("$.src",), "value": "url"}]),
        (JSON, ['{"id": "image/1", "url": "s3://sketch-legacy-s3/image/1"}'],
         [{"shape": "json", "paths": ("$.id",)}, {"shape": "json", "paths": ("$.url",), "value": "url"}]),
        (ARRAY, ['{NULL,"image/a b",x}'], [{"shape": "array"}]),
        (ARRAY, ["{https://old.example.com/image/1}"], [{"shape": "array", "value": "url"}]),
    ],
)  # fmt: skip
def test_the_simplest_shape_that_reads_it(
    kind: ColumnKind, values: list[str], expected: list[dict[str, object]]
) -> None:
    assert shapes_of(kind, *values) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TEXT, "image/png"),
        (TEXT, "image/svg+xml; charset=utf-8"),
        (TEXT, "avatar/1.png"),
        (TEXT, "/var/www/image/1.png"),
        (TEXT, "thumbs/image/1.png"),
        (TEXT, "images/1.png"),
        (TEXT, "image/"),
        (TEXT, "what is below image/ is old"),
        (TEXT, "image/" + "x" * 1024),
        (TEXT, "data:image/webp;base64,AAAA"),
        (TEXT, '<source type="image/webp" src="/image/1">'),
        (TEXT, 'a:1:{s:4:"mime";s:9:"image/png";}'),
        (TEXT, "https://example.com/image/1.png"),
        (JSON, '{"type": "image/png", "path": "/image/1"}'),
        (JSON, '"image/"'),
        (ARRAY, "{image/gif,images/2}"),
    ],
)
def test_what_only_looks_like_a_reference_is_none(kind: ColumnKind, value: str) -> None:
    sights = sights_of(kind, value)
    assert (sights.rows, sights.other) == (0, 0)
    assert entries(Place("t", (), "c"), kind, sights) == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TEXT, "sketch-legacy-s3"),
        (TEXT, "https://old.example.com/about"),
        (TEXT, "s3://SKETCH-LEGACY-S3/other/1"),
        (JSON, '{"bucket": "sketch-legacy-s3"}'),
        (JSON, r'{"html": "<img src=\"image/1.png\">"}'),
        (ARRAY, '{"see image/1.png"}'),
        (TEXT, r'{"src":"image\/1.png"}'),
    ],
)
def test_what_no_shape_reads_is_told_apart(kind: ColumnKind, value: str) -> None:
    sights = sights_of(kind, value)
    assert (sights.rows, sights.other, sights.other_examples) == (0, 1, (value,))


def test_an_example_shows_what_was_found() -> None:
    assert sights_of(TEXT, "x" * 500 + " image/1.png " + "y" * 500).examples == (
        "…" + "x" * 19 + " image/1.png " + "y" * 40 + "…",
    )


@pytest.mark.parametrize("value", ["the sketch-legacy-s3-backup", "my-sketch-legacy-s3", "me@old.example.com"])
def test_another_name_that_has_it_in_it_is_none(value: str) -> None:
    assert sights_of(TEXT, value).other == 0


def test_media_types_are_counted_and_their_paths_kept_out() -> None:
    document = {"a": {"one": "image/1", "two": "image/2", "three": "image/3", "type": "image/png"}}
    sights = sights_of(JSON, json.dumps(document))
    assert sights.media == 1
    assert sights.paths == {Form.KEY: ("$.a.one", "$.a.three", "$.a.two")}


@pytest.mark.parametrize(
    "value",
    [
        f"{S3}/image/1.png?X-Amz-Signature=ab",
        'a:1:{s:3:"src";s:11:"image/1.png";}',
        f"{S3}/image/%zz.png",
    ],
)
def test_what_cannot_be_moved_is_a_reference_all_the_same(value: str) -> None:
    sights = sights_of(TEXT, value)
    assert (sights.rows, sights.unmovable) == (1, 1)


def test_without_a_prefix_no_key_is_invented() -> None:
    moves = [{"legacy": "s3://sketch-legacy-s3", "production": "s3://sketch-production-s3/avatar/"}]
    sought = Sought(lists_of(moves=moves))
    assert sought.empty_prefixes == ("s3://sketch-legacy-s3/ -> s3://sketch-production-s3/avatar/",)
    assert shapes_of(TEXT, "anything", "image/1.png", "x" * 2000, sought=sought) == []
    assert shapes_of(JSON, '"anything"', sought=sought) == []
    assert shapes_of(TEXT, "s3://sketch-legacy-s3/anything", sought=sought) == [{"shape": "url"}]


def test_prefixes_in_two_buckets_do_not_tell_which_is_meant() -> None:
    moves = [
        {"legacy": f"s3://{name}/image/", "production": f"s3://sketch-production-s3/{name}/"}
        for name in ("old-1", "old-2")
    ]
    urls = [{**URLS[0], "bucket": "old-1"}]
    assert "one legacy prefix in two buckets" in Sought(lists_of(moves=moves, urls=urls)).why_no_keys


def test_references_that_a_source_reads_are_covered_and_others_are_not() -> None:
    (source,) = entries(Place("t", ("id",), "c"), JSON, sights_of(JSON, '{"id": "image/1"}'))
    sights = Sights(Eye(SOUGHT, JSON), [LISTS.shape_of(source)])
    for value in ('{"id": "image/1"}', '{"id": "image/1", "thumb": "image/2"}', '{"thumb": "image/2"}'):
        sights.add(value)
    assert (sights.rows, sights.covered) == (3, 1)


KEY_TEXT = st.text(st.sampled_from("ab %\"'\\/{},é.\n"), min_size=1, max_size=6).map(lambda tail: f"image/{tail}")
URL_TEXT = st.text(st.sampled_from("ab.-_/& ?)"), min_size=1, max_size=6).map(lambda tail: f"{S3}/image/{tail}")
OTHER = st.sampled_from(["", "other", "avatar/1.png", "image/png", "sketch-legacy-s3"])
ANY = KEY_TEXT | URL_TEXT | OTHER
VALUES = {
    TEXT: ANY | ANY.map(lambda text: f'see "{text}" there'),
    JSON: st.dictionaries(st.sampled_from("abcd"), ANY | st.lists(ANY, max_size=2), max_size=3).map(json.dumps),
    ARRAY: st.lists(ANY, max_size=3).map(lambda texts: "{" + ",".join(map(element_text, texts)) + "}"),
}


@given(st.sampled_from(ColumnKind).flatmap(lambda kind: st.tuples(st.just(kind), st.lists(VALUES[kind], max_size=8))))
def test_the_entries_read_every_row_that_is_said_to_be_covered(given_: tuple[ColumnKind, list[str]]) -> None:
    kind, values = given_
    sights = sights_of(kind, *values)
    shapes = [LISTS.shape_of(entry) for entry in entries(Place("t", ("id",), "c"), kind, sights)]
    chosen = chosen_forms(kind, sights.forms or sights.unmovable_forms)
    left = 0
    for value in values:
        seen = Eye(SOUGHT, kind).see(value)
        found = [slot for shape in shapes for slot in shape.read(value).slots if slot.side is SideName.LEGACY]
        if len(found) < seen.references and seen.moves:
            left += 1
        elif seen.forms & {Form.KEY, Form.URL} and kind is TEXT and seen.moves:
            left += (0, len(value)) not in {(slot.start, slot.stop) for slot in found}
    assert left == sights.left(chosen)


@given(st.sampled_from(ColumnKind).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind])))
def test_whatever_has_something_matches_the_patterns(given_: tuple[ColumnKind, str]) -> None:
    kind, value = given_
    seen = Eye(SOUGHT, kind).see(value)
    exact, any_case = (
        [each[1:-1].replace("\\_", "_").replace("\\%", "%").replace("\\\\", "\\") for each in patterns]
        for patterns in SOUGHT.patterns(kind)
    )
    matches = any(each in value for each in exact) or any(each.lower() in value.lower() for each in any_case)
    assert matches or not (seen.forms or seen.media or seen.is_other)
