"""The way out: what a run that ends with an error leaves on the screen, in its log and in its exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from sketchmigrate.cli.main import main

SCRIPT = Path(__file__).parents[2] / "sketch_migrate.py"


def unreachable(tmp_path: Path, port: int) -> list[str]:
    """A command line whose run begins and then finds no database."""
    where = ["--db-host", "127.0.0.1", "--db-port", str(port), "--db-retry-seconds", "0"]
    return ["sketch-migrate", "-s", *where, "--run-dir", str(tmp_path / "runs")]


def test_the_error_that_ends_a_run_is_the_end_of_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: a connection is refused
        assert main(unreachable(tmp_path, taken.getsockname()[1])) == 3
    out, err = capsys.readouterr()
    shown = err.splitlines()
    (log,) = tmp_path.glob("runs/*/migrate.log")
    logged = [line.split(maxsplit=2) for line in log.read_text().splitlines()]
    assert out == ""
    first = next(number for number, line in enumerate(shown) if line.startswith("error: "))
    assert shown[first + 1].startswith("hint:  ")
    started, settings, *logged = logged
    assert started[2].startswith("sketch-migrate ")
    assert settings[2].startswith("Settings other than the defaults: ")
    assert [text for _, _, text in logged] == shown
    assert logged[first][1] == "ERROR"


def test_the_document_of_an_error_is_in_the_log_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert main([*unreachable(tmp_path, taken.getsockname()[1]), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    (log,) = tmp_path.glob("runs/*/migrate.log")
    assert document["exit_code"] == 3
    assert json.dumps(document["error"]["message"]) in log.read_text()


def run(*words: str, stdout: IO[str] | int, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the classic command where no settings but its own apply."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SKETCH_")}
    return subprocess.run(
        [sys.executable, SCRIPT, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=cwd,
        env=environ,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_document_that_cannot_be_written_is_an_error_of_its_own(tmp_path: Path) -> None:
    wrong = ["--json", "--db-port", "abc"]
    assert run(*wrong, stdout=subprocess.PIPE, cwd=tmp_path).returncode == 2
    with Path("/dev/full").open("w") as full:
        done = run(*wrong, stdout=full, cwd=tmp_path)
        plain = run(*wrong[1:], stdout=full, cwd=tmp_path)
    assert "Standard output cannot be written: No space left on device" in done.stderr
    assert (done.returncode, plain.returncode) == (4, 2)


ONLY_PRINTS = [["-h"], ["help", "plan"], ["--version"], ["grants", "migrate"], ["completion", "bash"], ["runs"]]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", ONLY_PRINTS, ids=" ".join)
def test_what_only_prints_has_failed_where_it_cannot(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*words, stdout=full, cwd=tmp_path)
    assert done.returncode == 4
    assert "Standard output cannot be written: No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", ONLY_PRINTS, ids=" ".join)
def test_a_reader_of_it_that_went_away_has_had_enough(tmp_path: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(*words, stdout=writer, cwd=tmp_path)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_of_the_document_that_went_away_is_no_error_of_its_own(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run("--json", "--db-port", "abc", stdout=writer, cwd=tmp_path).returncode == 2
    finally:
        os.close(writer)


HEAVY = {
    "asyncio",
    "botocore",
    "duckdb",
    "httptools",
    "jinja2",
    "logging",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "rich",
    "sqlite3",
    "ssl",
    "uvloop",
}
"""What takes a while to import: each of it more than all that -h does."""


def imported_by(*words: str, cwd: Path) -> set[str]:
    """Carry out a command line in a new interpreter, and return the modules that it has imported."""
    code = "import sys\nfrom sketchmigrate.cli.main import main\n"
    code += "try:\n    main(['sketch-migrate', *sys.argv[1:]])\nexcept SystemExit:\n    pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True, cwd=cwd)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["-h"], ["help"], ["-h", "--all"], ["help", "plan"]], ids=" ".join)
def test_help_waits_for_nothing_that_only_a_run_needs(tmp_path: Path, words: list[str]) -> None:
    loaded = imported_by(*words, cwd=tmp_path)
    assert "sketchmigrate.settings" in loaded
    assert loaded & {*HEAVY, "sketchmigrate.report.terminal", "sketchmigrate.cli.start"} == set()


def test_neither_versions_nor_a_wrong_command_line_wait_for_what_only_a_run_needs(tmp_path: Path) -> None:
    assert imported_by("--version", cwd=tmp_path) & HEAVY <= {"ssl", "logging"}, "the version of OpenSSL is shown"
    assert imported_by("no-such-command", cwd=tmp_path) & HEAVY == {"logging"}
    assert imported_by("--db-port", "abc", cwd=tmp_path) & HEAVY == {"logging"}


def test_settings_that_are_plain_values_are_read_without_pydantic(tmp_path: Path) -> None:
    code = "import sys\nfrom sketchmigrate.settings.loading import load_settings\n"
    code += "load_settings(config_file=None, search=[], environ={'SKETCH_DB_PORT': '6432'}, flags={})\n"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert {"pydantic", "pydantic_core", "botocore"} & set(done.stdout.split()) == set()
