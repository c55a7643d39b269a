"""``rollback``: the database goes back to where it was, row by row, and nothing of the application is touched.

Faults and kills at every point of it: ``tests/fault/test_matrix.py``.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Site, body_of
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.tool import finish, run_directories

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tool import Finished

ROWS = int(os.environ.get("ROLLBACK_ROWS", "300"))
KILLS = int(os.environ.get("ROLLBACK_KILLS", "6"))


def image(number: int) -> str:
    return f"image/avatar-{number}.png"


def avatar(number: int) -> str:
    return f"avatar/avatar-{number}.png"


def document(finished: Finished) -> dict[str, Any]:
    """Read the JSON document of a command."""
    read: dict[str, Any] = json.loads(finished.out)
    return read


def outcomes(finished: Finished) -> dict[str, int]:
    """Return the outcomes that are not 0."""
    return {word: count for word, count in document(finished)["outcomes"].items() if count}


def migrated(site: Site, rows: int = 40) -> Path:
    """Fill a site and migrate it; return the run's directory."""
    site.fill([image(n) for n in range(1, rows + 1)])
    run = site.run("-y -b 10 -p 1")  # one at a time, so that the ledger is in the order of the keys
    assert run.code == 0, run.err
    return site.last_run()


@pytest.mark.parametrize("gone", ["emptied", "removed"])
def test_a_run_whose_ledger_is_gone_is_not_called_set_back(site: Site, gone: str) -> None:
    run, ledger = migrated(site), site.last_run() / "ledger.sqlite"
    if gone == "emptied":
        ledger.write_bytes(b"")
    else:
        ledger.unlink()
    for words in (["rollback -y --all", str(run.parent)], ["rollback -y", str(run)]):
        refused = site.run(*words)
        is_not_found = gone == "removed" and "--all" not in words[0]
        assert refused.code == (2 if is_not_found else 4), refused
        told = "holds no ledger.sqlite" if is_not_found else "that 40 rows were migrated, and its ledger has 0"
        assert told in refused.err
    assert list(site.facts().rows.values()) == [avatar(n) for n in range(1, 41)]


def test_migrated_rolled_back_migrated_again(site: Site) -> None:
    """The table and both listings are at each moment what they were at that moment before."""
    others = ["image/", None, "other/x.png", "avatar/own.png"]
    site.fill([*(image(n) for n in range(ROWS)), *others], without_object=["image/"])
    legacy = site.facts()
    assert site.run("-y -b 30").code == 1, "the row that names no object is left"
    production = site.facts()
    back = site.run("rollback -y --json -b 30", str(site.last_run()))
    assert (back.code, outcomes(back)) == (0, {"restored": ROWS}), back.err
    after = site.facts()
    assert after.rows == legacy.rows
    assert (after.legacy, after.production) == (legacy.legacy, production.production)
    assert site.run("-y -b 30").code == 1
    again = site.facts()
    assert again.rows == production.rows
    assert (again.legacy, again.production) == (production.legacy, production.production)


def test_a_second_rollback_writes_nothing(site: Site) -> None:
    run = migrated(site)
    assert site.run("rollback -y", str(run)).code == 0
    before = site.facts()
    again = site.run("rollback -y --json", str(run))
    assert (again.code, outcomes(again)) == (0, {"already": 40})
    assert site.facts() == before


def test_a_dry_run_says_and_does_nothing(site: Site) -> None:
    run = migrated(site)
    before = site.facts()
    dry = site.run("rollback -dv", str(run))
    assert dry.code == 0, dry.err
    assert f"{avatar(7)!r} -> {image(7)!r}" in dry.out
    assert "Dry run: nothing was changed." in dry.out
    assert site.facts() == before


def test_a_dry_run_of_several_runs_counts_each_row_once(site: Site) -> None:
    first = migrated(site)
    assert site.run("rollback -y", str(first)).code == 0
    assert site.run("-y").code == 0
    before = site.facts()
    dry = site.run("rollback -d --json -b 7 --all runs")
    assert site.facts() == before
    assert (dry.code, outcomes(dry)) == (0, {"restored": 40, "already": 40})
    assert outcomes(site.run("rollback -y --json --all runs")) == outcomes(dry)


def test_what_the_application_changed_since_is_left_and_listed(site: Site) -> None:
    run = migrated(site)
    site.database.execute("UPDATE avatars SET path = 'avatar/new.png' WHERE id = 3")
    site.database.execute("DELETE FROM avatars WHERE id = 4")
    site.database.execute("UPDATE avatars SET path = NULL WHERE id = 5")
    back = site.run("rollback -y --json", str(run))
    assert (back.code, outcomes(back)) == (0, {"restored": 37, "superseded": 3})
    assert [problem["key"] for problem in document(back)["problems"]] == [3, 4, 5]
    assert (site.last_run() / "problems.csv").read_text().count("superseded") == 3
    rows = site.database.paths()
    assert (rows[3], rows[5], 4 in rows) == ("avatar/new.png", None, False)
    assert rows[6] == image(6)


