"""Make text of strangers harmless: a path may hold anything, and a terminal obeys what it is shown. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with all that cannot be seen written as an escape: controls, line ends, bidi marks, surrogates.

    A backslash that is there already stays single: this is for the eye, exact paths are in the list of problems.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def printable_lines(text: str) -> str:
    """Do the same for a text of several lines, which stay lines."""
    return "\n".join(printable(line) for line in text.split("\n"))
