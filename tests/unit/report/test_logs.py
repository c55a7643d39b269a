"""The run's directory and its log file."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.report.logs import (
    LOGGER,
    JsonFormatter,
    LogFileHandler,
    LogFormatter,
    RunDirectory,
    create_run_directory,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, 18, 0, 0, tzinfo=UTC)


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def record(text: str, created: float = 0.0, level: int = logging.INFO) -> logging.LogRecord:
    """Make a record as if logged at that time."""
    made = logging.LogRecord("sketchmigrate", level, "", 0, text, None, None)
    made.created, made.msecs = created, (created % 1) * 1000
    return made


def test_the_directory_is_named_by_time_user_and_chance_and_is_the_owners_alone(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path / "not" / "there", NOW, "bob")
    assert re.fullmatch(r"20261122T180000Z-bob-[0-9a-f]{6}", run.path.name)
    assert mode(run.path) == 0o700
    assert create_run_directory(tmp_path / "not" / "there", NOW, "bob") != run
    assert (run.log_path.name, run.problems_path.name) == ("migrate.log", "problems.csv")


@pytest.mark.parametrize(("user", "named"), [("../../etc", "..%..%etc"), ("DOM\\bob x", "DOM%bob%x"), ("", "unknown")])
def test_no_user_name_leads_out_of_the_folder(tmp_path: Path, user: str, named: str) -> None:
    run = create_run_directory(tmp_path, NOW, user)
    assert run.path.parent == tmp_path
    assert run.path.name.split("-")[1] == named.replace("%", "_")


def test_a_folder_that_cannot_be_made_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunDirectoryError, match=r"file.*Not a directory|file.*File exists") as caught:
        create_run_directory(tmp_path / "file", NOW, "bob")
    assert "RUN_DIR" in caught.value.hint
    assert caught.value.exit_code == 4


def test_the_log_is_the_owners_alone_and_has_utc_times_and_levels(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, NOW, "bob")
    logger = logging.getLogger("sketchmigrate.s3.client")
    with run.logging(pytest.fail):
        logger.info("first")
        logger.warning("second %s", "with an argument")
        logger.debug("never")
    logger.warning("afterwards")
    assert mode(run.log_path) == 0o600
    first, second = run.log_path.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    first", first)
    assert second.endswith("Z WARNING second with an argument")


def test_what_was_logged_is_in_the_file_at_once(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, NOW, "bob")
    with run.logging(pytest.fail):
        logging.getLogger("sketchmigrate").info("one")
        assert run.log_path.read_text().endswith(" one\n")


def test_a_log_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"migrate\.log"), RunDirectory(tmp_path / "gone").logging(pytest.fail):
        pass


def test_every_line_of_a_longer_text_has_its_time() -> None:
    text = LogFormatter().format(record("one\ntwo", created=1.5))
    assert text == "1970-01-01T00:00:01.500Z INFO    one\n1970-01-01T00:00:01.500Z INFO    two"


def test_the_second_changes_with_the_time() -> None:
    formatter = LogFormatter()
    times = [formatter.format(record("x", created=at))[:24] for at in (59.999, 60.0, 61.25, 60.0)]
    assert times == [f"1970-01-01T00:{end}" for end in ("00:59.999Z", "01:00.000Z", "01:01.250Z", "01:00.000Z")]


def test_a_path_cannot_drive_whoever_reads_the_log() -> None:
    assert LogFormatter().format(record("a\x1b[2Jb\rc\u202ed")).endswith(r"a\x1b[2Jb\rc\u202ed")


def test_a_full_disk_is_told_once_and_ends_nothing() -> None:
    told: list[str] = []
    handler = LogFileHandler(os.open("/dev/full", os.O_WRONLY), "/runs/x/migrate.log", told.append, LogFormatter())
    for _ in range(3):
        handler.emit(record("text"))
    handler.close()
    assert told == ["The log /runs/x/migrate.log cannot be written: No space left on device. The run goes on."]


def test_a_log_that_can_be_written_again_says_how_much_is_missing(tmp_path: Path) -> None:
    handle = os.open("/dev/full", os.O_WRONLY)
    handler = LogFileHandler(handle, "migrate.log", lambda _: None, LogFormatter())
    handler.emit(record("lost"))
    handler.emit(record("lost as well"))
    room = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(room, handle)
    os.close(room)
    handler.emit(record("written"))
    handler.emit(record("and on"))
    handler.close()
    missing, written, after = (tmp_path / "log").read_text().split("\n")[1:4]
    assert missing == "(2 entries of the log are missing here: it could not be written)"
    assert (written.endswith("written"), after.endswith("and on")) == (True, True)


def test_as_json_each_entry_is_an_object_on_one_line_whatever_it_holds(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with run.logging(pytest.fail, as_json=True):
        LOGGER.warning("a\nb\x1b[2J \u202e")
        try:
            [].pop()
        except IndexError:
            LOGGER.exception("it failed")
    first, second = map(json.loads, run.log_path.read_text().splitlines())
    assert (first["level"], first["logger"], first["text"]) == ("WARNING", "sketchmigrate", "a\nb\x1b[2J \u202e")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["at"])
    assert second["text"].startswith("it failed\nTraceback")
    assert run.log_path.read_text().isascii()


def test_as_json_missing_entries_are_an_object_too() -> None:
    assert [json.loads(line) for line in JsonFormatter().missing(2).splitlines() if line] == [{"missing": 2}]
