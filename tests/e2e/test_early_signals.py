"""Ctrl-C while the program is being imported: one sentence and exit status 130, whatever it was started by."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.tool import SCRIPT, finish, start

ROOT = Path(__file__).resolve().parents[2]
CONSOLE_SCRIPT = "import sys; sys.argv[0] = 'sketch-migrate'; from {module} import {name}; sys.exit({name}())"

# Python imports this before all else. It sends the signal in the middle of an import, at the time that a person might.
SITECUSTOMIZE = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT_IMPORT"]:
            print("ctrl-c", file=sys.stderr, flush=True)
            os.kill(os.getpid(), getattr(signal, "SIGINT"))
sys.meta_path.insert(0, Finder())
"""


def entry_point() -> tuple[str, str]:
    """What the command that pip makes would import."""
    (line,) = [
        each for each in (ROOT / "pyproject.toml").read_text().splitlines() if each.startswith("sketch-migrate =")
    ]
    module, _, name = line.partition('"')[2].rstrip('"').partition(":")
    return module, name


def programs() -> dict[str, tuple[str | Path, ...]]:
    module, name = entry_point()
    return {
        "the script": (SCRIPT,),
        "the module": ("-m", "sketchmigrate"),
        "the command": ("-c", CONSOLE_SCRIPT.format(module=module, name=name)),
    }


@pytest.mark.parametrize("program", programs().values(), ids=programs().keys())
@pytest.mark.parametrize(
    "moment", ["argparse", "sketchmigrate.cli.execution", "psycopg", "sketchmigrate.cli.jobs.migrate"]
)
def test_one_sentence_and_130(tmp_path: Path, program: tuple[str | Path, ...], moment: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}", "AT_IMPORT": moment, "SKETCH_DB_HOST": str(tmp_path)}
    done = finish(start("-y", environ=environ, cwd=tmp_path, program=program))
    lines = [line for line in done.err.splitlines() if not line.startswith("S3: ")]
    assert lines[0] == "ctrl-c"  # it came, and once
    assert [line for line in lines if "error" in line] == ["error: interrupted before anything was changed"], done
    assert len(lines) == 2
    assert (done.code, done.out) == (128 + signal.SIGINT, "")


def test_who_awaits_a_document_has_one(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    environ = {"PYTHONPATH": str(tmp_path), "AT_IMPORT": "psycopg", "SKETCH_DB_HOST": str(tmp_path)}
    done = finish(start("-y", "--json", environ=environ, cwd=tmp_path))
    assert done.code == 130
    assert json.loads(done.out)["error"]["type"] == "Interrupted"
