"""Where a store honours no condition and keeps no versions: whose row was set by whom, across runs, stops and kills."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.ledger import Flip, SqliteLedger
from tests.e2e.site import body_of
from tests.patience import wait_until
from tests.servers import s3_faults
from tests.servers.condition_proxy import ConditionProxy
from tests.tool import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request
    from tests.tool import Finished

PATHS = [f"image/{number}.png" for number in range(1, 6)]
CONTESTED = "avatar/3.png"
THEIRS = b"what the application has stored meanwhile"


class Once:
    """Does something at the first request, or reply, of one kind for the contested key."""

    def __init__(self, operation: str, act: Callable[[], None]) -> None:
        self._operation, self._act = operation, act
        self.done = False

    def __call__(self, request: S3Request) -> None:
        """Take a request or a reply."""
        if request.operation == self._operation and request.key == CONTESTED and not self.done:
            self.done = True
            self._act()


@pytest.fixture
def proxy(moto_site: Site) -> Iterator[ConditionProxy]:
    """The way to a store that honours no condition."""
    moto_site.fill(PATHS)
    with ConditionProxy(moto_site.store) as proxy:
        yield proxy


@pytest.fixture
def site(moto_site: Site, proxy: ConditionProxy) -> Site:
    return moto_site.at(store=moto_site.store.via(proxy.endpoint_url))


def store_theirs(site: Site) -> None:
    site.store.put_all(site.store.production_bucket, {CONTESTED: THEIRS})


def set_row(site: Site, row: int = 3) -> None:
    site.database.execute(f"UPDATE avatars SET path = '{CONTESTED}' WHERE id = {row}")  # noqa: S608 - a test's constants


def kill_after_the_copy(site: Site, proxy: ConditionProxy) -> None:
    """Start a run, and kill it when the store has copied the contested object."""
    runs: list[subprocess.Popen[str]] = []

    def kill() -> None:
        runs[0].kill()

    proxy.after_reply = Once("copy", kill)
    runs.append(site.start("-y -b 100"))
    assert finish(runs[0]).code == -9


def overwritten(done: Finished) -> tuple[int, int]:
    """Return how many objects are reported, and the exit code."""
    assert "Traceback" not in done.err, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document["possibly_overwritten"], document["exit_code"]


def test_two_runs_at_once_do_not_take_each_other_for_the_application(
    moto_site: Site, site: Site, proxy: ConditionProxy
) -> None:
    """The second run copies and flips everything while the first one's copies are on their way."""
    others: list[Finished] = []
    proxy.before_request = hook = Once(
        "copy", lambda: others.append(moto_site.run("-y --json --no-clobber check-first"))
    )
    first = site.run("-y --json -b 100")
    assert hook.done
    assert json.loads(others[0].out)["outcomes"]["migrated"] == 5
    assert json.loads(first.out)["outcomes"]["already"] == 5
    assert [overwritten(done) for done in (first, *others)] == [(0, 0), (0, 0)]


def test_two_runs_at_once_both_tell_what_the_application_loses(
    moto_site: Site, site: Site, proxy: ConditionProxy
) -> None:
    others: list[Finished] = []

    def store() -> None:
        store_theirs(moto_site)
        set_row(moto_site)

    def second_run() -> None:
        with ConditionProxy(moto_site.store) as way:
            way.before_request = Once("copy", store)
            others.append(moto_site.at(store=moto_site.store.via(way.endpoint_url)).run("-y --json -b 100"))

    proxy.before_request = Once("copy", second_run)
    first = site.run("-y --json -b 100")
    assert [overwritten(done) for done in (first, *others)] == [(1, 1), (1, 1)]


def test_a_row_that_shares_its_object_is_watched_as_well(moto_site: Site, site: Site, proxy: ConditionProxy) -> None:
    moto_site.database.execute("INSERT INTO avatars SELECT n, 'image/3.png' FROM generate_series(6, 9) AS n")

    def store() -> None:
        store_theirs(moto_site)
        for row in range(3, 10):
            if row not in (4, 5):
                set_row(moto_site, row)

    proxy.before_request = Once("copy", store)
    done = site.run("-y --json -b 100")
    assert overwritten(done) == (5, 1)
    assert [problem["key"] for problem in json.loads(done.out)["problems"]] == [3, 6, 7, 8, 9]


def test_a_killed_run_leaves_word_of_what_it_was_about_to_copy(
    moto_site: Site, site: Site, proxy: ConditionProxy
) -> None:
    """Its row is in production, so that no later run takes it up; but the ledger of the killed one names it."""
    proxy.before_request = Once("copy", lambda: store_theirs(moto_site))
    kill_after_the_copy(site, proxy)
    assert moto_site.store.body(moto_site.store.production_bucket, CONTESTED) == body_of("image/3.png")
    set_row(moto_site)
    again = site.run("-y --json")
    assert overwritten(again) == (1, 1)
    assert json.loads(again.out)["outcomes"] | {"migrated": 4} == json.loads(again.out)["outcomes"]
    assert overwritten(site.run("-y --json")) == (0, 0), "it was told, and is not told again"


