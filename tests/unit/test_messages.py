"""The page of messages has all that the code says."""

from __future__ import annotations

import pytest

from sketchmigrate.core.reason import ReasonKind
from tests.messages import PAGE, messages


def test_the_page_is_what_the_code_makes() -> None:
    assert PAGE.read_text() == messages(), "python -m tests.messages writes it"


@pytest.mark.parametrize(
    "line",
    [
        "| … is set, but … is not | Set both or neither of them. |",
        "| this asks before",
        "| `archived` | archived…, and not restored: … | Restore the objects first. |",
    ],
)
def test_it_has_what_is_said_and_what_to_do(line: str) -> None:
    assert line.lower() in PAGE.read_text().lower()


def test_each_reason_is_there() -> None:
    text = PAGE.read_text()
    assert [kind for kind in ReasonKind if kind is not ReasonKind.SENTENCE and f"| `{kind.value}` |" not in text] == []
