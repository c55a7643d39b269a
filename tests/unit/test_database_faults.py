"""What an error of PostgreSQL means, by its code."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from sketchmigrate.core.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseRefused,
    DatabaseUnreachable,
    ReferenceRefused,
    SettingsError,
)
from sketchmigrate.ledger.postgres.server import ledger_parameters
from sketchmigrate.postgres.database import parameters, too_old
from sketchmigrate.postgres.faults import ErrorKind, classify, connect_failure, judge, translate
from sketchmigrate.settings import Settings


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.OperationalError("the connection is lost"), ErrorKind.AWAY),
        (psycopg.InterfaceError("the connection is closed"), ErrorKind.AWAY),
        (errors.AdminShutdown(), ErrorKind.AWAY),
        (errors.CannotConnectNow(), ErrorKind.AWAY),
        (errors.TooManyConnections(), ErrorKind.UNKNOWN),
        (errors.ConnectionFailure(), ErrorKind.UNKNOWN),
        (errors.ReadOnlySqlTransaction(), ErrorKind.UNKNOWN),
        (errors.DeadlockDetected(), ErrorKind.CONTENDED),
        (errors.SerializationFailure(), ErrorKind.CONTENDED),
        (errors.LockNotAvailable(), ErrorKind.CONTENDED),
        (errors.QueryCanceled(), ErrorKind.CONTENDED),
        (errors.UniqueViolation(), ErrorKind.ROW),
        (errors.CheckViolation(), ErrorKind.ROW),
        (errors.StringDataRightTruncation(), ErrorKind.ROW),
        (errors.RaiseException(), ErrorKind.ROW),
        (errors.InsufficientPrivilege(), ErrorKind.REFUSED),
        (errors.UndefinedTable(), ErrorKind.REFUSED),
        (errors.InvalidPassword(), ErrorKind.REFUSED),
        (errors.InternalError_(), ErrorKind.UNKNOWN),
        (errors.ProtocolViolation("transaction blocks not allowed in statement pooling mode"), ErrorKind.REFUSED),
        (psycopg.ProgrammingError("the tool's own mistake"), ErrorKind.UNKNOWN),
    ],
)
def test_a_code_says_what_to_do(error: psycopg.Error, fault: ErrorKind) -> None:
    assert classify(error) is fault


@pytest.mark.parametrize(
    "code", ["45000", "42501", "0A000", "55000", "53300", "08000", "08P01", "57P01", "XX001", "25P02"]
)
def test_whatever_a_trigger_raises_on_a_healthy_connection_is_a_matter_of_the_row(code: str) -> None:
    error = errors.lookup(code)() if code != "45000" else type("Raised", (psycopg.DatabaseError,), {"sqlstate": code})()
    assert judge(error, is_broken=False, is_flip=True) is ErrorKind.ROW
    assert judge(error, is_broken=False, is_flip=False) is not ErrorKind.AWAY
    assert judge(error, is_broken=True, is_flip=True) is ErrorKind.AWAY


def test_a_former_primary_is_asked_before_it_is_taken_for_one() -> None:
    error = errors.ReadOnlySqlTransaction()
    assert judge(error, is_broken=False, is_flip=True) is ErrorKind.READ_ONLY
    assert judge(error, is_broken=False, is_flip=True, is_primary=True) is ErrorKind.ROW


def test_a_connection_that_the_server_ended_because_we_were_slow_is_contention() -> None:
    assert judge(errors.IdleInTransactionSessionTimeout(), is_broken=True, is_flip=True) is ErrorKind.CONTENDED


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (psycopg.OperationalError("gone"), DatabaseUnreachable, 3),
        (errors.InsufficientPrivilege(), DatabaseRefused, 3),
        (errors.LockNotAvailable(), DatabaseBusy, 4),
        (errors.UniqueViolation(), ReferenceRefused, 4),
    ],
)
def test_an_error_becomes_ours_with_a_hint(error: psycopg.Error, kind: type[DatabaseError], exit_code: int) -> None:
    ours = translate(error, "flipping 3 references")
    assert type(ours) is kind
    assert ours.exit_code == exit_code
    assert ours.message.startswith("flipping 3 references: ")
    assert ours.hint
    assert ours.sqlstate == (error.sqlstate or "")


@pytest.mark.parametrize(
    "error", [errors.InternalError_("xx"), errors.QueryCanceled("xx"), errors.DeadlockDetected("xx")]
)
def test_what_is_not_understood_is_quoted_without_a_hint(error: psycopg.Error) -> None:
    ours = translate(error, "flipping")
    assert (ours.message, ours.hint) == ("flipping: xx", "")


def test_a_connection_that_fails_for_no_known_cause_is_quoted_without_a_hint() -> None:
    ours = connect_failure(psycopg.OperationalError("something never seen before"), "db.example.com:5432/y")
    assert "something never seen before" in ours.message
    assert ours.hint == ""


@pytest.mark.parametrize(
    ("said", "named", "not_named"),
    [
        ("canceling statement due to statement timeout", "statement_timeout of the role", "pg_locks"),
        ("canceling statement due to user request", "pg_cancel_backend", "TIMEOUT"),
    ],
)
def test_a_statement_that_was_ended_is_not_laid_to_a_lock(said: str, named: str, not_named: str) -> None:
    hint = translate(errors.QueryCanceled(said), "reading").hint
    assert named in hint
    assert not_named not in hint


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ('FATAL:  password authentication failed for user "x"', DatabaseRefused, "SKETCH_DB_PASS"),
        ("fe_sendauth: no password supplied", DatabaseRefused, "SKETCH_DB_PASS"),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "x", database "y", no encryption',
            DatabaseRefused,
            "SSL",
        ),
        ("server does not support SSL, but SSL was required", DatabaseRefused, "DB_SSLMODE"),
        ('FATAL:  database "y" does not exist', DatabaseRefused, "DB_NAME"),
        ('FATAL:  too many connections for database "y"', DatabaseUnreachable, "-p"),
        ('FATAL:  too many connections for role "x"', DatabaseUnreachable, "-p"),
        ('could not translate host name "x" to address', DatabaseUnreachable, "DB_HOST"),
        ("connection failed: Connection refused", DatabaseUnreachable, "DB_PORT"),
        ("received invalid response to SSL negotiation: H", DatabaseUnreachable, "DB_PORT"),
        ("connection timeout expired", DatabaseUnreachable, "firewall"),
        ('FATAL:  role "x" is not permitted to log in', DatabaseRefused, "ALTER ROLE"),
        ('FATAL:  database "y" is not currently accepting connections', DatabaseRefused, "ALLOW_CONNECTIONS"),
    ],
)
def test_a_connection_that_fails_names_what_to_set(text: str, kind: type[DatabaseError], named: str) -> None:
    ours = connect_failure(psycopg.OperationalError(text), "db.example.com:5432/y")
    assert type(ours) is kind
    assert named in ours.hint
    assert "db.example.com:5432/y" in ours.message


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (errors.UndefinedTable(), "DB_TABLE"),
        (errors.UndefinedColumn(), "DB_PATH_COLUMN"),
        (errors.InvalidSchemaName(), "schema"),
        (errors.InvalidAuthorizationSpecification(), "log in"),
        (errors.InsufficientPrivilege(), "sketch-migrate grants"),
        (errors.ProtocolViolation("transaction blocks not allowed in statement pooling mode"), "pool_mode"),
    ],
)
def test_a_refusal_is_told_what_it_is_about(error: psycopg.Error, named: str) -> None:
    assert named in translate(error, "flipping").hint


@pytest.mark.parametrize(
    ("server_version", "refused"), [(90624, True), (120022, True), (130000, False), (180004, False)]
)
def test_a_server_that_is_too_old_is_refused(server_version: int, refused: bool) -> None:
    refusal = too_old(server_version, "db.example.com:5432/y")
    assert (refusal is not None) is refused
    if refusal is not None:
        assert refusal.exit_code == 3
        assert "db.example.com:5432/y is PostgreSQL" in refusal.message
        assert "13 is the oldest" in refusal.message
        assert refusal.hint


def test_utf8_goes_before_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert parameters(Settings())["client_encoding"] == "UTF8"
    url = "postgresql://ledger.example.com/sketch?client_encoding=LATIN1"
    assert ledger_parameters(url, {})["client_encoding"] == "UTF8"


@pytest.mark.parametrize(("hosts", "ports", "right"), [("a,b", "1,2", True), ("a,b", "1", True), ("a", "1,2", False)])
def test_the_ports_are_those_of_the_hosts_of_the_environment(hosts: str, ports: str, right: bool) -> None:
    settings = Settings(db_port=ports)
    if right:
        assert str(parameters(settings, {"PGHOST": hosts})["port"]) == ports
    else:
        with pytest.raises(SettingsError, match="2 ports, PGHOST 1 host"):
            parameters(settings, {"PGHOST": hosts})
