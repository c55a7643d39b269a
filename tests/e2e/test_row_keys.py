"""Keys that are no number, uuid or text: a migration there and back, by the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site, body_of
from tests.e2e.test_rollback import document

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    "numeric": ["9.50", "10", "11", "100.0"],
    "timestamptz": ["2026-01-02T10:00:00", "2026-01-03T10:00:00", "2026-01-03T10:00:00.5", "2026-02-01T00:00:00"],
    "bytea": [r"\x09", r"\x10", r"\x1100", r"\x12"],
}
TYPED = {"numeric": "10.0", "timestamptz": "2026-01-03 10:00:00+00", "bytea": "\\x10"}
"""The second key in another form."""


@pytest.mark.parametrize("key_type", KEYS)
def test_there_and_back_by_keys_and_ranges_in_the_order_of_the_database(
    site: Site, tmp_path: Path, key_type: str
) -> None:
    keys = KEYS[key_type]
    site.database.execute(f"ALTER DATABASE {site.database.name} SET timezone = 'UTC'")
    site.database.execute("DROP TABLE IF EXISTS avatars")
    site.database.execute(f"CREATE TABLE avatars (id {key_type} PRIMARY KEY, path text)")
    for number, key in enumerate(keys, 1):
        site.database.execute(f"INSERT INTO avatars VALUES ('{key}', 'image/{number}.png')")  # noqa: S608 - ours
    site.store.put_all(site.store.legacy_bucket, {f"image/{n}.png": body_of(str(n)) for n in (1, 2, 4)})
    done = site.run("-y -b 1 --processes 2 --json")
    outcomes = document(done)["outcomes"]
    assert (done.code, outcomes["migrated"], outcomes["missing"]) == (1, 3, 1), done
    assert [problem["key"] for problem in document(done)["problems"]] == [keys[2]]
    run = str(site.last_run())
    site.database.execute("DELETE FROM avatars WHERE path = 'image/3.png'")
    assert site.run("verify").code == 0

    listed = tmp_path / "keys.txt"
    listed.write_text(TYPED[key_type])
    assert document(site.run("rollback -y --json --only-keys", str(listed), run))["outcomes"]["restored"] == 1
    assert paths(site) == ["avatar/1.png", "image/2.png", "avatar/4.png"]
    back = document(site.run("rollback -y --json --key-from", keys[1], run))
    assert back["outcomes"] == {"restored": 1, "already": 1, "superseded": 0, "missing": 0, "failed": 0}
    assert paths(site) == ["avatar/1.png", "image/2.png", "image/4.png"]
    wrong = site.run("rollback -y --key-until", r"\xwhat?", run)
    assert wrong.code == 2
    assert "cannot be a key of table avatars" in wrong.err
    assert site.run("rollback -y", run).code == 0
    assert paths(site) == ["image/1.png", "image/2.png", "image/4.png"]


def paths(site: Site) -> list[str]:
    """Return the paths in the order of the key."""
    return [path for (path,) in site.database.execute("SELECT path FROM avatars ORDER BY id")]
