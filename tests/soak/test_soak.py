"""A soak of one round is clean and says what it did, and what is not as promised does not escape it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.fault.promises import PRODUCTION
from tests.soak.__main__ import main
from tests.soak.servers import Servers

if TYPE_CHECKING:
    import pytest

THESE = (("rclone",), ("newest",))
ONE_ROUND = ("--kills", "1")


def test_a_round_kills_under_faults_and_ends_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ONE_ROUND, "--seed", "suite-309"], Servers(*THESE)) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    found = re.fullmatch(
        r"1 rounds in 0:\d\d: (\d+) kills, (\d+) runs, (\d+) faults, ([\d,]+) application writes, (\d+) rows held,"
        " 0 violations; seed suite-309",
        last,
    )
    assert found, last
    assert all(number != "0" for number in found.groups()), last


def test_an_object_that_is_gone_is_a_violation(capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody deletes a new avatar of the application."""
    over = threading.Event()

    def delete_an_avatar(servers: Servers) -> str:
        client = servers.store("rclone").client()
        while not over.wait(0.05):
            for bucket in client.list_buckets()["Buckets"]:
                found = client.list_objects_v2(Bucket=bucket["Name"], Prefix=f"{PRODUCTION}new-").get("Contents", [])
                for each in found:
                    client.delete_object(Bucket=bucket["Name"], Key=each["Key"])
                    return str(each["Key"])
        return ""

    with Servers(*THESE) as servers, ThreadPoolExecutor() as threads:
        deleting = threads.submit(delete_an_avatar, servers)
        try:
            assert main([*ONE_ROUND, "--round", "7", "--seed", "suite"], servers) == 1
        finally:
            over.set()
        assert deleting.result()
    said = capsys.readouterr().out
    assert "AssertionError: production objects are gone" in said
    assert "Again: scripts/soak --seed suite --round 7" in said
    assert "1 violations; seed suite" in said
