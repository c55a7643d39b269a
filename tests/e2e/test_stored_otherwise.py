"""Where the database stores something else than was asked for, the row stays as it was, and each run says so again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import problems

if TYPE_CHECKING:
    from tests.e2e.site import Site

OLD_LEDGER = Path(__file__).parents[1] / "data" / "ledger-0.1.0-stored-otherwise.sql"
"""Of a run of version 0.1.0 over six rows: a trigger put two in capitals and one in small letters."""

TRIGGER = """
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NEW; END $$;
CREATE {} ON avatars {} FOR EACH ROW EXECUTE FUNCTION meddle()
"""
AFTERWARDS = "IF NEW.path LIKE 'avatar/%' THEN UPDATE avatars SET path = {} WHERE id = NEW.id AND id <= 3; END IF;"
MEDDLERS = {
    "in small letters": TRIGGER.format("NEW.path := lower(NEW.path);", "TRIGGER meddle BEFORE UPDATE", ""),
    "three in capitals": TRIGGER.format(
        "IF NEW.id <= 3 THEN NEW.path := upper(NEW.path); END IF;", "TRIGGER meddle BEFORE UPDATE", ""
    ),
    "NULL": TRIGGER.format("IF NEW.id <= 3 THEN NEW.path := NULL; END IF;", "TRIGGER meddle BEFORE UPDATE", ""),
    "afterwards": TRIGGER.format(AFTERWARDS.format("'x' || NEW.path"), "TRIGGER meddle AFTER UPDATE", ""),
    "at the commit": TRIGGER.format(
        AFTERWARDS.format("'x' || NEW.path"), "CONSTRAINT TRIGGER meddle AFTER UPDATE", "INITIALLY DEFERRED"
    ),
    "deleted": TRIGGER.format(
        "IF NEW.id <= 3 THEN DELETE FROM avatars WHERE id = NEW.id; END IF;", "TRIGGER meddle AFTER UPDATE", ""
    ),
}


@pytest.mark.parametrize("meddler", MEDDLERS)
@pytest.mark.parametrize("flags", ["-y --no-trial", "-yw -p 2 -b 4 --no-trial"])
def test_such_rows_fail_unchanged_in_every_run(site: Site, meddler: str, flags: str) -> None:
    all_capital = meddler == "in small letters"
    paths = [f"image/{'A' if all_capital else 'a'}vatar-{number}.png" for number in range(1, 13)]
    bad = dict(enumerate(paths if all_capital else paths[:3], start=1))
    good = {number: f"avatar/avatar-{number}.png" for number in range(1, 13) if number not in bad}
    site.fill(paths)
    site.database.execute(MEDDLERS[meddler])

    first = site.run(flags)
    assert (first.code, first.counts["migrated"], first.counts["failed"]) == (1, len(good), len(bad)), first
    assert site.database.paths() == good | bad
    said = "takes its path away" if meddler in {"NULL", "deleted"} else "another path was stored: "
    assert all(said in reason for _, reason in problems(site, first).values())

    versions = site.facts().versions
    again = site.run(flags)
    assert (again.code, again.counts["migrated"], again.counts["failed"]) == (1, 0, len(bad)), again
    assert site.facts().versions == versions

    assert json.loads(site.run("verify --json").out)["unmigrated"] == len(bad)
    back = site.run("rollback --all runs -y")
    assert back.code == 0, back
    assert site.database.paths() == dict(enumerate(paths, start=1))


@pytest.mark.parametrize(
    ("column", "path"),
    [("name", "image/" + "x" * 53 + ".png"), ("short", "image/x.png   ")],
    ids=["a name is cut at 63 bytes", "blanks beyond a domain's length are dropped"],
)
def test_a_type_that_cuts_paths_fails_the_row_unchanged(site: Site, column: str, path: str) -> None:
    site.fill(["image/a.png", path])
    site.database.execute("CREATE DOMAIN short AS varchar(14)")
    site.database.execute(f"ALTER TABLE avatars ALTER COLUMN path TYPE {column}")
    for _ in range(2):
        done = site.run("-y")
        assert (done.code, done.counts["failed"]) == (1, 1), done
        assert site.database.paths()[2] == path
    assert site.database.paths()[1] == "avatar/a.png"


@pytest.fixture
def after_version_0_1_0(site: Site) -> Site:
    """The site as that run left it, and its ledger."""
    site.fill([f"image/{'A' if number <= 3 else 'a'}vatar-{number}.png" for number in range(1, 7)])
    bodies = site.legacy_bodies()
    copies = {path.replace("image/", "avatar/"): body for path, body in bodies.items()}
    site.store.put_all(site.store.production_bucket, copies)
    for key in range(1, 7):
        stored = {1: "AVATAR/AVATAR-1.PNG", 2: "AVATAR/AVATAR-2.PNG"}.get(key, f"avatar/avatar-{key}.png")
        site.database.execute("UPDATE avatars SET path = %s WHERE id = %s", stored, key)
    directory = site.folder / "runs" / "20261122T180000Z-ada-000000"
    directory.mkdir(parents=True)
    script = OLD_LEDGER.read_text()
    for name, value in {
        "LEGACY_BUCKET": site.store.legacy_bucket,
        "PRODUCTION_BUCKET": site.store.production_bucket,
        "ENDPOINT": site.store.endpoint_url,
    }.items():
        script = script.replace(name, value)
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as ledger:
        ledger.executescript(script)
    return site


def test_rows_that_an_earlier_version_left_so_are_found_by_verify(after_version_0_1_0: Site) -> None:
    site = after_version_0_1_0
    found = json.loads(site.run("verify --json").out)
    assert (found["passed"], found["dangling"]) == (False, 3)
    assert {example["key"] for example in found["examples"]["dangling"]} == {"1", "2", "3"}
    site.store.put_all(site.store.production_bucket, {"AVATAR/AVATAR-1.PNG": b"put there since"})
    assert json.loads(site.run("verify --json").out)["dangling"] == 2
    site.database.execute("UPDATE avatars SET path = 'elsewhere/by-the-application.png' WHERE id = 2")
    assert json.loads(site.run("verify --json").out)["dangling"] == 2, "it holds neither path, and names no object"


def test_rows_that_an_earlier_version_left_so_are_listed_by_rollback(after_version_0_1_0: Site) -> None:
    site = after_version_0_1_0
    done = site.run("rollback --all runs -y --json")
    document = json.loads(done.out)
    assert (done.code, document["outcomes"]["restored"], document["outcomes"]["failed"]) == (1, 3, 3), done
    assert {problem["key"]: problem["path"] for problem in document["problems"]} == {
        1: "AVATAR/AVATAR-1.PNG",
        2: "AVATAR/AVATAR-2.PNG",
        3: "avatar/avatar-3.png",
    }
    rows = site.database.paths()
    assert [rows[key] for key in (1, 2, 3)] == ["AVATAR/AVATAR-1.PNG", "AVATAR/AVATAR-2.PNG", "avatar/avatar-3.png"]
    assert [rows[key] for key in (4, 5, 6)] == [f"image/avatar-{key}.png" for key in (4, 5, 6)]
    assert site.run("rollback --all runs -y").code == 1, "it says so every time"
