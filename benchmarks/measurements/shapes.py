"""What a row costs where its key stands in a URL or in JSON, beside the classic job: by turns, on the responder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants.contest import Site
from benchmarks.measurements.cost import cost_of_run
from benchmarks.processes import CommandFailed
from benchmarks.servers.table import KEY, Writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.servers.responding import RespondingStore
    from benchmarks.servers.table import Table

FLAGS = ("-yw",)
_REFERENCE = '[[references]]\ntable = "avatars"\ncolumn = "path"\n'
_URLS = '[[urls]]\nlegacy = "https://old.example.com/{key}"\nproduction = "https://cdn.example.com/{key}"\n'
_DOCUMENT = "jsonb_build_object('file', jsonb_build_object('id', k), 'size', 2048, 'name', 'avatar ' || n)"


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows name their objects, and the settings file that says so; the classic settings need none."""

    name: str
    writing: Writing = KEY
    settings: str = ""


CLASSIC = Form("the classic settings")
LISTED = Form("`key`", settings=f'{_REFERENCE}shape = "key"\n')
URL = Form("`url`", Writing("text", "'https://old.example.com/' || k"), f'{_URLS}{_REFERENCE}shape = "url"\n')
JSONB = Form(
    "`json`, one reference in jsonb",
    Writing("jsonb", _DOCUMENT),
    f'{_REFERENCE}shape = "json"\npaths = ["$.file.id"]\n',
)
FORMS = (CLASSIC, LISTED, URL, JSONB)


@dataclass(frozen=True, slots=True)
class ShapeCost:
    """One run over rows of one form. ``server_cpu_seconds`` is PostgreSQL's, in all its processes.

    What has the same ``round`` was measured one after the other.
    """

    form: str
    round: int
    rows: int
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float

    @property
    def cpu_us_per_row(self) -> float:
        """CPU time of the tool's process for each row, its start and end included, in microseconds."""
        return self.cpu_seconds / self.rows * 1e6

    @property
    def server_cpu_us_per_row(self) -> float:
        """CPU time of the database for each row, in microseconds."""
        return self.server_cpu_seconds / self.rows * 1e6


def measure_shapes(store: RespondingStore, table: Table, rows: int, number: int) -> Iterator[ShapeCost]:
    """Migrate a table of each form, in the opposite order in each second round. Raises ``CommandFailed``."""
    for form in FORMS if number % 2 else FORMS[::-1]:
        yield _measure(form, store, table, rows, number)


def _measure(form: Form, store: RespondingStore, table: Table, rows: int, number: int) -> ShapeCost:
    table.fill(rows, form.writing)
    with tempfile.TemporaryDirectory(prefix="sketch-bench-") as name:
        home = Path(name)
        flags = [*FLAGS]
        if form.settings:
            (home / "sources.toml").write_text(form.settings, encoding="utf-8")
            flags += ["--config", "sources.toml"]
        before = table.server_cpu_seconds()
        cost = cost_of_run(Site(store, table, rows, home), store, *flags)
        server_cpu_seconds = table.server_cpu_seconds() - before
    if cost.requests["CopyObject"] < rows:
        raise CommandFailed(f"of {rows} rows as {form.name} the tool has not copied all", hint=str(cost.requests))
    return ShapeCost(form.name, number, rows, cost.seconds, cost.cpu_seconds, server_cpu_seconds)
