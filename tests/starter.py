"""A process that has imported the tool, and forks for each start of it: imports are most of what a short run costs.

``tests.forked`` starts it, with the environment that the tool gets, and asks it through the socket whose descriptor is
its argument. What it forks is as a new interpreter that has done these imports: one thread, no file but the three
standard ones, signals as Python sets them. It then runs the script itself.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
import termios
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_DUCKDB = (
    "report.terminal",
    "report.logs",
    "cli.main",
    "cli.jobs.migrate",
    "cli.jobs.rollback",
    "cli.jobs.grants",
    "cli.jobs.probe",
    "cluster.range_worker",
    "cluster.comparing_worker",
)
"""What the tool imports when it knows what it is to do; but for the demo, which needs an extra."""
WITH_DUCKDB = ("plan", "verify", "repair", "manifest", "handoff")
"""The commands that import duckdb too, which tells what it has leaked when its module is taken apart."""
BESIDE_SEVERAL_PROCESSES = ("from multiprocessing.resource_tracker import", "from multiprocessing.forkserver import")
"""How what ``multiprocessing`` has a new interpreter run begins: one of each, where a run has several processes."""
LONGEST_REQUEST_BYTES = 200_000
OUT_OF_THE_WAY = 200
"""Descriptors from here on are none that a request names."""
SET_BY_PYTHON = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
"""Where there is no locale, Python takes C.UTF-8 and tells its own children (PEP 538); it would do so in the child."""


def import_the_tool() -> None:
    """Import all that a start could, from the checkout as the script does. What is not named here is imported later."""
    sys.path.insert(0, str(ROOT / "src"))
    for module in WITHOUT_DUCKDB:
        importlib.import_module(f"sketchmigrate.{module}")
    # None of this is collected at a child's end, which would copy all pages. duckdb is: it looks for what is left.
    gc.freeze()
    for command in WITH_DUCKDB:
        importlib.import_module(f"sketchmigrate.cli.jobs.{command}")
    # the first to read settings imports what reads them
    importlib.import_module("sketchmigrate.settings.schema").Settings()
    del sys.path[0]  # the script does it
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("an import of the tool has started a thread, which a forked process would not have")


def serve(asked: socket.socket) -> tuple[str, bool]:
    """Fork a process for each request until nobody can ask any more; return in each of them.

    With its script, and whether its modules are to be taken apart at its end.
    """
    while True:
        request, descriptors, _, _ = socket.recv_fds(asked, LONGEST_REQUEST_BYTES, 4)
        if not request:
            sys.exit()
        adopted, adopt = os.pipe()
        between = os.fork()
        if between == 0:
            # The process is to be a child of the asking one, which adopts it when the one between ends.
            if child := os.fork():
                asked.send(b"%d" % child)
                os._exit(0)
            asked.close()
            os.close(adopt)
            os.read(adopted, 1)  # returns at the end of the pipe: not before the process has its parent
            os.close(adopted)
            arguments, environment, to_the_end, on_a_terminal = json.loads(request)
            script = become(arguments, environment, descriptors)
            if on_a_terminal:
                take_the_terminal()
            return script, to_the_end
        os.waitpid(between, 0)
        for descriptor in (*descriptors, adopted, adopt):
            os.close(descriptor)
        asked.send(b"adopted")


def become(arguments: list[str], environment: dict[str, str], descriptors: list[int]) -> str:
    """Take on the arguments, the environment, the folder and the streams asked for; return the script."""
    sys.argv = arguments
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    os.environ.clear()
    os.environ.update(SET_BY_PYTHON | environment)
    os.fchdir(descriptors[0])
    for number, descriptor in enumerate(descriptors[1:]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    return sys.argv[0]


def take_the_terminal() -> None:
    """Have the terminal that the streams are send its signals here; and they are buffered by lines then."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def wait_beside() -> None:
    """Fork what stands in for the interpreters that ``multiprocessing`` starts for several processes of the tool.

    One of them would import all that has been imported here. They wait until the tool starts them; one that is never
    started ends with the tool.
    """
    from multiprocessing import util  # noqa: PLC0415 # few runs need it

    waiting: dict[str, tuple[int, socket.socket]] = {}
    for beginning in BESIDE_SEVERAL_PROCESSES:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        if (process := os.fork()) == 0:
            for _, socket_of_another in waiting.values():
                socket_of_another.close()
            ours.close()
            stand_in(theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        waiting[beginning] = process, ours

    start_interpreter: Callable[..., int] = util.spawnv_passfds

    def start(path: bytes, words: Sequence[str], descriptors: Sequence[int]) -> int:
        for beginning in waiting:
            if words[-1].startswith(beginning):
                process, ours = waiting.pop(beginning)
                passed = sorted(set(descriptors))
                blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
                ignored = [each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN]
                request = json.dumps([words[-1], dict(os.environ), passed, list(blocked), ignored])
                with ours:
                    socket.send_fds(ours, [request.encode()], passed)
                return process
        return start_interpreter(path, words, descriptors)

    util.__dict__["spawnv_passfds"] = start


def stand_in(asked: socket.socket) -> None:
    """Wait to be started; then run what a new interpreter is to run, with the descriptors and signals it would have."""
    request, received, _, _ = socket.recv_fds(asked, LONGEST_REQUEST_BYTES, 10)
    if not request:
        os._exit(0)
    asked.close()
    code, environment, wanted, blocked, ignored = json.loads(request)
    os.environ.clear()
    os.environ.update(environment)
    aside = [fcntl.fcntl(each, fcntl.F_DUPFD, OUT_OF_THE_WAY) for each in received]
    for descriptor in received:
        os.close(descriptor)
    for descriptor, number in zip(aside, wanted, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number in signal.sigpending():  # they were for those that were there then
        handler = signal.signal(number, signal.SIG_IGN)
        signal.signal(number, handler)
    for number in ignored:
        with suppress(OSError):  # SIGKILL and SIGSTOP are what they are
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    sys.argv = ["-c"]
    status = 1
    try:
        exec(code, {"__name__": "__main__"})  # noqa: S102 # it is what -c does
        status = 0
    except SystemExit:
        status = 0
    except BaseException:  # noqa: BLE001 # whatever it is, Python shows it and ends
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    os._exit(status)


def run(script: str, to_the_end: bool) -> None:
    """Run the script, and end as an interpreter does; but where nothing went wrong without taking all modules apart.

    That would write to all pages that this process shares with the one that forked it, so that each is copied: it
    takes longer than many a run. What is garbage is collected, and says so if it should not have been left. Only
    ``to_the_end`` duckdb says what it has leaked.
    """
    code = 0
    if "--processes" in sys.argv:
        wait_beside()
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            raise  # Python shows it
        code = end.code or 0
    if to_the_end:
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 # it is what the interpreter calls: no other way
    atexit._run_exitfuncs()  # noqa: SLF001 # the same
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # the interpreter says it, with an exit code of its own
    os._exit(code)


if __name__ == "__main__":
    import_the_tool()
    run(*serve(socket.socket(fileno=int(sys.argv[1]))))
