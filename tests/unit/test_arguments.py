"""The command line as a person types it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sketchmigrate import __version__
from sketchmigrate.cli.arguments import Invocation, parse
from sketchmigrate.cli.command import words
from sketchmigrate.cli.commands.demo import DemoArguments
from sketchmigrate.cli.commands.rollback import RollbackArguments
from sketchmigrate.core.errors import UsageError
from sketchmigrate.settings import Options, setting_fields

PROGRAM = "./sketch_migrate.py"


def parsed(*words: str) -> Invocation:
    """Parse these words as typed after the program's name."""
    return parse([PROGRAM, *words], environ={})


def test_no_flag_at_all_migrates_with_the_defaults() -> None:
    assert parsed() == Invocation(
        command="migrate", options=Options(), config_file=None, setting_flags={}, arguments=None
    )
    assert (Options().parallelization_level, Options().batch_size, Options().limit) == (4, 500, 0)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (
            ["-tyw", "-b", "100", "-p", "4"],
            Options(technical_status=True, say_yes=True, overwrite=True, batch_size=100),
        ),
        (["-b100"], Options(batch_size=100)),
        (["-b 100"], Options(batch_size=100)),
        (["-b 100", "-p 2", "-l 7"], Options(batch_size=100, parallelization_level=2, limit=7)),
        (["--batch-size 100"], Options(batch_size=100)),
        (["--batch-size=100"], Options(batch_size=100)),
        (["-st"], Options(status_only=True, technical_status=True)),
        (["-v", "-d", "-p", "1"], Options(verbose=True, dry_run=True, parallelization_level=1)),
        (["-vdp1"], Options(verbose=True, dry_run=True, parallelization_level=1)),
        (["-l", "0"], Options(limit=0)),
        (["--json", "--no-progress"], Options(json_output=True, show_progress=False)),
        (
            ["--parallelization-level", "9", "--limit", "3", "--verbose", "--dry-run", "--status-only"],
            Options(parallelization_level=9, limit=3, verbose=True, dry_run=True, status_only=True),
        ),
        (
            ["--technical-status", "--overwrite", "--say-yes"],
            Options(technical_status=True, overwrite=True, say_yes=True),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_flags_in_either_form_and_joined(words: list[str], options: Options) -> None:
    assert parsed(*words).options == options


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-b", "0"], "-b/--batch-size: 0 is too small, it must be at least 1"),
        (["-b", "-1"], "-b/--batch-size: -1 is too small, it must be at least 1"),
        (["-b", "abc"], "-b/--batch-size: 'abc' is not a whole number"),
        (["-p0"], "-p/--parallelization-level: 0 is too small, it must be at least 1"),
        (["-p", "-1"], "-p/--parallelization-level: -1 is too small, it must be at least 1"),
        (["-p", "1.5"], "-p/--parallelization-level: '1.5' is not a whole number"),
        (["-l", "-1"], "-l/--limit: -1 is too small, it must be at least 0"),
        (["-b"], "-b/--batch-size: expected one argument"),
        (["--limt", "3"], "there is no flag --limt; did you mean --limit?"),
        (["--db-hots=x"], "there is no flag --db-hots; did you mean --db-host?"),
        (["--lim", "3"], "there is no flag --lim; did you mean --limit?"),
        (["-v", "demo"], "the command 'demo' must come first, in front of every flag"),
        (["demo", "--avatars", "0"], "--avatars: 0 is too small, it must be at least 1"),
        (["demo", "-b", "3"], "there is no flag -b"),
        (["rollback"], "one of the arguments RUN_DIR --all is required"),
        (["rollback", "runs/x", "--all", "runs"], "--all: not allowed with argument RUN_DIR"),
        (["rollback", "runs/x", "-w"], "there is no flag -w"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_carried_out_is_said_with_the_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert caught.value.message == said
    assert caught.value.exit_code == 2
    assert "-h" in caught.value.hint
    out, err = capsys.readouterr()
    assert (out, err[:7]) == ("", "usage: ")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("dmeo", "'dmeo' is not a command and belongs to no flag; did you mean demo?"),
        ("xyzzy", f"'xyzzy' is not a command and belongs to no flag; there is: {', '.join(words())}"),
    ],
)
def test_an_unknown_command_is_an_error_without_a_page_of_usage(
    word: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in ([word], [word, "-b", "3"], ["help", word]):
        with pytest.raises(UsageError) as caught:
            parsed(*typed)
        assert (caught.value.message, caught.value.exit_code) == (said, 2)
        assert caught.value.hint == "sketch_migrate.py help names all commands."
        assert capsys.readouterr() == ("", "")


def test_the_migration_and_its_status_are_commands_too() -> None:
    assert parsed("migrate", "-d", "-b", "7").options == parsed("-d", "-b", "7").options
    assert parsed("status", "--json", "-t").options == parsed("-s", "--json", "-t").options
    assert (parsed("status").command, parsed("status", "--json").typed) == ("status", ("status", "--json"))


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        (["help"], ["-h"]),
        (["help", "--all"], ["--all", "--help"]),
        (["help", "rollback"], ["rollback", "-h"]),
        (["help", "status", "--all"], ["status", "-h", "--all"]),
    ],
)
def test_help_is_a_word_too(capsys: pytest.CaptureFixture[str], typed: list[str], same: list[str]) -> None:
    assert help_of(capsys, PROGRAM, *typed) == help_of(capsys, PROGRAM, *same)