def test_a_row_whose_legacy_object_is_gone_stays_in_production(site: Site) -> None:
    run = migrated(site)
    site.store.client.delete_object(Bucket=site.store.legacy_bucket, Key=image(9))
    back = site.run("rollback -y --json", str(run))
    assert (back.code, outcomes(back)) == (1, {"restored": 39, "missing": 1})
    assert "image/avatar-9.png to go back to" in document(back)["problems"][0]["reason"]
    assert site.database.paths()[9] == avatar(9)
    site.store.put_all(site.store.legacy_bucket, {image(9): body_of(image(9))})
    assert site.run("rollback -y", str(run)).code == 0
    assert site.database.paths()[9] == image(9)


def test_portions_by_limit_get_to_the_end(site: Site) -> None:
    run = migrated(site)
    site.database.execute("UPDATE avatars SET path = 'avatar/new.png' WHERE id = 40")
    codes = [site.run("rollback -y -l 15", str(run)).code for _ in range(3)]
    assert codes == [1, 1, 0]
    assert all(path == image(n) for n, path in site.database.paths().items() if n != 40)


def test_only_the_rows_that_are_asked_for(site: Site, tmp_path: Path) -> None:
    run = migrated(site)
    keys = tmp_path / "keys.txt"
    keys.write_text("7\n\n 12 \n99999\n30\n")
    assert outcomes(site.run("rollback -y --json --key-until 12 --only-keys", str(keys), str(run))) == {"restored": 2}
    assert outcomes(site.run("rollback -y --json --key-from 38", str(run))) == {"restored": 3}
    changed = {n for n, path in site.database.paths().items() if path == image(n)}
    assert changed == {7, 12, 38, 39, 40}
    wrong = site.run("rollback -y --key-from seven", str(run))
    assert wrong.code == 2
    assert "'seven' cannot be a key of table avatars" in wrong.err
    absent = site.run("rollback -y --only-keys absent.txt", str(run))
    assert absent.code == 2
    assert "absent.txt cannot be read" in absent.err


def test_every_run_below_a_folder(site: Site) -> None:
    site.fill([image(n) for n in range(1, 41)])
    for _ in range(4):
        site.run("-y -l 10")
    site.run("-d")
    last = run_directories(site.folder)[3]
    assert site.run("rollback -y", str(last)).code == 0
    back = site.run("rollback -y --json --all runs")
    assert (back.code, outcomes(back)) == (0, {"restored": 30, "already": 10}), back.err
    assert site.database.paths() == {n: image(n) for n in range(1, 41)}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SKETCH_LEGACY_PREFIX": "pictures/"}, "its legacy is"),
        ({"SKETCH_PRODUCTION_PREFIX": "portrait/"}, "its production is"),
        ({"SKETCH_DB_TABLE": "others"}, "its table is 'avatars', and the settings say 'others'"),
        ({"SKETCH_DB_KEY_COLUMN": "number"}, "its key column is 'id'"),
    ],
    ids=["legacy", "production", "table", "key"],
)
def test_a_ledger_of_another_migration_is_refused(site: Site, environ: dict[str, str], said: str) -> None:
    run = migrated(site)
    before = site.facts()
    for flags in (["rollback -y", str(run)], ["rollback -y --all runs"]):
        refused = site.with_environ(**environ).run(*flags)
        assert refused.code == 2
        assert said in refused.err
        assert str(run.name) in refused.err
    assert site.facts() == before


def test_what_is_no_run_of_a_migration_is_refused(site: Site, tmp_path: Path) -> None:
    run = migrated(site)
    assert site.run("rollback -y", str(run)).code == 0
    undone = site.run("rollback -y", str(site.last_run()))
    assert (undone.code, "is the record of a rollback" in undone.err) == (2, True)
    empty = site.run("rollback -y", str(tmp_path))
    assert (empty.code, "holds no ledger.sqlite" in empty.err) == (2, True)
    nowhere = site.run("rollback -y --all nowhere")
    assert (nowhere.code, "there is no folder nowhere" in nowhere.err) == (2, True)
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database, and never was one\n" * 100)
    broken = site.run("rollback -y", str(tmp_path))
    assert (broken.code, "file is not a database" in broken.err) == (4, True)


def test_a_no_changes_nothing(site: Site) -> None:
    run = migrated(site)
    before = site.facts()
    terminal = site.on_a_terminal(f"rollback {run}")
    terminal.expect("undoes up to 40 flips")
    terminal.expect("yes/no")
    terminal.sendline("no")
    terminal.expect("Nothing was changed")
    terminal.wait()
    assert terminal.exitstatus == 1
    assert site.facts() == before


