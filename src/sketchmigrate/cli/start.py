"""The way from a command line to its command: settings are read and the run's directory made when it asks for them."""

from __future__ import annotations

import getpass
import logging
import os
import shlex
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchmigrate import __version__
from sketchmigrate.settings import effective, other_than_default

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack
    from types import TracebackType

    from sketchmigrate.cli.arguments import Invocation
    from sketchmigrate.ledger.account import Account
    from sketchmigrate.report.event_stream import EventStream
    from sketchmigrate.report.logs import RunDirectory
    from sketchmigrate.report.notify import Notifier
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Settings
    from sketchmigrate.settings.loading import Loaded

NOTIFYING = ("migrate", "rollback", "repair")
"""The commands whose end NOTIFY_COMMAND is told of."""


class Start:
    """An invocation that is about to be carried out. ``log`` is what keeps the run's log open, if it has one.

    ``config_folder`` is where ``config.py`` is looked for first.
    """

    def __init__(
        self, invocation: Invocation, terminal: Terminal, log: ExitStack, config_folder: Path | None = None
    ) -> None:
        self.options, self.terminal = invocation.options, terminal
        self._invocation, self._log, self._config_folder = invocation, log, config_folder
        self._begun: tuple[Path, Account] | None = None
        self.events: EventStream | None = None
        self.notifier: Notifier | None = None
        self.noted: dict[str, Any] = {}  # how the run has ended, as far as is known
        self._is_over = False

    def open_events(self) -> None:
        """Open what events go to, where that is asked for. Raises ``RunDirectoryError``."""
        if self.options.events:
            from sketchmigrate.report.event_stream import EventStream  # noqa: PLC0415 - few runs need it

            self.events = EventStream(self.options.events)
            self._log.push(self._tell_of_a_fault)
        self.leaves_page = False  # set by a job once its work begins

    @property
    def command(self) -> str:
        """The word of the command."""
        return self._invocation.command

    @property
    def settings(self) -> Settings:
        """The settings, read when they are first asked for. Raises ``SettingsError``."""
        return self.loaded.settings

    @cached_property
    def loaded(self) -> Loaded:
        """The same, with where each was written. Raises ``SettingsError``."""
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
        from sketchmigrate.settings.loading import load  # noqa: PLC0415 - -h has no need of it

        invocation = self._invocation
        flags = {**answers, **invocation.setting_flags}
        return load(config_file=invocation.config_file, search=search, environ=os.environ, flags=flags)

    def run_directory(self, loaded: Loaded | None = None) -> RunDirectory:
        """Make the run's directory, log there from now on, and say where S3 is, by ``loaded`` or else ``settings``.

        The directory is locked as long as the log is open, and has the run's account of itself. Raises
        ``SettingsError`` and ``RunDirectoryError``.
        """
        loaded = loaded or self.loaded
        # here and not above: the S3 client takes longer to import than -h or a wrong setting takes to answer
        from sketchmigrate.ledger.account import leave_account  # noqa: PLC0415
        from sketchmigrate.ledger.sqlite.lock import hold_run  # noqa: PLC0415
        from sketchmigrate.report.logs import create_run_directory  # noqa: PLC0415

        account = self._account(loaded.settings)
        run = create_run_directory(loaded.settings.run_dir, datetime.fromtimestamp(account.began_at, UTC), account.user)
        as_json = self.options.log_format == "json"
        self._log.enter_context(run.logging(self.terminal.show, as_json=as_json))
        self._log.enter_context(hold_run(run.path))
        leave_account(run.path, account)
        self._begun = run.path, account
        self._tell_of_the_start(run, account)
        who = f"by {account.user} on {account.host}, process {account.pid}"
        self.terminal.message(f"sketch-migrate {__version__} {shlex.join(account.typed)}, {who}", logging.DEBUG)
        told = ", ".join(f"{name}={value!r}" for name, value in other_than_default(account.settings).items())
        self.terminal.message(f"Settings other than the defaults: {told or 'none'}", logging.DEBUG)
        from sketchmigrate.cli.surroundings import surroundings  # noqa: PLC0415 - for the same reason

        self.terminal.message(surroundings(loaded, os.environ))
        return run

    def _account(self, settings: Settings) -> Account:
        from sketchmigrate.ledger.account import Account  # noqa: PLC0415 - for the same reason

        return Account(
            command=self._invocation.command,
            typed=self._invocation.typed,
            version=__version__,
            host=os.uname().nodename,
            user=_user(),
            pid=os.getpid(),
            began_at=time.time(),
            settings=effective(settings),
        )

    def ended(self, exit_code: int, error: str = "") -> None:
        """Put on record how the run ended, if it has a directory, and tell those who are to know."""
        self._is_over = True
        if self._begun is not None:
            from sketchmigrate.ledger.account import close_account  # noqa: PLC0415 - for the same reason

            directory, account = self._begun
            close_account(directory, account.ended(time.time(), exit_code, error))
        self._tell_of_the_end(exit_code)
        if self._begun is not None and self.leaves_page and self.settings.report:
            from sketchmigrate.cli.page import leave_page  # noqa: PLC0415 - after the summary

            leave_page(self._begun[0], self.settings.ledger_url, self.terminal)

    def _tell_of_the_start(self, run: RunDirectory, account: Account) -> None:
        """Tell that the run has begun, and find out who is to hear of its end."""
        options, settings = self.options, account.settings
        if self.events is not None:
            self.events.put(
                {
                    "event": "started",
                    "run": run.path.name,
                    "command": account.command,
                    "version": account.version,
                    "host": account.host,
                    "user": account.user,
                    "pid": account.pid,
                    "dry_run": options.dry_run,
                }
            )
        is_told = account.command in NOTIFYING and not (options.dry_run or options.status_only)
        if is_told and (command := settings["NOTIFY_COMMAND"].strip()):
            from sketchmigrate.report.notify import Notifier  # noqa: PLC0415 - few runs need it

            self.notifier = Notifier(command, os.environ)

    def _tell_of_the_end(self, exit_code: int) -> None:
        if self.events is None and self.notifier is None:
            return
        from sketchmigrate.report.events import finished_event  # noqa: PLC0415 - few runs need it

        finished = finished_event(int(exit_code), self.noted)
        with suppress(KeyboardInterrupt):  # whoever does not want to wait for those who are told
            self._tell(finished)

    def _tell(self, finished: dict[str, Any]) -> None:
        if self.events is not None:
            self.events.close(finished)
        if self.notifier is not None:
            name = self._begun[0].name if self._begun is not None else ""
            about = {"run": name, "command": self.command}
            if finished["needs_a_person"]:
                self.notifier.tell({**finished, **about, "event": "needs_a_person"})
            self.notifier.tell({**finished, **about})
            self.notifier.close()

    def _tell_of_a_fault(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Tell the end of what ended by none of our errors."""
        if not self._is_over and kind is not None:
            self.noted["error"] = {"type": kind.__name__, "message": str(error), "hint": ""}
            self._tell_of_the_end(1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
