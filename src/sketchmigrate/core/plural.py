"""A number of things, as a person reads it. Pure."""

from __future__ import annotations


def counted(number: int, one: str, more: str = "") -> str:
    """Write a number of things: ``one`` is what one of them is called, ``more`` several (default: with an s)."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
