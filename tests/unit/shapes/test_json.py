"""JSON: the strings at the paths change, and nothing else of the text."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.json_paths import Step, parse_path
from tests.unit.shapes.site import KEY_TEXTS, KEYS, PLAIN, URLS, check_slots, moved

Document: TypeAlias = Any  # before it is written, an object is a tuple of pairs, as a name may be there twice


@dataclass(frozen=True, slots=True)
class Raw:
    """A number or a word, as it is written."""

    text: str


NAMES = st.sampled_from(["a", "b", "", 'q"\\', "é", "0", "a b"])
NUMBERS = st.sampled_from(["0", "-1.00", "1e5", "123456789012345678901234567890", "true", "null"])
DOCUMENTS: st.SearchStrategy[Document] = st.recursive(
    KEY_TEXTS | NUMBERS.map(Raw),
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(NAMES, inner), max_size=5).map(tuple),
    max_leaves=20,
)
STEPS = st.none() | NAMES | st.integers(0, 3)
WAYS = st.lists(st.lists(STEPS, max_size=3).map(tuple), min_size=1, max_size=3)


def path_text(way: tuple[Step, ...]) -> str:
    """Write a path."""
    return "$" + "".join(
        "[*]" if step is None else f"[{step}]" if isinstance(step, int) else f"[{json.dumps(step)}]" for step in way
    )


@st.composite
def texts_of(draw: st.DrawFn, document: Document) -> str:
    """Write a document, with any spaces between its parts and any spelling of its strings."""
    space = draw(st.sampled_from(["", "", " ", "\n\t\r "]))
    if isinstance(document, str):
        return f"{space}{draw(strings_of(document))}{space}"
    if isinstance(document, list):
        return f"{space}[{space}{','.join([draw(texts_of(each)) for each in document])}]{space}"
    if isinstance(document, tuple):
        members = [f"{space}{draw(strings_of(name))}{space}:{draw(texts_of(each))}" for name, each in document]
        return f"{space}{{{','.join(members)}{space}}}{space}"
    return f"{space}{document.text}{space}"


@st.composite
def strings_of(draw: st.DrawFn, text: str) -> str:
    """Write a string: each character as it is, or escaped in one of the ways."""
    written = []
    for char in text:
        short = json.dumps(char)[1:-1]
        long = "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16-le", "surrogatepass")).cast("H"))
        ways = [short, long, long.upper().replace("U", "u")] + ["\\/"] * (char == "/")
        written.append(
            draw(st.sampled_from([*ways, *[char] * 9])) if char.isprintable() and char not in '"\\' else short
        )
    return '"' + "".join(written) + '"'


def exchanged(document: Document, ways: list[tuple[Step, ...]]) -> Document:
    """Return a parsed document with the references at the paths moved."""
    if isinstance(document, str):
        there = moved(document) if () in ways else document
        return document if there is None else there
    if not isinstance(document, list | dict):
        return document
    members = enumerate(document) if isinstance(document, list) else document.items()
    new = [
        (step, exchanged(each, [way[1:] for way in ways if way and way[0] in ((None, step))])) for step, each in members
    ]
    return [each for _, each in new] if isinstance(document, list) else dict(new)


def parsed(text: str) -> Document:
    """Parse a document, with its numbers as they are written."""
    return json.loads(text, parse_float=Raw, parse_int=Raw)


@given(DOCUMENTS, WAYS, st.data())
def test_the_strings_at_the_paths_change_and_nothing_else(
    document: Document, ways: list[tuple[Step, ...]], data: st.DataObject
) -> None:
    value = data.draw(texts_of(document))
    shape = Json(KEYS, tuple(map(path_text, ways)))
    new = check_slots(shape, value)
    assert parsed(new) == exchanged(parsed(value), ways)
    slots = shape.read(value).slots
    assert [value[each.start - 1] + value[each.stop] for each in slots] == ['""'] * len(slots)


@given(st.text(st.characters() | st.sampled_from('{}[]",:\\ia')))
def test_any_text_is_read_or_refused(value: str) -> None:
    reading = Json(KEYS, ("$.*", "$[*].*")).read(value)
    assert not (reading.slots and reading.failure)


@pytest.mark.parametrize(
    ("path", "value", "new"),
    [
        ("$", r' "image\/a" ', r' "avatar\/a" '),
        ("$.id", '{"id": "image/a", "x": "image/b"}', '{"id": "avatar/a", "x": "image/b"}'),
        ("$.id", r'{"\u0069d":"\u0069mage/a\u00e9"}', r'{"\u0069d":"avatar/a\u00e9"}'),
        ("$.id", '{"id":"image/1","id":"image/2"}', '{"id":"image/1","id":"avatar/2"}'),
        ("$.id", r'{"id":"image/1","\u0069d":2}', r'{"id":"image/1","\u0069d":2}'),
        ("$.a.b", '{"a":{"b":"image/1"},"a":{"c":"image/2"}}', '{"a":{"b":"image/1"},"a":{"c":"image/2"}}'),
        ("$.a.b", '{"a":{"b":"image/1"},"a":{"b":"image/2"}}', '{"a":{"b":"image/1"},"a":{"b":"avatar/2"}}'),
        ("$.a.*", '{"a":{"b":"image/1"},"c":"image/3","a":[]}', '{"a":{"b":"image/1"},"c":"image/3","a":[]}'),
        (
            "$.*.id",
            '{"s": {"id": "image/1"}, "l": {"id": "image/2"}}',
            '{"s": {"id": "avatar/1"}, "l": {"id": "avatar/2"}}',
        ),
        ("$[1]", '["image/0","image/1","image/2"]', '["image/0","avatar/1","image/2"]'),
        (
            '$["a b"].*',
            '{"a b":["image/0",{"c":"image/1"},"image/2"]}',
            '{"a b":["avatar/0",{"c":"image/1"},"avatar/2"]}',
        ),
        ("$.n", '{"x":1.00,"y":123456789012345678901234567890,"n":"image/1"}', None),
        ("$.id", '{"x":{"y":{"z":{"w":{"id":"image/0"}}}},"id":"image/1"}', None),
        ("$.id", r'{"x":"\"}","y":["]"],"z":{"\\":"{"},"id":"image/1"}', None),
        ("$.id", r'{"id":"image/\ud83d\ude00"}', r'{"id":"avatar/\ud83d\ude00"}'),
        ("$.id", "{}", "{}"),
        ("$.id", "[]", "[]"),
        ("$.id", "null", "null"),
        ("$.id", '{"id": "", "x": {}, "y": []}', '{"id": "", "x": {}, "y": []}'),
    ],
)
def test_by_example(path: str, value: str, new: str | None) -> None:
    expected = value.replace("image/1", "avatar/1") if new is None else new
    assert check_slots(Json(KeyNotation(PLAIN), (path,)), value) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (r'{"id":"image/a\u0000b"}', "the key holds a NUL"),
        (r'{"id":"image/\ud800"}', "the key is not text in UTF-8"),
        ('{"id":"image/' + "a" * 1019 + '"}', "the legacy key is 1025 bytes long; S3 allows 1024"),
        ('{"id":"image/"}', "the path is only the prefix 'image/' and names no object"),
        ('{"id":"image/a"', "the value is not JSON"),
        ('{"id" "image/a"}', "the value is not JSON"),
        (r'{"id":"image/\u00"}', "the value is not JSON"),
        ("", "the value is not JSON"),
    ],
)
def test_what_cannot_be_moved(value: str, said: str) -> None:
    reading = Json(KEYS, ("$.id",)).read(value)
    assert (reading.slots, str(reading.failure)) == ((), said)


def test_of_two_references_one_may_fail() -> None:
    reading = Json(KEYS, ("$[*]",)).read('["image/","image/a"]')
    assert [each.key for each in reading.slots] == ["image/a"]
    assert reading.failure


def test_a_string_may_be_a_url() -> None:
    value = r'{"u": "https:\/\/old.example.com\/image\/a%20b?x=\u0026", "v": "https://old.example.com/image/c"}'
    new = r'{"u": "https:\/\/cdn.example.com\/avatar\/a%20b?x=\u0026", "v": "https://cdn.example.com/avatar/c"}'
    assert check_slots(Json(URLS, ("$.*",)), value) == new
    signed = r'{"u": "https://old.example.com/image/a?x=1\u0026X-Amz-Signature=1"}'
    assert "presigned" in str(Json(URLS, ("$.u",)).read(signed).failure)


def test_depth_is_no_matter() -> None:
    deep = 100_000
    aside = '{"x":' + "[" * deep + "]" * deep + ',"id":"image/1"}'
    assert check_slots(Json(KEYS, ("$.id",)), aside) == aside.replace("image/1", r"ava\"tar\\/1")
    path = "$" + ".a" * 100
    below = '{"a":' * 100 + '"image/1"' + "}" * 100
    assert check_slots(Json(KEYS, (path,)), below) == below.replace("image/1", r"ava\"tar\\/1")


def test_a_shape_travels() -> None:
    shape = pickle.loads(pickle.dumps(Json(KEYS, ("$.a[*].b", "$.c"))))  # noqa: S301 - ours
    assert shape == Json(KEYS, ("$.a[*].b", "$.c"))
    assert len(shape.read('{"a":[{"b":"image/1"}],"c":"image/2"}').slots) == 2


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$", ()),
        ("$.file.id", ("file", "id")),
        ("$.derivatives.*.id", ("derivatives", None, "id")),
        ('$["a b"]."c.d"[0][*]', ("a b", "c.d", 0, None)),
        (r'$["\u00e9\""]', ('é"',)),
        ("$.größe.0", ("größe", "0")),
    ],
)
def test_a_path_is_read(path: str, steps: tuple[Step, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize(
    "path", ["", "id", "$id", "$.", "$..a", "$[a]", "$[-1]", '$["a"', '$."a', "$.a b", "$.a[]", r'$["\x"]']
)
def test_a_wrong_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with|cannot be read from"):
        parse_path(path)


def test_a_path_has_an_end() -> None:
    with pytest.raises(ValueError, match="101 steps; there may be 100"):
        parse_path("$" + ".a" * 101)


@pytest.mark.parametrize(
    "aside",
    [
        '"x":1,' * 10_000,
        '"x":[[[[[1]]]]],' * 5_000,
        '"x":[' + '"a",' * 10_000 + "1],",
        '"x":{' + '"y":[["\\"]"]],' * 5_000 + '"z":{}},',
        '"x":"' + '\\"' * 10_000 + '",',
    ],
    ids=["members", "nested members", "elements", "nested elements", "escapes"],
)
def test_length_is_no_matter(aside: str) -> None:
    """More than is passed over in one go."""
    value = f'{{{aside}"id":"image/1",{aside}"y":{{"id":"image/0"}}}}'
    assert check_slots(Json(KeyNotation(PLAIN), ("$.id",)), value) == value.replace("image/1", "avatar/1")
