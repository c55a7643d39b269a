"""What the database feels, as far as it shows it: one short look, on a session of its own.

What the role may not see, or the server does not tell, is None, and never 0. ``pg_stat_replication`` shows whoever is
no member of ``pg_read_all_stats`` that there are standbys, and not how far they are; ``pg_replication_slots`` and
``pg_locks`` show all to everybody (manual of PostgreSQL, "The Cumulative Statistics System" and "System Views").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import psycopg

from sketchmigrate.postgres.faults import describe
from sketchmigrate.postgres.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from psycopg import AsyncConnection

STATEMENT_MS = 2_000
LIMITS = Limits(
    lock_ms=STATEMENT_MS // 2, statement_ms=STATEMENT_MS, idle_ms=STATEMENT_MS, patience_ms=2 * STATEMENT_MS
)
"""Of each part of a look. The connection is not given up while each of them, asked by itself, may take that long."""

WAL, STANDBYS, SLOTS = "the WAL", "standbys", "replication slots"
VACUUMS, WAITERS, ACTIVITY = "vacuums", "lock waiters", "activity"
"""What the parts of a look are called."""

SHOW_ALL = "pg_read_all_stats"

UNNAMED = "walreceiver"
"""What a standby calls itself that was given no name (cluster_name, or application_name in primary_conninfo)."""


class Standby(NamedTuple):
    """A standby, and up to which byte of the WAL it has replayed; None where our role may not see that."""

    name: str
    replay_lsn: int | None


class Slot(NamedTuple):
    """A replication slot, and from which byte of the WAL on it keeps all; None where it keeps none.

    ``safe_bytes`` may be written before it is in danger, None where nothing limits it.
    """

    name: str
    restart_lsn: int | None
    safe_bytes: int | None = None
    is_lost: bool = False


class Vacuum(NamedTuple):
    """A vacuum at work on one of our tables."""

    table: str
    prevents_wraparound: bool


class Activity(NamedTuple):
    """What is shown, and limits nothing. All but ``sessions`` are sums since the server's statistics were reset."""

    sessions: int
    transactions: int
    archiver_failures: int
    checkpoints: int


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look. ``wal_lsn`` is the end of the WAL in bytes, ``slot_keep_bytes`` max_slot_wal_keep_size, -1 for none.

    ``lock_waiters`` are sessions that wait, directly or not, for a lock of a transaction of ours; ``vacuums`` are those
    at work on our tables.
    """

    wal_lsn: int | None = None
    slot_keep_bytes: int | None = None
    standbys: tuple[Standby, ...] | None = None
    slots: tuple[Slot, ...] | None = None
    vacuums: tuple[Vacuum, ...] | None = None
    lock_waiters: int | None = None
    activity: Activity | None = None

    def with_standbys(self, standbys: Sequence[Standby]) -> Vitals:
        """Return the same with standbys that were asked themselves in place of what the primary shows."""
        return replace(self, standbys=tuple(standbys))

    @property
    def hidden_standbys(self) -> tuple[str, ...]:
        """The names of those of which our role may not see how far they are."""
        return tuple(each.name for each in self.standbys or () if each.replay_lsn is None)


class Sensor(NamedTuple):
    """One part of a look: ``what`` names it to a person, ``read`` makes fields of ``Vitals`` of the rows."""

    what: str
    statement: LiteralString
    read: Callable[[Sequence[Sequence[Any]]], dict[str, Any]]


# An LSN as a number of bytes. max_slot_wal_keep_size is -1 where slots may keep all.
_WAL: LiteralString = """
SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint,
       pg_size_bytes(current_setting('max_slot_wal_keep_size')), pg_size_bytes(current_setting('wal_keep_size'))
