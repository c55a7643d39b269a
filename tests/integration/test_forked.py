"""What is forked from the starter cannot be told from a new interpreter, neither from within nor by who started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pexpect
import pytest

from tests.forked import Forked, ForkedToTheEnd, Starter, forked_on_a_terminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is the tool forked")

BOTH = pytest.mark.parametrize("kind", [subprocess.Popen, Forked])

TELL = """
import gc, json, locale, os, resource, signal, sys, threading
limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
json.dump({
    "module": [__name__, __file__, sys.modules["__main__"].__dict__ is globals()],
    "arguments": sys.argv, "path": sys.path, "flags": list(sys.flags), "environment": dict(os.environ),
    "locale": locale.setlocale(locale.LC_ALL), "folder": os.getcwd(), "mask of files": os.umask(0),
    "files": [os.readlink(f"/proc/self/fd/{number}").split(":")[0] for number in range(3)],
    "open": sorted(os.listdir("/proc/self/fd")),
    "streams": [[stream.name, stream.mode, stream.encoding, stream.errors, stream.line_buffering, stream.write_through,
                 stream.seekable(), stream.closed] for stream in (sys.stdin, sys.stdout, sys.stderr)],
    "signals": {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "parent": [os.getppid(), os.getpgrp(), os.getsid(0), os.getpriority(os.PRIO_PROCESS, 0)],
    "user": [os.getresuid(), os.getresgid(), os.getgroups()],
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
    "processors": sorted(os.sched_getaffinity(0)),
    "threads": [os.listdir("/proc/self/task") == [str(os.getpid())], threading.current_thread().name],
    "collected": gc.isenabled(),
}, sys.stdout)
"""

FROM_A_FORK_SERVER = """
import json, multiprocessing, os, signal, sys, threading
def tell(pipe):
    pipe.send({
        "module": __name__, "arguments": sys.argv, "path": sys.path, "environment": dict(os.environ),
        "folder": os.getcwd(), "open": sorted(os.listdir("/proc/self/fd")),
        "files": [os.readlink(f"/proc/self/fd/{number}").split(":")[0] for number in range(3)],
        "signals": {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "group": [os.getpgrp() == os.getpgid(os.getppid()), os.getsid(0)],
        "threads": [os.listdir("/proc/self/task") == [str(os.getpid())], threading.current_thread().name],
    })
if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.environ["SET_MEANWHILE"] = "yes"
    context = multiprocessing.get_context("forkserver")
    for _ in range(2):
        ours, theirs = context.Pipe()
        process = context.Process(target=tell, args=(theirs,))
        process.start()
        json.dump(ours.recv(), sys.stdout)
        print()
        process.join()
    assert process.exitcode == 0
"""


def start(kind: type[subprocess.Popen[str]], folder: Path, code: str, *args: str, **environ: str) -> Any:
    (folder / "script.py").write_text(code)
    return kind(
        [sys.executable, folder / "script.py", *args],
        env={"PATH": os.environ["PATH"], **environ},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(kind: type[subprocess.Popen[str]], folder: Path) -> dict[str, Any]:
    """What a process finds itself to be, started with arguments and a variable."""
    out, err = start(kind, folder, TELL, "-y", "ä b", PGHOST="\udcff").communicate(timeout=60)
    assert err == ""
    state: dict[str, Any] = json.loads(out)
    return state


def test_it_is_what_a_new_interpreter_is(tmp_path: Path) -> None:
    real = told(subprocess.Popen, tmp_path)
    assert real["parent"][0] == os.getpid()
    assert told(Forked, tmp_path) == real
    assert told(Forked, tmp_path) == real  # and none leaves anything to the next


def test_on_a_terminal_as_well(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(TELL)
    command = [sys.executable, str(tmp_path / "script.py"), "-y"]
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    size = (50, 120)
    real = pexpect.spawn(
        command[0], command[1:], env=environ, cwd=str(tmp_path), encoding="utf-8", timeout=60, dimensions=size
    )
    forked = forked_on_a_terminal(command, env=environ, cwd=tmp_path, dimensions=size)
    states = []
    for each in (real, forked):
        assert each.getwinsize() == size
        state = json.loads(each.read())
        each.close()
        assert each.exitstatus == 0
        assert state["parent"][:3] == [os.getpid(), each.pid, each.pid], "it leads a session"
        assert {file.rpartition("/")[0] for file in state["files"]} == {"/dev/pts"}
        del state["parent"][1:3], state["files"]  # each has a terminal of its own
        del state["streams"][0][6]  # in one stdin could be sought in: it remembers the starter's
        states.append(state)
    assert states[0] == states[1]


def test_a_terminal_s_ctrl_c_reaches_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print(input('asked: '), flush=True); input()")
    command = [sys.executable, str(tmp_path / "script.py")]
    process = forked_on_a_terminal(command, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, dimensions=(24, 80))
    process.expect_exact("asked: ")
    process.sendline("answered")
    process.expect_exact("answered\r\nanswered")
    process.sendintr()
    process.expect(pexpect.EOF)
    assert "KeyboardInterrupt" in (process.before or "")
    process.wait()
    assert process.signalstatus == signal.SIGINT


def test_what_a_fork_server_forks_is_what_one_of_a_new_interpreter_forks(tmp_path: Path) -> None:
    """It is forked as well where a run is to have several processes."""

    def states(kind: type[subprocess.Popen[str]]) -> list[dict[str, Any]]:
        out, err = start(kind, tmp_path, FROM_A_FORK_SERVER, "--processes", "2", OWN="ä").communicate(timeout=60)
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]

    real = states(subprocess.Popen)
    assert len(real) == 2
    assert states(Forked) == real


@pytest.mark.parametrize("kind", [subprocess.Popen, Forked, ForkedToTheEnd])
@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('said')", 1),
        ("raise ValueError('said')", 1),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("raise KeyboardInterrupt('said')", -signal.SIGINT),
        ("import atexit; atexit.register(print, 'said', file=sys.stderr)", 0),
        ("import threading; threading.Thread(target=lambda: print('said', file=sys.stderr)).start()", 0),
        ("a = type('Left', (), {'__del__': lambda _: print('said', file=sys.stderr)})(); a.itself = a; del a", 0),
        ("sys.stderr.write('said'); os.close(1)", 120),
    ],
)
def test_how_it_ends(kind: type[subprocess.Popen[str]], tmp_path: Path, ending: str, code: int) -> None:
    process = start(kind, tmp_path, f"import os, signal, sys; print('begun'); {ending}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ("" if "os." in ending else "begun\n")  # what is not written yet goes with a process that is killed
    assert ("said" in err) == ("said" in ending)


@BOTH
def test_it_is_a_child_that_can_be_stopped_and_waited_for(kind: type[subprocess.Popen[str]], tmp_path: Path) -> None:
    pauses = "while True: time.sleep(0.05)"  # a signal just before a pause is seen after it
    with start(kind, tmp_path, f"import time; print('begun', flush=True)\n{pauses}") as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGSTOP)
        pid, status = os.waitpid(process.pid, os.WUNTRACED)
        assert (pid, os.WIFSTOPPED(status)) == (process.pid, True)
        process.send_signal(signal.SIGCONT)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == -signal.SIGINT


@BOTH
def test_a_folder_that_is_not_there(kind: type[subprocess.Popen[str]], tmp_path: Path) -> None:
    command = [sys.executable, str(tmp_path / "script.py")]
    nothing = subprocess.DEVNULL
    with pytest.raises(FileNotFoundError, match="nowhere"):
        kind(command, cwd=tmp_path / "nowhere", env={}, stdin=nothing, stdout=nothing, stderr=nothing)


def test_a_starter_that_is_gone(tmp_path: Path) -> None:
    starter = Starter()
    with (tmp_path / "out").open("w") as out:
        streams = [out.fileno()] * 3
        folder = os.open(tmp_path, os.O_RDONLY)
        starter.process.kill()
        starter.process.wait()
        with pytest.raises(RuntimeError, match="the starter is gone: exit status -9"):
            starter.fork(["script.py"], {}, [folder, *streams])
        os.close(folder)
    starter.close()
