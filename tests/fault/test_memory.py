"""Memory does not grow with the number of rows."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests import tool
from tests.servers.static_store import static_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database

# VmHWM is the most that this process had in memory since its exec; the maximum that wait4() tells is also its parent's.
TELLING = """
import sys
from pathlib import Path
from sketchmigrate.cli.main import main
code = main(["sketch_migrate.py", *sys.argv[1:]])
print(Path("/proc/self/status").read_text(), file=sys.stderr)
sys.exit(code)
"""


def peak_kib(database: Database, endpoint_url: str, cwd: Path, rows: int) -> int:
    """Migrate a table of so many rows; return the most memory that took, in KiB."""
    fill(database, rows)
    environ = {**database.environ(), **store_at(endpoint_url)}
    process = tool.start("-yw", "--json", environ=environ, cwd=cwd, program=("-c", TELLING))
    done = tool.finish(process, timeout_seconds=120)
    assert done.code == 0, done.err
    assert json.loads(done.out)["outcomes"]["migrated"] == rows
    peak = re.search(r"VmHWM:\s+(\d+) kB", done.err)
    assert peak is not None
    return int(peak[1])


def store_at(endpoint_url: str) -> dict[str, str]:
    """Return the settings of a store that lets anybody in."""
    return {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "SKETCH_S3_ENDPOINT_URL": endpoint_url,
        # a request on its way takes 8 KiB, and how many there are follows what else the machine does
        "SKETCH_MAX_CONCURRENCY": "64",
    }


def fill(database: Database, rows: int) -> None:
    """Make a table of so many legacy rows."""
    database.execute("DROP TABLE IF EXISTS avatars")
    database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text)")
    database.execute(
        "INSERT INTO avatars SELECT n, 'image/avatar-' || n || '.png' FROM generate_series(1, %s::int) AS n", rows
    )


def test_no_process_of_several_takes_more_memory_with_each_range(database: Database, tmp_path: Path) -> None:
    fill(database, 40_000)
    flags = ("-yw", "--json", "--processes", "2", "--range-rows", "2500")
    with static_store() as endpoint_url:
        environ = {**database.environ(), **store_at(endpoint_url)}
        done = tool.run(*flags, environ=environ, cwd=tmp_path, timeout_seconds=120)
    assert done.code == 0, done.err
    (run,) = tool.run_directories(tmp_path)
    log = (run / "migrate.log").read_text()
    for worker in ("worker-1", "worker-2"):
        peaks = [int(peak) for peak in re.findall(rf"{worker} passed [\d,]+ rows .* ([\d]+) MiB", log)]
        assert len(peaks) > 3, log
        assert peaks[-1] <= 1.1 * peaks[1], f"{worker}: {peaks} MiB"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak of a process on Linux only")
def test_a_hundred_thousand_rows_take_no_more_memory_than_ten_thousand(database: Database, tmp_path: Path) -> None:
    with static_store() as endpoint_url:
        few = peak_kib(database, endpoint_url, tmp_path, 10_000)
        many = peak_kib(database, endpoint_url, tmp_path, 100_000)
    assert abs(many - few) <= 0.1 * few, f"{few} KiB for 10 000 rows, {many} KiB for 100 000"
