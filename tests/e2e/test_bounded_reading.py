"""Reading is bounded in time: where each row costs a millisecond, nobody waits for one of our statements for long."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.servers.databases import Database

FAST, SLOW = 2_200, 1_800
"""Rows that cost nothing come first, so that the pages are large when they meet those of a millisecond."""

LONGEST_SECONDS = 1.0
LATE_SECONDS = 0.6
"""What a busy machine may add to a second."""

_ACTIVE = """
SELECT extract(epoch FROM clock_timestamp() - query_start)::float, query FROM pg_stat_activity
WHERE usename = %s AND state = 'active' AND query ~ 'avatars'
"""


@pytest.fixture
def slow_site(site: Site) -> Site:
    """A table of which a policy makes the later rows slow for a user who may only read it."""
    site.fill([*(["avatar/x"] * FAST), *(["image/1"] * SLOW)])
    user = site.database.make_user("SELECT (id, path) ON avatars")
    policy = f"CREATE POLICY slow ON avatars USING (id <= {FAST} OR pg_sleep(0.001) IS NOT NULL)"
    site.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    site.database.execute(policy)
    return site.at(database=user)


class Watch:
    """What was seen of a user's statements: the longest, and how often one was at work for a tenth of a second.

    ``waits`` are how long each ALTER TABLE took that had to wait for them.
    """

    def __init__(self) -> None:
        self.longest_seconds = 0.0
        self.looks_at_slow_ones = 0
        self.waits: list[float] = []


@contextmanager
def watched(admin: Database, user: str) -> Iterator[Watch]:
    """Sample the user's statements, and have a DDL statement wait for the table again and again."""
    watch, over = Watch(), threading.Event()

    def sample() -> None:
        with admin.connect() as connection:
            while not over.wait(0.02):
                for seconds, _ in connection.execute(_ACTIVE, [user]).fetchall():
                    watch.longest_seconds = max(watch.longest_seconds, seconds)
                    watch.looks_at_slow_ones += seconds > 0.1

    def alter() -> None:
        with admin.connect() as connection:
            while not over.wait(0.3):
                began = time.monotonic()
                connection.execute("ALTER TABLE avatars ALTER COLUMN path SET DEFAULT ''")  # waits for all who read
                watch.waits.append(time.monotonic() - began)

    threads = [threading.Thread(target=work) for work in (sample, alter)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("command", ["-d", "-s", "plan", "discover", "discover --full"])
def test_no_statement_lasts_long_and_an_alter_table_gets_its_lock(
    slow_site: Site, database: Database, command: str
) -> None:
    with watched(database, slow_site.database.user) as watch:
        done = slow_site.run(f"{command} --json")
    assert done.code == (1 if command == "plan" else 0), done
    assert watch.looks_at_slow_ones > 3
    assert watch.longest_seconds < LONGEST_SECONDS + LATE_SECONDS
    assert max(watch.waits) > 0.1
    assert max(watch.waits) < LONGEST_SECONDS + LATE_SECONDS


READS_SOME = re.compile(r"LIMIT \d+|LIMIT 1\b|= ANY\(|TABLESAMPLE|min\(|> .* AND .* <= ", re.DOTALL)


@pytest.mark.parametrize("flags", ["-s", "-st --no-progress", "-y", "-d -l 3", "-y --no-progress", "-y -l 3", "-yt"])
def test_no_statement_reads_the_whole_table(site: Site, flags: str) -> None:
    """And none has its time limit lifted, but a COMMIT."""
    site.fill([f"image/{number}" for number in range(9)] + ["avatar/x", None])
    with PostgresFaultProxy(site.database.port) as proxy:
        done = site.at(database=site.database.via(proxy.port)).run(flags)
    assert done.code == ("-l 3" in flags), done
    of_table = [text for text in proxy.statements if re.search(r'(FROM|UPDATE) (ONLY )?"avatars"', text)]
    assert of_table
    assert [text for text in of_table if "WITH free" not in text and not READS_SOME.search(text)] == []
    counts = [text for text in of_table if "count(*) FILTER (WHERE is_legacy)" in text]
    assert bool(counts) == (flags in {"-s", "-st --no-progress", "-yt"})
    lifted = [text for text in proxy.statements if re.search("statement_timeout = 0", text)]
    assert {text for text in lifted if not text.endswith("; COMMIT")} == set()


def test_a_status_of_many_pages_is_exact(site: Site) -> None:
    paths = ["image/a", "avatar/b", "elsewhere", None, "image/c"] * 5_000
    site.fill(paths)
    done = site.run("-st")
    assert done.tech_status == "tech_status 2,1,10000,5000,25000"
