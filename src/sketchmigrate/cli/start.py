"""The way from a command line to its command: settings are read and the run's directory made when it asks for them."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.settings import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from sketchmigrate.cli.arguments import Invocation
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Loaded, Settings


class Start:
    """An invocation that is about to be carried out. ``log`` is what keeps the run's log open, if it has one.

    ``config_folder`` is where ``config.py`` is looked for first.
    """

    def __init__(
        self, invocation: Invocation, terminal: Terminal, log: ExitStack, config_folder: Path | None = None
    ) -> None:
        self.options, self.terminal = invocation.options, terminal
        self._invocation, self._log, self._config_folder = invocation, log, config_folder

    @property
    def settings(self) -> Settings:
        """The settings, read when they are first asked for. Raises ``SettingsError``."""
        return self._loaded.settings

    @cached_property
    def _loaded(self) -> Loaded:
        search = [Path("sketch-migrate.toml")]
        if self._config_folder is not None:
            search.insert(0, self._config_folder / "config.py")
        return self._load(search, {})

    def loaded_with(self, answers: Mapping[str, object]) -> Loaded:
        """Read the settings without the files that are looked for, and with ``answers`` beside the flags.

        Raises ``SettingsError``.
        """
        return self._load([], answers)

    def _load(self, search: Sequence[Path], answers: Mapping[str, object]) -> Loaded:
        invocation = self._invocation
        flags = {**answers, **invocation.setting_flags}
        return load(config_file=invocation.config_file, search=search, environ=os.environ, flags=flags)

    def run_directory(self, loaded: Loaded | None = None) -> RunDirectory:
        """Make the run's directory, log there from now on, and say where S3 is, by ``loaded`` or else ``settings``.

        Raises ``SettingsError`` and ``RunDirectoryError``.
        """
        loaded = loaded or self._loaded
        # here and not above: the S3 client takes longer to import than -h or a wrong setting takes to answer
        from sketchmigrate.report.logs import create_run_directory  # noqa: PLC0415

        run = create_run_directory(loaded.settings.run_dir, datetime.now(UTC), _user())
        self._log.enter_context(run.logging(self.terminal.show))
        from sketchmigrate.cli.surroundings import surroundings  # noqa: PLC0415 - for the same reason

        self.terminal.message(surroundings(loaded, os.environ))
        return run


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
