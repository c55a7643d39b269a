"""The terminal: which stream carries what, questions, the bar on a real pseudo-terminal, and streams that break."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.outcome import Tally
from sketchmigrate.report.logs import create_run_directory
from sketchmigrate.report.terminal import Terminal
from tests.unit.report.screen import screen

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.report.logs import RunDirectory

XTERM = {"TERM": "xterm-256color"}


class Clock:
    """A monotonic clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run_directory(tmp_path, datetime(2026, 11, 22, tzinfo=UTC), "bob")


def logged(run: RunDirectory) -> list[str]:
    """Return the log's lines from their level on."""
    return [line.partition("Z ")[2] for line in run.log_path.read_text().splitlines()]


def test_the_result_is_on_stdout_messages_are_on_stderr_and_all_is_in_the_log(run: RunDirectory) -> None:
    out, err = io.StringIO(), io.StringIO()
    with Terminal(stdout=out, stderr=err) as terminal, run.logging(terminal.show):
        terminal.result("result\nof two lines")
        terminal.entry("entry")
        terminal.message("message")
        terminal.message("bad news", logging.ERROR)
        terminal.message("for the log", logging.DEBUG)
        logging.getLogger("sketchmigrate.s3.client").warning("slow down")
        logging.getLogger("sketchmigrate.s3.client").info("not for the screen")
    assert out.getvalue() == "result\nof two lines\nentry\n"
    assert err.getvalue() == "message\nbad news\nWarning: slow down\n"
    assert logged(run) == [
        "INFO    result",
        "INFO    of two lines",
        "INFO    entry",
        "INFO    message",
        "ERROR   bad news",
        "DEBUG   for the log",
        "WARNING slow down",
        "INFO    not for the screen",
    ]


def test_under_json_stdout_has_the_one_document(run: RunDirectory) -> None:
    out, err = io.StringIO(), io.StringIO()
    with Terminal(json_output=True, stdout=out, stderr=err) as terminal, run.logging(terminal.show):
        terminal.entry("entry")
        terminal.result("result")
        terminal.message("message")
        terminal.document({"path": "image/a\x1b[2J\u202eé", "count": 3})
    assert json.loads(out.getvalue()) == {"path": "image/a\x1b[2J\u202eé", "count": 3}
    assert out.getvalue().replace("\n", "").isprintable()
    assert out.getvalue().isascii()
    assert err.getvalue() == "entry\nresult\nmessage\n"
    assert '"count": 3' in run.log_path.read_text()


def test_nothing_that_is_shown_drives_the_terminal() -> None:
    out, err = io.StringIO(), io.StringIO()
    with Terminal(stdout=out, stderr=err) as terminal:
        terminal.entry("copy a\x1b[2J\nb")
        terminal.result("one\x1b[2J\ntwo")
        terminal.message("one\x07\ntwo")
        logging.getLogger("sketchmigrate.postgres").warning("one\x1b]0;x\x07")
    assert out.getvalue() == "copy a\\x1b[2J\\nb\none\\x1b[2J\ntwo\n"
    assert err.getvalue() == "one\\x07\ntwo\nWarning: one\\x1b]0;x\\x07\n"


def test_warnings_are_not_shown_once_the_terminal_is_left() -> None:
    err = io.StringIO()
    with Terminal(stdout=io.StringIO(), stderr=err):
        pass
    logging.getLogger("sketchmigrate.s3").warning("late")
    assert err.getvalue() == ""


@pytest.mark.parametrize(("typed", "answer"), [("yes\n", True), ("Y\n", True), ("no\n", False), (" N \n", False)])
def test_a_question_is_asked_on_stderr_and_answered(typed: str, answer: bool, run: RunDirectory) -> None:
    out = io.StringIO()
    with (
        screen() as tty,
        Terminal(stdin=tty.stdin, stdout=out, stderr=tty.stderr) as terminal,
        run.logging(pytest.fail),
    ):
        tty.type(typed)
        assert terminal.confirm("Change 3 rows?") is answer
        tty.wait_for(lambda text: "Change 3 rows? [yes/no] " in text)
    assert out.getvalue() == ""
    assert logged(run) == [f"INFO    Change 3 rows? [yes/no] {typed.strip()}"]


