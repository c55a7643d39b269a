"""A page costs a run nothing before its summary, and nothing but a warning where it cannot be made."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from sketchmigrate.cli import page
from sketchmigrate.report.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_run_imports_nothing_that_makes_pages() -> None:
    jobs = ", ".join(f"sketchmigrate.cli.jobs.{name}" for name in ("migrate", "rollback", "repair", "verify", "plan"))
    code = f"import {jobs}, sketchmigrate.cli.page, sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert {"jinja2", "markupsafe", "sketchmigrate.report.page"} & set(shown.stdout.split()) == set()


def test_one_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "LIMIT_SECONDS", 0.01)
    with Terminal(json_output=False, show_progress=False) as terminal:
        page.leave_page(tmp_path, "", terminal)
    assert "Warning: the page about this run could not be made: it took longer than 0 s." in capsys.readouterr().err


def test_what_the_process_says_last_is_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(json_output=False, show_progress=False) as terminal:
        page.leave_page(tmp_path / "not-there", "", terminal)
    said = " ".join(capsys.readouterr().err.split())
    assert "Warning: the page about this run could not be made: there is no run 'not-there' below" in said
    assert "sketch-migrate report not-there makes it." in said
