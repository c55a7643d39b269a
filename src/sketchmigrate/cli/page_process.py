"""What the process does that makes the page about a run."""

from __future__ import annotations

import sys
from pathlib import Path

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.ledger.story import read_story
from sketchmigrate.report.page.page import page_of
from sketchmigrate.report.page.writing import PAGE_NAME, write_page
from sketchmigrate.settings import Settings


def main(run: str, ledger_url: str) -> int:
    """Make the page about the run in this directory; return 0, or say in a line of stderr why there is none."""
    directory = Path(run)
    # of all settings these two say where the run is, and they were checked
    settings = Settings(run_dir=str(directory.parent), ledger_url=ledger_url)
    try:
        write_page(directory / PAGE_NAME, page_of(read_story(directory, directory.parent, settings)))
    except MigrateError as error:
        sys.stderr.write(f"{error.message}\n")
        return ExitCode.FAILED
    return ExitCode.DONE