"""

# A subscriber is no standby: what it has not taken is kept by its slot.
_STANDBYS: LiteralString = """
SELECT r.application_name, host(r.client_addr), r.state, (r.replay_lsn - '0/0'::pg_lsn)::bigint
FROM pg_stat_replication AS r
WHERE NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.slot_type = 'logical' AND s.active_pid = r.pid)
"""

_SLOTS: LiteralString = """
SELECT slot_name::text, (restart_lsn - '0/0'::pg_lsn)::bigint, safe_wal_size, wal_status FROM pg_replication_slots
"""

# Who waits is asked of pg_locks, which shows all to everybody, and only of those whom they wait for, as that stops the
# lock manager for a moment. Behind the first one that waits for a row of ours, others wait for that one.
_LOCKS: LiteralString = """
WITH RECURSIVE ours AS MATERIALIZED (
    SELECT array_agg(pid) AS pids FROM pg_stat_activity
    WHERE application_name LIKE 'sketch-migrate%' AND usename = current_user
), waiting AS MATERIALIZED (
    SELECT pid, pg_blocking_pids(pid) AS blockers
    FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted LIMIT 100) AS w, ours WHERE pid <> ALL (ours.pids)
), behind (pid) AS (
    SELECT waiting.pid FROM waiting, ours WHERE waiting.blockers && ours.pids
    UNION SELECT waiting.pid FROM waiting JOIN behind ON behind.pid = ANY (waiting.blockers)
)
SELECT count(*) FROM behind
"""

_AT_WORK = "vacuums_at_work"
"""How many there are in the database: most often none, and then it is not asked which."""
_VACUUMS_AT_WORK: LiteralString = """
SELECT count(*) FROM pg_stat_progress_vacuum
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# Which table an autovacuum is at, its view shows to few, and the lock that it holds on it to all. That it is to prevent
# wraparound is in its query, which few see, and follows from the table's age (manual, "Preventing Transaction ID
# Wraparound Failures").
_VACUUMS: LiteralString = """
WITH RECURSIVE tree (oid) AS (
    SELECT to_regclass(name)::oid FROM unnest(%s::text[]) AS name
    UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
), watched AS (
    SELECT t.oid::regclass::text AS name, c.oid, c.relfrozenxid, c.relminmxid, t.reloptions
    FROM tree JOIN pg_class AS t ON t.oid = tree.oid JOIN pg_class AS c ON c.oid IN (t.oid, t.reltoastrelid)
)
SELECT w.name, bool_or(
    coalesce(a.query LIKE '%%(to prevent wraparound)', false)
    OR (w.relfrozenxid <> '0' AND age(w.relfrozenxid) > least(
        current_setting('autovacuum_freeze_max_age')::int,
        (SELECT option_value::int FROM pg_options_to_table(w.reloptions)
         WHERE option_name = 'autovacuum_freeze_max_age')))
    OR (w.relminmxid <> '0' AND mxid_age(w.relminmxid) > least(
        current_setting('autovacuum_multixact_freeze_max_age')::int,
        (SELECT option_value::int FROM pg_options_to_table(w.reloptions)
         WHERE option_name = 'autovacuum_multixact_freeze_max_age'))))
FROM pg_stat_progress_vacuum AS v
JOIN pg_locks AS l ON l.pid = v.pid AND l.database = v.datid AND l.locktype = 'relation' AND l.granted
JOIN watched AS w ON w.oid = l.relation
LEFT JOIN pg_stat_activity AS a ON a.pid = v.pid
WHERE l.mode = 'ShareUpdateExclusiveLock' GROUP BY w.name ORDER BY w.name
"""

_ACTIVITY: LiteralString = """
SELECT d.numbackends, d.xact_commit + d.xact_rollback, a.failed_count, {checkpoints}
FROM pg_stat_database AS d, pg_stat_archiver AS a WHERE d.datname = current_database()
"""
_CHECKPOINTS: LiteralString = "(SELECT num_timed + num_requested FROM pg_stat_checkpointer)"
_CHECKPOINTS_BEFORE_17: LiteralString = "(SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter)"
_CHECKPOINTER_SINCE = 170000


