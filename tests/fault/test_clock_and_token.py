"""This machine's clock is off, or the session token runs out during the run."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.fault.points import Point
from tests.fault.scenes import COMMANDS
from tests.servers import s3_faults
from tests.servers.skewed_store import SkewedStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fault.stage import Stage
    from tests.servers.http1 import S3Request

TWENTY_MINUTES = timedelta(minutes=20)
EXPIRED = s3_faults.status(400, "ExpiredToken")
EVERY_COMMAND = pytest.mark.parametrize("stage", COMMANDS, indirect=True)


@pytest.fixture
def skewed(stage: Stage) -> Iterator[SkewedStore]:
    """The stage's store, with a clock of its own."""
    with SkewedStore(stage.scene.world.store.server) as store:
        stage.s3 = store
        yield store


@pytest.mark.parametrize(
    ("stage", "ahead"),
    [("migrate", -TWENTY_MINUTES), *((command, TWENTY_MINUTES) for command in COMMANDS)],
    indirect=["stage"],
)
def test_a_clock_that_is_off_from_the_start(stage: Stage, skewed: SkewedStore, ahead: timedelta) -> None:
    skewed.ahead = ahead
    stage.at(Point.COPYING, lambda: None)
    run = stage.check_done(stage.start())
    assert skewed.hits["skewed"] > 0
    said = re.search(r"this machine's clock is (-?\d+) s off the store's", run.err)
    assert said
    assert abs(int(said[1]) + ahead.total_seconds()) <= 2, "a Date has whole seconds"


@EVERY_COMMAND
def test_a_clock_that_goes_wrong_in_the_middle(stage: Stage, skewed: SkewedStore) -> None:
    def set_clock() -> None:
        skewed.ahead = TWENTY_MINUTES

    stage.at(Point.COPYING, set_clock)
    stage.check_done(stage.start())
    assert skewed.hits["skewed"] > 0


@EVERY_COMMAND
def test_a_store_that_does_not_tell_its_time(stage: Stage) -> None:
    with SkewedStore(stage.scene.world.store.server, ahead=TWENTY_MINUTES, tells_time=False) as stage.s3:
        run = stage.check_refused(stage.start(), "RequestTimeTooSkewed")
        assert stage.s3.hits["skewed"] > 0
    assert "clock" in run.document["error"]["hint"]


def token_of(request: S3Request) -> str:
    return request.headers["x-amz-security-token"]


def expire(stage: Stage) -> None:
    """Let the store refuse the token that is in use, from now on."""
    expired = token_of(stage.s3.requests[-1])
    stage.s3.on(EXPIRED, when=lambda request: token_of(request) == expired)


@EVERY_COMMAND
def test_a_token_that_runs_out_is_renewed(stage: Stage, tmp_path: Path) -> None:
    """The profile's ``credential_process`` gives a token with a number, the next one each time."""
    world = stage.scene.world
    config, calls = tmp_path / "config", tmp_path / "calls"
    answer = {"Version": 1, "AccessKeyId": world.store.access_key, "SecretAccessKey": world.store.secret_key}
    text = json.dumps(answer | {"SessionToken": "token-NUMBER"}).replace("NUMBER", "'$(wc -c < calls)'")
    script = tmp_path / "credentials.sh"
    script.write_text(f"cd {shlex.quote(str(tmp_path))} && printf x >> calls && printf %s '{text}'\n")
    config.write_text(f"[default]\ncredential_process = sh {script}\n")
    from_profile = {"AWS_CONFIG_FILE": str(config), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    stage.scene.world = replace(world, environ=from_profile)
    stage.at(Point.COPYING, lambda: expire(stage))
    stage.check_done(stage.start())
    assert stage.s3.hits[EXPIRED.name] > 0
    refused = [token_of(request) for _, request in stage.s3.struck]
    others = {token_of(request) for request in stage.s3.requests} - set(refused)
    assert len(set(refused)) == 1
    assert len(calls.read_text()) == 2, "all requests share one client, and its one renewal"
    assert others


@EVERY_COMMAND
def test_a_token_that_runs_out_and_cannot_be_renewed(stage: Stage) -> None:
    stage.scene.world = replace(stage.scene.world, environ={"AWS_SESSION_TOKEN": "token-1"})
    stage.at(Point.COPYING, lambda: expire(stage))
    run = stage.check_refused(stage.start(), "the session token has expired")
    assert stage.s3.hits[EXPIRED.name] > 0
    assert "token-1" not in run.err + json.dumps(run.document)
    stage.scene.world = replace(stage.scene.world, environ={"AWS_SESSION_TOKEN": "token-2"})
    again = stage.scene.finish(stage.start())
    assert again.code == 0, again.err
    stage.scene.check_finished()
