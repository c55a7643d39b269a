"""``manifest``: the keys that may be deleted, for another tool to delete."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketch_migrate import __version__
from sketch_migrate.reconcile.manifest import newest_verify, write_manifest

if TYPE_CHECKING:
    from sketch_migrate.cli.commands import ManifestArguments
    from sketch_migrate.report.logs import RunDirectory
    from sketch_migrate.report.terminal import Terminal
    from sketch_migrate.settings import Options, Settings


def manifest_command(
    arguments: ManifestArguments, settings: Settings, options: Options, terminal: Terminal, run: RunDirectory
) -> int:
    """Write the manifest of a verify into the run's directory. Asks neither store nor database."""
    verify_run = arguments.verify_run or newest_verify(Path(settings.run_dir).expanduser())
    made = asyncio.run(write_manifest(verify_run, run.path))
    terminal.result(
        f"{made.objects:,} legacy objects, {decimal(made.size_bytes)}, were proved safe to delete, as long as nobody\n"
        f"changed them or rolled back since. Nothing was deleted. Proved by {made.verify_run}\n\n"
        f"For S3 Batch Operations  {made.csv_file}\n"
        f"As a table               {made.parquet_file}\n"
        f"Log                      {run.log_path}"
    )
    if options.json_output:
        document = {"kind": "manifest", **asdict(made), "log_file": str(run.log_path), "exit_code": 0}
        terminal.document({"version": __version__, **document})
    return 0
