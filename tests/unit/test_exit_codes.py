"""Exit codes: one place decides, and what is documented is what it decides."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from sketchmigrate.core import errors
from sketchmigrate.core.exit_codes import ExitCode, decide, stopped_by

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text()


@pytest.mark.parametrize(
    ("come_to", "error_code", "signal_number", "expected"),
    [
        (0, None, None, 0),
        (1, None, None, 1),
        (0, 3, None, 3),
        (1, 4, None, 4),
        (1, 1, None, 1),
        (0, None, signal.SIGINT, 130),
        (1, None, signal.SIGTERM, 143),
        (1, 3, signal.SIGINT, 130),
        (143, None, None, 143),
    ],
)
def test_a_signal_comes_before_an_error_and_that_before_what_is_left(
    come_to: int, error_code: int | None, signal_number: int | None, expected: int
) -> None:
    assert decide(come_to, error_code=error_code, signal_number=signal_number) == expected


def test_who_finished_says_whether_something_is_left() -> None:
    assert (ExitCode.finished(left=False), ExitCode.finished(left=True)) == (0, 1)


def test_the_page_of_the_command_line_lists_the_codes() -> None:
    listed = re.findall(
        r"^\| (\d+(?:, \d+)*) \| ", PAGE.partition("## Exit status")[2].partition("\n## ")[0], re.MULTILINE
    )
    signals = ", ".join(str(stopped_by(number)) for number in (signal.SIGINT, signal.SIGTERM))
    assert listed == [*(str(code.value) for code in ExitCode), signals]


def test_each_error_has_the_code_that_their_list_gives_it() -> None:
    listed = {
        name: int(code) for name, code in re.findall(r"(\w+) +(\d+) *(?: .*)?$", errors.__doc__ or "", re.MULTILINE)
    }
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.MigrateError)
    }
    assert listed == found
    assert set(found.values()) <= {*ExitCode, 130}


def test_a_code_is_a_number_wherever_it_is_written() -> None:
    assert json.dumps({"exit_code": ExitCode.finished(left=True)}) == '{"exit_code": 1}'
    assert f"{ExitCode.REFUSED}" == "3"
