"""``verify`` on a site with each thing that can be wrong, provoked for real: it names each, and it changes nothing."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import body_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site

MIGRATED = [f"image/avatar-{number:02}.png" for number in range(20)]


def certificate(run: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / "certificate.json").read_text())
    return document


def rows(document: dict[str, Any]) -> dict[str, int]:
    """The standings that have rows."""
    return {name: count for name, count in document["rows"].items() if count}


def production(path: str) -> str:
    return "avatar/" + path.removeprefix("image/")


@pytest.fixture
def migrated_site(any_site: Site) -> Site:
    """Twenty avatars, migrated by the tool itself; one that was always in production; a row of neither side."""
    any_site.fill([*MIGRATED, "avatar/born-here.png", None])
    done = any_site.run("-y -b 7 -p 2")
    assert done.code == 0, done
    return any_site


def test_all_is_well_after_a_migration(migrated_site: Site) -> None:
    site = migrated_site
    before = site.facts()
    result = site.run("verify")
    assert result.code == 0, result
    assert result.out.startswith("VERIFIED: 0 dangling, 0 unmigrated, 0 different\n")
    run = site.last_run()
    found = certificate(run)
    assert rows(found) == {"total": 22, "equal": 20, "alone": 1, "neither": 1}
    assert found["equality_proved_by"] == {"ETag": 20}
    assert found["objects"]["production"] == {
        "total": 21,
        "bytes": sum(len(body_of(path)) for path in [*MIGRATED, "avatar/born-here.png"]),
        "named_by_a_row": 21,
        "named_by_none": 0,
    }
    assert (run / "certificate.txt").read_text() in result.out
    evidence = run / "evidence.duckdb"
    assert found["evidence"] == {
        "file": str(evidence.relative_to(site.folder)),
        "sha256": hashlib.sha256(evidence.read_bytes()).hexdigest(),
    }
    assert {path.name for path in run.iterdir()} == {
        "certificate.json",
        "certificate.txt",
        "evidence.duckdb",
        "migrate.log",
    }
    assert site.facts() == before
