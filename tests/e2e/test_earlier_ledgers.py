"""Runs of earlier versions that were killed: this version resumes, undoes, verifies and repairs what they did.

``tests/data/ledgers`` has what they left; it is put back onto real servers.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Site, body_of, check_refused
from tests.servers.stores import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.servers.databases import Database, Databases
    from tests.servers.stores import StoreServer
    from tests.tool import Finished

DATA = Path(__file__).parents[1] / "data" / "ledgers"
BUCKETS = ("sketch-legacy-earlier", "sketch-production-earlier")
"""As those runs noted them."""

MISSING, CONFLICT, MEDDLED = 3, 5, 7
THEIRS = b"something else"


def legacy(key: int) -> str:
    return f"image/{key}.png"


def production(key: int) -> str:
    return f"avatar/{key}.png"


@dataclass(frozen=True, slots=True)
class Left:
    """A site as a killed run left it. ``rows`` are the paths then, ``copied`` the rows whose object was copied."""

    site: Site
    rows: dict[int, str]
    copied: set[int]
    in_database: bool

    @property
    def flipped(self) -> set[int]:
        """The rows that the run has flipped."""
        return {key for key, path in self.rows.items() if path == production(key)}

    @property
    def meddled(self) -> set[int]:
        """The row for which the database stored another path, where that version committed it."""
        return {key for key, path in self.rows.items() if path not in {legacy(key), production(key)}}

    @property
    def to_migrate(self) -> set[int]:
        """The rows that can still be migrated."""
        return self.rows.keys() - self.flipped - self.meddled - {MISSING, CONFLICT}

    @property
    def interrupted(self) -> int:
        """The last row whose object the run has copied, and which it has not flipped."""
        return max(self.copied & self.to_migrate)

    def init(self) -> None:
        """Upgrade the tables of a ledger in a database: until then nothing is done with them."""
        if self.in_database:
            check_refused(self.site.run("-y"), 3, "of edition", "and this version has")
            assert self.site.run("ledger init").code == 0

    def run(self, flags: str) -> tuple[Finished, dict[str, Any]]:
        """Run the tool; return what came of it, and the document that it printed."""
        done = self.site.run(f"{flags} --json")
        assert "Traceback" not in done.err, done.err
        return done, json.loads(done.out)


def transaction_again(database: Database, keys: set[int], rows: Mapping[int, str]) -> int:
    """Make a transaction that ended as that did which was to flip these rows: committed, or not. Return its number."""
    with database.connect() as connection:
        connection.execute("BEGIN")
        ((xid,),) = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        connection.execute("COMMIT" if all(rows[key] == production(key) for key in keys) else "ROLLBACK")
    return int(xid)


def repeat_transactions(ledger: Path, database: Database, rows: Mapping[int, str]) -> None:
    """Put such transactions into a ledger's file; one that names none stays byte for byte as the kill left it."""
    numbers: defaultdict[int, set[int]] = defaultdict(set)
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        if connection.execute("SELECT 1 FROM pragma_table_info('unsettled') WHERE name = 'xid'").fetchall():
            for key, xid in connection.execute("SELECT key, xid FROM unsettled WHERE xid IS NOT NULL"):
                numbers[xid].add(key)
    for keys in numbers.values():
        again = transaction_again(database, keys, rows)
        with closing(sqlite3.connect(ledger)) as connection, connection:
            connection.executemany("UPDATE unsettled SET xid = ? WHERE key = ?", [(again, key) for key in keys])


def restore_tables(ledger: Database, script: str, database: Database, rows: Mapping[int, str]) -> None:
    """Make a ledger's tables as that version made them, and as it filled them; with such transactions."""
    with ledger.connect() as connection:
        connection.execute(script.encode())
        found = connection.execute(
            "SELECT key::int, to_jsonb(u) ->> 'xid' FROM sketch_ledger.unsettled AS u"
        ).fetchall()
        numbers: defaultdict[str, set[int]] = defaultdict(set)
        for key, xid in found:
            if xid is not None:
                numbers[xid].add(key)
        for keys in numbers.values():
            again = transaction_again(database, keys, rows)
            statement = "UPDATE sketch_ledger.unsettled SET xid = %s WHERE key::int = ANY(%s)"
            connection.execute(statement, [again, list(keys)])


@pytest.fixture(
    params=sorted(path.parent for path in DATA.glob("*/*/site.json")),
    ids=lambda path: f"{path.parent.name}-{path.name}",
)
def left(
    request: pytest.FixtureRequest, database: Database, databases: Databases, rclone: StoreServer, tmp_path: Path
) -> Iterator[Left]:
    """Each of those sites in turn."""
    data: Path = request.param
    state = json.loads((data / "site.json").read_text())
    rows = dict(enumerate(state["rows"], start=1))
    copied = {int(key.removeprefix("avatar/").removesuffix(".png")) for key in state["copied"]}
    shutil.copytree(data / "run_dir", tmp_path / "runs")
    script = data / "ledger.sql"
    with databases.fresh() as ledger, closing(rclone.client()) as client:
        site = Site(database, Store(rclone, rclone, client, *BUCKETS), tmp_path)
        database.create_avatars(rows.values())
        if script.exists():
            restore_tables(ledger, script.read_text(), database, rows)
            url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
            site = site.with_environ(SKETCH_LEDGER_URL=url)
        else:
            for file in sorted((tmp_path / "runs").glob("*/*.sqlite")):
                repeat_transactions(file, database, rows)
        for bucket in BUCKETS:
            client.create_bucket(Bucket=bucket)
        try:
            site.store.put_all(BUCKETS[0], {legacy(key): body_of(legacy(key)) for key in rows.keys() - {MISSING}})
            site.store.put_all(BUCKETS[1], {production(key): body_of(legacy(key)) for key in copied})
            site.store.put_all(BUCKETS[1], {production(CONFLICT): THEIRS})
            yield Left(site, rows, copied, script.exists())
        finally:
            for bucket in BUCKETS:
                site.store.delete_all(bucket, site.store.keys(bucket))
                client.delete_bucket(Bucket=bucket)


