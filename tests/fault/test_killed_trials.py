"""Kill -9 at each thing that is written to find something out: the next run, or ``probe``, removes what is left."""

from __future__ import annotations

import re
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from tests.e2e.site import Site
from tests.proved import keep_races
from tests.servers import s3_faults as faults
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

ALONE = re.escape(PROBE_FOLDER) + r"[0-9a-f]{12}$"
"""What the rights are tried on: a key in no folder."""

CELLS = {
    "the right to write, in migrate": ("moto", "-y", "create_multipart_upload", ALONE),
    "the right to write, in repair": ("moto", "repair -y", "create_multipart_upload", ALONE),
    "tags of nothing, in migrate": ("rclone", "-y", "put", ALONE),
    "the first object, in migrate": ("moto", "-y", "put", "/source"),
    "the first object, in probe": ("moto", "probe", "put", "/source"),
    "the first object, in plan": ("moto", "plan --probe", "put", "/source"),
    "a copy, on rclone": ("rclone", "-y", "copy", "/copy-new"),
    "an upload": ("moto", "-y", "create_multipart_upload", "/complete-new"),
    "a part": ("moto", "-y", "upload_part_copy", "/complete-occupied"),
    "an odd key": ("moto", "-y", "put", "/odd/"),
    "a race": ("moto", "-y", "put", "/race-"),
    "a race of uploads": ("seaweed", "-y", "upload_part_copy", "/race-"),
    "the removal": ("moto", "-y", "delete", "/copy-occupied"),
    "a repair's trial of its condition": ("moto", "repair -y", "put", "/target"),
    "a repair's race of its condition": ("seaweed", "repair -y", "put", "/race-"),
}
PATHS = ["image/1.png", "image/2.png"]


def what_is_there(store: Store) -> list[str]:
    """Return the keys of all objects and uploads that somebody made to find something out."""
    uploads = store.client.list_multipart_uploads(Bucket=store.production_bucket).get("Uploads", [])
    keys = [*store.keys(store.production_bucket, "avatar/."), *(upload["Key"] for upload in uploads)]
    assert all(key.startswith(f"avatar/{PROBE_FOLDER}") for key in keys), keys
    return keys


@pytest.mark.parametrize(("server", "flags", "operation", "key"), CELLS.values(), ids=list(CELLS))
def test_killed_while_it_finds_something_out(
    server: str,
    flags: str,
    operation: str,
    key: str,
    database: Database,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    site = Site(database, request.getfixturevalue(f"{server}_store"), tmp_path)
    store = site.store
    nothing = operation == "put" and key == ALONE  # rclone takes them where there is no object to read tags of
    site.fill(PATHS, without_object=PATHS if nothing else [])
    if flags == "repair -y" and key != ALONE:  # one that is stale, so that it is to be copied again
        assert site.run("-y -l 1").code in {0, 1}
        store.put_all(store.legacy_bucket, {PATHS[0]: b"changed afterwards"})
    started: list[subprocess.Popen[str]] = []
    killed: list[str] = []

    def kill(asked: S3Request) -> None:
        if asked.operation == operation and re.search(key, asked.key) and PROBE_FOLDER in asked.key and not killed:
            killed.append(asked.key)
            started[0].kill()
            started[0].wait()

    with S3FaultProxy(store.endpoint_url, sees_probes=True) as proxy:
        through = site.at(store=store.via(proxy.endpoint_url))
        if operation == "upload_part_copy":  # what is raced last, when the time may be over on a slow machine
            keep_races(tmp_path / "runs", through.store, but=[Question.COMPLETE_IF_ABSENT])
        proxy.after_reply = kill
        proxy.on(faults.stall(), operation="delete", key="/source$", times=int(operation == "delete"))
        started.append(replace(through, races="/race-" in key).start(flags))
        started[0].communicate()
        assert started[0].returncode == -signal.SIGKILL
        assert killed
        assert what_is_there(store), "nothing was left: the kill proves nothing"
        assert len(list((tmp_path / "runs").glob("probe-*.json"))) == 1
        again = through.run("-y" if "plan" in flags or flags == "probe" else flags)
        assert again.code == int(nothing), again.err
        assert "left behind" not in again.err
    assert what_is_there(store) == []
    assert not list((tmp_path / "runs").glob("probe-*.json"))


def test_the_command_probe_removes_it_too_and_names_what_is_not_ours(
    database: Database, rclone_store: Store, tmp_path: Path
) -> None:
    site, bucket = Site(database, rclone_store, tmp_path), rclone_store.production_bucket
    site.fill(PATHS)
    with S3FaultProxy(rclone_store.endpoint_url, sees_probes=True) as proxy:
        through = site.at(store=rclone_store.via(proxy.endpoint_url))
        process: list[subprocess.Popen[str]] = []
        proxy.after_reply = lambda asked: process[0].kill() if asked.key.endswith("/copy-occupied") else None
        process.append(through.start("-y"))
        process[0].communicate()
        assert process[0].returncode == -signal.SIGKILL
        left = what_is_there(rclone_store)
        assert left
        foreign = left[0].rpartition("/")[0] + "/of-the-application.png"
        rclone_store.put_all(bucket, {foreign: b"whoever stored this, we did not"})
        proxy.after_reply = None
        probed = through.run("probe")
        assert probed.code == 1  # rclone honours no condition, and something is left
        assert f"could not be removed: s3://{bucket}/{foreign}: it is not what a probe makes" in probed.err
        assert what_is_there(rclone_store) == [foreign]
        rclone_store.delete_all(bucket, [foreign])
        assert "could not be removed" not in through.run("probe").err
    assert not list((tmp_path / "runs").glob("probe-*.json"))
