"""What ``-h`` prints: all commands on one page, or one with its flags; with ``--all`` the settings too. Pure."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from sketchmigrate.cli.flags import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.command import Command

COMMON = ("-d", "-v", "-l", "-y", "-w", "-p", "-b", "--config", "--json")
"""The flags of a migration that most need."""

WIDTH = 79
_WORD_WIDTH = 12


class HelpParser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose help leaves the settings out, unless it ``shows_all``.

    ``overview`` makes what it shows in place of its flags, and ``appendix`` the end of what shows all: when they are
    asked for, and not before.
    """

    shows_all = False
    appendix: Callable[[], str] | None = None
    overview: Callable[[HelpParser], str] | None = None

    def format_help(self) -> str:
        """Return the help."""
        if self.shows_all:
            if self.appendix is not None:
                self.epilog = self.appendix()
            return super().format_help()
        if self.overview is not None:
            return self.overview(self)
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        has_settings = False
        for group in self._action_groups:
            if group.title == SETTINGS:
                has_settings = True
            else:
                _add_section(formatter, group.title, group._group_actions)  # noqa: SLF001 - as argparse's own help does
        if has_settings:
            formatter.add_text(f"Each setting is a flag too: {self.prog} -h --all shows them.")
        return formatter.format_help()

    def section(self, title: str, flags: tuple[str, ...]) -> str:
        """Return what the help says of some flags."""
        formatter = self._get_formatter()
        found = {flag: action for action in self._actions for flag in action.option_strings}
        _add_section(formatter, title, [found[flag] for flag in flags])
        return formatter.format_help()


def _add_section(formatter: argparse.HelpFormatter, title: str | None, actions: list[argparse.Action]) -> None:
    formatter.start_section(title)
    formatter.add_arguments(actions)
    formatter.end_section()


def overview(program: str, commands: Mapping[str, Command[object]], migration: HelpParser) -> str:
    """Return the page that fits two screens: the commands in the order of a migration, and the common flags."""
    about = (
        "Moves S3 objects from a legacy to a production place, and rewrites the database rows that point at them,"
        f" while the application stays live. Without a command it migrates. A good first run is: {program} -v -d -p 1"
    )
    listed = [
        line
        for word, command in commands.items()
        for line in textwrap.wrap(
            command.summary,
            WIDTH,
            initial_indent=f"  {word:<{_WORD_WIDTH}}",
            subsequent_indent=" " * (_WORD_WIDTH + 2),
        )
    ]
    return "\n".join(
        [
            f"usage: {program} [FLAG ...]",
            f"       {program} COMMAND [FLAG ...]",
            "",
            *textwrap.wrap(about, WIDTH),
            "",
            "commands, in the order of a migration:",
            *listed,
            "",
            migration.section("common flags of a migration", COMMON),
            "more:",
            f"  {program} COMMAND -h   its flags; those of the migration: migrate -h",
            f"  {program} -h --all     every flag of every command, and every setting",
            "",
        ]
    )


def usages(program: str, commands: Mapping[str, Command[object]], usage_of: Callable[[str], str]) -> str:
    """Return each command with its flags, for the end of the page that shows all."""
    lines = ["commands:"]
    for word, command in commands.items():
        lines += textwrap.wrap(
            " ".join(usage_of(word).split()).removeprefix(f"usage: {program} "),
            width=WIDTH - 1,
            initial_indent="  ",
            subsequent_indent=" " * 12,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += textwrap.wrap(command.summary, width=WIDTH - 1, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)
