"""The exit codes, and the one place that decides which of them a command ends with. Pure."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process returns where no signal stopped it."""

    DONE = 0  # it came to its end, and nothing is left
    LEFT = 1  # it came to its end, and a person has something to do; or it was not agreed to
    USAGE = 2  # the command line or a setting is wrong
    REFUSED = 3  # a server cannot be reached, or does not allow it
    FAILED = 4  # another error

    @classmethod
    def finished(cls, *, left: bool) -> ExitCode:
        """Return the code of a command that came to its end. ``left``: something is left for a person to do."""
        return cls.LEFT if left else cls.DONE


_SIGNALLED = 128


def stopped_by(signal_number: int) -> int:
    """Return the code of a command that a signal stopped, as a shell has it (POSIX, Shell, "Exit Status")."""
    return _SIGNALLED + signal_number


def signal_of(exit_code: int) -> int | None:
    """Return the number of the signal that a code tells of, None where it tells of none."""
    return exit_code - _SIGNALLED if exit_code > _SIGNALLED else None


def decide(come_to: int, *, error_code: int | None = None, signal_number: int | None = None) -> int:
    """Return the code that counts: a signal comes before the error that ended a command, that before what it came to.

    ``come_to`` is its code without either.
    """
    if signal_number is not None:
        return stopped_by(signal_number)
    return come_to if error_code is None else error_code
