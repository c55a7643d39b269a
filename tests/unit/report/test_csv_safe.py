"""Cells that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.report.csv_safe import harmless, make_harmless

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "+1e"])
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    assert harmless(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "image/=1.png", "-7", "+7", "7", "a-b", " =1", "'=1", "ü"])
def test_what_is_none_stays_as_it_is(cell: str) -> None:
    assert harmless(cell) == cell


def test_a_file_keeps_its_cells_and_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "problems.csv"
    rows = [["key", "path"], ["-7", '=HYPERLINK("x",\n"y")'], ["8", "image/a,b.png"]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    make_harmless(path)
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [rows[0], ["-7", "'" + rows[1][1]], rows[2]]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
