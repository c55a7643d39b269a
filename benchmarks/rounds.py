"""Who takes part in a round of end-to-end turns. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.arguments import LARGE_ROWS
from benchmarks.contestants import tool
from benchmarks.figures import CEILING, RCLONE, S5CMD, SCRIPT, TOOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contestants.contest import Turn

_ALL = {TOOL, tool.NO_CLOBBER.name, CEILING, *S5CMD, RCLONE, SCRIPT}
_NOT_AT_LENGTH = {tool.NO_CLOBBER.name, RCLONE, SCRIPT}


def participants(earlier: Sequence[Turn], rows: int, number: int, *, full: bool) -> set[str]:
    """Return the names of who takes part in round ``number``, the first 0, given the turns of the rounds before.

    The slowest has no turn with a large table, and without ``--full`` one in the first round alone. Then a large table
    also has few contestants in its first round, and in others the tool and the s5cmd that was the faster one in that.
    """
    large = rows >= LARGE_ROWS
    if large and number and not full:
        peers = [turn for turn in earlier if turn.contestant in S5CMD]
        fastest = max(peers, key=lambda turn: turn.rows_per_second, default=None)
        return {TOOL, fastest.contestant} if fastest else {TOOL}
    if large and not full:
        return _ALL - _NOT_AT_LENGTH
    return _ALL - {SCRIPT} if large or (number and not full) else _ALL
