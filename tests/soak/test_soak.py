"""A short soak is clean and says what it did, and what is not as promised does not escape it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import PRODUCTION
from tests.soak.__main__ import main
from tests.soak.servers import Servers

if TYPE_CHECKING:
    from concurrent.futures import Future

THESE = (("rclone",), ("newest",))
ONE_ROUND = ("--kills", "1")


def test_rounds_kill_under_faults_and_end_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ONE_ROUND, "--seed", "suite-309"], Servers(*THESE)) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    found = re.fullmatch(
        r"(\d+) rounds in \d:\d\d: (\d+) kills, (\d+) runs, (\d+) orders, (\d+) faults, ([\d,]+) application writes,"
        r" (\d+) rows held, 0 violations; seed suite-309",
        last,
    )
    assert found, last
    assert all(number != "0" for number in found.groups()), last


def test_six_sources_are_migrated_through_kills_and_brought_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sources", "--rows", "180", "--seed", "a"], Servers(*THESE)) == 0
    said = capsys.readouterr().out
    found = re.fullmatch(
        r"six sources in \d+:\d\d: 180 rows, (\d+) kills, (\d+) runs, ([\d,]+) edits, (\d+) looks,"
        " verified, 0 violations; seed a",
        said.splitlines()[-1],
    )
    assert found, said
    assert all(number != "0" for number in found.groups()), said
    assert "production objects are equal" in said
    assert re.search(r'rolled back: \{"restored": [1-9]', said), said


def test_a_large_object_is_streamed_in_parts_and_within_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--large", str(60 * 2**20 + 7)], Servers(*THESE)) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"62,914,567 bytes in 4 parts, \d+\.\d s, \d+ MB at the peak, 0 violations", last), last


def test_a_run_that_is_given_orders_all_the_while_keeps_its_promises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--orders", "3", "--seed", "a"], Servers(*THESE)) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    found = re.fullmatch(
        r"orders in \d+:\d\d: ([\d,]+) orders in \d+ s, \d+ of them refused; (\d+) runs, \d+ kills, \d+ stops,"
        r" ([\d,]+) application writes, 0 violations; seed a",
        last,
    )
    assert found, last
    assert all(number != "0" for number in found.groups()), last


def deleted_by(threads: ThreadPoolExecutor, over: threading.Event, servers: Servers, prefix: str) -> Future[str]:
    """Have an object below a prefix deleted as soon as there is one; the result is its key."""

    def delete() -> str:
        client = servers.store("rclone").client()
        while not over.wait(0.05):
            for bucket in client.list_buckets()["Buckets"]:
                for each in client.list_objects_v2(Bucket=bucket["Name"], Prefix=prefix).get("Contents", []):
                    client.delete_object(Bucket=bucket["Name"], Key=each["Key"])
                    return str(each["Key"])
        return ""

    return threads.submit(delete)


@pytest.mark.parametrize(
    ("arguments", "prefix", "violation", "seed"),
    [
        (
            (*ONE_ROUND, "--round", "7", "--seed", "suite"),
            "new-",
            "production objects are gone",
            "--seed suite --round 7",
        ),
        (
            ("--sources", "--rows", "180", "--seed", "suite"),
            "own-",
            "production objects are not there",
            "--sources --rows 180 --seed suite",
        ),
    ],
    ids=["in a round", "over sources"],
)
def test_an_object_that_is_gone_is_a_violation(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], prefix: str, violation: str, seed: str
) -> None:
    """Somebody deletes a new avatar of the application."""
    over = threading.Event()
    with Servers(*THESE) as servers, ThreadPoolExecutor() as threads:
        deleting = deleted_by(threads, over, servers, f"{PRODUCTION}{prefix}")
        try:
            assert main(arguments, servers) == 1
        finally:
            over.set()
        assert deleting.result()
    said = capsys.readouterr().out
    assert f"AssertionError: {violation}" in said
    assert f"Again: scripts/soak {seed}" in said
    assert "1 violations; seed suite" in said
