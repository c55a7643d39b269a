"""``manifest``: its argument, its flags and its rights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import Rights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class ManifestArguments(NamedTuple):
    """What ``manifest`` was asked to do. ``verify_run`` None is the newest run of verify below RUN_DIR."""

    verify_run: Path | None


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("verify_run", type=Path, nargs="?", metavar="VERIFY_RUN",
                        help="directory of a run of verify (default: the newest below RUN_DIR)")  # fmt: skip
    flags.add_output_flags(parser)
    flags.add_settings(parser)


def _load(arguments: ManifestArguments, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.job import run_job
    from sketchmigrate.cli.jobs.manifest import ManifestJob

    return partial(run_job, ManifestJob(arguments, start, run))


COMMAND = Command(
    "list the legacy keys that are proved safe to delete",
    place=17,
    declare=_declare,
    arguments=ManifestArguments,
    load=_load,
    rights={"manifest": Rights("reads the rows and lists both sides again before it names what is safe to delete")},
)
