"""The house is built as the architecture page says: imports run one way, files stay small."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sketchmigrate

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(sketchmigrate.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 450

FLOORS = (
    {"core", "garbage", "task_group"},
    {"flow", "settings"},
    {"s3", "postgres", "ledger", "report"},
    {"sides"},
    {"migration", "inspect", "demo"},
    {"cluster"},
    {"service"},
    {"cli", "__main__"},
)
"""From the ground up. A room imports from its own floor and from those below it; strangers are listed beneath."""

STRANGERS = {frozenset({"s3", "postgres"})}
"""Rooms on one floor that never import each other."""


def room_of(path: Path) -> str:
    """The part of the house that a file belongs to: a package or a module right below ``sketchmigrate``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    """Each room that a file imports from, type-only and late imports included, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            # `from sketchmigrate import errors` names a room as well
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "sketchmigrate" and len(parts) > 1 and parts[1] != "__version__":
                yield parts[1], node.lineno


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms <= set().union(*FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    for imported, line in imported_rooms(path):
        where = f"{path}:{line}: {room} imports {imported}"
        assert room != "__init__", where
        assert floor_of(imported) <= floor_of(room), where
        assert frozenset({room, imported}) not in STRANGERS, where


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_small_and_have_a_subject(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
    assert path.stem not in {"utils", "util", "helpers", "common", "misc"}


def test_the_rule_finds_a_breach(tmp_path: Path) -> None:
    """The test itself can fail: each way of importing is seen."""
    source = tmp_path / "breach.py"
    source.write_text(
        "import sketchmigrate.cli.main\nfrom sketchmigrate import postgres\n"
        "def late():\n    from sketchmigrate.report.logs import LOGGER\n"
    )
    assert [room for room, _ in imported_rooms(source)] == ["cli", "postgres", "report"]
