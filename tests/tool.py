"""The tool as a person runs it: a process of its own, from the checkout, with nothing of this machine's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(__file__).parents[1] / "sketch_migrate.py"

_CLEAN = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run of the tool ended: its exit code (negative: the signal that killed it) and what it said."""

    code: int
    out: str
    err: str


def start(*args: str, environ: Mapping[str, str], cwd: Path) -> subprocess.Popen[str]:
    """Start ``sketch_migrate.py`` without a terminal, with only these variables, in ``cwd``: ``runs`` is made there."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, SCRIPT, *args],
        env={**kept, **_CLEAN, **environ},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, timeout_seconds: float = 60) -> Finished:
    """Wait for a started run. One that takes longer is killed, and ``TimeoutError`` tells what it had said."""
    try:
        out, err = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        message = f"the tool did not end within {timeout_seconds:g} s; it said\n{out}\n{err}"
        raise TimeoutError(message) from None
    return Finished(process.returncode, out, err)


def run(*args: str, environ: Mapping[str, str], cwd: Path, timeout_seconds: float = 60) -> Finished:
    """Run ``sketch_migrate.py`` to its end; see ``start``."""
    return finish(start(*args, environ=environ, cwd=cwd), timeout_seconds=timeout_seconds)
