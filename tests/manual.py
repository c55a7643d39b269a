"""The manual page, made from the parsers: ``python -m tests.manual`` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

from sketchmigrate.cli.tree import command_tree

PAGE = Path(__file__).resolve().parents[1] / "docs" / "man" / "sketch-migrate.1"


def manual() -> str:
    """Return the page, in troff. It has no date and no version, so that it changes only where a flag does."""
    os.environ["COLUMNS"] = "100"  # argparse wraps by it
    page = Manpage(command_tree("sketch-migrate", repeats_settings=False))
    page.date, page.source, page.manual = "", "sketch-migrate", "User Commands"
    page.description = "move S3 objects and the PostgreSQL rows that point at them"
    return str(page)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(manual(), encoding="utf-8")
