"""The command words: what each is for, its flags, and the arguments that they make.

A new one is declared here, and carried out by ``main``. Whatever of its flags is an option of the run (``-b``,
``--json``) arrives in ``Options``; all others must be fields of its class of arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sketch_migrate.cli.flags import at_least

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class DemoArguments:
    """What ``demo`` was asked to do. ``directory`` None is a temporary one."""

    avatars: int
    directory: Path | None
    wait: bool


CommandArguments: TypeAlias = DemoArguments
"""The arguments of any command word; their class tells which one is meant."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command word: a line of help, how it declares its flags, and the class of its arguments.

    With ``has_settings`` it has ``--config`` and a flag for each setting as well.
    """

    summary: str
    declare: Callable[[argparse.ArgumentParser, Mapping[str, str]], None]
    arguments: Callable[..., CommandArguments]
    has_settings: bool = True


def _declare_demo(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.add_argument("--avatars", type=at_least(1), default=environ.get("DEMO_AVATARS") or 10_000, metavar="N",
                        help="how many to make, half of them legacy (default $DEMO_AVATARS, or 10000)")  # fmt: skip
    parser.add_argument("--dir", dest="directory", type=Path, metavar="DIR",
                        help="keep database and objects there (default: a temporary folder)")  # fmt: skip
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="stop the servers and exit at the end")


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "start a database and an S3 server here, and migrate sample avatars",
        _declare_demo,
        DemoArguments,
        has_settings=False,
    ),
}
"""Every command word, in the order of the help."""
