"""A process that has imported the tool, and forks for each start of it: imports are most of what a short run costs.

``tests.forked`` starts it, with the environment that the tool gets, and asks it through the socket whose descriptor is
its argument. What it forks is as a new interpreter that has done these imports: one thread, no file but the three
standard ones, signals as Python sets them. It then runs the script itself.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import socket
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_DUCKDB = (
    "report.terminal",
    "report.logs",
    "cli.main",
    "cli.jobs.migrate",
    "cli.jobs.rollback",
    "cli.jobs.grants",
    "cli.jobs.probe",
)
"""What the tool imports when it knows what it is to do; but for the demo, which needs an extra."""
WITH_DUCKDB = ("plan", "verify", "repair", "manifest")
"""The commands that import duckdb too, which tells at its end what it has leaked."""
LONGEST_REQUEST_BYTES = 200_000
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
    del sys.path[0]  # the script does it
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        sys.exit("an import of the tool has started a thread, which a forked process would not have")


def serve(asked: socket.socket) -> str:
    """Fork a process for each request until nobody can ask any more; return in each of them, with its script."""
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
            arguments, environment = json.loads(request)
            return become(arguments, environment, descriptors)
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


def run(script: str) -> None:
    """Run the script, and end as an interpreter does; but where nothing went wrong without taking all modules apart.

    That would write to all pages that this process shares with the one that forked it, so that each is copied: it
    takes longer than many a run. What is garbage is collected, and says so if it should not have been left.
    """
    code = 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            raise  # Python shows it
        code = end.code or 0
    if not set(sys.argv).isdisjoint(WITH_DUCKDB):
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
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
