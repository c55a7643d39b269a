"""The tool as a person runs it: a process of its own, from the checkout, with nothing of this machine's settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect

from tests.forked import Forked, ForkedToTheEnd, forked_on_a_terminal
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCRIPT = Path(__file__).parents[1] / "sketch_migrate.py"

_CLEAN = {
    "SKETCH_REPORT": "no",  # a page takes as long as most of these runs: those that are about pages have it made
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}

_READ_BY_THE_TOOL = ("PATH", "HOME", "TMPDIR", "TERM", "SKETCH_", "AWS_", "LEGACY_AWS_", "PRODUCTION_AWS_", "PG")
"""Variables, or what they begin with, that nothing reads before the tool runs: not Python, nor a module's import."""


class Starts:
    """Whether the tool gets a ``new_interpreter``, as a person starts it; else it is forked from one with its imports.

    ``NEW_INTERPRETER=1 scripts/test`` always gives it one.
    """

    new_interpreter = sys.platform != "linux" or bool(os.environ.get("NEW_INTERPRETER"))


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run of the tool ended: its exit code (negative: the signal that killed it) and what it said."""

    code: int
    out: str
    err: str

    @property
    def counts(self) -> dict[str, int]:
        """What the summary counts: each outcome, ``scanned`` and ``copied``; empty where it printed no summary."""
        found = {word: int(number.replace(",", "")) for word, number in reversed(_COUNT(self.out))}
        return dict(reversed(found.items()))  # the table comes first, problems with numbers for keys after it

    @property
    def tech_status(self) -> str:
        """The last line of stdout if it is that of ``-t``, else an empty text."""
        last = self.out.splitlines()[-1] if self.out else ""
        return last if last.startswith("tech_status ") else ""


_COUNT = re.compile(r"^  ([a-z]+) +([\d,]+)  \w", re.MULTILINE).findall


def start(
    *args: str,
    environ: Mapping[str, str],
    cwd: Path,
    program: Sequence[str | Path] = (SCRIPT,),
    to_the_end: bool = False,
) -> subprocess.Popen[str]:
    """Start ``sketch_migrate.py`` without a terminal, with only these variables, in ``cwd``: ``runs`` is made there.

    ``program`` is what Python is to run instead of it: ``("-c", "code")``. ``to_the_end`` Python takes all modules
    apart when it ends, as a person's does, where duckdb says what it has leaked: 0.1 s of CPU.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    variables = {**kept, **_CLEAN, **environ}
    as_a_person = program != (SCRIPT,) or _read_before(variables)
    forked = ForkedToTheEnd if to_the_end else Forked
    return (subprocess.Popen if as_a_person else forked)(
        [sys.executable, *program, *args],
        env=variables,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _read_before(variables: Iterable[str]) -> bool:
    """Whether the tool gets an interpreter of its own, as something may read one of the variables before it runs."""
    return Starts.new_interpreter or not all(name.startswith(_READ_BY_THE_TOOL) for name in variables)


def finish(process: subprocess.Popen[str], *, timeout_seconds: float = PATIENCE_SECONDS) -> Finished:
    """Wait for a started run. One that takes longer is killed, and ``TimeoutError`` tells what it had said."""
    try:
        out, err = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        message = f"the tool did not end within {timeout_seconds:g} s; it said\n{out}\n{err}"
        raise TimeoutError(message) from None
    return Finished(process.returncode, out, err)


def run(*args: str, environ: Mapping[str, str], cwd: Path, timeout_seconds: float = PATIENCE_SECONDS) -> Finished:
    """Run ``sketch_migrate.py`` to its end; see ``start``."""
    return finish(start(*args, environ=environ, cwd=cwd), timeout_seconds=timeout_seconds)


def on_a_terminal(*args: str, environ: Mapping[str, str], cwd: Path) -> pexpect.spawn[str]:
    """Start ``sketch_migrate.py`` as ``start`` does, but on a terminal of its own, 120 columns wide."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    variables = {**kept, **_CLEAN, "TERM": "xterm-256color", **environ}
    command = [sys.executable, str(SCRIPT), *args]
    size = (50, 120)
    if not _read_before(variables):
        return forked_on_a_terminal(command, env=variables, cwd=cwd, dimensions=size)
    return pexpect.spawn(
        command[0], command[1:], env=variables, cwd=str(cwd), encoding="utf-8", timeout=30, dimensions=size
    )


def run_directories(cwd: Path) -> list[Path]:
    """Return the directories of the runs that were started in ``cwd``, the oldest first.

    By their logs: whoever reads a past ledger makes a file beside it.
    """
    found = [path for path in (cwd / "runs").iterdir() if path.is_dir()]
    logs = {path: path / "migrate.log" for path in found}
    return sorted(found, key=lambda path: (logs[path] if logs[path].exists() else path).stat().st_mtime_ns)
