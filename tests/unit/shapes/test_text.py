"""Texts: where a reference begins and ends, how it is encoded there, and that nothing else changes."""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.contract import replace
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.urls import UrlForm, UrlNotation
from tests.unit.shapes.site import PLAIN, URLS, check_slots

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = Text(URLS)
WITH_KEYS = Text(URLS, KeyNotation(PLAIN))
OLD, NEW = "https://old.example.com/image/", "https://cdn.example.com/avatar/"


@pytest.mark.parametrize(
    "text",
    [
        "{}a.png",
        "see {}a.png, {}b.png. And {}c.png!",
        "what of {}a.png?! ({}b.png); {}c.png:",
        "<img src=\"{}a.png\"><img src='{}b.png'><img src={}c.png>",
        '![alt]({}a.png) [x]({}b.png "title") <{}c.png> [1]: {}d.png',
        "| {}a.png |{}b.png|",
        "<img srcset='{}a.png 1x, {}b.png 2x'>",
        '<div style="background:url({}a.png)">',
        "line\n{}b.png\r\n\u2003{}c.png\u2003",
        '{{"src": "{}a.png"}}',
        r"{{\"src\": \"{}a.png\", \"x\": 1}}",
        "data='{{&quot;src&quot;:&quot;{}a.png&quot;}}'",
        "&lt;img src=&#34;{}a.png&#34; x=&#x27;{}b.png&#x27;&gt;",
        "a&nbsp;{}a.png&nbsp;b\u00a0{}b.png\u00a0",
        "{}a.png?x=1&amp;y=2&y=3#z {}b.png?",
        "{}%C3%A9%20(\n{}a&amp;b.png;",
        "https://proxy.example.com/?u={}a.png",
        "https://old.example.com/go?to={}a.png",
        "x,{}a.png\t;{}b.png [{}c.png]",
    ],
)
def test_where_a_reference_begins_and_ends(text: str) -> None:
    for old, new in ((OLD, NEW), ("//old.example.com/image/", "//cdn.example.com/avatar/")):
        value, expected = (text.replace("{}", each).replace("{{", "{").replace("}}", "}") for each in (old, new))
        assert check_slots(TEXT, value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"x{OLD}a.png",
        f"https://web.archive.org/web/2020/{OLD}a.png",
        f"[img]{OLD}a.png[/img]",
        "https://old.example.com/ and https://old.example.com/other/a.png",
        "image/a.png",
        "https://old.example.com.evil.org/image/a.png",
        "http://old.example.com/image/a.png",
        "// a comment",
    ],
)
def test_where_none_begins(value: str) -> None:
    assert TEXT.read(value) == ((), None)


def test_keys_are_sought_only_if_asked_for() -> None:
    value = f"image/a.png, (image/b.png) x/image/c.png '{OLD}d.png' image/e&amp;f.png; s3://old/image/g=image/h"
    new = f"avatar/a.png, (avatar/b.png) x/image/c.png '{NEW}d.png' avatar/e&amp;f.png; s3://new/avatar/g=image/h"
    assert check_slots(WITH_KEYS, value) == new
    keys = [each.key for each in WITH_KEYS.read(value).slots]
    assert keys == ["image/a.png", "image/b.png", "image/d.png", "image/e&f.png", "image/g=image/h"]


def test_punctuation_behind_a_key_is_no_part_of_it() -> None:
    value = "image/a. image/b, image/c: image/d; image/e! image/f? image/g.;?!"
    assert [each.key for each in WITH_KEYS.read(value).slots] == [f"image/{each}" for each in "abcdefg"]


def test_what_is_new_has_entities_where_the_old_had_some() -> None:
    form = UrlForm("https://old.example.com/?a&b={key}", "https://cdn.example.com/?c&d={key}", "old")
    text = Text(UrlNotation(PLAIN, (form,), URLS.legacy, URLS.production))
    for sign in ("&amp;", "&", "&#38;"):
        new = "&" if sign == "&" else "&amp;"
        value = f"(https://old.example.com/?a{sign}b=image/a{sign}x)"
        assert check_slots(text, value) == f"(https://cdn.example.com/?c{new}d=avatar/a{sign}x)"


