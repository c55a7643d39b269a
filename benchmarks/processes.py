"""Processes whose use of the machine is measured, and the cost of servers while others are measured."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.errors import MigrateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
LAUNCHER = Path(__file__).with_name("launcher.py")
PYTHON = (sys.executable, "-P")
"""Without the working directory on its path, where anything may lie."""

PYTHON_ENVIRON = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
_TICKS = os.sysconf("SC_CLK_TCK")


class CommandFailed(MigrateError):
    """A measured command ended with an error; the hint is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command used, with all its children: CPU is theirs together, the peak that of the largest process."""

    exit_code: int
    timed_out: bool
    began_at: float
    wall_seconds: float
    cpu_seconds: float
    peak_kib: int
    out: str
    err: str


def measured(
    command: Sequence[object],
    *,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    timeout_seconds: int = 1800,
) -> Usage:
    """Run a command to its end with these variables (and PATH, HOME) alone, and tell what it used. It may fail."""
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        home = Path(name)
        launcher = (sys.executable, "-I", "-S", LAUNCHER, home / "usage", str(timeout_seconds))
        with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
            subprocess.run(  # our own command
                [str(part) for part in (*launcher, *command)],
                env={**child_environ(), **environ},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                check=False,
            )
        said: dict[str, Any] = {each: (home / each).read_text(errors="replace") for each in ("out", "err")}
        if not (home / "usage").exists():
            raise CommandFailed(f"{command[0]} cannot be run", hint=said["err"][-2000:])
        found: dict[str, Any] = json.loads((home / "usage").read_text())
        return Usage(**found, **said)


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Have this thread, and all processes that it starts in the block, run on one core and no other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def child_environ() -> dict[str, str]:
    """Return what a child needs of this environment, and nothing that would configure it."""
    return {each: os.environ[each] for each in ("PATH", "HOME", "TMPDIR") if each in os.environ}


def succeeded(usage: Usage, what: str) -> Usage:
    """Return what a command used. Raises ``CommandFailed`` where it did not end well."""
    if usage.exit_code != 0:
        raise CommandFailed(f"{what} ended with {usage.exit_code}", hint=(usage.err or usage.out)[-2000:])
    return usage


def parent_of(pid: int) -> int:
    """Return the id of a running process's parent."""
    return _stat(pid).parent


def family_cpu_seconds(pid: int) -> float:
    """Return the CPU time that a running process and its children have used so far, those that have ended included."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    family = _stat(pid)
    ticks = family.own_ticks + family.ended_children_ticks
    for child in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            ticks += _stat(int(child)).own_ticks
    return ticks / _TICKS


class _Stat(NamedTuple):
    parent: int
    own_ticks: int
    ended_children_ticks: int


def _stat(pid: int) -> _Stat:
    """Read /proc/PID/stat (proc(5)): fields 4, 14 + 15 and 16 + 17."""
    fields = [int(field) for field in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1:15]]
    return _Stat(fields[0], fields[10] + fields[11], fields[12] + fields[13])
