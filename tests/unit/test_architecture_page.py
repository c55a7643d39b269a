"""The page on the architecture names the modules that are there, room by room."""

from __future__ import annotations

import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "sketchmigrate"
PAGE = REPOSITORY / "docs" / "architecture.md"
TITLE = "### The modules of each room"
NAME_WIDTH, WIDTH = 18, 120


def _names(folder: Path) -> str:
    return ", ".join(path.stem for path in sorted(folder.glob("*.py")) if path.stem != "__init__")


def _line(name: str, names: str) -> str:
    return textwrap.fill(names, WIDTH, initial_indent=f"{name:<{NAME_WIDTH - 1}} ", subsequent_indent=" " * NAME_WIDTH)


def expected_block() -> str:
    """Return the list of modules as the page has to show it."""
    rooms = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
    lines = [_line(f"{room.relative_to(PACKAGE).as_posix()}/", _names(room)) for room in rooms]
    return "\n".join((TITLE, "", "```", *lines, _line("beside them", _names(PACKAGE)), "```"))


def test_the_page_lists_the_modules_that_are_there() -> None:
    expected = expected_block()
    page = PAGE.read_text(encoding="utf-8")
    assert expected in page, (
        f"docs/architecture.md must have this block in place of the one with its title:\n\n{expected}\n"
    )
