"""Lines for a terminal: they break at words, and a path or a URL stays whole."""

from __future__ import annotations

import os
import pty
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.report.terminal import Terminal
from sketchmigrate.report.text import columns_of, wrapped

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/a/path/that-is-longer/than/the/terminal/is-wide/problems.csv"


def test_what_goes_on_stands_below_what_it_belongs_to() -> None:
    assert wrapped("hint:  Set RUN_DIR to a folder that you may write to.", 30) == (
        "hint:  Set RUN_DIR to a folder\n       that you may write to."
    )
    assert wrapped("error: the database does not answer at all", 30) == (
        "error: the database does not\n       answer at all"
    )
    assert wrapped("  failed   7  the row is held back by a trigger", 34) == (
        "  failed   7  the row is held back\n              by a trigger"
    )


def test_a_path_is_never_parted() -> None:
    assert PATH in wrapped(f"Log: {PATH} cannot be written: No space left on device", 40).split("\n")[1]
    assert wrapped("a-word-of-many-parts " * 3, 25).split() == ["a-word-of-many-parts"] * 3


@pytest.mark.parametrize("columns", [0, 10, 80])
def test_what_fits_or_has_no_width_stays_as_it_is(columns: int) -> None:
    text = "one  two   three\n\n  four\n"
    assert wrapped(text, columns) == text


@given(st.lists(st.text("ab- ", max_size=60), max_size=5), st.integers(20, 40))
def test_no_word_is_lost_and_no_line_is_too_long(lines: list[str], columns: int) -> None:
    text = "\n".join(lines)
    done = wrapped(text, columns)
    assert done.split() == text.split()
    assert all(len(line) <= columns or len(line.split()) <= 1 for line in done.split("\n"))


class Screen:
    """A terminal of so many columns."""

    def __init__(self, columns: int) -> None:
        self._main, side = pty.openpty()
        termios.tcsetwinsize(side, (24, columns))
        self.stream = os.fdopen(side, "w", encoding="utf-8")

    def shown(self) -> str:
        """Close it, and return what it showed."""
        self.stream.close()
        pieces: list[bytes] = []
        with suppress(OSError):  # what Linux says of a terminal that nobody has open any more
            while piece := os.read(self._main, 4096):
                pieces.append(piece)
        os.close(self._main)
        return b"".join(pieces).decode().replace("\r\n", "\n")


def test_columns_goes_before_the_terminal_and_none_is_known_without_one(tmp_path: Path) -> None:
    screen = Screen(50)
    assert columns_of(screen.stream, {}) == 50
    assert columns_of(screen.stream, {"COLUMNS": "30"}) == 30
    screen.shown()
    assert columns_of(None, {"COLUMNS": "30"}) == 0
    with (tmp_path / "file").open("w", encoding="utf-8") as stream:
        assert columns_of(stream, {}) == 0


def test_a_terminal_gets_whole_words_and_a_file_whole_lines(tmp_path: Path) -> None:
    said = "the encrypted connection to the database could not be set up, and nothing was changed"
    broken = wrapped(said, 40)
    assert broken.count("\n") == 2
    screen = Screen(40)
    with (tmp_path / "out").open("w", encoding="utf-8") as stdout:
        terminal = Terminal(stdout=stdout, stderr=screen.stream, environ={})
        terminal.message(said)
        terminal.result(said)
    assert screen.shown() == broken + "\n"
    assert (tmp_path / "out").read_text() == said + "\n"
    screen = Screen(40)
    terminal = Terminal(stdout=screen.stream, stderr=screen.stream, environ={})
    terminal.result(said)
    terminal.result(said, is_verbatim=True)
    assert screen.shown() == f"{broken}\n{said}\n"
