"""What an ordinary run imports: nothing that it does not need, as each import is waited for at every start."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import sketchmigrate
from tests.tool import SCRIPT

if TYPE_CHECKING:
    from tests.e2e.site import Site

NEEDLESS = {"botocore", "dask", "duckdb", "jinja2", "multiprocessing", "prometheus_client", "pydantic"}
OF_A_RUN = {"httptools", "psycopg", "uvloop"}


def imported_by(site: Site, *words: str | Path) -> set[str]:
    """Have a new interpreter run this, and return the modules that it has imported, as Python tells by itself."""
    command = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=site.folder, env=site.settings)
    return set(re.findall(r"^import time:[^|]*\|[^|]*\| *(\S+)$", done.stderr, re.MULTILINE))


def test_a_run_with_credentials_of_the_environment_imports_nothing_needless(site: Site) -> None:
    site.fill(["image/1.png", "avatar/2.png"])
    loaded = imported_by(site.with_environ(SKETCH_REPORT="no"), SCRIPT, "migrate", "-yw", "--no-progress")
    assert "psycopg" in loaded
    assert loaded & NEEDLESS == set()
    assert not {each for each in loaded if each.startswith(("sketchmigrate.cluster", "sketchmigrate.ledger.postgres."))}
    assert site.database.paths() == {1: "avatar/1.png", 2: "avatar/2.png"}


def test_the_page_about_a_run_is_made_of_its_file_without_a_database(site: Site) -> None:
    site.fill(["image/1.png"])
    assert site.run("-yw").code == 0
    page = site.last_run() / "report.html"
    assert not page.exists()
    package = Path(sketchmigrate.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(package)!r}); from sketchmigrate.cli.page_process import main; "
    loaded = imported_by(site, "-c", f"{code} sys.exit(main(sys.argv[1], ''))", site.last_run())
    assert page.exists()
    assert "jinja2" in loaded
    assert loaded & {*(NEEDLESS - {"jinja2"}), *OF_A_RUN} == set()
