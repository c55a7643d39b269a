"""What a command is, and how it is found: each is a file of ``commands``, imported when it is used.

A new one is a new file there, which declares a ``Command`` by the name ``COMMAND``. The file is light, as the help
imports all of them: what carries the command out is imported by its ``load``.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from sketchmigrate.cli import commands

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start
    from sketchmigrate.core.rights import Rights

MIGRATE = "migrate"
"""The command that is meant where there is no word."""

Arguments = TypeVar("Arguments")


def _none(_: argparse.Namespace) -> str:
    return ""


class Command(NamedTuple, Generic[Arguments]):
    """A command, as its file declares it. Its word is the file's name.

    ``summary`` says what it is for, and ``place`` where it stands among the others in the help. ``declare`` adds its
    flags; whatever of them is an option of the run (``-b``, ``--json``) arrives in ``Options``, and all others are what
    ``arguments`` is called with. ``contradiction`` says what is wrong with flags that do not go together, and is empty
    where they do. ``load`` imports what carries the command out, and returns that: called, it returns the exit code or
    raises ``MigrateError``. ``rights`` are those that it needs, by the name under which ``grants`` prints them.

    A command that ``only_prints`` has failed where stdout cannot be written: it leaves nothing else.
    """

    summary: str
    place: int
    declare: Callable[[argparse.ArgumentParser, Mapping[str, str]], None]
    arguments: Callable[..., Arguments]
    load: Callable[[Arguments, Start], Callable[[], int]]
    rights: Mapping[str, Rights] = {}
    contradiction: Callable[[argparse.Namespace], str] = _none
    only_prints: bool = False


def find(word: str) -> Command[Any]:
    """Import a command by its word, which must be one."""
    command: Command[Any] = import_module(f"{commands.__name__}.{word}").COMMAND
    return command


def names() -> list[str]:
    """Return the words of all commands, in no order that means anything. Imports none of them."""
    return [each.name for each in pkgutil.iter_modules(commands.__path__)]


def is_word(word: str) -> bool:
    """Whether it is a command's word."""
    return word in names()


def all_commands() -> dict[str, Command[Any]]:
    """Import every command, and return them in the order of the help: that in which a migration needs them."""
    found = {name: find(name) for name in names()}
    return dict(sorted(found.items(), key=lambda each: each[1].place))


def words() -> list[str]:
    """Return the words of all commands, in the order of the help."""
    return list(all_commands())


def all_rights() -> dict[str, Rights]:
    """Return the rights that each command needs, by the names under which ``grants`` prints them."""
    return {name: rights for command in all_commands().values() for name, rights in command.rights.items()}
