"""Events reach their reader in order, the last one too; a reader that is slow or gone holds nobody up."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.report.event_stream import EventStream

if TYPE_CHECKING:
    from pathlib import Path

FINISHED = {"event": "finished", "exit_code": 0}


def events_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_is_added_to_and_ends_with_the_last_event(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for run in (1, 2):
        stream = EventStream(str(path))
        for step in range(1500):
            stream.put({"event": "progress", "run": run, "step": step, "path": "\udcff\n"})
        stream.close(FINISHED)
        stream.put({"event": "late"})
        stream.close(FINISHED)
    found = events_in(path.read_text())
    assert [event["event"] for event in found].count("finished") == 2
    assert [event["number"] for event in found] == [*range(1, 1502)] * 2
    assert found[1500]["event"] == found[-1]["event"] == "finished"
    assert [event["step"] for event in found[1501:-1]] == [*range(1500)]


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"--events: .*gone/events cannot be opened: No such file") as caught:
        EventStream(str(tmp_path / "gone" / "events"))
    assert caught.value.exit_code == 4


def test_a_full_disk_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sketchmigrate"):
        stream = EventStream("/dev/full")
        for _ in range(20):
            stream.put({"event": "progress"})
            time.sleep(0.001)
        stream.close(FINISHED)
    assert [record.getMessage() for record in caplog.records] == [
        "--events: /dev/full cannot be written as it should: No space left on device. The run goes on."
    ]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_reader_that_has_gone_is_told_once(pipe: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sketchmigrate"):
        stream = EventStream(str(pipe))  # which nobody reads yet
        stream.put({"event": "started"})
        reader = os.open(pipe, os.O_RDONLY)
        assert events_in(os.read(reader, 65_536).decode())[0]["event"] == "started"
        os.close(reader)
        for _ in range(100):
            stream.put({"event": "progress"})
        stream.close(FINISHED)
    assert [record.getMessage() for record in caplog.records] == [
        f"--events: {pipe} cannot be written as it should: Broken pipe. The run goes on."
    ]


def test_a_reader_that_reads_nothing_costs_events_and_no_time(pipe: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with caplog.at_level(logging.WARNING, "sketchmigrate"):
        stream = EventStream(str(pipe), last_seconds=0.2, most_waiting=100)

        def fill() -> None:
            for _ in range(500):
                stream.put({"event": "progress", "text": "x" * 1_000})

        threads = [threading.Thread(target=fill) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        began = time.monotonic()
        stream.close(FINISHED)
        assert time.monotonic() - began < 10
    (told,) = [record.getMessage() for record in caplog.records]
    assert "too slow, and events are lost" in told
    os.set_blocking(reader, True)
    text = ""
    while '"finished"' not in text:
        text += os.read(reader, 65_536).decode()
    os.close(reader)
    numbers = [event["number"] for event in events_in(text)]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 2_001
    assert len(numbers) < 2_001  # and the gap is seen