@pytest.mark.parametrize(
    ("value", "new"),
    [
        (
            "u=https%3A%2F%2Fold.example.com%2Fimage%2Fa%2520b.png",
            "u=https%3A%2F%2Fcdn.example.com%2Favatar%2Fa%2520b.png",
        ),
        ("'%2f%2fold.example.com%2fimage%2fa+b&w=1'", "'%2F%2Fcdn.example.com%2Favatar%2Fa+b&w=1'"),
        ("?u=https%3A//old.example.com/image/a&amp;w=1", "?u=https%3A//cdn.example.com/avatar/a&amp;w=1"),
        (
            "?u=https%3a%2f%2fOLD.example.com%2Fim%2561ge%2Fa%3Fx%3D1?y",
            "?u=https%3A%2F%2Fcdn.example.com%2Favatar%2Fa%3Fx%3D1?y",
        ),
        ("?u=https%3A%2F%2Fold.example.com%2Fimage%2F%C3%A9", "?u=https%3A%2F%2Fcdn.example.com%2Favatar%2F%C3%A9"),
    ],
)
def test_a_url_may_be_percent_encoded_as_a_whole(value: str, new: str) -> None:
    assert check_slots(TEXT, value) == new


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"{OLD}a.png?X-Amz-Signature=1", "presigned"),
        (f"{OLD}a.png?x=1&amp;X-Amz-Signature=1 {OLD}b.png", "presigned"),
        (f"{OLD}%ff", "not text in UTF-8"),
        (f"{OLD} ", "only the prefix"),
        (OLD + "a" * 1019, "1025 bytes"),
        (OLD + "%20" * 3000, "bytes long"),
        (f'a:1:{{s:3:"src";s:34:"{OLD}a.png";}}', "serialized by PHP"),
        (f"s:34:&quot;{OLD}a.png&quot;;", "serialized by PHP"),
        (rf'{{"x":"s:34:\"{OLD}a.png\";"}}', "serialized by PHP"),
    ],
)
def test_what_cannot_be_moved(value: str, said: str) -> None:
    reading = TEXT.read(value)
    assert said in str(reading.failure)
    assert [each.key for each in reading.slots] == (["image/b.png"] if "b.png" in value else [])


def test_what_php_has_serialized_is_refused_only_with_a_reference_to_move() -> None:
    for url in ("https://elsewhere.example.com/image/a", f"{NEW}a"):
        assert not TEXT.read(f's:34:"{url}";').failure
    assert TEXT.read(f"this: has:12:'{OLD}a' s:12: {OLD}b").failure is None


def test_a_run_without_an_end_is_judged_by_its_head() -> None:
    """A megabyte of one run, and the reference is behind what begins many times and is none."""
    none = "=https://old.example.com/x=https%3A%2F%2Fold.example.com%2Fx" * 20_000
    value = f"{none}={OLD}a?{'%' * 100_000}"
    assert check_slots(TEXT, value) == f"{none}={NEW}a?{'%' * 100_000}"


WORDS = st.text("ab%&;.,:!?s=/\\é \n\"'()[]{}<>|0123456789", max_size=12).filter(lambda text: "//" not in text)
BEGINS, ENDS = st.sampled_from([*" \n\"'(<=,;|\\", "&quot;"]), st.sampled_from([*" \n\"')<>]|\\", "&quot;", "&lt;"])
TAILS = st.text("ab1/.&;+-_é%", min_size=1, max_size=9).filter(lambda text: text.rstrip(".,;:!?") == text)
HOW: dict[str, Callable[[str], str]] = {
    "as it is": lambda url: url.replace("&", "%26"),
    "entities": escape,
    "percent": partial(quote, safe=""),
}


@given(st.lists(st.tuples(WORDS, BEGINS, st.sampled_from(sorted(HOW)), TAILS, ENDS), max_size=4), WORDS)
def test_references_change_and_nothing_else(parts: list[tuple[str, str, str, str, str]], last: str) -> None:
    def written(start: str) -> str:
        pieces: list[str] = []
        for words, begin, how, tail, end in parts:
            # beside the reference nothing may run on that would make it another one
            pieces += (words, begin, HOW[how](start + tail.replace("%", "%25")), end)
        return "".join([*pieces, " ", last])

    assert check_slots(TEXT, written(OLD)) == written(NEW)
    slots = TEXT.read(written(OLD)).slots
    assert [each.key for each in slots] == ["image/" + tail for _, _, _, tail, _ in parts]
    assert {each.side for each in slots} <= {SideName.LEGACY}


@given(st.text(st.characters() | st.sampled_from("%&;=/:s3htp2FA#x")))
def test_any_text_is_read(value: str) -> None:
    reading = WITH_KEYS.read(value)
    assert replace(value, reading.slots) == value or reading.slots


@given(st.text(st.sampled_from("ab/ \t\"'<>()=,;.:&%2Fé")))
def test_with_an_empty_prefix_each_word_is_a_key_and_the_end_is_reached(text: str) -> None:
    """Discovery reads texts so, as settings may not: its moves may have a side without a prefix."""
    site = KeyNotation(Routes((Route("old", "image/", "new", ""),)))
    found = Text(URLS, site).read(f"image/1 {text}")
    assert found.slots[0].side is SideName.LEGACY
    assert [each.key for each in found.slots[1:]] == [key for key in (each.key for each in found.slots[1:]) if key]
    ends = [each.stop for each in found.slots]
    assert ends == sorted(ends)
