"""How long a test waits for what must come: it says when a test has failed, and never how fast anything is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PATIENCE_SECONDS = 90.0


REST_SECONDS = 0.5


def at_rest(look: Callable[[], T]) -> T:
    """Return what a look shows once it has shown the same for half a second: what was under way has come."""
    seen, since = look(), time.monotonic()

    def is_at_rest() -> bool:
        nonlocal seen, since
        if (now := look()) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= REST_SECONDS

    wait_until(is_at_rest, "what is looked at stays as it is")
    return seen


def wait_until(condition: Callable[[], bool], what: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that another process does; ``what`` is missing where it does not come."""
    ends_at = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < ends_at, f"did not happen within {timeout_seconds:g} s: {what}"
        time.sleep(0.02)