def read_wal(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Read the end of the WAL, and what slots may keep: wal_keep_size is kept in any case."""
    ((lsn, keep_bytes, kept_anyway_bytes),) = rows
    return {"wal_lsn": lsn, "slot_keep_bytes": -1 if keep_bytes < 0 else max(keep_bytes, kept_anyway_bytes)}


def read_standbys(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Read the standbys, each name once: of several with one name the one that is behind most counts.

    A row without a state is one that our role may not see. One without a place of replay is no standby: it receives
    WAL for a backup.
    """
    found: dict[str, int | None] = {}
    for application, address, state, replay_lsn in rows:
        if state is not None and replay_lsn is None:
            continue
        name = application or UNNAMED
        if name == UNNAMED and address:
            name = f"{name} at {address}"
        before = found.get(name, replay_lsn)
        found[name] = None if replay_lsn is None or before is None else min(before, replay_lsn)
    return {"standbys": tuple(Standby(*each) for each in found.items())}


def read_slots(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Read the slots; one that is lost keeps nothing any more."""
    return {"slots": tuple(Slot(name, lsn, safe, status == "lost") for name, lsn, safe, status in rows)}


def _counted(name: str) -> Callable[[Sequence[Sequence[Any]]], dict[str, Any]]:
    return lambda rows: {name: rows[0][0]}


def _read_activity(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    return {"activity": Activity(*map(int, rows[0]))} if rows else {}


def sensors_for(server_version: int) -> tuple[Sensor, ...]:
    """Return all parts of a look at a server of this version, as ``server_version`` counts."""
    checkpoints = _CHECKPOINTS if server_version >= _CHECKPOINTER_SINCE else _CHECKPOINTS_BEFORE_17
    return (
        Sensor(WAL, _WAL, read_wal),
        Sensor(STANDBYS, _STANDBYS, read_standbys),
        Sensor(SLOTS, _SLOTS, read_slots),
        Sensor(VACUUMS, _VACUUMS_AT_WORK, _counted(_AT_WORK)),
        Sensor(WAITERS, _LOCKS, _counted("lock_waiters")),
        Sensor(ACTIVITY, _ACTIVITY.replace("{checkpoints}", checkpoints), _read_activity),
    )


class Unanswered(NamedTuple):
    """A part of a look that the server did not answer, and why.

    ``is_refused`` says that it will not, as things are: a right is missing, or the view. Else it took too long, waited
    for a lock in vain, was cancelled, or the server lacked the means: that passes.
    """

    what: str
    why: str
    is_refused: bool


async def read_vitals(
    connection: AsyncConnection, tables: Sequence[str], without: Collection[str] = ()
) -> tuple[Vitals, tuple[Unanswered, ...]]:
    """Look once, ``without`` some parts. ``tables`` are ours, as SQL names them. Within one transaction.

    All parts are asked at once, and where one of them fails, each by itself: it costs no other. psycopg's errors pass
    through where the connection broke.
    """
    sensors = [each for each in sensors_for(connection.info.server_version) if each.what not in without]
    failed: list[tuple[str, psycopg.Error]] = []
    fields = await _answers(connection, sensors)
    if isinstance(fields, psycopg.Error):
        fields = {}
        for sensor in sensors:
            answer = await _answers(connection, [sensor])
            if isinstance(answer, psycopg.Error):
                failed.append((sensor.what, answer))
            else:
                fields |= answer
    at_work = fields.pop(_AT_WORK, None)
    if at_work is not None:
        vacuums = await _vacuums(connection, tables) if at_work else ()
        if isinstance(vacuums, psycopg.Error):
            failed.append((VACUUMS, vacuums))
        else:
            fields["vacuums"] = vacuums
    return Vitals(**fields), tuple(Unanswered(what, describe(each), not _passes(each)) for what, each in failed)


async def _answers(connection: AsyncConnection, sensors: Sequence[Sensor]) -> dict[str, Any] | psycopg.Error:
    """Ask all of them in one message; return what their rows tell, or the error of the first that has none."""
    fields: dict[str, Any] = {}
    if not sensors:
        return fields
    statements = ";".join(["SAVEPOINT look", *(sensor.statement for sensor in sensors), "RELEASE SAVEPOINT look"])
    try:
        cursor = await connection.execute(statements.encode())
    except psycopg.Error as error:
        if connection.closed:
            raise
        await connection.execute(b"ROLLBACK TO SAVEPOINT look")
        return error
    for sensor in sensors:
        cursor.nextset()
        fields |= sensor.read(await cursor.fetchall())
    return fields


async def _vacuums(connection: AsyncConnection, tables: Sequence[str]) -> tuple[Vacuum, ...] | psycopg.Error:
    """Return those at work on our tables, or why that is not told."""
    try:
        async with connection.transaction():
            rows = await (await connection.execute(_VACUUMS, [list(tables)])).fetchall()
    except psycopg.Error as error:
        if connection.closed:
            raise
        return error
    return tuple(Vacuum(*each) for each in rows)


def _passes(error: psycopg.Error) -> bool:
    """Whether what the server did not answer now it may answer in a moment."""
    code = error.sqlstate or ""
    return code[:2] in _PASSING_CLASSES or code == _LOCK_NOT_AVAILABLE


_PASSING_CLASSES = {"40", "53", "57", "58"}
"""Rolled back, short of means, ended by somebody or by a time limit, the system (manual, "PostgreSQL Error Codes")."""
_LOCK_NOT_AVAILABLE = "55P03"
