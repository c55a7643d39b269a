"""A database that another test had before is as new; or it is not given again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.servers.databases import Databases

SCHEMAS = "SELECT nspname, nspacl::text, nspowner::regrole::text FROM pg_namespace ORDER BY nspname"
RELATIONS = "SELECT oid, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace OR relacl IS NOT NULL"


@pytest.mark.parametrize(
    ("left", "again"),
    [
        ("CREATE TABLE avatars (id serial PRIMARY KEY, path text)", True),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", True),
        ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", True),
        ("ALTER SCHEMA public RENAME TO other", True),
        ('CREATE SCHEMA "an other" CREATE TABLE avatars (id bigint PRIMARY KEY)', True),
        ("CREATE PUBLICATION none_of_it", False),
        ("ALTER DATABASE {} SET work_mem = '5MB'", True),
        ("ALTER ROLE CURRENT_USER IN DATABASE {} SET work_mem = '5MB'", True),
        ("ALTER DATABASE {} SET default_transaction_read_only = on", False),  # who empties it is told so as well
        ("REVOKE CONNECT ON DATABASE {} FROM PUBLIC", False),
        ("REVOKE EXECUTE ON FUNCTION pg_sleep(double precision) FROM PUBLIC", False),
        ("REVOKE SELECT ON pg_class FROM PUBLIC", False),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", False),
        ("SELECT lo_create(0)", False),
    ],
)
def test_what_a_test_left_is_gone(databases: Databases, left: str, again: bool) -> None:
    settings = "SELECT name, setting FROM pg_settings WHERE source IN ('database', 'user', 'database user')"
    identity = "SELECT oid FROM pg_database WHERE datname = current_database()"
    with databases.fresh() as first:
        new, relations, number = first.execute(SCHEMAS), first.execute(RELATIONS), first.execute(identity)
        with first.connect() as connection:
            connection.execute(left.replace("{}", first.name))
    with databases.fresh() as second:
        assert (second.execute(identity) == number) == again
        assert second.execute(SCHEMAS) == new
        assert second.execute(RELATIONS) == relations
        assert second.execute(settings) == []


def test_whoever_is_still_connected_does_not_stay(databases: Databases) -> None:
    with databases.fresh() as first:
        connection = first.connect()
        first.execute("CREATE TABLE avatars (id bigint PRIMARY KEY)")
        connection.autocommit = False
        connection.execute("SELECT FROM avatars")
    with databases.fresh():
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT FROM avatars")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            first.connect()
