"""The command that is told: what it gets, what it does not get, and that a failure of its is a warning."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import time
from typing import TYPE_CHECKING

from sketchmigrate.report.notify import Notifier, without_secrets
from tests.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

EVENT = {"event": "finished", "exit_code": 0}
SECRETS = {
    "SKETCH_DB_PASS": "secret",
    "SKETCH_LEDGER_URL": "postgresql://u:secret@h/d",
    "PGPASSWORD": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "LEGACY_AWS_SESSION_TOKEN": "secret",
    "PRODUCTION_AWS_ACCESS_KEY_ID": "secret",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret",
}


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def warnings_of(
    caplog: pytest.LogCaptureFixture, command: str, environ: dict[str, str] | None = None, seconds: float = 10
) -> list[str]:
    with caplog.at_level(logging.WARNING, "sketchmigrate"):
        notifier = Notifier(command, environ or {}, limit_seconds=seconds)
        notifier.tell(EVENT)
        notifier.close()
    return [record.getMessage() for record in caplog.records]


def test_it_gets_the_event_and_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got = tmp_path / "got"
    code = f"import os, sys, json; open({str(got)!r}, 'w').write(json.dumps([sys.stdin.read(), dict(os.environ)]))"
    assert warnings_of(caplog, python(code), {"HOME": "/home/ada", "AWS_REGION": "eu-central-1", **SECRETS}) == []
    told, environ = json.loads(got.read_text())
    assert json.loads(told) == EVENT
    assert environ["HOME"], environ["AWS_REGION"] == ("/home/ada", "eu-central-1")
    assert "secret" not in got.read_text()
    assert not SECRETS.keys() & without_secrets(SECRETS | {"A": "b"}).keys()


def test_no_shell_runs_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = tmp_path / "made"
    assert warnings_of(caplog, f"true ; touch {made}") == []
    assert not made.exists()


def test_one_that_fails_is_a_warning_with_its_words(caplog: pytest.LogCaptureFixture) -> None:
    (told,) = warnings_of(caplog, python("import sys; sys.exit('no such\\nchannel')"))
    assert told.endswith("it ended with exit status 1: no such channel (told of 'finished')")


def test_one_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    told = warnings_of(caplog, "/nonexistent/tell-us --now")
    assert told == ["NOTIFY_COMMAND /nonexistent/tell-us: No such file or directory (told of 'finished')"]


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    beats = tmp_path / "beats"
    child = f"import time\nwhile True:\n    open({str(beats)!r}, 'a').write('.'); time.sleep(0.02)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    (told,) = warnings_of(caplog, python(code), seconds=2)
    assert "killed, as it took longer than 2 s" in told
    assert beats.stat().st_size > 0
    time.sleep(0.1)
    before = beats.stat().st_size
    time.sleep(0.2)
    assert beats.stat().st_size == before


def test_the_run_waits_for_none_of_it(tmp_path: Path) -> None:
    got = tmp_path / "got"
    notifier = Notifier(python(f"import time; time.sleep(0.5); open({str(got)!r}, 'a').write('x')"), {})
    began = time.monotonic()
    notifier.tell(EVENT)
    assert time.monotonic() - began < 0.4
    wait_until(got.exists, "it is told all the same")
    notifier.close()
