"""An application that edits the values of six sources while they are migrated, and looks at what the values name."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.e2e.sources_site import TABLES
from tests.servers.stores import MANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.e2e.sources_site import Sources

LEGACY, PRODUCTION = "image", "avatar"
_SERVICES = {LEGACY: "legacy", PRODUCTION: "production"}
_SHARED, _SHARED_NAME = "shared-by-all", "shared, 1.png"
_EDITS = {
    "documents": "UPDATE documents SET attachment = attachment || jsonb_build_object(%s::text, 1) WHERE id = %s",
    '"Posts"': """UPDATE "Posts" SET "body %%" = "body %%" || ' ' || %s WHERE id = %s""",
    "albums": "UPDATE albums SET pictures = pictures || %s::text WHERE id = %s",
}
_LEGACY_ROWS = {**dict.fromkeys(TABLES, "t::text LIKE '%image/%'"), "blobs": "service_name = 'legacy'"}
EDIT_SECONDS, LOOK_SECONDS = 0.004, 0.05


@dataclass
class Application:
    """Edits values that hold references, at places that hold none, and remembers what it wrote.

    It also sets paths of its own, of new objects in production, and a column beside those that a source sets.
    ``edited`` are the numbers of the rows that it edits, in each table.
    """

    sources: Sources
    edited: Sequence[int]
    seed: int | str = 11
    edits: defaultdict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    own: dict[int, str] = field(default_factory=dict)
    own_bodies: dict[str, bytes] = field(default_factory=dict)
    touches: dict[int, int] = field(default_factory=dict)
    count: int = 0

    def live(self, stopping: threading.Event) -> None:
        """Edit, until told to stop."""
        dice = random.Random(self.seed)
        with self.sources.site.database.connect() as connection:
            while not stopping.wait(EDIT_SECONDS):
                self.count += 1
                self._edit(connection.execute, dice.choice([*_EDITS, "members", "blobs"]), dice.choice(self.edited))

    def _edit(self, execute: Any, table: str, row: int) -> None:
        """Edit one row of a table."""
        word = f"edit-{self.count}"
        if table == "members":
            key = f"avatar/own-{self.count}.png"
            store = self.sources.site.store
            store.put_all(store.production_bucket, {key: word.encode()})
            self.own_bodies[key] = word.encode()
            execute("UPDATE members SET path = %s WHERE number = %s", [key, row])
            self.own[row] = key
        elif table == "blobs":
            execute("UPDATE blobs SET touched = %s WHERE id = %s", [self.count, row])
            self.touches[row] = self.count
        else:
            execute(_EDITS[table], [word, row])
            self.edits[table, row].append(word)

    def check_nothing_is_lost(self) -> None:
        """Every edit is there, and each row that the application set holds what it set it to."""
        assert len(self.edits) > len(self.edited), "it has edited too little to tell anything"
        rows = keyed_rows(self.sources)
        lost = {
            (table, row): missing
            for (table, row), words in self.edits.items()
            if (missing := set(words) - set(re.findall(r"\bedit-\d+\b", rows[table][str(row)])))
        }
        assert lost == {}
        execute = self.sources.site.database.execute
        assert {row: path for row, path in execute("SELECT number, path FROM members") if row in self.own} == self.own
        assert dict(execute("SELECT id, touched FROM blobs WHERE touched <> 0")) == self.touches

    def without_edited(self, rows: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        """Return what ``keyed_rows`` gives, but for the rows that the application has edited."""
        edited = {*self.edits, *(("members", row) for row in self.own), *(("blobs", row) for row in self.touches)}
        keys = {(table, str(row)) for table, row in edited}
        return {
            table: {key: text for key, text in texts.items() if (table, key) not in keys}
            for table, texts in rows.items()
        }


@dataclass
class Looks:
    """Looks again and again whether each production key that a value names has its object; the rows first.

    ``dangling`` has those that had none. Where there are many, a look is for those that are newly named, and for some
    of the others.
    """

    sources: Sources
    count: int = 0
    dangling: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)

    def go_on(self, stopping: threading.Event) -> None:
        """Look, until told to stop; for no more than half of the time."""
        seconds = LOOK_SECONDS
        while not stopping.wait(max(LOOK_SECONDS, seconds)):
            began = time.monotonic()
            self.look()
            seconds = time.monotonic() - began

    def look(self) -> None:
        """Look once."""
        named = names_of(self.sources, PRODUCTION)
        store = self.sources.site.store
        if len(named) <= MANY:
            self.dangling |= named - set(store.keys(store.production_bucket))
        else:
            earlier = sorted(named & self._seen)
            asked = (named - self._seen) | set(random.sample(earlier, min(len(earlier), MANY // 10)))
            there = store.found(store.production_bucket, asked).keys()
            self.dangling |= asked - there
            self._seen |= there
        self.count += 1


@contextmanager
def life_beside(application: Application) -> Iterator[Looks]:
    """Let an application live, and look, for the length of the block. Raises what ended either of them before that."""
    stopping, looks = threading.Event(), Looks(application.sources)
    with ThreadPoolExecutor(2) as threads:
        tasks = [threads.submit(application.live, stopping), threads.submit(looks.go_on, stopping)]
        try:
            yield looks
        finally:
            stopping.set()
    for task in tasks:
        task.result()


def names_of(sources: Sources, side: str) -> set[str]:
    """Return the keys of a side that any value names, by a look of its own."""
    rows = sources.rows()
    texts = " ".join(text for name in TABLES if name != "blobs" for (text,) in rows[name])
    found = re.findall(
        rf"{side}/([^\s\"',{{}}()\\?]+)", texts.replace("shared,%201.png", _SHARED).replace(_SHARED_NAME, _SHARED)
    )
    blobs = sources.site.database.execute("SELECT key FROM blobs WHERE service_name = %s", _SERVICES[side])
    return {f"{side}/{unquote(name).replace(_SHARED, _SHARED_NAME)}" for name in found} | {key for (key,) in blobs}


def rows_left(sources: Sources) -> int:
    """Count the rows that are legacy."""
    execute = sources.site.database.execute
    return sum(
        execute(f"SELECT count(*) FROM {table} AS t WHERE {legacy}")[0][0]  # noqa: S608 # ours
        for table, legacy in _LEGACY_ROWS.items()
    )


def keyed_rows(sources: Sources) -> dict[str, dict[str, str]]:
    """Return all tables, whole: the text of each row by its key."""
    execute = sources.site.database.execute
    return {
        table: dict(execute(f"SELECT {'number' if table == 'members' else 'id'}::text, t::text FROM {table} AS t"))  # noqa: S608 # ours
        for table in TABLES
    }
