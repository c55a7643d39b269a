"""What a person may order of a run that goes on: how it stands, a pause, other limits, an end.

An order is taken or refused as a whole, and is on record in the log with who gave it. How it comes here is the matter
of ``control_socket``.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import UsageError
from sketchmigrate.migration.opening import caps_of
from sketchmigrate.report.run_status import figures_json, status_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sketchmigrate.migration.site import Site
    from sketchmigrate.report.progress import Progress

log = logging.getLogger(__name__)

STOPS_BY = signal.SIGTERM
"""A stop that is ordered ends the run as this signal does, with its exit code."""


class Control:
    """Takes orders for one run. ``progress`` knows how far it is; ``is_dry`` is a run that changes nothing.

    ``ordered`` is told who has ordered what.
    """

    def __init__(
        self,
        site: Site,
        progress: Progress,
        *,
        run: str,
        command: str,
        is_dry: bool,
        ordered: Callable[[str, str], None],
    ) -> None:
        self._site, self._progress = site, progress
        self._ordered = ordered
        self._run, self._command, self._is_dry = run, command, is_dry
        self._began_at = time.monotonic()
        self._orders: dict[str, Callable[[Mapping[str, Any], str], str]] = {
            "status": self._status,
            "pause": self._pause,
            "resume": self._resume,
            "set": self._set,
            "stop": self._stop,
        }

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have changed caps kept to, as long as the context lasts."""
        with self._site.tuning.heard_by(self._cap):
            yield

    @property
    def status(self) -> dict[str, object]:
        """How the run stands."""
        tuning, stop = self._site.tuning, self._site.stop
        figures = self._progress.figures
        state = "running"
        if stop.requested:
            state = "stopping"
        elif tuning.paused_by:
            state = "paused"
        elif figures.is_stopped:
            state = "waiting"
        return {
            "run": self._run,
            "command": self._command,
            "pid": os.getpid(),
            "state": state,
            "paused_by": tuning.paused_by,
            "seconds": round(time.monotonic() - self._began_at, 1),
            **figures_json(figures, is_back=self._command == "rollback"),
            "changes": list(tuning.changes),
            "settings": {} if self._is_dry else tuning.present.shown,
        }

    def log_status(self) -> None:
        """Put on record how the run stands."""
        log.info("%s", status_text(self.status))

    def take(self, order: Mapping[str, Any], by: str) -> dict[str, object]:
        """Carry out an order of somebody; return what it came to. Raises ``UsageError``, and changes nothing then."""
        word = order.get("order")
        carry_out = self._orders.get(word) if isinstance(word, str) else None
        if carry_out is None:
            raise UsageError(f"there is no order {word!r}", hint=f"There are: {', '.join(self._orders)}.")
        if self._is_dry and word in {"pause", "resume", "set"}:
            raise UsageError("a dry run changes nothing, and takes status, watch and stop alone")
        said = carry_out(order, by)
        return {"said": said, "status": self.status}

    def _status(self, _: Mapping[str, Any], _by: str) -> str:
        return ""

    def _pause(self, _: Mapping[str, Any], by: str) -> str:
        tuning = self._site.tuning
        if tuning.paused_by:
            return f"It was paused already, by {tuning.paused_by}."
        self._note(by, "pause")
        tuning.pause(by)
        return "Paused. What is under way is finished; sketch-migrate ctl resume goes on."

    def _resume(self, _: Mapping[str, Any], by: str) -> str:
        tuning = self._site.tuning
        if not tuning.paused_by:
            return "It was not paused."
        self._note(by, "resume")
        tuning.pause("")
        return "It goes on."

    def _set(self, order: Mapping[str, Any], by: str) -> str:
        changes = order.get("changes")
        if not isinstance(changes, list) or not changes or not all(isinstance(each, str) for each in changes):
            raise UsageError("set needs NAME=VALUE", hint="For example: MAX_ROWS_PER_SECOND=500")
        self._site.tuning.change(changes)
        self._note(by, f"set {' '.join(changes)}")
        return f"Set: {', '.join(changes)}."

    def _stop(self, order: Mapping[str, Any], by: str) -> str:
        at_once = order.get("now") is True
        stop = self._site.stop
        self._note(by, "stop --now" if at_once else "stop")
        if stop.signal_number is None:
            stop.by_signal(STOPS_BY)
            self._site.sides.stop_retrying()
        if at_once:
            stop.at_once()
        return "It stops at once." if at_once else "It finishes what is under way, and stops."

    def _cap(self) -> None:
        for store in self._site.sides.stores:
            store.limit(caps_of(self._site.tuning.settings))

    def _note(self, by: str, what: str) -> None:
        log.warning("Order of %s: %s.", by, what)
        self._ordered(by, what)
