"""What a path on neither side seems to be, and which legacy keys it may stand for."""

from __future__ import annotations

import pytest

from sketchmigrate.core.appearance import Legacy, examples, other_row, readings
from sketchmigrate.core.reference import Unreadable

LEGACY = Legacy("old", "image/")
KEY = "image/a b.png"


@pytest.mark.parametrize(
    ("path", "seems"),
    [
        ("https://cdn.example.com/image/a%20b.png?X-Amz-Signature=1#x", "a URL"),
        ("https://s3.example.com/old/image/a%20b.png", "a URL"),
        ("https://avatars.example.com/a%20b.png", "a URL"),
        ("https://s3.example.com/bucket/a%20b.png", "a URL"),
        ("s3://old/image/a b.png", "a URL"),
        ("//cdn.example.com/image/a b.png", "a URL"),
        ("a b.png", "a key without its prefix"),
        ("/image/a b.png", "a key with a slash in front"),
        ("old/image/a b.png", "a key with its bucket in front"),
        ("image/a%20b.png".replace("/", "%2F"), "a key that is percent-encoded"),
        ("Image/a b.png", "a key whose prefix is spelt otherwise"),
        (" image/a b.png", "a key with white space around it"),
        ("a b.png\t", "a key without its prefix with white space around it"),
        ("\u00a0https://cdn.example.com/image/a%20b.png\n", "a URL with white space around it"),
        ("./image/a b.png", "a key with ./ in front"),
        (".//./a b.png", "a key without its prefix"),
        ("/Image/a b.png", "a key with a slash in front"),
        ("https://cdn.example.com/files/Image/a%20b.png", "a URL"),
    ],
)
def test_each_way_to_name_an_object_leads_to_its_key(path: str, seems: str) -> None:
    row = other_row("7", path, LEGACY, {KEY: KEY})
    assert (row.key, row.path, row.seems, row.legacy_key) == ("7", path, seems, KEY)
    assert other_row("7", path, LEGACY).legacy_key == ""  # nobody has seen that object


@pytest.mark.parametrize(
    ("path", "seems"),
    [
        ("uploads/2020/a.png", "a key with another prefix, 'uploads/'"),
        ("/var/www/a.png", "a path of a file system, or of a URL"),
        ("C:\\pictures\\a.png", "a path of a file system"),
        ('{"key": "image/a.png"}', "JSON"),
        ("data:image/png;base64,AAAA", "the content itself, as a data: URL"),
        ("https://[broken/image/a.png", "a URL"),
        (" \n", "white space alone"),
        ("../image/a.png", "a key with another prefix, '../'"),
        (Unreadable("\\xff"), "no text in UTF-8"),
    ],
)
def test_what_names_no_known_object_is_still_called_something(path: str, seems: str) -> None:
    assert other_row("7", path, LEGACY, {KEY: KEY}).seems == seems
    assert readings(path, LEGACY)


@pytest.mark.parametrize(
    "path", ["A B.PNG", "IMAGE/A B.PNG", " ./IMAGE/A B.PNG ", "https://cdn.example.com/IMAGE/A%20B.PNG"]
)
def test_an_object_in_another_case_is_the_one_that_is_there(path: str) -> None:
    row = other_row("7", path, LEGACY, {"image/A B.PNG": KEY})
    assert row.legacy_key == KEY
    assert row.seems.endswith(" and in another case")


def test_a_key_may_lack_a_part_of_its_prefix() -> None:
    legacy = Legacy("old", "static/image/")
    assert other_row("7", "image/a.png", legacy, {"static/image/a.png": "static/image/a.png"}).seems == (
        "a key without the beginning of its prefix"
    )
    # below the prefix there may be folders, and only the store tells them from another prefix
    row = other_row("7", "2020/a.png", legacy, {"static/image/2020/a.png": "static/image/2020/a.png"})
    assert (row.seems, row.legacy_key) == ("a key without its prefix", "static/image/2020/a.png")


def test_the_examples_are_of_different_kinds() -> None:
    paths = ["a.png", "b.png", "c.png", "d.png", "https://x/e.png", "uploads/f.png"]
    rows = [other_row(str(number), path, LEGACY) for number, path in enumerate(paths)]
    assert [row.path for row in examples(rows)] == ["a.png", "https://x/e.png", "uploads/f.png"]
    assert [row.path for row in examples(rows[:4])] == ["a.png", "b.png", "c.png"]
