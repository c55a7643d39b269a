"""``completion``: the script with which a shell completes our commands and flags."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli.command import Command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start

SHELLS = ("bash", "zsh", "fish")


class CompletionArguments(NamedTuple):
    """The shell that the script is for."""

    shell: str


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("shell", choices=SHELLS,
        help="the shell. For bash: source <(sketch-migrate completion bash)")  # fmt: skip


def _load(arguments: CompletionArguments, start: Start) -> Callable[[], int]:
    return partial(_print, arguments.shell, start)


def _print(shell: str, start: Start) -> int:
    import shtab

    from sketchmigrate.cli.tree import all_actions, command_tree

    root = command_tree(Path(sys.argv[0]).name or "sketch-migrate", repeats_settings=True)
    for action in all_actions(root):
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
    start.terminal.data(shtab.complete(root, shell))
    return 0


COMMAND = Command(
    "print the script with which a shell completes commands and flags",
    place=21,
    declare=_declare,
    arguments=CompletionArguments,
    load=_load,
    only_prints=True,
)