def check_resumed(left: Left, rows: Mapping[int, str | None]) -> None:
    """All that can be is in production, and each row names its own object."""
    expected = {key: production(key) for key in left.rows.keys() - {MISSING, CONFLICT} - left.meddled}
    expected |= {MISSING: legacy(MISSING), CONFLICT: legacy(CONFLICT)}
    assert rows == expected | {key: left.rows[key] for key in left.meddled}
    bodies = {production(key): body_of(legacy(key)) for key in left.to_migrate | left.copied}
    assert left.site.production_bodies() == bodies | {production(CONFLICT): THEIRS}


def test_it_is_resumed(left: Left) -> None:
    left.init()
    before = left.site.facts()
    done, document = left.run("-y")
    assert done.code == 1, done
    outcomes = {"migrated": len(left.to_migrate), "missing": 1, "conflict": 1}
    assert {name: count for name, count in document["outcomes"].items() if count} == outcomes
    assert document["possibly_overwritten"] == 0, "it takes no flip of that run for one of the application's"
    after = left.site.facts()
    check_resumed(left, after.rows)
    assert after.legacy == before.legacy
    assert all(after.versions[key] == before.versions[key] for key in left.flipped), "they are not flipped again"
    _, again = left.run("-y")
    assert (again["outcomes"]["migrated"], again["possibly_overwritten"]) == (0, 0)
    assert left.site.facts().versions == after.versions


def test_what_its_copies_may_have_replaced_is_told(left: Left) -> None:
    """The application stored its object just before our copy, and sets the row after the kill."""
    left.init()
    key = left.interrupted
    left.site.database.execute("UPDATE avatars SET path = %s WHERE id = %s", production(key), key)
    done, document = left.run("-y")
    assert (done.code, document["possibly_overwritten"]) == (1, 1)
    assert document["outcomes"]["migrated"] == len(left.to_migrate) - 1
    assert [each["key"] for each in document["problems"] if "possibly overwritten" in each["reason"]] == [key]
    check_resumed(left, left.site.database.paths())


def test_it_is_rolled_back(left: Left) -> None:
    left.init()
    done, document = left.run("rollback --all runs -y")
    assert (document["outcomes"]["restored"], document["outcomes"]["failed"]) == (len(left.flipped), len(left.meddled))
    assert done.code == bool(left.meddled), done
    assert left.site.database.paths() == {
        key: left.rows[key] if key in left.meddled else legacy(key) for key in left.rows
    }
    left.run("-y")
    check_resumed(left, left.site.database.paths())


def check_listed(left: Left) -> None:
    """It is among the runs, with what that version noted of it."""
    _, document = left.run("runs")
    (run,) = [each for each in document["runs"] if each["ledger"]]  # besides one that was refused
    assert (run["command"], run["state"], run["unread"]) == ("migrate", "unknown", None)
    assert run["rows"] >= len(left.flipped), "each was put on record before it was made"
    assert (run["host"], run["user"], run["typed"], run["exit_code"]) == (None, None, None, None)
    shown, _ = left.run(f"runs show {run['run']}")
    assert shown.code == 0


def test_it_is_listed_verified_and_repaired(left: Left) -> None:
    left.init()
    check_listed(left)
    stale, lost = sorted(left.flipped)[:2]
    left.site.store.put_all(BUCKETS[0], {legacy(stale): b"changed after it was copied"})
    left.site.store.delete_all(BUCKETS[1], [production(lost)])
    before = left.site.facts()
    done, document = left.run("verify")
    assert (done.code, document["passed"]) == (1, False), done
    assert document["unmigrated"] == len(left.to_migrate | {CONFLICT}), "that without an object counts by itself"
    assert document["rows"]["stale"] == 1, "the ledger tells that what production holds is the copy"
    assert {each["key"] for each in document["examples"]["dangling"]} == {str(key) for key in {lost, *left.meddled}}
    assert left.site.facts() == before

    done, document = left.run("repair -y")
    assert done.code == 1, "a row's object is missing, and another's is not ours"
    assert (document["repaired"]["copied again"], document["repaired"]["restored"]) == (1, 1)
    assert left.site.store.body(BUCKETS[1], production(stale)) == b"changed after it was copied"
    left.site.store.put_all(BUCKETS[1], {production(stale): body_of(legacy(stale))})
    check_resumed(left, left.site.database.paths())
