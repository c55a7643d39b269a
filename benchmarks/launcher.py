"""Run a command and write down what it used: ``python -I -S launcher.py REPORT TIMEOUT_SECONDS COMMAND…``.

What the command's processes leave behind is adopted, waited for, and counted: worker processes are not children of the
process that has them made. A process of its own, without a single library, because the kernel hands a parent's peak
memory down through ``exec`` (``ru_maxrss``, getrusage(2)): below this one the smallest peak that can be told is some
10 MB.
"""

import json
import os
import resource
import signal
import sys
import time

_ADOPTS = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2)."""


def main(report: str, timeout_seconds: str, *command: str) -> int:
    """Run the command; return its exit code (negative: the signal that ended it)."""
    began_at, began = time.time(), time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # a command that takes too long is ended with all that it started
        os.execvp(command[0], command)  # noqa: S606 # no shell
    import ctypes  # noqa: PLC0415 # would add to the memory that the child begins with

    ctypes.CDLL(None).prctl(_ADOPTS, 1, 0, 0, 0)
    for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os.killpg(pid, signal.SIGKILL))
    signal.alarm(int(timeout_seconds))
    _, status = os.waitpid(pid, 0)
    wall_seconds = time.monotonic() - began
    while _reaped_another():
        pass
    signal.alarm(0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "timed_out": wall_seconds >= int(timeout_seconds),
        "began_at": began_at,
        "wall_seconds": wall_seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_kib": used.ru_maxrss,
    }
    with open(report, "w") as file:  # noqa: PTH123 # pathlib would add to the memory
        json.dump(found, file)
    return int(found["exit_code"])


def _reaped_another() -> bool:
    try:
        os.wait()
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) and 1)
