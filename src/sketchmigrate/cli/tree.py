"""All commands as one parser with sub-commands: what shells complete, and what the manual page describes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sketchmigrate.cli.command import MIGRATE, all_commands
from sketchmigrate.cli.flags import SETTINGS, OneOf

if TYPE_CHECKING:
    from collections.abc import Iterator


def command_tree(program: str, *, repeats_settings: bool) -> argparse.ArgumentParser:
    """Return the parser. With ``repeats_settings`` each command has a flag for each setting, else the root alone."""
    root = argparse.ArgumentParser(prog=program, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = all_commands()
    commands[MIGRATE].declare(root, {})
    words = root.add_subparsers(metavar="COMMAND", prog=program)
    for word, command in commands.items():
        parser = words.add_parser(
            word,
            help=command.summary,
            description=command.summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.declare(parser, {})
        if not repeats_settings:
            _drop_settings(parser)
    for action in all_actions(root):
        if isinstance(action.type, OneOf):
            action.choices = action.type.words
    return root


def _drop_settings(parser: argparse.ArgumentParser) -> None:
    kept = [group for group in parser._action_groups if group.title != SETTINGS]  # noqa: SLF001 - as above
    dropped = {id(action) for group in parser._action_groups if group not in kept for action in group._group_actions}  # noqa: SLF001
    parser._action_groups[:] = kept  # noqa: SLF001
    parser._actions[:] = [action for action in parser._actions if id(action) not in dropped]  # noqa: SLF001


def all_actions(root: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return all flags and arguments, of all commands."""
    for action in root._actions:  # noqa: SLF001 - has no public list
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - nor a public name
            for parser in action.choices.values():
                yield from all_actions(parser)
        else:
            yield action
