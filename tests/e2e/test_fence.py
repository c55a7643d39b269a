"""``fence`` prints what refuses new legacy references once none is left; and no run begins where one is in its way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.e2e import sources
from tests.e2e.site import check_refused

if TYPE_CHECKING:
    from tests.e2e.site import Site

PATHS = [f"image/{number}.png" for number in range(1, 6)]


def document(site: Site, flags: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.run(f"{flags} --json").out)
    return found


def fence_on(site: Site) -> str:
    """Run what ``fence`` prints, and return the name of what is there then."""
    printed = site.run("fence")
    assert printed.code == 0, printed
    site.database.execute(printed.out)
    ((name,),) = site.database.execute("SELECT conname FROM pg_constraint WHERE conname LIKE 'sketch_migrate_fence_%'")
    assert f"ADD CONSTRAINT {name} CHECK" in printed.out
    return str(name)


def test_while_rows_are_left_there_is_none(site: Site) -> None:
    site.fill([*PATHS, "avatar/9.png", None])
    before = site.facts()
    done = site.run("fence")
    assert (done.code, done.out) == (1, "")
    assert "5 legacy rows of avatars.path are left: with a fence every UPDATE of them would fail" in done.err
    (source,) = document(site, "fence")["sources"]
    assert (source["legacy_rows"], source["add"], source["present"]) == (5, None, [])
    assert site.facts() == before


def test_what_it_prints_refuses_legacy_references_and_nothing_else(site: Site) -> None:
    site.fill([*PATHS, None])
    assert site.run("-y").code == 0
    reader = site.at(database=site.database.make_user("SELECT ON avatars"))
    assert reader.run("fence").out == site.run("fence").out, "it takes the right to read, and no more"
    name = fence_on(site)
    for refused in (
        "INSERT INTO avatars (id, path) VALUES (100, 'image/100.png')",
        "UPDATE avatars SET path = 'image/1.png' WHERE id = 1",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match=name):
            site.database.execute(refused)
    site.database.execute("INSERT INTO avatars (id, path) VALUES (100, 'avatar/100.png'), (101, NULL), (102, 'other')")
    site.database.execute("UPDATE avatars SET path = path")
    again = site.run("fence")
    assert again.code == 0
    assert f"-- avatars.path: {name} is there.\n" in again.out
    assert f'ALTER TABLE "avatars" DROP CONSTRAINT {name};' in again.out
    assert "ADD CONSTRAINT" not in again.out
    assert site.run("-y").code == 0, "there is nothing that it refuses"
    site.database.execute(f'ALTER TABLE "avatars" DROP CONSTRAINT {name};')
    assert "ADD CONSTRAINT" in site.run("fence").out


def test_no_rollback_begins_behind_one(site: Site) -> None:
    site.fill(PATHS)
    assert site.run("-y").code == 0
    run = site.last_run()
    name = fence_on(site)
    before = site.facts()
    check_refused(site.run("rollback -y", str(run)), 1, f"table avatars has the fence {name}", "back to legacy (23514)")
    assert site.facts() == before
    dry = site.run("rollback -d", str(run))
    assert dry.code == 0
    assert f"Warning: table avatars has the fence {name}" in dry.err
    site.database.execute(f"ALTER TABLE avatars DROP CONSTRAINT {name}")
    assert site.run("rollback -y", str(run)).code == 0
    assert list(site.database.paths().values()) == PATHS


@pytest.mark.parametrize("command", ["-y", "repair -y"])
def test_no_run_begins_where_one_meets_rows_that_are_left(site: Site, command: str) -> None:
    site.fill(PATHS)
    assert site.run("-y").code == 0
    printed = site.run("fence").out
    site.database.execute("INSERT INTO avatars (id, path) VALUES (100, 'image/5.png')")
    site.database.execute(printed)
    with pytest.raises(psycopg.errors.CheckViolation):
        site.database.execute("UPDATE avatars SET id = id WHERE id = 100")
    before = site.facts()
    check_refused(site.run(command), 1, "table avatars has the fence", "legacy rows are left: each UPDATE of them")
    assert site.facts() == before
    if command == "-y":
        dry = site.run("-d")
        assert dry.code == 0
        assert "Warning: table avatars has the fence" in dry.err


def test_plan_says_whether_one_is_there(site: Site) -> None:
    site.fill(PATHS)
    assert "\n  fence       none\n" in site.run("plan").out
    assert site.run("-y").code == 0
    name = fence_on(site)
    plan = site.run("plan")
    assert plan.code == 0
    assert f"\n  fence       {name}\n" in plan.out
    found = document(site, "plan")
    assert found["sources"][0]["table"]["fences"] == [name]
    assert [each["severity"] for each in found["findings"] if each["kind"] == "fence"] == ["note"]
    site.database.execute(f"ALTER TABLE avatars DROP CONSTRAINT {name}")
    printed = site.run("fence").out
    site.database.execute("INSERT INTO avatars (id, path) VALUES (100, 'image/5.png')")
    site.database.execute(printed)
    found = document(site, "plan")
    assert [each["severity"] for each in found["findings"] if each["kind"] == "fence"] == ["look"]
    assert not [each for each in found["findings"] if each["kind"] in {"check", "constraint"}]


def test_each_source_has_its_own_or_the_reason_why_not(site: Site) -> None:
    many = sources.made(site)
    left = many.run("fence")
    assert (left.code, left.out) == (1, "")
    assert many.run("-y").code == 0
    done = many.run("fence")
    assert done.code == 0, done
    site.database.execute(done.out)
    fenced = {
        table for (table,) in site.database.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname LIKE 'sketch_migrate_fence_%'"
        )
    }  # fmt: skip
    assert fenced == {"documents", "attachments", "galleries", "blobs"}
    for name, why in (("users", "URLs only roughly"), ("posts", "shape 'text'"), ("avatars", "shape 'expression'")):
        (line,) = [line for line in done.out.splitlines() if line.startswith(f"-- {name}: none, as ")]
        assert why in line
