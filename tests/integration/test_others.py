"""What a server tells of a database and of its connections, so that two runs know of one another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from sketchmigrate.postgres.others import application_name, connected_runs, identity_of

if TYPE_CHECKING:
    from tests.servers.databases import Database


async def identity(database: Database) -> str:
    async with await psycopg.AsyncConnection.connect(database.conninfo, autocommit=True) as connection:
        found = await identity_of(connection)
        await connection.execute("SELECT 1")  # it is usable, whatever was refused
        return found


async def test_a_database_is_known_however_it_is_reached_and_by_whom(any_database: Database) -> None:
    found = await identity(any_database)
    assert found
    assert await identity(replace(any_database.make_user(), host="localhost")) == found
    assert await identity(replace(any_database, name="postgres")) not in {found, ""}


async def test_where_the_server_does_not_tell_nothing_is_known(database: Database) -> None:
    database.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    assert await identity(database.make_user()) == ""


@pytest.mark.parametrize(
    ("statement", "is_busy"),
    [("SELECT 1", False), ("BEGIN; SELECT 1", True), ("BEGIN; SET LOCAL track_activities = off", None)],
)
async def test_a_run_is_busy_while_one_of_its_connections_is_in_a_transaction_as_far_as_that_is_told(
    database: Database, statement: str, is_busy: object
) -> None:
    with psycopg.connect(database.conninfo, autocommit=True, application_name=application_name("one")) as theirs:
        theirs.execute(statement.encode())
        async with await psycopg.AsyncConnection.connect(database.conninfo) as connection:
            (seen,) = await connected_runs(connection)
    assert (seen.run, seen.connections, seen.is_busy) == ("one", 1, is_busy)
