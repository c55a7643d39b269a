"""The manual page has all that the parsers have."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from sketchmigrate.cli.command import words
from sketchmigrate.settings import setting_fields
from tests.manual import PAGE, manual


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="each version of argparse words the page in its own way")
def test_the_page_is_what_the_parsers_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert PAGE.read_text() == manual(), "python -m tests.manual writes it"


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_it_can_be_read_and_names_every_command_and_setting() -> None:
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-rLL=300n", PAGE], capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    assert [word for word in words() if f"sketch-migrate {word}" not in shown.stdout] == []
    assert [each.flag for each in setting_fields() if shown.stdout.count(f"{each.flag} ") != 1] == []
