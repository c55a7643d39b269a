"""``ctl``: give an order to a run that goes on, by the socket in its directory."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import Interrupted, RunNotReached, UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.ledger.overview import is_of_a_run, running_below
from sketchmigrate.migration.control_socket import SOCKET_NAME, Caller
from sketchmigrate.report.run_status import status_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.cli.commands.ctl import CtlArguments
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings

WATCH_SECONDS = 1.0


def ctl_command(arguments: CtlArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Give the order, and show the answer. Raises ``UsageError`` and ``RunNotReached``."""
    directory = _meant(arguments.run, Path(settings.run_dir).expanduser())
    more: dict[str, dict[str, object]] = {
        "set": {"changes": list(arguments.changes)},
        "stop": {"now": arguments.now},
    }
    with Caller(directory) as caller:
        if arguments.order == "watch":
            return _watch(caller, options, terminal)
        answer = caller.order(arguments.order, **more.get(arguments.order, {}))
    terminal.result(answer["said"] or status_text(answer["status"]), is_verbatim=True)
    return conclude(terminal, options, answer, ExitCode.DONE)


def _meant(run: Path | None, folder: Path) -> Path:
    """Return the directory of the run that is meant. Raises ``UsageError`` and ``RunNotReached``."""
    where = folder.absolute()
    if run is not None:
        found = next((each for each in (run, folder / run.name) if is_of_a_run(each)), None)
        if found is None:
            text = f"there is no run {run.name!r} below {where}"
            raise RunNotReached(text, hint="sketch-migrate runs names all.")
        return found
    going_on = running_below(folder)
    taking_orders = [each for each in going_on if (each / SOCKET_NAME).exists()]
    if len(taking_orders) == 1:
        return taking_orders[0]
    if taking_orders:
        names = ", ".join(each.name for each in taking_orders)
        raise UsageError(f"several runs go on below {where}: {names}", hint="Name one of them behind the order.")
    if going_on:
        names = ", ".join(each.name for each in going_on)
        text = f"no run below {where} takes orders; what goes on there only looks, or asks its question yet: {names}"
        raise RunNotReached(text)
    raise RunNotReached(f"no run goes on below {where}", hint="Is RUN_DIR (or --run-dir) the folder of the run?")


def _watch(caller: Caller, options: Options, terminal: Terminal) -> int:
    """Show how the run stands, again and again, until it ends, which is no error."""
    shown = 0
    try:
        while terminal.data(_shown(caller.order("status")["status"], options, shown), flush=True):
            shown += 1
            time.sleep(WATCH_SECONDS)
    except RunNotReached as gone:
        if not shown:
            raise
        terminal.message(f"{chr(10) * _in_place(options)}{gone}.")
    except KeyboardInterrupt as pressed:
        raise Interrupted("stopped watching; the run goes on", signal_number=signal.SIGINT) from pressed
    return ExitCode.DONE


def _in_place(options: Options) -> bool:
    """Whether each line takes the place of the one before."""
    return not options.json_output and sys.stdout.isatty()


def _shown(status: Mapping[str, Any], options: Options, before: int) -> str:
    if options.json_output:
        return json.dumps(status) + "\n"
    text = f"{status['state']}: {status['line']}"
    if not _in_place(options):
        return text + "\n"
    return f"\r\x1b[K{text}" if before else text
