"""The statements that the simulated database knows, by their words, and what each does.

They are carried out in one moment, but for what waits for a lock.
"""

from __future__ import annotations

import asyncio
import math
import re
import zlib
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import Composable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.reference import Key
    from tests.simulation.database import SimulatedConnection
    from tests.simulation.server import Transaction

PAGE_ROWS = 8
BLOCKS = 20
"""Of the table. A row is in another one with each path."""
LOOK_SECONDS = 0.01
"""So often somebody who waits for a lock looks whether it is free."""


class SimulatedCursor:
    """Carries one statement out."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection
        self._world = connection.world
        self._answer: list[tuple[Any, ...]] = []
        self.statusmessage: str | None = None

    async def execute(self, statement: object, values: Any = ()) -> SimulatedCursor:
        """Do what the statement says, and wait for the answer."""
        text = re.sub(r"^/\*.*?\*/\s*", "", _text_of(statement))
        if pipeline := self._connection.pipeline_under_way:
            pipeline.add(self, text, values)
        elif text.startswith("BEGIN"):
            await self._connection.begin(text)
        elif text.endswith("; COMMIT"):
            await self._connection.commit()
        else:
            do = next((do for words, do in _STATEMENTS.items() if text.startswith(words)), None)
            assert do, f"the simulated database does not know {text}"
            await do(self, text, values)
            await self._world.step("the answer")
        return self

    async def fetchone(self) -> tuple[Any, ...]:
        """Return the answer's only row."""
        (row,) = self._answer
        return row

    async def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the answer."""
        return self._answer

    def answers(self, *row: object) -> None:
        """Answer with one row."""
        self._answer = [row]

    @property
    def _transaction(self) -> Transaction:
        assert self._connection.under_way
        return self._connection.under_way

    async def _page(self, _: str, values: dict[str, Any]) -> None:
        await self._connection.arrive("reads a page", *_IN_THE_WAY)
        after, until = values.get("after", 0), values.get("until", math.inf)
        page = [row for row in sorted(self._world.rows.items()) if after < row[0] <= until][:PAGE_ROWS]
        legacy = [row for row in page if row[1].startswith(values["legacy"].removesuffix("%"))]
        last: Key | None = page[-1][0] if page else None
        self._answer = [(len(page), last, [key for key, _ in legacy], [path for _, path in legacy])]

    async def _indexes(self, _: str, _values: object) -> None:
        """Return an index of the paths, or none."""
        await self._connection.arrive("looks for an index", *_IN_THE_WAY)
        self._answer = [("of_paths", "pg_catalog", "default", True, True)] * self._world.rng.randint(0, 1)

    async def _explained(self, text: str, _values: object) -> None:
        by_block = {"Node Type": "Aggregate", "Plans": [{"Node Type": "Tid Range Scan"}]}
        by_index = {"Node Type": "Index Scan", "Index Name": "of_paths", "Plan Rows": 1}
        self._answer = [([{"Plan": by_block if "ctid" in text else by_index}],)]

    async def _blocks(self, _: str, _values: object) -> None:
        rows = 100.0 * BLOCKS  # so that the first page has one block, and the next four
        self._answer = [(BLOCKS * self._world.rng.randint(0, 1), rows)]

    async def _mostly_legacy(self, _: str, _values: object) -> None:
        """Return any of the blocks, or none: it only orders the work."""
        self._answer = [(self._world.rng.choice((None, *range(BLOCKS))),)]

    async def _page_by_block(self, _: str, values: dict[str, Any]) -> None:
        """Return the legacy rows of some blocks."""
        await self._connection.arrive("reads some blocks", *_IN_THE_WAY)
        first, end = (int(values[bound].strip("()").split(",")[0]) for bound in ("first", "end"))
        rows = [row for row in self._world.rows.items() if first <= zlib.crc32(repr(row).encode()) % BLOCKS < end]
        legacy = [row for row in rows if row[1].startswith(values["legacy"].removesuffix("%"))]
        self._world.happened["a page was read block by block"] += bool(legacy)
        self._answer = [(len(rows), [key for key, _ in legacy] or None, [path for _, path in legacy] or None)]

    async def _spread(self, _: str, _values: object) -> None:
        rows, blocks, random, in_order = 1e6, 1e4, 0.0, 1.0
        self._answer = [(rows, blocks, random, in_order)]

    async def _page_by_path(self, _: str, values: dict[str, Any]) -> None:
        """Return the legacy rows behind a path and key, in the order of the paths."""
        if not self._world.quiet and self._world.rng.random() < 0.1:  # it walks dead entries
            self._world.happened["an index was too slow"] += 1
            raise self._connection.failed(psycopg.errors.QueryCanceled("canceling statement due to statement timeout"))
        await self._connection.arrive("reads a page by an index", *_IN_THE_WAY)
        after = values.get("after_path", ""), values.get("after_key", 0)
        found = sorted((path, key) for key, path in self._world.rows.items() if path.startswith("image/"))
        page = [row for row in found if row > after]
        self._world.happened["a page was read by an index"] += bool(page)
        self._answer = [(len(page), [key for _, key in page] or None, [path for path, _ in page] or None)]

    async def _flip(self, text: str, values: tuple[list[int], list[str], list[str], int]) -> None:
        """Lock the rows that hold the old path, in the order of the key, and set them."""
        *rows, wanted = values
        waits = "SKIP LOCKED" not in text
        await self._connection.arrive(f"{'waits and ' if waits else ''}flips {values[0]}", *_IN_THE_WAY)
        free: dict[int, str] = {}
        for key, old, new in sorted(zip(*rows, strict=True)):
            if waits:
                await self._wait_for(key)
            if self._connection.matches(key, old) and self._lock(key):
                free[key] = new
        self._set(free, wanted)

    def flip_at_once(self, values: tuple[list[int], list[str], list[str], int]) -> None:
        """Do the same in one moment, and fail where a row is stored otherwise: nobody looks at the answer."""
        *rows, wanted = values
        matching = [
            (key, new) for key, old, new in sorted(zip(*rows, strict=True)) if self._connection.matches(key, old)
        ]
        self._set({key: new for key, new in matching if self._lock(key)}, wanted)
        (row,) = self._answer
        if row[3]:
            raise self._connection.failed(psycopg.errors.InvalidTextRepresentation("rows are not as asked for"))
        self._answer = [(*row, self._world.clock.unix_time(), None)]

    def _set(self, free: dict[int, str], wanted: int) -> None:
        if refused := [key for key in free if self._world.trigger_on(key, free[key]) == "refuses"]:
            self._world.happened["refuses"] += 1
            raise self._connection.failed(psycopg.errors.UniqueViolation(f"duplicate key: {refused}"))
        stored = {key: self._transaction.set(key, new) for key, new in free.items()}
        flipped = [key for key in free if stored[key] == free[key]]
        others = [key for key in free if stored[key] not in {None, free[key]}]
        self._answer = [
            (
                len(flipped),
                flipped or None if len(flipped) < wanted else None,
                [key for key in free if stored[key] is None] or None,
                others or None,
                [stored[key] for key in others] or None,
            )
        ]

    async def _free_rows(self, _: str, values: tuple[list[int], list[str]]) -> None:
        await self._connection.arrive(f"looks which of {values[0]} are free", *_IN_THE_WAY)
        holding = [key for key, path in zip(*values, strict=True) if self._world.rows.get(key) == path]
        self._answer = [(key,) for key in holding if self._lock(key)]

    async def _look_up(self, _: str, values: tuple[list[int]]) -> None:
        await self._connection.arrive(f"looks up {values[0]}", *_IN_THE_WAY)
        seen = self._world.rows | self._transaction.changes
        self._answer = [(key, seen[key]) for key in values[0] if key in seen]

    async def _relation(self, _: str, _values: object) -> None:
        await self._connection.arrive("looks at the table")
        oid, rows, seen = 1, -1, False
        self._answer = [
            (oid, "r", rows, seen, seen, False, False, "ada", True, "public", "UTF8", 63, []),
        ]

    async def _columns(self, _: str, _values: object) -> None:
        may_select = may_update = is_unique = True
        self._answer = [
            (
                "id",
                "bigint",
                "N",
                None,
                False,
                True,
                may_select,
                may_update,
                False,
                is_unique,
                "bigint",
                False,
                "bigint",
            ),
            ("path", "text", "S", None, False, False, may_select, may_update, False, False, "text", False, "text"),
        ]

    async def _on_update(self, _: str, _values: object) -> None:
        self._answer = [([], [], False)]

    async def _triggers(self, _: str, _values: object) -> None:
        await self._connection.arrive("SET CONSTRAINTS ALL IMMEDIATE")
        self._transaction.fire_triggers()

    async def _number(self, _: str, _values: object) -> None:
        await self._connection.arrive("asks for the transaction's number")
        self._answer = [(self._transaction.give_number(),)]

    async def _status(self, _: str, values: tuple[str]) -> None:
        await self._connection.arrive(f"asks what became of transaction {values[0]}")
        status = self._world.transactions[int(values[0])]
        self._world.happened[f"a transaction was {status}"] += 1
        self._answer = [(status,)]

    async def _may_be_hidden(self, _: str, _values: object) -> None:
        await self._connection.arrive("asks for policies")
        self._answer = [(self._world.scenario.has_policies,)]

    async def _set_local(self, text: str, _values: object) -> None:
        await self._connection.arrive(text)

    async def _one(self, text: str, _values: object) -> None:
        """What a backend's number is does not matter."""
        await self._connection.arrive(text)
        self._answer = [(1,)]

    async def _log_end(self, text: str, _values: object) -> None:
        """Return where the log ends, which is on disk."""
        await self._connection.arrive(text)
        self._answer = [("0/1", True)]

    async def _nothing(self, _: str, _values: object) -> None:
        """Who is in the way is not known, and no standby is waited for."""
        await self._connection.arrive("asks who is in the way")

    def _lock(self, key: int) -> bool:
        if self._world.locked_by.get(key, self._transaction) is self._transaction:
            self._transaction.lock(key)
            return True
        self._world.happened["a locked row was passed over"] += 1
        return False

    async def _wait_for(self, key: int) -> None:
        loop, transaction = asyncio.get_running_loop(), self._transaction
        ends_at = loop.time() + transaction.lock_seconds
        while self._world.locked_by.get(key, transaction) is not transaction:
            self._world.happened["a locked row was waited for"] += 1
            if loop.time() >= ends_at:
                self._world.happened["in vain"] += 1
                raise self._connection.failed(psycopg.errors.LockNotAvailable("lock timeout"))
            await asyncio.sleep(LOOK_SECONDS)


_IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)  # a table lock, or no time left
_STATEMENTS: dict[str, Callable[[SimulatedCursor, str, Any], Awaitable[None]]] = {
    "SELECT count(*), (array_agg(key))[count(*)]": SimulatedCursor._page,  # noqa: SLF001 - its own
    "SELECT count(*), array_agg(key), array_agg(path)": SimulatedCursor._page_by_path,  # noqa: SLF001 - its own
    "SELECT count(*), array_agg(key) FILTER": SimulatedCursor._page_by_block,  # noqa: SLF001 - its own
    "SELECT min(block)": SimulatedCursor._mostly_legacy,  # noqa: SLF001 - its own
    "SELECT pg_relation_size": SimulatedCursor._blocks,  # noqa: SLF001 - its own
    "SELECT i.relname": SimulatedCursor._indexes,  # noqa: SLF001 - its own
    "EXPLAIN": SimulatedCursor._explained,  # noqa: SLF001 - its own
    "SELECT greatest(c.reltuples": SimulatedCursor._spread,  # noqa: SLF001 - its own
    "WITH free": SimulatedCursor._flip,  # noqa: SLF001 - its own
    'SELECT "t"."id" FROM': SimulatedCursor._free_rows,  # noqa: SLF001 - its own
    'SELECT "id", "path"::text FROM': SimulatedCursor._look_up,  # noqa: SLF001 - its own
    "SELECT key, path FROM (": SimulatedCursor._look_up,  # noqa: SLF001 - its own
    "SELECT pg_backend_pid()": SimulatedCursor._one,  # noqa: SLF001 - its own
    "SELECT wal_end": SimulatedCursor._log_end,  # noqa: SLF001 - its own
    "SELECT b.pid, a.usename": SimulatedCursor._nothing,  # noqa: SLF001 - its own
    "SELECT current_setting('synchronous_standby_names')": SimulatedCursor._nothing,  # noqa: SLF001 - its own
    "SET CONSTRAINTS ALL IMMEDIATE": SimulatedCursor._triggers,  # noqa: SLF001 - its own
    "SELECT pg_current_xact_id()": SimulatedCursor._number,  # noqa: SLF001 - its own
    "SELECT CASE WHEN xid": SimulatedCursor._status,  # noqa: SLF001 - its own
    "SELECT c.oid, c.relkind": SimulatedCursor._relation,  # noqa: SLF001 - its own
    "SELECT a.attname": SimulatedCursor._columns,  # noqa: SLF001 - its own
    "WITH part AS": SimulatedCursor._on_update,  # noqa: SLF001 - its own
    "SELECT row_security_active": SimulatedCursor._may_be_hidden,  # noqa: SLF001 - its own
    "SET LOCAL idle_in_transaction_session_timeout": SimulatedCursor._set_local,  # noqa: SLF001 - its own
}


def _text_of(statement: object) -> str:
    if isinstance(statement, Composable):
        return statement.as_string(None).strip()
    return (statement.decode() if isinstance(statement, bytes) else str(statement)).strip()
