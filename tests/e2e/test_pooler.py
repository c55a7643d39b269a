"""Behind pgbouncer: session and transaction mode do; statement mode has no transactions, and is refused at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import check_refused, counts
from tests.servers.pgbouncer import pgbouncer, why_not

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_whole_migration(site: Site, mode: str) -> None:
    site.fill(f"image/{number}.png" for number in range(60))
    with pgbouncer(site.database, mode, default_pool_size=20 if mode == "session" else 4) as port:
        pooled = site.at(database=site.database.via(port)).with_environ(
            SKETCH_LEDGER_URL=f"postgresql://127.0.0.1:{port}/{site.database.name}",
            SKETCH_LEDGER_USER=site.database.user,
            SKETCH_LEDGER_PASS=site.database.password,
        )
        assert pooled.run("ledger init").code == 0
        assert pooled.run("plan").code == 0
        done = pooled.run("-y -b 10")
        assert (done.code, done.counts) == (0, counts(migrated=60, copied=60)), done
        assert "away" not in done.err
        assert pooled.run("verify").code == 0
        back = pooled.run("rollback --all runs -y")
        assert back.code == 0, back
    assert all(path is not None and path.startswith("image/") for path in site.database.paths().values())


@pytest.mark.parametrize("flags", ["-y", "-s", "plan", "verify"])
def test_statement_mode_is_refused(site: Site, flags: str) -> None:
    site.fill(["image/1.png"])
    before = site.facts()
    with pgbouncer(site.database, "statement") as port:
        began = time.monotonic()
        done = site.at(database=site.database.via(port)).run(flags)
    check_refused(done, 3, "statement pooling mode")
    assert "pool_mode" in done.err
    assert time.monotonic() - began < 30, "it was waited for"
    assert site.facts() == before


def test_a_ledger_behind_statement_mode_is_refused(site: Site) -> None:
    site.fill(["image/1.png"])
    with pgbouncer(site.database, "statement") as port:
        ledger = {
            "SKETCH_LEDGER_URL": f"postgresql://127.0.0.1:{port}/{site.database.name}",
            "SKETCH_LEDGER_USER": site.database.user,
        }
        check_refused(site.with_environ(**ledger).run("ledger init"), 3, "ledger", "statement pooling mode")
