"""One run over six sources that is killed again and again until nothing is left, beside an application that edits."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests import tool
from tests.e2e.site import Site
from tests.e2e.sources_site import TABLES, Sources, legacy_bodies, make
from tests.fault.edits import LEGACY, PRODUCTION, Application, keyed_rows, life_beside, names_of, rows_left
from tests.servers.stores import new_buckets
from tests.soak.story import Story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak.servers import Servers

WAYS = ("-b 200", "-b 200 --processes 2")
"""How it is run, in turn."""

EDITED_ROWS = 1_000
"""So many rows of each table, spread over it, are those that the application edits."""

LEAST_SECONDS, MOST_SECONDS, LEAST_SHARE = 0.3, 3.0, 0.02
"""A kill comes between these after the start; later once a killed run had brought less than that share of the rows."""

WHOLE_SECONDS, LEAST_REQUESTS_PER_SECOND = 20, 300
"""A run that nobody kills would take so long, unless there are so few rows that it may make more requests a second."""

LONGEST_RUN_SECONDS = 7_200


@dataclass(slots=True)
class Migrated(Story):
    """What has happened, as far as it came."""

    rows: int = 0
    kills: int = 0
    runs: int = 0
    edits: int = 0
    looks: int = 0
    verified: str = "not verified"


def migrate_sources(servers: Servers, seed: str, rows: int, folder: Path, done: Migrated) -> None:
    """Migrate so many rows in all, in an empty folder. Raises ``AssertionError`` or whatever is not as promised."""
    with servers.databases_of("newest").fresh() as database:
        of_each = -(-rows // len(TABLES))
        store = "seaweed" if "seaweed" in servers.stores else servers.stores[0]  # rclone lists a folder for each page
        sources = make(Site(database, new_buckets(servers.store(store)), folder), of_each)
        done.rows = of_each * len(TABLES)
        done.say(f"{done.rows:,} rows and {len(legacy_bodies(of_each)):,} objects are made")
        _Soak(sources, of_each, random.Random(seed), seed, done).carry_out()


@dataclass(frozen=True, slots=True)
class _Soak:
    sources: Sources
    of_each: int
    dice: random.Random
    seed: str
    done: Migrated

    def carry_out(self) -> None:
        assert self._discovered() == {table.strip('"') for table in TABLES}
        before = keyed_rows(self.sources)
        edited = range(1, self.of_each + 1, -(-self.of_each // EDITED_ROWS) + 1)
        application = Application(self.sources, edited, f"{self.seed} application")
        with life_beside(application) as looks:
            self._kill_until_nothing_is_left()
        looks.look()
        self.done.edits, self.done.looks = application.count, looks.count
        assert looks.dangling == set(), "production objects are not there that values named"
        application.check_nothing_is_lost()
        self._check_objects(application)
        self._check_a_last_run_finds_nothing()
        assert self._discovered() == {"blobs"}, "another column than that whose keys stay as they are mentions legacy"
        self._verify()
        back = self._document(f"rollback -y --all={self.sources.site.last_run().parent}")
        self.done.say(f"rolled back: {json.dumps(back['outcomes'])}")
        application.check_nothing_is_lost()
        after = keyed_rows(self.sources)
        assert application.without_edited(after) == application.without_edited(before), "rows are not as they were"

    def _kill_until_nothing_is_left(self) -> None:
        left, most_seconds = rows_left(self.sources), MOST_SECONDS
        rate = max(LEAST_REQUESTS_PER_SECOND, len(legacy_bodies(self.of_each)) // WHOLE_SECONDS)
        for way in itertools.cycle(WAYS):
            seconds = self.dice.uniform(LEAST_SECONDS, most_seconds)
            process = self.sources.site.start(f"-y {way} --config sources.toml --max-requests-per-second {rate}")
            self.done.runs += 1
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
            ended = tool.finish(process)
            assert ended.code in {0, -signal.SIGKILL}, f"{way} ended with {ended.code}: {ended.err}"
            killed = ended.code == -signal.SIGKILL
            self.done.kills += killed
            earlier, left = left, rows_left(self.sources)
            self.done.say(f"{way}: {f'killed after {seconds:.1f} s' if killed else 'ended'}, {left:,} rows left")
            if not left:
                return
            assert killed, "a run that left rows has said that it is done"
            if earlier - left < self.done.rows * LEAST_SHARE:
                most_seconds *= 1.5

    def _check_objects(self, application: Application) -> None:
        """No legacy reference is left, and each object is what it was, on both sides."""
        assert names_of(self.sources, LEGACY) == set()
        store, legacy = self.sources.site.store, legacy_bodies(self.of_each)
        assert store.found(store.legacy_bucket, legacy) == legacy, "legacy objects are gone or changed"
        bodies = {key.replace("image/", "avatar/", 1): body for key, body in legacy.items()} | application.own_bodies
        found = store.found(store.production_bucket, bodies)
        assert found == {key: bodies[key] for key in found}, "production objects are not equal"
        unnamed = {f"avatar/m{row}.png" for row in application.own}  # where the application came first
        unnamed -= names_of(self.sources, PRODUCTION)
        assert bodies.keys() - found.keys() <= unnamed, "production objects are not there"
        self.done.say(f"{len(found):,} production objects are equal")

    def _check_a_last_run_finds_nothing(self) -> None:
        rows = keyed_rows(self.sources)
        again = self._document("-y")
        assert sum(again["outcomes"].values()) == 0, again["outcomes"]
        assert keyed_rows(self.sources) == rows

    def _discovered(self) -> set[str]:
        """Return the tables that mention legacy; each is in a source."""
        found = self._document("discover --full")
        assert (found["complete"], found["not_covered"], found["naming"]) == (True, [], []), found
        return {column["table"] for column in found["columns"]}

    def _verify(self) -> None:
        self._document("verify --discover")
        self.done.verified = "verified"

    def _document(self, command: str) -> dict[str, Any]:
        """Run a command to its end, which has to be a good one, and return its JSON."""
        process = self.sources.site.start(f"{command} --config sources.toml --json")
        self.done.runs += 1
        ended = tool.finish(process, timeout_seconds=LONGEST_RUN_SECONDS)
        assert ended.code == 0, f"{command} ended with {ended.code}: {ended.err}{ended.out}"
        document: dict[str, Any] = json.loads(ended.out)
        return document
