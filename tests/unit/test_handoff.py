"""Which job brings a move's objects to their place, and how lists are cut."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.objects import Location
from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.evidence import Evidence, EvidenceSite, EvidenceSource
from sketchmigrate.inspect.handoff import Handoff, Operation, operation_of, write_lists

prefixes = st.text("ab/", max_size=6)


@given(prefixes, prefixes, st.text("ab/", min_size=1, max_size=4))
def test_the_copy_of_s3_is_named_only_where_it_ends_at_the_production_key(
    legacy: str, production: str, tail: str
) -> None:
    operation, folder = operation_of(Route("old", legacy, "new", production))
    copied = f"{folder}/{legacy}{tail}" if folder else legacy + tail
    assert (operation is Operation.LAMBDA) or copied == production + tail


@pytest.mark.parametrize(
    ("legacy", "production", "expected"),
    [
        ("image/", "image/", (Operation.COPY, "")),
        ("", "", (Operation.COPY, "")),
        ("", "archive/2026/", (Operation.COPY, "archive/2026")),
        ("image/", "archive/image/", (Operation.COPY, "archive")),
        ("image/", "new-image/", (Operation.LAMBDA, "")),
        ("image/", "avatar/", (Operation.LAMBDA, "")),
        ("image/", "", (Operation.LAMBDA, "")),
        ("", "/", (Operation.LAMBDA, "")),
        ("", "a//", (Operation.LAMBDA, "")),
    ],
)
def test_examples(legacy: str, production: str, expected: tuple[Operation, str]) -> None:
    assert operation_of(Route("old", legacy, "new", production)) == expected


def test_a_list_is_cut_where_it_would_be_too_large(tmp_path: Path) -> None:
    site = EvidenceSite(
        "0",
        "",
        "",
        Pairing.of(Routes((Route("old", "a/", "new", "b/"), Route("other", "c/", "new", "c/")))),
        (EvidenceSource("avatars.path", "avatars", "id", "path"),),
    )
    keys = [f"a/{'k' * (number % 50)}{number}" for number in range(200)]

    async def write() -> Handoff:
        async with Evidence(tmp_path / "evidence.duckdb", site) as evidence:
            await evidence.judge()
            await evidence.script("handoff")
            await evidence.insert("to_copy", [(1, "old", key, 1) for key in keys] + [(2, "other", "c/ü +,\n", 5)])
            return await write_lists(evidence, tmp_path, most_file_bytes=1000)

    first, second = asyncio.run(write()).jobs
    assert (first.objects, second.objects) == (200, 1)
    texts = [Path(file).read_text() for file in first.files]
    assert sorted("".join(texts).splitlines()) == sorted(f"old,{key}" for key in keys)
    assert max(map(len, texts)) <= 1000
    assert min(map(len, texts[:-1])) > 1000 - 70, "no file is cut before it is full"
    assert Path(second.files[0]).read_text() == "other,c/%C3%BC%20%2B%2C%0A\n"


def test_what_is_over_five_gigabytes_is_left_to_the_run(tmp_path: Path) -> None:
    """One CopyObject is all that a job makes of an object (S3 User Guide, "Copying objects")."""
    pairing = Pairing.of(Routes((Route("old", "a/", "new", "b/"),)))
    site = EvidenceSite("0", "", "", pairing, (EvidenceSource("avatars.path", "avatars", "id", "path"),))

    async def write() -> Handoff:
        async with Evidence(tmp_path / "evidence.duckdb", site) as evidence:
            rows = [(0, str(number), 0, f"a/{number}", "legacy", 1, str(number), 0) for number in (1, 2)]
            await evidence.insert("reference", rows)
            sizes = (("1", 5 * 2**30), ("2", 5 * 2**30 + 1))
            await evidence.insert("legacy_object", [(1, *each, None, "e", "2026-01-01", "", 0) for each in sizes])
            await evidence.judge()
            await evidence.script("handoff")
            return await write_lists(evidence, tmp_path)

    made = asyncio.run(write())
    assert (made.objects, made.references["too_large"]) == (1, 1)


def test_an_archived_object_is_counted_once_whichever_ways_it_goes(tmp_path: Path) -> None:
    """Here the second source has chosen moves, and takes what lies below ``a/b/`` elsewhere than the first."""
    outer, inner = Route("old", "a/", "new", "c/"), Route("old", "a/b/", "new", "d/")
    sources = tuple(EvidenceSource(f"{name}.path", name, "id", "path") for name in ("avatars", "covers"))
    site = EvidenceSite("0", "", "", Pairing.of(Routes((outer, inner)), [Routes((outer,))]), sources)

    async def write() -> Handoff:
        async with Evidence(tmp_path / "evidence.duckdb", site) as evidence:
            pairs = list(site.pairing.pairs_of(SideName.LEGACY, Location("old", "a/b/1")))
            rows = [(n, "1", 0, "a/b/1", "legacy", *pair, 0) for n, pair in enumerate(pairs)]
            await evidence.insert("reference", rows)
            await evidence.insert(
                "legacy_object", [(*pair, 5, None, "e", "2026-01-01", "GLACIER", 0) for pair in pairs]
            )
            await evidence.insert("archived", [(*pair, "archived", "GLACIER", False) for pair in pairs])
            await evidence.judge()
            await evidence.script("handoff")
            return await write_lists(evidence, tmp_path)

    made = asyncio.run(write())
    assert (made.references["archived"], made.archived_objects) == (2, 1)
