"""The fault proxy in front of PostgreSQL really does what it says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.databases import Database

FLIP = "UPDATE avatars SET path = %s WHERE id = 1"


@pytest.fixture
def proxy(database: Database) -> Iterator[PostgresFaultProxy]:
    database.create_avatars(["image/a.png"])
    with PostgresFaultProxy(database.port) as running:
        yield running


@pytest.fixture
def connection(database: Database, proxy: PostgresFaultProxy) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection by way of the proxy, not in autocommit."""
    with psycopg.connect(database.via(proxy.port).conninfo) as opened:
        yield opened


def test_without_rules_everything_passes(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    connection.prepare_threshold = 0  # named statements: later runs send no text
    for number in range(3):
        connection.execute(FLIP, [f"avatar/{number}"])
    big = connection.execute("SELECT path, repeat('x', 300000) FROM avatars")
    assert big.fetchone() == ("avatar/2", "x" * 300_000)
    with connection.pipeline():
        connection.execute(FLIP, ["avatar/pipe"])
    connection.commit()
    assert database.paths() == {1: "avatar/pipe"}
    assert [s.split()[0] for s in proxy.statements] == ["BEGIN", *["UPDATE"] * 3, "SELECT", "UPDATE", "COMMIT"]
    assert not proxy.hits


@pytest.mark.parametrize("prepared", [False, True])
def test_cut_at_the_update_before_the_server_sees_it(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]], *, prepared: bool
) -> None:
    connection.prepare_threshold = 0 if prepared else None
    proxy.cut_at("update", skip=1)
    connection.execute(FLIP, ["avatar/first"])
    connection.commit()
    with pytest.raises(psycopg.OperationalError):
        connection.execute(FLIP, ["avatar/second"])
    assert connection.closed
    assert proxy.hits == {"cut": 1}
    assert database.paths() == {1: "avatar/first"}


@pytest.mark.parametrize("when", ["before", "reply_lost"])
def test_cut_at_the_commit(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]], when: str
) -> None:
    proxy.cut_at("^COMMIT", when="reply_lost" if when == "reply_lost" else "before")
    connection.execute(FLIP, ["avatar/a.png"])
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert proxy.hits == {"cut" if when == "before" else when: 1}
    assert database.paths() == {1: "image/a.png" if when == "before" else "avatar/a.png"}


def test_cut_at_a_statement_of_the_extended_protocol_with_its_reply_lost(
    database: Database, proxy: PostgresFaultProxy
) -> None:
    proxy.cut_at("UPDATE", when="reply_lost")
    with psycopg.connect(database.via(proxy.port).conninfo, autocommit=True) as connection:
        with pytest.raises(psycopg.OperationalError):
            connection.execute(FLIP, ["avatar/a.png"])
        assert connection.closed
    assert proxy.hits == {"reply_lost": 1}
    assert database.paths() == {1: "avatar/a.png"}


def test_cut_all(proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    proxy.cut_all()
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    assert proxy.hits == {"cut_all": 1}


def test_stall_at_a_statement(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    proxy.stall_at("COMMIT")
    connection.execute(FLIP, ["avatar/a.png"])
    committing = threading.Thread(target=connection.commit)
    committing.start()
    proxy.wait_for_hit("stall")
    assert committing.is_alive()
    assert database.paths() == {1: "image/a.png"}
    proxy.release()
    committing.join()
    assert database.paths() == {1: "avatar/a.png"}


def test_stall_of_the_reply_to_the_commit_of_a_flip(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    proxy.stall_at("^COMMIT", after="^UPDATE", after_server=True)
    connection.execute("SELECT 1")
    connection.commit()
    assert not proxy.hits  # it commits no flip
    connection.execute(FLIP, ["avatar/a.png"])
    committing = threading.Thread(target=connection.commit)
    committing.start()
    proxy.wait_for_hit("stall")
    assert committing.is_alive()
    assert database.paths() == {1: "avatar/a.png"}
    proxy.release()
    committing.join()


def test_stall_of_everything(proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    proxy.stall()
    asking = threading.Thread(target=connection.execute, args=("SELECT 1",))
    asking.start()
    proxy.wait_for_hit("stall")
    assert asking.is_alive()
    assert not proxy.statements
    proxy.resume()
    asking.join()
    assert proxy.statements == ["BEGIN", "SELECT 1"]


def test_new_connections_are_turned_away_and_then_taken(database: Database, proxy: PostgresFaultProxy) -> None:
    way = database.via(proxy.port)
    proxy.turn_away()
    with pytest.raises(psycopg.OperationalError):
        way.connect()
    assert proxy.hits["turned_away"] >= 1
    proxy.resume()
    way.connect().close()


def test_new_connections_are_refused_and_then_taken_on_the_same_port(
    database: Database, proxy: PostgresFaultProxy
) -> None:
    way = database.via(proxy.port)
    with way.connect() as open_before:
        proxy.shut()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            way.connect()
        open_before.execute("SELECT 1")  # only new ones
    proxy.resume()
    way.connect().close()


def test_a_hook_acts_before_the_statement(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    def interfere(statement: str) -> None:
        if "UPDATE" in statement:
            database.execute("UPDATE avatars SET path = 'application'")

    proxy.before_statement = interfere
    flip = connection.execute("UPDATE avatars SET path = 'avatar/a.png' WHERE path = 'image/a.png' RETURNING id")
    assert flip.fetchall() == []
    assert database.paths() == {1: "application"}


def test_something_is_done_before_the_server_knows_and_before_the_client_does(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    seen: list[object] = []
    proxy.act_at("^COMMIT", lambda: seen.append(database.paths()[1]), after="UPDATE")
    proxy.act_at("^COMMIT", lambda: seen.append(database.paths()[1]), after="UPDATE", after_server=True)
    for path in ("avatar/first", "avatar/second"):
        connection.execute(FLIP, [path])
        connection.commit()
    assert seen == ["image/a.png", "avatar/second"]
    assert proxy.hits == {"act": 1, "act_after": 1}


def test_who_is_cut_off_by_what_is_done_never_learns_that_it_was_committed(
    database: Database, proxy: PostgresFaultProxy, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    proxy.act_at("^COMMIT", proxy.cut_all, after_server=True)
    connection.execute(FLIP, ["avatar/new"])
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    assert database.paths() == {1: "avatar/new"}
