"""Evidence: what goes in comes out exactly, SQL judges as the pure rule does, and size does not cost memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.objects import Location, ObjectInfo
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.inspect import evidence as evidence_module
from sketchmigrate.inspect import gathering
from sketchmigrate.inspect import verify as verify_module
from sketchmigrate.inspect.evidence import Evidence
from sketchmigrate.inspect.gathering import Loader, read_references
from sketchmigrate.inspect.manifest import certified_evidence
from sketchmigrate.inspect.standing import Standing, standing_of
from sketchmigrate.postgres.pages import CsvPage
from sketchmigrate.s3 import ListedObject
from sketchmigrate.sides import Side
from tests.unit.evidence_site import site_between
from tests.unit.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sketchmigrate.s3 import S3Client

SITE = site_between("legacy", "production")
SCALE_REFERENCES = int(os.environ.get("TEST_VERIFY_REFERENCES", "200000"))
"""1 000 000 shows what issue and docs promise; a fifth of it is what the suite has time for."""


def no_count(number: int) -> None:
    """Nobody watches."""


async def csv_pages(*rows: tuple[str, str | None]) -> AsyncIterator[CsvPage]:
    """Write rows as PostgreSQL's COPY does: everything quoted but NULL."""
    text = "".join(
        f'"{key}",' + ("" if path is None else '"' + path.replace('"', '""') + '"') + "\n" for key, path in rows
    )
    yield CsvPage(len(rows), None, text.encode())


async def load(evidence: Evidence, side: SideName, store: Shelf, *, cuts: Sequence[str] = ()) -> None:
    """List a side into the evidence."""
    bucket, prefix = evidence.site.moves[0].place(side)
    whole = Side(side, cast("S3Client", store), bucket, prefix, "the shelf")
    places = [Location(bucket, cut) for cut in cuts]
    await Loader(evidence, side).load(whole, cuts=places, told=lambda *_: None)


def listing(prefix: str, *objects: tuple[str, int, str, str]) -> Shelf:
    """Make a store of objects: tail, size, ETag and time of each."""
    shown = {prefix + tail: ListedObject(prefix + tail, size, etag, modified) for tail, size, etag, modified in objects}
    return Shelf(shown, random.Random(1), shown=shown.__getitem__)


