"""Leaves the page about a run in its directory, in a process of its own, when all else is done.

What makes pages is imported there, and a failure there is none of the run's.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import sketchmigrate

if TYPE_CHECKING:
    from sketchmigrate.report.terminal import Terminal

LIMIT_SECONDS = 30.0

_CODE = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from sketchmigrate.garbage import collect_garbage_seldom
collect_garbage_seldom()
from sketchmigrate.cli.page_process import main
sys.exit(main(*sys.argv[1:]))
"""
"""The package is that of this process, wherever it was found, and nothing of the current folder is imported."""


def leave_page(run: Path, ledger_url: str, terminal: Terminal) -> None:
    """Make the page about the run in this directory, and say where it is. One that cannot be made is a warning."""
    package = str(Path(sketchmigrate.__file__).parents[1])
    command = [sys.executable, "-P", "-c", _CODE, package, str(run), ledger_url]
    try:
        made = subprocess.run(  # noqa: S603 - our own code
            command,
            env=dict(os.environ),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=LIMIT_SECONDS,
            start_new_session=True,  # a Ctrl-C on the terminal is for this process, which says so
        )
    except subprocess.TimeoutExpired:
        reason = f"it took longer than {LIMIT_SECONDS:.0f} s"
    except KeyboardInterrupt:
        reason = "it was interrupted"
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if made.returncode == 0:
            terminal.message(f"Report: {run / 'report.html'}")
            return
        said = made.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"its process ended with {made.returncode}"
    hint = f"sketch-migrate report {run.name} makes it."
    terminal.message(f"Warning: the page about this run could not be made: {reason}. {hint}", logging.WARNING)
