"""Six sources, an application that edits the same values, and kills: no edit is lost, each key has its object."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import Site
from tests.e2e.sources_site import make
from tests.fault.edits import LEGACY, Application, keyed_rows, life_beside, names_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store

ROWS = 40
EDITED = range(1, 21)
KILLS = 5
STEP = ROWS // 2
"""So many legacy keys less are named, of about seven for each row, when a run is killed."""

REQUESTS_A_SECOND = 300
"""A run takes some seconds, so that it is killed in its midst."""


@pytest.mark.parametrize("flags", ["-b 7 -p 3", "-b 7 --processes 2"], ids=["one process", "two"])
def test_edits_are_kept_and_kills_are_got_over(
    database: Database, rclone_store: Store, tmp_path: Path, flags: str
) -> None:
    sources = make(Site(database, rclone_store, tmp_path), ROWS)
    before = keyed_rows(sources)
    application = Application(sources, EDITED)
    slow = f"-y {flags} --config sources.toml --max-requests-per-second {REQUESTS_A_SECOND}"
    with life_beside(application) as looks:
        kills = 0
        while kills < KILLS and (legacy := len(names_of(sources, LEGACY))) > 2 * STEP:
            kills += 1
            process = sources.site.start(slow)
            while process.poll() is None and len(names_of(sources, LEGACY)) > legacy - STEP:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "it was over before it was killed"
        assert kills >= 3, "too few kills while rows were flipped"
        done = sources.document(f"-y {flags}")
    assert done["exit_code"] == 0, done
    assert names_of(sources, LEGACY) == set()
    assert database.execute("SELECT DISTINCT service_name FROM blobs") == [("production",)]
    application.check_nothing_is_lost()
    assert looks.count > 10
    assert looks.dangling == set()

    back = sources.document("rollback -y", f"--all={sources.site.last_run().parent}")
    assert back["exit_code"] == 0, back
    application.check_nothing_is_lost()
    assert application.without_edited(keyed_rows(sources)) == application.without_edited(before)
