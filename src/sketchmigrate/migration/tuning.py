"""Settings and options that may change while the run goes on: whoever goes by one of them asks here, or is told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sketchmigrate.settings.changes import Tuned, after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sketchmigrate.settings import Options, Settings


class Tuning:
    """One for a process. ``changes`` are all so far, as they were typed, in their order.

    ``paused_by`` is who has paused the run, empty where nobody has.
    """

    def __init__(self, settings: Settings, options: Options) -> None:
        self.present = Tuned(settings, options)
        self.changes: tuple[str, ...] = ()
        self.paused_by = ""
        self._listeners: list[Callable[[], None]] = []

    @property
    def settings(self) -> Settings:
        """The settings of this moment."""
        return self.present.settings

    @property
    def iterations(self) -> int:
        """How many batches may be on their way at once (``-p``)."""
        return self.present.options.parallelization_level

    @property
    def batch_rows(self) -> int:
        """How many rows a batch has (``-b``)."""
        return self.present.options.batch_size

    @property
    def is_verbose(self) -> bool:
        """Whether each entry is shown."""
        return self.present.options.verbose

    def change(self, told: Sequence[str]) -> None:
        """Make changes, all of them or none. Raises ``SettingsError``."""
        self.present = after(self.present, told)
        self.changes = (*self.changes, *told)
        self._tell()

    def pause(self, by: str) -> None:
        """Have nothing begun any more, by order of somebody; of nobody: go on."""
        self.paused_by = by
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def follow(self, changes: Sequence[str]) -> None:
        """Make those changes that are new in a list that only grows."""
        if len(changes) > len(self.changes):
            self.change(changes[len(self.changes) :])

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Tell of changes, as long as the context lasts."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)
