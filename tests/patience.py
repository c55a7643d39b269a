"""How long a test waits for what must come: it says when a test has failed, and never how fast anything is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 90.0


def wait_until(condition: Callable[[], bool], what: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that another process does; ``what`` is missing where it does not come."""
    ends_at = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < ends_at, f"did not happen within {timeout_seconds:g} s: {what}"
        time.sleep(0.02)
