"""Other spellings of a key, and in what two of them differ."""

from __future__ import annotations

import pytest

from sketchmigrate.core.spelling import MOST_SPELLINGS, difference, spellings, spelt_otherwise

NFC, NFD = "image/caf\u00e9.png", "image/cafe\u0301.png"


@pytest.mark.parametrize(
    ("key", "there", "words"),
    [
        (NFC, NFD, "in Unicode normal form"),
        (NFD, NFC, "in Unicode normal form"),
        ("image/a%20b.png", "image/a b.png", "in percent-encoding"),
        ("image/a b.png", "image/a%20b.png", "in percent-encoding"),
        ("image/a+b.png", "image/a b.png", "in percent-encoding"),
        ("image/a b c.png", "image/a+b+c.png", "in percent-encoding"),
        ("image/caf%C3%A9.png", NFC, "in percent-encoding"),
        ("image/caf%C3%A9.png", NFD, "in several ways of spelling"),
        ("image/A.png", "image/a.png", "in case"),
        ("image/A.JPG", "image/A.jpg", "in case"),
        ("image/A.jpg", "image/A.JPG", "in case"),
        ("image/img_1.jpg", "image/IMG_1.JPG", "in case"),
        ("image/a.png ", "image/a.png", "in white space at the end"),
        ("image/a.png", "image/a.png ", "in white space at the end"),
    ],
)
def test_each_kind_of_spelling_is_among_those_looked_for(key: str, there: str, words: str) -> None:
    assert there in spellings(key, "image/")
    assert difference(key, there) == words


@pytest.mark.parametrize("key", [NFC, "image/a.png", "%zz%", "%FF", "image/", ".", "a" * 2000, "Ä%20B+c .PNG "])
def test_they_are_few_and_never_the_key_itself(key: str) -> None:
    found = spellings(key)
    assert len(found) == len(set(found)) <= MOST_SPELLINGS
    assert key not in found
    assert not any("\ufffd" in each for each in found)


def test_the_prefix_stays_as_it_is() -> None:
    prefix = "My Pics%20/"
    found = spellings(f"{prefix}A b.PNG", prefix)
    assert f"{prefix}a b.png" in found
    assert f"{prefix}A%20b.PNG" in found
    assert all(each.startswith(prefix) for each in found)


def test_what_looks_the_same_is_told_by_its_code_points() -> None:
    assert "'image/cafe\\u0301.png'" in spelt_otherwise(NFC, NFD)
