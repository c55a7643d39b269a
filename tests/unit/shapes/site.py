"""The site that the tests of shapes are about, and what becomes of its keys, said without the product."""

from __future__ import annotations

from hypothesis import strategies as st

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.contract import Shape, replace
from sketchmigrate.core.store_urls import StorePlace
from sketchmigrate.core.urls import UrlForm, UrlNotation

ROUTES = Routes((Route("old", "image/", "new", 'ava"tar\\/'), Route("old", "image/thumb/", "new", "small pics/")))
KEYS = KeyNotation(ROUTES)
FORM = UrlForm("https://old.example.com/{key}", "https://cdn.example.com/{key}", "old")
PLAIN = Routes((Route("old", "image/", "new", "avatar/"),))
URLS = UrlNotation(PLAIN, (FORM,), StorePlace("", "eu-west-1"), StorePlace("", "eu-central-1"))

WEIRD = st.characters() | st.sampled_from('\\"/{},é \t\n\0\ud83d\ude00')
KEY_TEXTS = st.builds(
    str.__add__,
    st.sampled_from(["image/", "image/", "image/thumb/", 'ava"tar\\/', "small pics/", "imag", ""]),
    st.text(WEIRD, max_size=6) | st.integers(1010, 1030).map(lambda size: "x" * size),
)


def is_legal(key: str) -> bool:
    """Whether an object may have this key."""
    try:
        return 0 < len(key.encode()) <= 1024 and "\0" not in key
    except UnicodeEncodeError:
        return False


def moved(key: str) -> str | None:
    """Return a legacy key as it is in production; the key itself where it is on another side, None if it cannot be."""
    for old, new in (("image/thumb/", "small pics/"), ("image/", 'ava"tar\\/')):
        if key.startswith(old):
            there = new + key[len(old) :]
            return there if is_legal(key) and is_legal(there) and key != old else None
    return key


def check_slots(shape: Shape, value: str) -> str:
    """Return the new value, having made sure of what holds for every shape."""
    reading = shape.read(value)
    new = replace(value, reading.slots)
    end = 0
    for slot in reading.slots:
        assert end <= slot.start <= slot.stop <= len(value)
        end = slot.stop
        if slot.side is SideName.PRODUCTION:
            assert slot.text == value[slot.start : slot.stop], "what is there already stays"
    again = shape.read(new)
    expected = [
        (SideName.PRODUCTION, s.other_bucket, s.other_key) if s.side is SideName.LEGACY else s[2:5]
        for s in reading.slots
    ]
    if not reading.failure:
        assert [s[2:5] for s in again.slots] == expected, "the new value holds the production side of each"
        assert replace(new, again.slots) == new
        assert not again.failure
    return new