def test_settings_flags_are_handed_on_only_where_typed() -> None:
    invocation = parsed("--db-host", "h", "--max-concurrency=7", "--db-table", "my table", "--config", "x.toml")
    assert invocation.setting_flags == {"db_host": "h", "max_concurrency": "7", "db_table": "my table"}
    assert invocation.config_file == Path("x.toml")


def help_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the help that is asked for."""
    with pytest.raises(SystemExit) as left:
        parse(argv, environ={})
    assert left.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_help_of_all_describes_every_flag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(capsys, PROGRAM, "-h", "--all")
    assert text.startswith("usage: sketch_migrate.py [-h] [-p PARALLELIZATION_LEVEL] [-b BATCH_SIZE]")
    flags = "-p -b -l -v -d -s -t -w -y --parallelization-level --batch-size --limit --verbose --dry-run --status-only"
    flags += (
        " --technical-status --overwrite --say-yes --config --json --no-progress --version --avatars --dir --no-wait"
    )
    missing = [flag for flag in flags.split() if not re.search(rf"[\s\[]{flag}[\s,\]]", text)]
    assert missing == []
    assert [declared.flag for declared in setting_fields() if f"  {declared.flag} " not in text] == []
    assert all(f"  {word} " in text for word in words() if word != "migrate")
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_help_fits_two_screens_and_says_where_the_rest_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(capsys, PROGRAM, "-h")
    assert len(text.splitlines()) <= 2 * 25
    assert max(len(line) for line in text.splitlines()) <= 80
    listed = re.findall(r"^  ([a-z]+)  ", text, re.MULTILINE)
    assert listed == words()
    assert [word for word in ("init", "plan", "migrate", "verify", "rollback") if word in listed] == sorted(
        ("init", "plan", "migrate", "verify", "rollback"), key=listed.index
    )
    assert "--db-host" not in text
    assert "sketch_migrate.py -h --all" in text
    assert "sketch_migrate.py COMMAND -h" in text


@pytest.mark.parametrize("word", [word for word in words() if word not in {"completion", "demo"}])
def test_a_command_shows_its_settings_where_all_is_asked_for(capsys: pytest.CaptureFixture[str], word: str) -> None:
    brief, full = help_of(capsys, PROGRAM, word, "-h"), help_of(capsys, PROGRAM, word, "-h", "--all")
    assert f"{word} -h --all" in brief or word == "migrate"
    assert ("--db-host" in brief, "--db-host" in full) == (False, True)


@pytest.mark.parametrize(
    ("argv0", "named"),
    [
        ("/usr/bin/sketch-migrate", "sketch-migrate"),
        ("sketch_migrate.py", "sketch_migrate.py"),
        ("/lib/sketchmigrate/__main__.py", "python -m sketchmigrate"),
    ],
)
def test_the_program_is_named_as_it_was_called(capsys: pytest.CaptureFixture[str], argv0: str, named: str) -> None:
    assert help_of(capsys, argv0, "migrate", "-h").startswith(f"usage: {named} [-h] [-p ")
    assert help_of(capsys, argv0, "-h").startswith(f"usage: {named} [FLAG ...]")
    assert help_of(capsys, argv0, "demo", "-h").startswith(f"usage: {named} demo [-h]")


def test_version_names_the_versions_that_matter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parsed("--version")
    assert left.value.code == 0
    said, err = capsys.readouterr()
    assert re.fullmatch(rf"sketch-migrate {re.escape(__version__)} \(Python 3\.[\w.+]+, OpenSSL [^()]+\)\n", said), said
    assert re.search(r"psycopg \d", said)
    assert err == ""


def test_rollback_has_flags_of_the_run_and_its_own() -> None:
    invocation = parsed("rollback", "runs/x", "-yb7", "--json", "--db-name", "d", "--key-until", "9")
    assert invocation.command == "rollback"
    assert invocation.options == Options(say_yes=True, batch_size=7, json_output=True)
    assert invocation.setting_flags == {"db_name": "d"}
    assert invocation.arguments == RollbackArguments(Path("runs/x"), None, None, None, "9", None)
    all_runs = parsed("rollback", "--all", "runs", "--source", "files").arguments
    assert all_runs == RollbackArguments(None, Path("runs"), None, None, None, "files")


def test_demo_has_flags_of_its_own() -> None:
    assert parsed("demo").arguments == DemoArguments(avatars=10_000, directory=None, wait=True)
    invocation = parsed("demo", "--avatars", "12", "--dir", "/x", "--no-wait")
    assert (invocation.command, invocation.arguments) == ("demo", DemoArguments(12, Path("/x"), wait=False))


def test_demo_takes_its_size_from_the_environment() -> None:
    def demo(value: str) -> object:
        return parse([PROGRAM, "demo"], environ={"DEMO_AVATARS": value}).arguments

    assert demo("34") == DemoArguments(avatars=34, directory=None, wait=True)
    assert demo("") == DemoArguments(avatars=10_000, directory=None, wait=True)
    with pytest.raises(UsageError, match="'many' is not a whole number"):
        demo("many")


def test_reading_the_command_line_imports_nothing_slow(tmp_path: Path) -> None:
    # Elsewhere than in the checkout, where the classic command at the root would be imported instead of the package.
    code = "import sys, sketchmigrate.cli.arguments; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert {"botocore", "psycopg", "uvloop", "httptools", "rich"} & set(shown.stdout.split()) == set()