def test_nonsense_is_asked_again() -> None:
    with screen() as tty, Terminal(stdin=tty.stdin, stdout=io.StringIO(), stderr=tty.stderr) as terminal:
        tty.type("perhaps\n\nyes\n")
        assert terminal.confirm("Go?") is True
        text = tty.wait_for(lambda text: text.count("Go? [yes/no] ") == 3)
        assert text.count("Please answer yes or no.") == 2


def test_the_end_of_the_input_is_a_no() -> None:
    with screen() as tty, Terminal(stdin=tty.stdin, stdout=io.StringIO(), stderr=tty.stderr) as terminal:
        tty.type("\x04")
        assert terminal.confirm("Go?") is False


@pytest.mark.parametrize("nobody", [io.StringIO("yes\n"), open(os.devnull)], ids=["pipe", "/dev/null"])  # noqa: SIM115, PTH123 - for the session
def test_without_a_terminal_nobody_is_asked(nobody: io.StringIO) -> None:
    err = io.StringIO()
    terminal = Terminal(stdin=nobody, stdout=io.StringIO(), stderr=err)
    with pytest.raises(UsageError, match="standard input is no terminal") as caught:
        terminal.confirm("Go?")
    assert "-y" in caught.value.hint
    assert err.getvalue() == ""


def test_without_a_terminal_progress_is_a_line_every_five_seconds(run: RunDirectory) -> None:
    clock, err = Clock(), io.StringIO()
    terminal = Terminal(stdout=io.StringIO(), stderr=err, environ=XTERM, clock=clock)
    with run.logging(pytest.fail), terminal.progress(1000) as progress:
        for second in range(1, 13):
            clock.now += 1.0
            progress.update(10 * second, Tally(migrated=10 * second))
        clock.now += 3.0
        progress.wait("database is away")
    assert err.getvalue().splitlines() == [
        "50 of 1,000 rows, 5 %, 10 rows/s, 1:35 left",
        "100 of 1,000 rows, 10 %, 10 rows/s, 1:30 left",
        "120 of 1,000 rows, 12 %, 8 rows/s; database is away",
    ]
    assert logged(run) == [f"INFO    {line}" for line in err.getvalue().splitlines()]


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {}], ids=["dumb", "unset"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(environ: dict[str, str]) -> None:
    clock = Clock()
    with screen() as tty:
        terminal = Terminal(stdout=tty.stdout, stderr=tty.stderr, environ=environ, clock=clock)
        with terminal.progress(10) as progress:
            clock.now += 5.0
            progress.update(1, Tally(migrated=1))
        assert tty.finish() == "1 of 10 rows, 10 %, 0 rows/s, 0:45 left\n"


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_no_progress_shows_nothing(on_a_terminal: bool) -> None:
    clock = Clock()
    with screen() as tty:
        err = tty.stderr if on_a_terminal else io.StringIO()
        terminal = Terminal(show_progress=False, stdout=tty.stdout, stderr=err, environ=XTERM, clock=clock)
        with terminal.progress(10) as progress:
            clock.now += 500.0
            progress.update(1, Tally(migrated=1))
        assert tty.finish() == ""
    assert on_a_terminal or err.getvalue() == ""  # type: ignore[attr-defined] # then it is a StringIO


def test_a_terminal_gets_a_bar_that_vanishes_and_keeps_its_cursor(run: RunDirectory) -> None:
    with screen() as tty:
        with Terminal(stdout=tty.stdout, stderr=tty.stderr, environ=XTERM) as terminal, run.logging(pytest.fail):
            with terminal.progress(1000) as progress:
                progress.update(250, Tally(migrated=249, missing=1))
                progress.wait("database is away")
                tty.wait_for(lambda text: "250 of 1,000 rows" in text and "database is away" in text)
            terminal.result("All migrated.")
        raw = tty.finish()
        assert tty.lines[-1].endswith("All migrated.")
    assert "missing 1" in raw
    assert raw.rindex("\x1b[2K") < raw.rindex("All migrated.")
    assert raw.rfind("\x1b[?25l") < raw.rfind("\x1b[?25h")
    assert logged(run)[-1] == "INFO    All migrated."


def test_no_colour_where_it_is_not_wanted() -> None:
    def colours(environ: dict[str, str]) -> bool:
        with screen() as tty:
            terminal = Terminal(stdout=tty.stdout, stderr=tty.stderr, environ={**XTERM, **environ})
            with terminal.progress(1000) as progress:
                progress.update(250, Tally(missing=250))
                tty.wait_for(lambda text: "missing 250" in text)
            return "\x1b[31m" in tty.finish()

    assert colours({})
    assert colours({"NO_COLOR": ""})
    assert not colours({"NO_COLOR": "1"})


def test_lines_appear_above_the_bar_whole_and_in_order() -> None:
    with screen() as tty:
        terminal = Terminal(stdout=tty.stdout, stderr=tty.stderr, environ=XTERM)
        with terminal.progress(3000) as progress:
            for number in range(3000):
                terminal.entry(f"entry {number} " + "x" * 100)
                progress.update(number, Tally(migrated=number))
                if number == 1500:
                    terminal.message("message in the middle")
        tty.finish()
        lines = tty.lines
    entries = [line for line in lines if line.startswith("entry ")]
    assert entries == [f"entry {n} " + "x" * 100 for n in range(3000)]
    middle = lines.index("message in the middle")
    before = [line for line in lines[:middle] if line.startswith("entry ")]
    assert before[-1].startswith("entry 1500 ")


def test_entries_that_wait_for_the_bar_appear_without_a_further_call() -> None:
    with screen() as tty:
        terminal = Terminal(stdout=tty.stdout, stderr=tty.stderr, environ=XTERM)
        with terminal.progress(10):
            terminal.entry("the only entry")
            tty.wait_for(lambda text: "the only entry" in text)


def test_entries_go_to_a_file_while_the_bar_is_on_the_terminal(tmp_path: Path) -> None:
    with screen() as tty, (tmp_path / "out").open("w") as out:
        with Terminal(stdout=out, stderr=tty.stderr, environ=XTERM) as terminal, terminal.progress(10) as progress:
            terminal.entry("entry")
            progress.update(1, Tally(migrated=1))
            tty.wait_for(lambda text: "1 of 10 rows" in text)
        assert "entry" not in tty.finish()
    assert (tmp_path / "out").read_text() == "entry\n"


def test_a_screen_that_fails_under_the_bar_ends_nothing() -> None:
    out = io.StringIO()
    with screen() as tty:
        with Terminal(stdout=out, stderr=tty.stderr, environ=XTERM) as terminal:
            with terminal.progress(10) as progress:
                full = os.open("/dev/full", os.O_WRONLY)
                os.dup2(full, tty.stderr.fileno())
                os.close(full)
                terminal.message("nobody sees this")
                progress.update(1, Tally(migrated=1))
            terminal.result("result")
        assert "nobody" not in tty.finish()
    assert out.getvalue() == "result\n"


PROGRAM = """
import sys
from sketchmigrate.report.terminal import Terminal
with Terminal(json_output="--json" in sys.argv) as terminal:
    for number in range(100_000):
        terminal.entry(f"entry {number} é")
    terminal.result("result")
print("alive", terminal.stdout_failed, file=sys.__stderr__)
"""


def shell(command: str, tmp_path: Path, **environ: str) -> tuple[int, str]:
    """Run a shell command in which $P is the program above; return its exit code and output, both streams in one."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, **environ, "P": f"{sys.executable} program.py"},
        cwd=tmp_path, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_reader_that_has_had_enough_is_no_error(tmp_path: Path) -> None:
    code, text = shell("$P | head -n 1", tmp_path)
    assert (code, sorted(text.splitlines())) == (0, ["alive False", "entry 0 é"])


def test_a_full_disk_behind_stdout_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    code, text = shell("$P > /dev/full", tmp_path)
    told = "Standard output cannot be written: No space left on device."
    assert (code, text.splitlines()) == (0, [told, "alive True"])


def test_streams_that_were_closed_before_the_start_are_done_without(tmp_path: Path) -> None:
    assert shell("$P <&- >&-", tmp_path) == (0, "alive False\n")
    assert shell("$P --json 2>&-", tmp_path)[0] == 0


def test_a_terminal_without_unicode_shows_escapes(tmp_path: Path) -> None:
    code, text = shell("$P 2>&1 | sed -n '1p;$p'", tmp_path, PYTHONIOENCODING="ascii")
    assert (code, text.splitlines()) == (0, [r"entry 0 \xe9", "alive False"])
