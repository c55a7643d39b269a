"""Each file of ``cli/commands`` is a command: whoever adds one adds that file, and says so in docs/command-line.md."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sketchmigrate.cli import commands
from sketchmigrate.cli.arguments import parse
from sketchmigrate.cli.command import MIGRATE, Command, all_commands, find, words
from sketchmigrate.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path.stem for path in Path(commands.__file__).parent.glob("*.py") if path.stem != "__init__")
WITHOUT_RIGHTS = {"completion", "ctl", "demo", "discover", "doctor", "grants", "ledger", "report", "runs"}
"""Commands that touch neither the site's table nor its buckets, or of the database whatever they may read."""

WITHOUT_SETTINGS = {"completion", "demo"}

NEW = """
import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sketchmigrate.cli.command import Command
from sketchmigrate.cli.start import Start
from sketchmigrate.core.rights import Rights


class Greeting(NamedTuple):
    name: str


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("--name", default="world")


def _load(arguments: Greeting, start: Start) -> Callable[[], int]:
    def greet() -> int:
        start.terminal.result(f"hello, {arguments.name}")
        return 0

    return greet


COMMAND = Command("greet somebody", 99, _declare, Greeting, _load, {"greet": Rights("says hello")})
"""


@pytest.mark.parametrize("word", FILES)
def test_each_file_is_a_command_that_says_what_it_is(word: str) -> None:
    command = find(word)
    assert isinstance(command, Command)
    assert command.summary
    assert bool(command.rights) == (word not in WITHOUT_RIGHTS)
    assert all(rights.purpose for rights in command.rights.values())
    parser = argparse.ArgumentParser(prog=word)
    command.declare(parser, {})
    assert len(parser.format_help().splitlines()) > 3
    assert ("--config" in parser.format_help()) == (word not in WITHOUT_SETTINGS)


def test_the_help_has_a_place_for_each() -> None:
    assert sorted(all_commands()) == FILES
    assert len({command.place for command in all_commands().values()}) == len(FILES)
    assert words() == list(all_commands())


@pytest.mark.parametrize("word", [word for word in FILES if word not in {MIGRATE, "status"}])
def test_the_page_of_the_command_line_names_each(word: str) -> None:
    assert re.search(rf"^\| `{word}( [^`]*)?` \| ", (ROOT / "docs" / "command-line.md").read_text(), re.MULTILINE)


def test_a_new_command_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greet.py").write_text(NEW)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, f"{commands.__name__}.greet", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    try:
        assert main(["sketch-migrate", "greet", "--name", "you"]) == 0
        assert capsys.readouterr().out == "hello, you\n"
        with pytest.raises(SystemExit):
            parse(["sketch-migrate", "-h", "--all"], environ={})
        assert capsys.readouterr().out.endswith("  greet [-h] [--name NAME]\n      greet somebody\n")
        with pytest.raises(SystemExit):
            parse(["sketch-migrate", "-h"], environ={})
        assert "\n  greet       greet somebody\n" in capsys.readouterr().out
        monkeypatch.chdir(tmp_path)
        assert main(["sketch-migrate", "grants", "greet"]) == 0
        assert capsys.readouterr().out.startswith("-- greet: says hello\n")
    finally:
        sys.modules.pop(f"{commands.__name__}.greet", None)


def test_what_a_command_declares_imports_nothing_that_only_a_run_needs(tmp_path: Path) -> None:
    code = "import sys; from sketchmigrate.cli.command import all_commands; all_commands(); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    loaded = set(shown.stdout.split())
    assert "sketchmigrate.cli.commands.plan" in loaded
    assert {"botocore", "duckdb", "psycopg", "uvloop", "httptools", "rich", "sketchmigrate.cli.job"} & loaded == set()


def test_a_run_imports_no_other_command_than_its_own(tmp_path: Path) -> None:
    code = "import sys; from sketchmigrate.cli.arguments import parse; parse(['x', '-y']); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    imported = {name for name in shown.stdout.split() if name.startswith(f"{commands.__name__}.")}
    assert imported == {f"{commands.__name__}.{MIGRATE}"}
