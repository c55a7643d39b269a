"""Two iterations beside each other, step by step: what ``model`` says of one batch beside another one, to be seen.

They are two models of a row each that begin together, are killed together and are started again together; the rollback
begins when both have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tests.exploration.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.exploration.model import Model

Both: TypeAlias = tuple[State, State]

_TOGETHER = {"begin", "ended", "killed"}


def steps_of_both(one: Model, other: Model, both: Both) -> Iterator[Both]:
    """Yield the states after a step of either, or after one of both together."""
    mine = [after for _, after in one.steps(both[0])]
    others = [after for _, after in other.steps(both[1])]
    for after in mine:
        if not _is_shared(both[0], after):
            yield after, both[1]
    for after in others:
        if not _is_shared(both[1], after):
            yield both[0], after
    for after in mine:
        for then in others:
            if _is_shared(both[0], after) and _is_shared(both[1], then) and _is_same(both, after, then):
                yield after, then


def _is_shared(before: State, after: State) -> bool:
    return before.tool.at != after.tool.at and (before.tool.at in _TOGETHER or after.tool.at == "killed")


def _is_same(both: Both, after: State, then: State) -> bool:
    if "killed" in {after.tool.at, then.tool.at}:
        return after.tool.at == then.tool.at
    return both[0].tool.at == both[1].tool.at
