"""Lists for spreadsheets: a path that is a formula is made harmless where that is wanted, and exact everywhere else."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from tests.e2e.site import Site

PATH = "=image/gone.png"


@pytest.mark.parametrize("flag", ["", "--csv-safe"])
def test_a_path_that_is_a_formula_is_exact_but_in_the_csv_where_that_is_wanted(site: Site, flag: str) -> None:
    site.database.create_avatars([PATH])
    shown = f"'{PATH}" if flag else PATH
    of_this = site.with_environ(SKETCH_LEGACY_PREFIX="=image/")

    def listed() -> list[str]:
        with (site.last_run() / "problems.csv").open(newline="") as file:
            return [row["path"] for row in csv.DictReader(file)]

    planned = of_this.run(f"plan --json {flag}")
    assert planned.code == 1, planned
    assert listed() == [shown]
    assert duckdb.read_parquet(str(site.last_run() / "problems.parquet")).select("path").fetchall() == [(PATH,)]
    done = of_this.run(f"-y --json {flag}")
    assert done.code == 1, done
    assert listed() == [shown]
    assert [each["path"] for each in json.loads(done.out)["problems"]] == [PATH]
