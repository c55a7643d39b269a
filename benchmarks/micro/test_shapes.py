"""One value: find its reference, and put the new one in its place; and long texts, whose length alone may count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.contract import replace
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.core.store_urls import StorePlace
from sketchmigrate.core.urls import UrlForm, UrlNotation

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from sketchmigrate.core.shapes.contract import Shape

ROUTES = Routes((Route("sketch-legacy-s3", "image/", "sketch-production-s3", "avatar/"),))
KEYS = KeyNotation(ROUTES)
FORM = UrlForm("https://old.example.com/{key}", "https://cdn.example.com/{key}", "sketch-legacy-s3")
URLS = UrlNotation(ROUTES, (FORM,), StorePlace("", "eu-west-1"), StorePlace("", "eu-central-1"))
KEY = "image/avatar-0000123.png"
URL = f"https://old.example.com/{KEY}"
UPLOAD = (
    f'{{"id": "{KEY}", "storage": "store", "metadata": {{"size": 12345, "width": 640, "height": 480, '
    '"filename": "avatar-0000123.png", "mime_type": "image/png"}, "derivatives": {"small": {"x": 1}}}'
)
MANY = 1000

VALUES: dict[str, tuple[Shape, str]] = {
    "a key": (Whole(KEYS), KEY),
    "a URL": (Whole(URLS), URL),
    "a document of 200 bytes with one key": (Json(KEYS, ("$.id",)), UPLOAD),
    "an array of one key": (Array(KEYS), f"{{{KEY}}}"),
    "a line of Markdown with one URL": (Text(URLS), f"Some words before it, ![a picture]({URL}), and words behind it."),
}

HOSTILE = {
    "HTML, a URL in each 64 characters": f'<a href="{URL}">a word</a> ',
    "one run of what is none": "=https://old.example.com/x=https%3A%2F%2Fold.example.com%2Fx",
    "ampersands and hashes": "&#x&#",
}


@pytest.mark.parametrize("what", VALUES)
def test_a_value(benchmark: BenchmarkFixture, what: str) -> None:
    shape, value = VALUES[what]
    assert replace(value, shape.read(value).slots) == value.replace("old.", "cdn.").replace("image/a", "avatar/a")

    def many() -> None:
        for _ in range(MANY):
            replace(value, shape.read(value).slots)

    benchmark.extra_info.update(what=f"find and replace the reference in {what}", operations=MANY)
    benchmark.pedantic(many, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("size_kib", [64, 1024])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_long_text(benchmark: BenchmarkFixture, what: str, size_kib: int) -> None:
    text = HOSTILE[what] * (size_kib * 1024 // len(HOSTILE[what]))
    benchmark.extra_info.update(what=f"look through {size_kib} KiB of {what}, a KiB", operations=size_kib)
    benchmark.pedantic(Text(URLS).read, args=(text,), rounds=3)
