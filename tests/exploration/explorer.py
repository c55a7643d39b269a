"""Visits every state that can be reached, the nearest first: what breaks a promise is told by a shortest way there."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from tests.exploration.promises import Broken, always
from tests.exploration.state import State

if TYPE_CHECKING:
    from tests.exploration.model import Model
    from tests.exploration.state import Row, Tool

    Code = tuple[int, ...]


class Violation(AssertionError):
    """A promise does not hold; the text is the way there."""


class Explored(NamedTuple):
    """How many states there are, and steps between them; and how many are ends, where nothing happens any more."""

    states: int
    steps: int
    ends: int


class _Codes:
    """Numbers for rows and tools, so that a state is a few integers. The order of rows is not told apart."""

    def __init__(self) -> None:
        self._parts: list[Row | Tool] = []
        self._numbers: dict[Row | Tool, int] = {}

    def code(self, state: State) -> Code:
        return (*sorted(map(self._number, state.rows)), self._number(state.tool))

    def state(self, code: Code) -> State:
        *rows, tool = (self._parts[number] for number in code)
        return State(tuple(rows), tool)  # type: ignore[arg-type] # they were put in so

    def _number(self, part: Row | Tool) -> int:
        number = self._numbers.setdefault(part, len(self._parts))
        if number == len(self._parts):
            self._parts.append(part)
        return number


def explore(model: Model, *, most: int = 10**8) -> Explored:
    """Visit all states of a model. Raises ``Violation``."""
    codes = _Codes()
    first = codes.code(model.first)
    came_from: dict[Code, tuple[Code, str] | None] = {first: None}
    waiting = deque([first])
    steps = ends = 0
    while waiting:
        code = waiting.popleft()
        state = codes.state(code)
        before = steps
        try:
            for what, after in model.steps(state):
                steps += 1
                following = codes.code(after)
                if following not in came_from:
                    came_from[following] = code, what
                    always(after.rows, guarded=model.guarded)
                    waiting.append(following)
        except Broken as reason:
            way = _way_to(code, came_from)
            text = "\n".join(f"  {each}" for each in (*way, f"{state.tool.at} -> BROKEN: {reason}"))
            raise Violation(f"{reason}\n{text}") from reason
        ends += steps == before
        assert len(came_from) <= most, "more states than expected"
    return Explored(len(came_from), steps, ends)


def _way_to(code: Code, came_from: dict[Code, tuple[Code, str] | None]) -> list[str]:
    way: list[str] = []
    while (step := came_from[code]) is not None:
        code, what = step
        way.append(what)
    return way[::-1]