def test_what_a_killed_run_leaves_is_looked_at_side_by_side(moto_site: Site, site: Site, proxy: ConditionProxy) -> None:
    """Each later run asks again for the rows that the application has set, and there may be thousands of them."""
    kill_after_the_copy(site, proxy)
    moto_site.database.execute("UPDATE avatars SET path = replace(path, 'image/', 'avatar/')")
    for path in PATHS:
        moto_site.store.put_all(moto_site.store.production_bucket, {path.replace("image/", "avatar/"): THEIRS})
    # the first one tries the right to read
    proxy.on(s3_faults.stall(), operation="head", key="^avatar/[1-5].png$", skip=1)
    process = site.start("-y --json")
    try:
        proxy.wait_until(lambda: len({r.key for name, r in proxy.struck if name == "stall"}) == len(PATHS))
    finally:
        proxy.clear()
        proxy.release()
    assert overwritten(finish(process)) == (0, 0)


async def record_flip(path: Path) -> None:
    """Put on record what the killed run was about to set."""
    async with SqliteLedger(path, description={}) as ledger:
        flip = Flip(3, "image/3.png", CONTESTED, None, "", copied=True)
        await ledger.record_flips([flip], unix_time=time.time())


@pytest.mark.parametrize("fate", ["COMMIT", "ROLLBACK"])
def test_a_transaction_of_a_killed_run_that_is_under_way_is_waited_for(
    site: Site, proxy: ConditionProxy, fate: str
) -> None:
    """It is on record which transaction sets the row: done, the row is ours; not done, somebody else has set it."""
    kill_after_the_copy(site, proxy)
    (ledger,) = (site.folder / "runs").glob("*/ledger.sqlite")
    asyncio.run(record_flip(ledger))
    with site.database.connect() as theirs, closing(sqlite3.connect(ledger)) as record:
        theirs.execute("BEGIN")
        ((xid,),) = theirs.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        if fate == "COMMIT":
            theirs.execute("UPDATE avatars SET path = %s WHERE id = 3", [CONTESTED])
        else:
            set_row(site)
        assert record.execute("UPDATE unsettled SET xid = ? WHERE key = 3", [xid]).rowcount == 1
        record.commit()
        process = site.start("-y --json")
        wait_until(
            lambda: sum((path or "").startswith("avatar/") for path in site.database.paths().values()) >= 4,
            "the other rows are flipped",
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        theirs.execute(fate)
        again = finish(process)
    assert overwritten(again) == ((0, 0) if fate == "COMMIT" else (1, 1))


def test_a_killed_run_is_no_reason_to_suspect_what_a_later_one_migrates(
    moto_site: Site, site: Site, proxy: ConditionProxy
) -> None:
    kill_after_the_copy(site, proxy)
    assert overwritten(moto_site.run("-y --json --no-clobber conditional-put")) == (0, 0)
    assert overwritten(site.run("-y --json")) == (0, 0)
    assert moto_site.database.paths() == {n: f"avatar/{n}.png" for n in range(1, 6)}


def test_what_an_error_stopped_is_told_by_the_next_run(moto_site: Site, site: Site, proxy: ConditionProxy) -> None:
    role = moto_site.database.make_user()
    for right in ("SELECT, UPDATE ON avatars", f"CONNECT ON DATABASE {moto_site.database.name}"):
        moto_site.database.execute(f"GRANT {right} TO {role.user}")

    def store_and_revoke() -> None:
        store_theirs(moto_site)
        moto_site.database.execute(f"REVOKE UPDATE ON avatars FROM {role.user}")

    proxy.before_request = Once("copy", store_and_revoke)
    stopped = site.at(database=role).run("-y --json -b 100")
    assert overwritten(stopped) == (0, 3)
    set_row(moto_site)
    moto_site.database.execute(f"GRANT UPDATE ON avatars TO {role.user}")
    assert overwritten(site.at(database=role).run("-y --json")) == (1, 1)


def test_a_rollback_ends_what_a_run_has_claimed(moto_site: Site, site: Site, proxy: ConditionProxy) -> None:
    """That a run once set the row, and it was set back, says nothing of who sets it the next time."""
    assert site.run("-y").code == 0
    assert site.run(f"rollback -y {site.last_run()}").code == 0
    moto_site.store.client.delete_object(Bucket=moto_site.store.production_bucket, Key=CONTESTED)

    def store() -> None:
        store_theirs(moto_site)
        set_row(moto_site)

    proxy.before_request = hook = Once("copy", store)
    assert overwritten(site.run("-y --json")) == (1, 1)
    assert hook.done


def test_versions_tell_what_was_replaced_though_its_row_is_never_set(
    moto_site: Site, site: Site, proxy: ConditionProxy
) -> None:
    """Without versions nothing tells an object that has no row from one that never was."""
    bucket = moto_site.store.production_bucket
    moto_site.store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    proxy.before_request = Once("copy", lambda: store_theirs(moto_site))
    done = site.run("-y --json")
    assert overwritten(done) == (1, 1)
    (problem,) = json.loads(done.out)["problems"]
    assert (problem["key"], problem["outcome"]) == (3, "migrated")
    version = problem["reason"].partition("its object is version ")[2].partition(":")[0]
    restored = moto_site.store.client.get_object(Bucket=bucket, Key=CONTESTED, VersionId=version)["Body"].read()
    assert restored == THEIRS
