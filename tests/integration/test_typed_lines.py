"""Ctrl-C at a question is heard, whichever thread the system hands it to."""

from __future__ import annotations

import sys

import pexpect

ASKING = """
import signal, threading, time
from sketchmigrate.report.terminal import Terminal

def other():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.{name})  # the main thread's wait for a line does not end by it

threading.Thread(target=other, daemon=True).start()
signal.signal(signal.SIGUSR1, lambda *_: None)
try:
    print("answer:", Terminal().confirm("Go on?"))
except KeyboardInterrupt:
    print("heard")
"""


def asked(name: str) -> pexpect.spawn[str]:
    terminal = pexpect.spawn(sys.executable, ["-c", ASKING.format(name=name)], encoding="utf-8", timeout=10)
    terminal.expect(r"Go on\? \[yes/no\] ")
    return terminal


def test_ctrl_c_that_another_thread_gets_ends_the_question() -> None:
    asked("SIGINT").expect("heard")


def test_another_signal_leaves_the_question_as_it_is() -> None:
    terminal = asked("SIGUSR1")
    assert terminal.expect(["answer", pexpect.TIMEOUT], timeout=1.5) == 1
    terminal.sendline("yes")
    terminal.expect("answer: True")