text_of_postgres = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@example(texts=["\r"])
@example(texts=["\n", "\r\n", '"', '",', '"\n"', "\\.", "\\N", "", " ", ",", "\x1a", "\ufeff"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(text_of_postgres, min_size=1, max_size=8))
async def test_any_text_comes_out_as_it_went_in(texts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "evidence.duckdb"
    path.unlink(missing_ok=True)
    rows = [(str(number), text) for number, text in enumerate(texts)]
    objects = [(text, number, "", "") for number, text in enumerate(dict.fromkeys(texts))]
    async with Evidence(path, SITE) as evidence:
        await read_references(evidence, csv_pages(*rows, ("null", None)), no_count)
        await load(evidence, SideName.LEGACY, listing("image/", *objects))
        assert sorted(await evidence.ask("SELECT key, path FROM reference WHERE path IS NOT NULL")) == sorted(rows)
        assert await evidence.ask("SELECT key, side FROM reference WHERE path IS NULL") == [("null", "neither")]
        assert sorted(await evidence.ask("SELECT tail, size_bytes FROM legacy_object")) == sorted(
            (text, number) for text, number, *_ in objects
        )


ANY_ETAGS = ["0" * 32, "9a" * 16, "9A" * 16, "a" * 31, "a" * 31 + " ", "a" * 32 + "-2", "", "'\"", "g" * 32, "ab" * 17]


@pytest.mark.parametrize("page_of", [1, len(ANY_ETAGS)])
async def test_any_etag_comes_out_as_it_went_in(page_of: int, tmp_path: Path) -> None:
    """Those that look like an MD5 are kept as numbers, unless another one comes with them."""
    legacy = {f"{number:02}": etag for number, etag in enumerate(ANY_ETAGS)}
    production = {tail: ANY_ETAGS[number // 2] for number, tail in enumerate(legacy)}
    rows = [(tail, f"avatar/{tail}") for tail in legacy]
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        await read_references(evidence, csv_pages(*rows), no_count)
        for side, prefix, etags in (
            (SideName.LEGACY, "image/", legacy),
            (SideName.PRODUCTION, "avatar/", production),
        ):
            for first in range(0, len(etags), page_of):
                some = list(etags.items())[first : first + page_of]
                await load(evidence, side, listing(prefix, *((tail, 5, etag, "") for tail, etag in some)))
            assert dict(await evidence.ask(f"SELECT tail, etag FROM {side}_object")) == etags  # noqa: S608 - ours
        await evidence.judge()
        judged = await evidence.ask("SELECT key, path, legacy_etag, production_etag FROM verdict ORDER BY key")
    assert judged == [(tail, f"avatar/{tail}", legacy[tail], production[tail]) for tail in legacy]


async def test_a_verdict_does_not_depend_on_the_number_of_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(str(number), f"{('image/', 'avatar/', 'else/')[number % 3]}{number % 40}") for number in range(100)]
    found = []
    for at_once in (1000, 10, 1):
        monkeypatch.setattr(evidence_module, "JUDGED_AT_ONCE", at_once)
        monkeypatch.setattr(verify_module, "NAMED_AT_ONCE", at_once)
        async with Evidence(tmp_path / f"{at_once}.duckdb", SITE) as evidence:
            await read_references(evidence, csv_pages(*rows), no_count)
            for side, prefix, first in ((SideName.LEGACY, "image/", 0), (SideName.PRODUCTION, "avatar/", 10)):
                objects = [(str(number), number % 3, "", "") for number in range(first, first + 30)]
                await load(evidence, side, listing(prefix, *objects))
            await evidence.judge()
            verdict = await evidence.ask("FROM verdict ORDER BY ALL")
            found.append((verdict, [await verify_module.objects_of(evidence, side.value) for side in BOTH_SIDES]))
    assert len(found[0][0]) == len(rows)
    assert found[1:] == found[:1] * 2


ETAGS = ["a" * 32, "b" * 32, "c" * 32 + "-2", ""]
an_object = st.none() | st.tuples(st.sampled_from([0, 5, 7]), st.sampled_from(ETAGS))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases=st.lists(st.tuples(st.sampled_from(["legacy", "production"]), an_object, an_object), max_size=12))
async def test_the_listings_are_judged_as_a_look_at_the_objects_is(
    cases: list[tuple[str, tuple[int, str] | None, tuple[int, str] | None]], tmp_path: Path
) -> None:
    path = tmp_path / "evidence.duckdb"
    path.unlink(missing_ok=True)
    prefixes = {"legacy": "image/", "production": "avatar/"}
    rows = [(str(number), f"{prefixes[side]}{number}") for number, (side, *_) in enumerate(cases)]
    async with Evidence(path, SITE) as evidence:
        await read_references(evidence, csv_pages(*rows), no_count)
        for index, (side, prefix) in enumerate(prefixes.items(), start=1):
            found = [(str(n), *case[index], "2026-11-22T18:00:00Z") for n, case in enumerate(cases) if case[index]]  # type: ignore[misc]  # mypy does not see that None is left out
            await load(evidence, SideName(side), listing(prefix, *found))
        await evidence.judge()
        judged = dict(await evidence.ask("SELECT key, standing FROM verdict"))
    for number, (side, legacy, production) in enumerate(cases):
        expected, _ = standing_of(
            side, legacy and ObjectInfo(*legacy), production and ObjectInfo(*production), was=Standing.DIFFERENT
        )
        assert judged[str(number)] == expected


async def test_a_key_that_is_no_text_is_counted_apart(tmp_path: Path) -> None:
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        store = listing("image/", ("a\udcff", 1, "", ""), ("a\\xff", 2, "", ""))
        await load(evidence, SideName.LEGACY, store)
        assert await evidence.ask("SELECT side, key FROM strange_key") == [("legacy", "image/a\\xff")]
        assert await evidence.ask("SELECT tail FROM legacy_object") == [("a\\xff",)]
        ((what, entries),) = await evidence.ask("SELECT what, entries FROM reading")
        assert (what, entries) == ("legacy objects", 2)


async def test_a_listing_that_has_to_begin_again_loads_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "LOAD_OBJECTS", 1000)
    tails = [f"{number}" for number in range(5000)] + ["\udcff"]
    store = listing("image/", *((tail, 1, "", "") for tail in tails))
    store.sort_key = lambda key: (len(key) == 7, key)  # four of the five pages are in order
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        await load(evidence, SideName.LEGACY, store, cuts=list(store.keys)[::100])
        ((objects, different, strange),) = await evidence.ask(
            "SELECT count(*), count(DISTINCT tail), (SELECT count(*) FROM strange_key) FROM legacy_object"
        )
        assert (objects, different, strange) == (5000, 5000, 1)
        assert await evidence.ask("SELECT entries FROM reading") == [(5001,)]
    assert len(store.requests) > 6


async def test_times_are_utc(tmp_path: Path) -> None:
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        store = listing("image/", ("a", 1, "", "2026-11-22T18:00:00.250Z"), ("b", 1, "", "not a time"))
        await load(evidence, SideName.LEGACY, store)
        times = dict(await evidence.ask("SELECT tail, modified_utc FROM legacy_object"))
        assert times == {"a": datetime(2026, 11, 22, 18, 0, 0, 250_000, tzinfo=UTC).replace(tzinfo=None), "b": None}


async def test_a_full_disk_or_a_broken_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "evidence.duckdb").write_bytes(b"no database")
    with pytest.raises(RunDirectoryError, match=r"evidence\.duckdb cannot be used"):
        async with Evidence(tmp_path / "evidence.duckdb", SITE):
            pass
    (tmp_path / "certificate.json").write_text("[]")
    with pytest.raises(Exception, match="holds no certificate"):
        certified_evidence(tmp_path, SITE)