def test_it_keeps_a_ledger_of_its_own(site: Site) -> None:
    migrated(site, rows=3)
    ran = site.last_run()
    assert site.run("rollback -y", str(ran)).code == 0
    with closing(sqlite3.connect(site.last_run() / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT key, old_path, new_path FROM flip ORDER BY key").fetchall() == [
            (n, avatar(n), image(n)) for n in (1, 2, 3)
        ]
        described = dict(ledger.execute("SELECT name, value FROM run").fetchall())
    assert (described["command"], described["undoes 1"]) == ("rollback", str(ran))


@pytest.mark.parametrize("column_type", ["uuid", "text"])
def test_other_kinds_of_key(site: Site, column_type: str) -> None:
    site.fill([image(n) for n in range(1, 9)])
    made = f"GENERATED ALWAYS AS (md5(id::text)::{column_type}) STORED"
    site.database.execute(f"ALTER TABLE avatars ADD COLUMN name {column_type} NOT NULL {made} UNIQUE")
    site = site.with_environ(SKETCH_DB_KEY_COLUMN="name")
    assert site.run("-y").code == 0
    back = site.run("rollback -y --json", str(site.last_run()))
    assert (back.code, outcomes(back)) == (0, {"restored": 8}), back.err
    assert site.database.paths() == {n: image(n) for n in range(1, 9)}


def test_a_run_that_was_killed_anywhere_is_undone(site: Site) -> None:
    """Killed at random moments, again and again, rolled back by what the ledgers say; rollbacks killed as well."""
    site.fill([image(n) for n in range(1, 401)])
    seed = os.environ.get("KILL_SEED") or secrets.token_hex(4)
    print(f"KILL_SEED={seed}")  # noqa: T201 - shown where the test fails
    dice = random.Random(seed)
    with S3FaultProxy(site.store.endpoint_url) as s3:
        for number in range(KILLS):
            flags, side, checks = (("rollback -y --all runs", avatar, 1), ("-y", image, 2))[number % 2 == 0]
            to_do = sum(path == side(n) for n, path in site.database.paths().items())
            if not to_do:
                continue  # the run before was killed before its first flip
            # after the checks each row's object is looked for once; the last few are left, so that the run still lives
            looks = s3.count("head") + checks + dice.randint(1, max(1, to_do * 9 // 10))
            through = site.at(store=site.store.via(s3.endpoint_url))
            process = through.start(f"{flags} -b {dice.randint(3, 30)} -p {dice.randint(1, 4)}")
            s3.wait_for_requests(looks, "head")
            threading.Event().wait(dice.uniform(0, 0.01))  # and anywhere between two requests
            process.kill()
            assert finish(process).code in {0, -signal.SIGKILL}
            assert all(path in {image(n), avatar(n)} for n, path in site.database.paths().items())
    back = site.run("rollback -y --all runs")
    assert back.code == 0, back.err
    assert site.database.paths() == {n: image(n) for n in range(1, 401)}


def test_a_stop_is_gone_on_with(site: Site) -> None:
    run = migrated(site, rows=800)
    process = site.start(f"rollback -yv -b 5 -p 1 {run}")
    assert process.stdout is not None
    process.stdout.readline()  # the first entries are done
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    assert stopped.code == 130
    paths = site.database.paths()
    assert 0 < sum(path == image(n) for n, path in paths.items()) < 800
    assert set(paths.values()) <= {path for n in paths for path in (image(n), avatar(n))}
    assert site.run("rollback -y", str(run)).code == 0
    assert site.database.paths() == {n: image(n) for n in range(1, 801)}


def test_the_application_goes_on_meanwhile(site: Site) -> None:
    """Whatever it writes during a rollback stays, and what it does not touch goes back."""
    run = migrated(site, rows=600)
    chosen = random.Random(7).sample(range(1, 601), 200)
    process = site.start(f"rollback -y --json -b 10 {run}")
    with site.database.connect() as application:
        for number in chosen:
            application.execute("UPDATE avatars SET path = %s WHERE id = %s", [f"avatar/new-{number}.png", number])
        application.execute("INSERT INTO avatars SELECT n, 'avatar/own.png' FROM generate_series(1001, 1050) AS n")
    back = finish(process)
    assert back.code == 0, back.err
    paths = site.database.paths()
    assert {n: path for n, path in paths.items() if n in chosen} == {n: f"avatar/new-{n}.png" for n in chosen}
    assert all(path == image(n) for n, path in paths.items() if n <= 600 and n not in chosen)
    assert all(paths[n] == "avatar/own.png" for n in range(1001, 1051))
    counted = outcomes(back)
    assert sum(counted.values()) == 600
    assert counted["restored"] >= 400
