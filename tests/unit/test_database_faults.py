"""What an error of PostgreSQL means, by its code."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from sketch_migrate.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseRefused,
    DatabaseUnreachable,
    ReferenceRefused,
)
from sketch_migrate.postgres.faults import Fault, classify, connect_failure, translate


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (psycopg.OperationalError("the connection is lost"), Fault.AWAY),
        (psycopg.InterfaceError("the connection is closed"), Fault.AWAY),
        (errors.AdminShutdown(), Fault.AWAY),
        (errors.CannotConnectNow(), Fault.AWAY),
        (errors.TooManyConnections(), Fault.AWAY),
        (errors.ConnectionFailure(), Fault.AWAY),
        (errors.ReadOnlySqlTransaction(), Fault.AWAY),
        (errors.DeadlockDetected(), Fault.CONTENDED),
        (errors.SerializationFailure(), Fault.CONTENDED),
        (errors.LockNotAvailable(), Fault.CONTENDED),
        (errors.QueryCanceled(), Fault.CONTENDED),
        (errors.UniqueViolation(), Fault.ROW),
        (errors.CheckViolation(), Fault.ROW),
        (errors.StringDataRightTruncation(), Fault.ROW),
        (errors.RaiseException(), Fault.ROW),
        (errors.InsufficientPrivilege(), Fault.REFUSED),
        (errors.UndefinedTable(), Fault.REFUSED),
        (errors.InvalidPassword(), Fault.REFUSED),
        (errors.InternalError_(), Fault.UNKNOWN),
        (psycopg.ProgrammingError("the tool's own mistake"), Fault.UNKNOWN),
    ],
)
def test_a_code_says_what_to_do(error: psycopg.Error, fault: Fault) -> None:
    assert classify(error) is fault


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (psycopg.OperationalError("gone"), DatabaseUnreachable, 3),
        (errors.InsufficientPrivilege(), DatabaseRefused, 3),
        (errors.LockNotAvailable(), DatabaseBusy, 4),
        (errors.UniqueViolation(), ReferenceRefused, 4),
        (errors.InternalError_(), DatabaseError, 4),
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
        ('could not translate host name "x" to address', DatabaseUnreachable, "DB_HOST"),
        ("connection failed: Connection refused", DatabaseUnreachable, "DB_PORT"),
        ("received invalid response to SSL negotiation: H", DatabaseUnreachable, "DB_PORT"),
        ("connection timeout expired", DatabaseUnreachable, "firewall"),
        ("something never seen before", DatabaseUnreachable, "DB_HOST"),
    ],
)
def test_a_connection_that_fails_names_what_to_set(text: str, kind: type[DatabaseError], named: str) -> None:
    ours = connect_failure(psycopg.OperationalError(text), "db.example.com:5432/y")
    assert type(ours) is kind
    assert named in ours.hint
    assert "db.example.com:5432/y" in ours.message