SCALE = """
import asyncio, sys
from bisect import bisect_right
from datetime import UTC, datetime
from pathlib import Path
from sketchmigrate.cli.jobs import verify as command  # what a run of verify has in memory besides
from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.inspect.evidence import Evidence, EvidenceSite, EvidenceSource, digest
from sketchmigrate.inspect.gathering import gather_objects, note_references, read_references
from sketchmigrate.inspect.verify import verify
from sketchmigrate.postgres.pages import CsvPage
from sketchmigrate.s3 import ListedObject, ListPage
from tests.sides import sides_of

COUNT = int(sys.argv[1])

class Looker:
    async def second_look(self): return 0

async def pages():
    for first in range(0, COUNT, 50_000):
        numbers = range(first, min(first + 50_000, COUNT))
        text = "".join(f'"{n}","avatar/sub/avatar-{n:09}.png"\\n' for n in numbers)
        yield CsvPage(len(numbers), None, text.encode())

class Store:
    async def list_pages(self, bucket, prefix, *, start_after="", max_keys=1000):
        key = lambda n: f"{prefix}sub/avatar-{n:09}.png"
        for first in range(bisect_right(range(COUNT), start_after, key=key), COUNT, max_keys):
            await asyncio.sleep(0)
            yield ListPage([ListedObject(key(n), 1000 + n % 7,
                f"{n * 2654435761 % 2**128:032x}", "2026-11-22T18:00:00.123Z")
                for n in range(first, min(first + max_keys, COUNT))], None)

async def main():
    path = Path(sys.argv[2])
    pairing = Pairing.of(Routes((Route("l", "image/", "p", "avatar/"),)))
    site = EvidenceSite("0", "", "", pairing, (EvidenceSource("avatars.path", "avatars", "id", "path"),))
    async with Evidence(path, site) as evidence:
        began = datetime.now(UTC)
        await read_references(evidence, pages(), lambda rows: None)
        await note_references(evidence, began)
        await gather_objects(evidence, sides_of(Store(), "l", "p"), lambda side, objects, expected: None)
        found = await verify(evidence, Looker(), [], deep_percent=None)
    digest(path)
    # what getrusage(2) tells is also that of the process which started this one
    (peak_kib,) = (int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(found.passed, found.standings["equal"], peak_kib // 1024)

asyncio.run(main())
"""


def test_verify_of_many_references_stays_in_its_memory(tmp_path: Path) -> None:
    """500 MB for all of a process, at any size: beyond DuckDB's limit it spills."""
    command = [sys.executable, "-c", SCALE, str(SCALE_REFERENCES), str(tmp_path / "evidence.duckdb")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": f"src{os.pathsep}."}
    )
    passed, equal, peak_mb = done.stdout.split()
    assert (passed, int(equal)) == ("True", SCALE_REFERENCES)
    assert int(peak_mb) < 500, peak_mb
