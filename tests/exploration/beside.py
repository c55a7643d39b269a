"""Two iterations beside each other, step by step: what ``model`` says of one batch beside another one, to be seen.

They are two models of a row each that begin together, are killed together and are started again together; the rollback
begins when both have ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.exploration.model import Model
    from tests.exploration.state import State

_TOGETHER = {"begin", "ended", "killed"}


@dataclass(slots=True)
class Graph:
    """All states of a model, numbered, and the steps from each: what both do together, or nothing; and where to."""

    numbers: dict[State, int] = field(default_factory=dict)
    steps: list[list[tuple[str, int]]] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model) -> Graph:
        """Explore a model."""
        graph = cls()
        graph.numbers[model.first] = 0
        waiting = [model.first]
        for state in waiting:
            found: list[tuple[str, int]] = []
            for _, after in model.steps(state):
                number = graph.numbers.setdefault(after, len(graph.numbers))
                if number == len(waiting):
                    waiting.append(after)
                found.append((_together(state, after), number))
            graph.steps.append(found)
        return graph


def _together(before: State, after: State) -> str:
    if before.tool.at == after.tool.at:
        return ""
    if after.tool.at == "killed":
        return "killed"
    return f"from {before.tool.at}" if before.tool.at in _TOGETHER else ""


def beside(one: Graph, other: Graph) -> set[tuple[int, int]]:
    """Return all pairs of states that both can be in at the same time."""
    seen = {(0, 0)}
    waiting = [(0, 0)]
    for mine, others in waiting:
        following = [(after, others) for what, after in one.steps[mine] if not what]
        following += [(mine, after) for what, after in other.steps[others] if not what]
        following += [
            (after, then)
            for what, after in one.steps[mine]
            for too, then in other.steps[others]
            if what and what == too
        ]
        for pair in following:
            if pair not in seen:
                seen.add(pair)
                waiting.append(pair)
    return seen
