"""The run's own disk fails: no flip without its record, and a clear error."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import tool
from tests.fault.promises import ROWS, World, check_ledgers, check_promises, rows_of
from tests.servers import s3_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.s3_fault_proxy import S3FaultProxy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Write a file until there is no room for another byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - what else could end it
    return filler


@pytest.mark.parametrize("copies_before", [0, 20])
def test_a_disk_that_is_full_in_the_middle(
    world: World, s3_proxy: S3FaultProxy, small_disk: Path, copies_before: int
) -> None:
    s3_proxy.on(s3_faults.stall(), operation="copy", skip=copies_before)
    process = world.start("-p", "1", store=world.store.via(s3_proxy.endpoint_url), run_dir=small_disk)
    s3_proxy.wait_for_hit("stall")
    filler = fill(small_disk)
    s3_proxy.clear()
    s3_proxy.release()
    run = world.finish(process)
    assert run.code == 4, run.err
    assert run.document["error"]["type"] == "RunDirectoryError"
    assert "ledger.sqlite" in run.document["error"]["message"]
    assert "full" in run.document["error"]["message"]
    assert "RUN_DIR" in run.document["error"]["hint"]
    assert run.document["outcomes"]["migrated"] == copies_before, "it is told, though not on record"
    assert "what this run came to is not in its ledger" in run.err
    assert check_promises(world.database, world.store, world.before) == copies_before
    check_ledgers(world.database, world.before, small_disk)
    filler.unlink()
    again = world.migrate(run_dir=small_disk)
    assert again.code == 0, again.err
    assert again.outcomes == {"migrated": ROWS - copies_before}
    check_ledgers(world.database, world.before, small_disk)


def test_a_disk_that_is_full_in_the_middle_of_a_rollback(
    world: World, s3_proxy: S3FaultProxy, small_disk: Path
) -> None:
    assert world.migrate().code == 0
    (migration,) = world.runs.iterdir()
    s3_proxy.on(s3_faults.stall(), operation="head", skip=1 + 20)  # one is of the checks before it
    process = tool.start(
        *("rollback", "-y", "--json", "-p", "1", "-b", "20", str(migration)),
        environ={
            **world.database.environ(),
            **world.store.via(s3_proxy.endpoint_url).environ(),
            "SKETCH_RUN_DIR": str(small_disk),
        },
        cwd=world.cwd,
    )
    s3_proxy.wait_for_hit("stall")
    filler = fill(small_disk)
    s3_proxy.clear()
    s3_proxy.release()
    stopped = world.finish(process)
    assert stopped.code == 4, stopped.err
    assert "ledger.sqlite" in stopped.document["error"]["message"]
    assert check_promises(world.database, world.store, world.before) == ROWS - 20
    filler.unlink()
    again = tool.run("rollback", "-y", str(migration), environ=process_environ(world), cwd=world.cwd)
    assert again.code == 0, again.err
    assert rows_of(world.database) == world.before.rows


def process_environ(world: World) -> dict[str, str]:
    """Return the settings of a run that meets no fault."""
    return {**world.database.environ(), **world.store.environ()}


def test_a_disk_that_is_full_from_the_start(world: World, small_disk: Path) -> None:
    fill(small_disk)
    run = world.migrate(run_dir=small_disk)
    assert run.code == 4, run.err
    assert run.document["error"]["type"] == "RunDirectoryError"
    assert world.check_promises() == 0
    world.check_resumed()


def test_a_disk_that_may_only_be_read(world: World, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    run = world.migrate(run_dir=small_disk / "runs")
    assert run.code == 4, run.err
    assert str(small_disk) in run.document["error"]["message"]
    assert "Read-only" in run.document["error"]["message"]
    assert "RUN_DIR" in run.document["error"]["hint"]
    assert world.check_promises() == 0


def test_a_run_directory_that_cannot_be_made(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.touch()
    run = world.migrate(run_dir=file / "runs")
    assert run.code == 4, run.err
    assert str(file) in run.document["error"]["message"]
    assert "RUN_DIR" in run.document["error"]["hint"]
    assert world.check_promises() == 0
