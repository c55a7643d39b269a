"""What connections and records together tell of other runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sketchmigrate.ledger.account import Account
from sketchmigrate.ledger.overview import RunOverview, RunState, state_of
from sketchmigrate.migration.at_work import Here, told
from sketchmigrate.postgres.others import MOST_BYTES, ConnectedRun, application_name, short_name

RUN = "20261129T224623Z-ada-abc123"
LONG = f"20261129T224623Z-{'a-user-of-a-long-name' * 3}-abc123"
SET: dict[str, object] = {"DB_HOST": "db", "DB_PORT": 5432, "DB_NAME": "app"}
ELSEWHERE: dict[str, object] = {**SET, "DB_HOST": "pooler"}
HERE = Here("7713891443560826533/16384", ('"public"."avatars"', '"public"."more"'), {"avatars", "more"}, SET)
ACCOUNT = Account("migrate", ("-y",), "0.1.0", "tools", "ada", 7, 1.0, dict(SET))
RUNNING = RunOverview(RUN, Path("runs") / RUN, ACCOUNT, RunState.RUNNING, {"table": "avatars", "dry_run": "false"})
SET_ELSEWHERE = replace(RUNNING, account=replace(ACCOUNT, settings=ELSEWHERE))
OVER = replace(RUNNING, state=RunState.FINISHED)
UNREAD = replace(RUNNING, state=RunState.UNKNOWN, unread="its lock cannot be read")
IDLE = ConnectedRun(RUN, 2, is_busy=False, idle_seconds=42.0)
BUSY = ConnectedRun(RUN, 2, is_busy=True, idle_seconds=0.1)


def noting(run: RunOverview, database: str, *tables: str) -> RunOverview:
    """The same run, which has noted what the server said of its place."""
    return replace(run, about={**run.about, "place": json.dumps({"database": database, "tables": tables})})


def test_a_name_fits_and_keeps_what_tells_it_from_others() -> None:
    assert application_name(RUN) == f"sketch-migrate {RUN}"
    assert len(application_name(LONG)) == MOST_BYTES
    assert short_name(LONG) != short_name(LONG.replace("abc123", "abc124"))
    assert short_name(short_name(LONG)) == short_name(LONG)


@pytest.mark.parametrize(
    ("known", "seen", "said"),
    [
        ([RUNNING], [], f"it goes on by runs/{RUN})"),  # a pooler hides the name
        ([RUNNING], [BUSY], f"it goes on by runs/{RUN}, 2 connections)"),
        ([OVER], [BUSY], "(2 connections)"),  # its lock is not seen here
        ([], [BUSY], "whether it is over the same table is not known"),
        ([], [IDLE], "idle for 42 s: a pooler may keep it for a run that is over"),
        ([], [ConnectedRun(RUN, 1, None, None)], "1 connection, whose state this role may not see"),
        ([replace(RUNNING, account=None)], [], "is at work"),  # of an earlier version
        ([UNREAD], [], "is at work over the same table is not known: its lock cannot be read"),
        ([UNREAD], [IDLE], "is not known: its lock cannot be read"),
        ([UNREAD], [BUSY], "(2 connections)"),
        ([replace(RUNNING, about={"references": '[{"table": "avatars"}]'})], [], "is at work"),
        ([noting(SET_ELSEWHERE, HERE.identity, '"public"."avatars"')], [], "is at work"),
        ([noting(replace(RUNNING, about={"table": "public.avatars"}), HERE.identity, *HERE.tables)], [], "is at work"),
        ([noting(RUNNING, "", '"public"."avatars"')], [], "is at work"),  # its server did not tell
        ([SET_ELSEWHERE], [BUSY], "is at work"),  # to this database, whatever its host was called
    ],
)
def test_it_is_said(known: list[RunOverview], seen: list[ConnectedRun], said: str) -> None:
    (text,) = told(known, seen, HERE)
    assert RUN in text
    assert said in text


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        ([], []),
        ([OVER], [IDLE]),  # which a pooler keeps
        ([replace(RUNNING, about={"table": "others"})], [BUSY]),
        ([replace(UNREAD, about={"table": "others"})], []),
        ([replace(UNREAD, unread="")], []),  # of an earlier version
        ([replace(RUNNING, about={"table": "avatars", "dry_run": "true"})], [BUSY]),
        ([replace(RUNNING, about={})], []),  # it asks, or only looks
        ([replace(RUNNING, account=replace(ACCOUNT, settings={**SET, "DB_NAME": "staging"}))], []),
        ([noting(RUNNING, "7713891443560826533/16385", '"public"."avatars"')], []),
        ([noting(RUNNING, HERE.identity, '"archive"."avatars"')], [BUSY]),
        ([noting(SET_ELSEWHERE, "", '"public"."avatars"')], []),
    ],
)
def test_it_is_not_said(known: list[RunOverview], seen: list[ConnectedRun]) -> None:
    assert told(known, seen, HERE) == []


@pytest.mark.parametrize(
    ("goes_on", "exit_code", "is_ended", "is_noted", "state"),
    [
        (True, None, False, True, RunState.RUNNING),
        (False, 0, True, True, RunState.FINISHED),
        (False, 4, False, True, RunState.FINISHED),
        (False, 130, False, True, RunState.STOPPED),
        (False, None, False, True, RunState.KILLED),
        (False, None, True, False, RunState.FINISHED),
        (False, None, False, False, RunState.UNKNOWN),
    ],
)
def test_how_it_stands_with_a_run(
    goes_on: bool, exit_code: int | None, is_ended: bool, is_noted: bool, state: RunState
) -> None:
    assert state_of(goes_on=goes_on, exit_code=exit_code, is_ended=is_ended, is_noted=is_noted) is state
