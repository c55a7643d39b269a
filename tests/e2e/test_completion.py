"""``completion``: shells offer what can be typed next."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.tool import run

if TYPE_CHECKING:
    from pathlib import Path

OFFERED = [
    ("ver", "verify"),
    ("verify --metad", "--metadata"),
    ("ctl pa", "pause"),
    ("--no-clobber check", "check-first"),
    ("plan --max-replica-lag-b", "--max-replica-lag-bytes"),
]


def script(shell: str, folder: Path) -> Path:
    """Write the script of a shell into a file, as a person would."""
    done = run("completion", shell, environ={}, cwd=folder)
    assert (done.code, done.err) == (0, "")
    path = folder / f"completion.{shell}"
    path.write_text(done.out)
    return path


def shown(*command: str) -> str:
    """Return what a shell prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_bash_offers_commands_flags_and_their_values(tmp_path: Path) -> None:
    asked = "".join(
        f"COMP_WORDS=(sketch_migrate.py {typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); COMPREPLY=();"
        ' _shtab_sketch_migrate_py; echo "${COMPREPLY[@]}"\n'
        for typed, _ in OFFERED
    )
    lines = shown("bash", "-c", f"source {script('bash', tmp_path)}\n{asked}").splitlines()
    assert lines == [offered for _, offered in OFFERED]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_offers_the_same(tmp_path: Path) -> None:
    asked = "".join(f"complete -C 'sketch_migrate.py {typed}'; echo ---\n" for typed, _ in OFFERED)
    parts = shown("fish", "-c", f"source {script('fish', tmp_path)}\n{asked}").split("---\n")
    assert [part.split("\t")[0].strip() for part in parts[:-1]] == [offered for _, offered in OFFERED]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_takes_the_script(tmp_path: Path) -> None:
    script_path = script("zsh", tmp_path)
    text = f'autoload -U compinit; compinit -D; eval "$(cat {script_path})"; echo $_comps[sketch_migrate.py]'
    assert shown("zsh", "-f", "-c", text).strip() == "_shtab_sketch_migrate_py"


def test_an_unknown_shell_is_named(tmp_path: Path) -> None:
    done = run("completion", "tcsh", environ={}, cwd=tmp_path)
    assert done.code == 2
    assert "invalid choice: 'tcsh'" in done.err
