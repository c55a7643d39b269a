"""Whether another run is at work over the same table, told by the database's connections and by the runs' own records.

Neither alone is enough: a pooler may hide the names of connections, or keep one whose run is over; and a run of another
machine has its directory there.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import RunGoesOn
from sketchmigrate.ledger.contract import going_on
from sketchmigrate.ledger.overview import RunState, known_runs
from sketchmigrate.postgres.others import connected_runs, short_name
from sketchmigrate.settings import effective
from sketchmigrate.settings.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sketchmigrate.ledger import PastRun
    from sketchmigrate.ledger.overview import RunOverview
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.others import ConnectedRun
    from sketchmigrate.settings import Settings

_PLACE_SET = ("DB_HOST", "DB_PORT", "DB_NAME")
_PLACE = "place"

STILL_AT_WORK = "Stop it, or wait for its end: what it has flipped until then can be set back afterwards."


class Here(NamedTuple):
    """Where this run is to set rows: the database and its tables as the server has them, and as they were set."""

    identity: str
    tables: tuple[str, ...]
    tables_set: set[str]
    settings: dict[str, object]


def place_noted(database: Database) -> dict[str, str]:
    """Return what a ledger says of where its run sets rows, as the server has it: there are many ways to set that."""
    return {_PLACE: json.dumps({"database": database.identity, "tables": database.watched})}


async def others_at_work(database: Database, settings: Settings, own: str) -> list[str]:
    """Say which other runs set rows of the same tables now, or may do so. ``own`` is the name of this one.

    Raises ``DatabaseError``.
    """
    seen = {each.run: each for each in await _connected(database) if each.run != short_name(own)}
    known = await asyncio.to_thread(_known, settings, seen)
    tables_set = {source.table for source in sources_of(settings)}
    here = Here(database.identity, database.watched, tables_set, effective(settings))
    return told([run for run in known if run.name != own], seen.values(), here)


def _known(settings: Settings, seen: Collection[str]) -> list[RunOverview]:
    """Return what is on record of the runs that go on, or are seen by their short names."""
    return known_runs(Path(settings.run_dir).expanduser(), settings, lambda name: short_name(name) in seen)


def told(known: Sequence[RunOverview], seen: Iterable[ConnectedRun], here: Here) -> list[str]:
    """Say which runs are at work over one of the tables, by what is known of them and by who is connected. Pure.

    A connection that does nothing, of a run that is known to be over, is one that a pooler keeps.
    """
    connected = {each.run: each for each in seen}
    texts = []
    for run in known:
        connections = connected.pop(short_name(run.name), None)
        if not (_sets_rows(run) and _is_of(run, here, is_connected=connections is not None)):
            continue
        is_running = run.state is RunState.RUNNING
        if is_running or (connections is not None and connections.is_busy):
            signs = [f"it goes on by {run.directory or run.ledger}"] * is_running
            signs += [_count(connections, may_be_over=False)] if connections is not None else []
            texts.append(f"the run {run.name} is at work over the same table ({', '.join(signs)})")
        elif run.state is RunState.UNKNOWN and run.unread:
            texts.append(f"whether the run {run.name} is at work over the same table is not known: {run.unread}")
    for name, connections in connected.items():
        text = f"the run {name} is connected to this database ({_count(connections, may_be_over=True)})"
        texts.append(f"{text}; it is not below RUN_DIR, so whether it is over the same table is not known")
    return texts


def _sets_rows(run: RunOverview) -> bool:
    """Whether a run sets rows, once it has a ledger: until then it has set none, and asks first."""
    return bool(run.about) and run.about.get("dry_run") != "true"


def _is_of(run: RunOverview, here: Here, *, is_connected: bool) -> bool:
    """Whether a run is over one of the tables, as far as it noted that.

    What the server said decides. Where it told the two nothing, or one of them alone, it is what was set, of which
    earlier versions did not note the database.
    """
    place = json.loads(run.about.get(_PLACE, "{}"))
    if place and here.identity and place["database"]:
        return bool(place["database"] == here.identity and set(place["tables"]) & set(here.tables))
    noted = run.account.settings if run.account is not None else {}
    if not is_connected and any(name in noted and noted[name] != here.settings[name] for name in _PLACE_SET):
        return False
    entries = json.loads(run.about.get("references", "[]"))
    tables = {*(entry["table"] for entry in entries), *([] if entries else [run.about.get("table")])}
    return bool(here.tables_set & tables)


def _count(seen: ConnectedRun, *, may_be_over: bool) -> str:
    count = f"{seen.connections} connection{'s' * (seen.connections != 1)}"
    if may_be_over and seen.is_busy is None:
        return f"{count}, whose state this role may not see"
    if not may_be_over or seen.is_busy or seen.idle_seconds is None:
        return count
    return f"{count}, idle for {seen.idle_seconds:.0f} s: a pooler may keep it for a run that is over"


async def check_not_busy(database: Database, runs: Sequence[PastRun]) -> None:
    """Check that none of the runs is in a transaction of this database now, whatever its lock says.

    It may be that of another machine. Raises ``RunGoesOn`` and ``DatabaseError``.
    """
    busy = {each.run for each in await _connected(database) if each.is_busy}
    for run in runs:
        if short_name(run.directory.name) in busy:
            sign = "one of its connections to the database is in a transaction"
            raise RunGoesOn(going_on(run, sign), hint=STILL_AT_WORK)


async def _connected(database: Database) -> list[ConnectedRun]:
    async with database.session() as session:
        return await session.run(connected_runs, doing="looking for other runs")
