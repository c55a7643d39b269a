"""What becomes of each entry where the database has its own mind: constraints, triggers, and an application at work."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.e2e.site import body_of, counts, problems
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request

PATHS = [f"image/{number}.png" for number in range(1, 10)]
ALL_FLIPPED = {number: f"avatar/{number}.png" for number in range(1, 10)}
BAD = 4
"""The row that the database does not take."""


@pytest.fixture
def filled(site: Site) -> Site:
    """Nine legacy avatars, each in a row of its own."""
    site.fill(PATHS)
    return site


TRIGGER = (
    "CREATE FUNCTION mind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF NEW.path = 'avatar/4.png' THEN {} END IF; RETURN NEW; END $$;"
    " CREATE TRIGGER mind BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION mind()"
)
REFUSALS = {
    "unique": (
        "CREATE UNIQUE INDEX only_once ON avatars (path); INSERT INTO avatars VALUES (100, 'avatar/4.png')",
        'duplicate key value violates unique constraint "only_once"',
    ),
    "unique at the commit": (
        """ALTER TABLE avatars ADD CONSTRAINT only_once UNIQUE (path) DEFERRABLE INITIALLY DEFERRED;
           INSERT INTO avatars VALUES (100, 'avatar/4.png')""",
        'duplicate key value violates unique constraint "only_once"',
    ),
    "check": (
        "ALTER TABLE avatars ADD CONSTRAINT no_four CHECK (path <> 'avatar/4.png')",
        'violates check constraint "no_four"',
    ),
    "foreign key": (
        """CREATE TABLE known AS SELECT path FROM avatars
               UNION SELECT replace(path, 'image', 'avatar') FROM avatars WHERE id <> 4;
           ALTER TABLE known ADD PRIMARY KEY (path);
           ALTER TABLE avatars ADD CONSTRAINT is_known FOREIGN KEY (path) REFERENCES known""",
        'violates foreign key constraint "is_known"',
    ),
    "trigger raises": (TRIGGER.format("RAISE EXCEPTION 'four is frozen';"), "four is frozen"),
    "trigger skips": (TRIGGER.format("RETURN NULL;"), "a trigger or row-level security left the row as it was"),
}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("flags", ["-y -b 100", "-yw -b 2 -p 2"])
def test_a_row_that_the_database_does_not_take_stops_no_other(filled: Site, kind: str, flags: str) -> None:
    statements, reason = REFUSALS[kind]
    filled.database.execute(statements)
    done = filled.run(flags)
    assert (done.code, done.counts) == (1, counts(migrated=8, failed=1, copied=9)), done
    rows = filled.database.paths()
    assert {key: rows[key] for key in ALL_FLIPPED} == {**ALL_FLIPPED, BAD: PATHS[BAD - 1]}
    ((path, (outcome, told)),) = problems(filled, done).items()
    assert (path, outcome) == (PATHS[BAD - 1], "failed")
    assert reason in told
    assert ("Note: Triggers fire on each flip: mind." in done.err) == kind.startswith("trigger")


def test_a_trigger_that_stores_something_else_is_told(filled: Site) -> None:
    filled.database.execute(TRIGGER.format("NEW.path := 'avatar/elsewhere.png';"))
    done = filled.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=8, failed=1, copied=9)), done
    assert "another path was stored: 'avatar/elsewhere.png'" in done.out
    assert filled.database.paths() == ALL_FLIPPED | {BAD: PATHS[BAD - 1]}, "what it stored was rolled back"


def test_a_path_too_long_for_its_column(site: Site) -> None:
    fits, too_long = "image/" + "x" * 13, "image/" + "x" * 14
    site.fill(["image/a.png", too_long, fits])
    site.database.execute("ALTER TABLE avatars ALTER COLUMN path TYPE varchar(20)")
    expected = {too_long: ("failed", "the new path has 21 characters; the column holds 20")}
    before = site.facts()
    dry = site.run("-dv")
    assert (dry.code, dry.counts["migrated"], problems(site, dry)) == (1, 2, expected)
    assert site.facts() == before
    done = site.run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=2, failed=1, copied=2))
    assert problems(site, done) == expected
    assert site.database.paths() == {1: "avatar/a.png", 2: too_long, 3: "avatar/" + "x" * 13}
    assert "avatar/" + "x" * 14 not in site.facts().production


def test_rows_that_row_level_security_hides_are_left_and_said(filled: Site) -> None:
    user = filled.database.make_user("SELECT, UPDATE ON avatars")
    filled.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    filled.database.execute("CREATE POLICY seen ON avatars USING (id <= 6)")
    done = filled.at(database=user).run("-yt")
    assert (done.code, done.counts) == (0, counts(migrated=6, copied=6)), done
    assert "Note: Row-level security is on" in done.err
    rows = filled.database.paths()
    assert rows == {key: ALL_FLIPPED[key] if key <= 6 else PATHS[key - 1] for key in rows}


def test_rows_that_may_be_seen_but_not_changed_fail_alone(filled: Site) -> None:
    user = filled.database.make_user("SELECT, UPDATE ON avatars")
    filled.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    filled.database.execute("CREATE POLICY seen ON avatars FOR SELECT USING (true)")
    filled.database.execute(
        "CREATE POLICY changed ON avatars FOR UPDATE USING (id <> 2) WITH CHECK (path <> 'avatar/4.png')"
    )
    done = filled.at(database=user).run("-y")
    assert (done.code, done.counts) == (1, counts(migrated=7, failed=2, copied=9)), done
    told = problems(filled, done)
    assert set(told) == {"image/2.png", "image/4.png"}
    assert "row-level security" in told["image/2.png"][1]
    assert "row-level security" in told["image/4.png"][1]


@pytest.mark.parametrize("key_type", ["uuid", "text", "integer"])
def test_keys_of_other_types(site: Site, key_type: str) -> None:
    keys = {"uuid": [str(UUID(int=n << 90)) for n in (9, 1, 5)], "text": ["b", "a'", "é"], "integer": ["3", "-1", "2"]}
    site.database.execute(
        f'CREATE TABLE "My.Pictures" ("Key" {key_type} PRIMARY KEY, "The Path" varchar(99), other text)'
    )
    for key, path in zip(keys[key_type], ["image/a.png", "image/b.png", "image/missing.png"], strict=True):
        site.database.execute(
            'INSERT INTO "My.Pictures" VALUES (%s, %s, %s)', int(key) if key_type == "integer" else key, path, "kept"
        )
    site.store.put_all(site.store.legacy_bucket, {path: body_of(path) for path in ("image/a.png", "image/b.png")})
    named = site.with_environ(
        SKETCH_DB_TABLE='public."My.Pictures"', SKETCH_DB_KEY_COLUMN="Key", SKETCH_DB_PATH_COLUMN="The Path"
    )
    done = named.run("-y -b 1 --json")
    document = json.loads(done.out)
    assert (done.code, document["outcomes"]["migrated"], document["outcomes"]["missing"]) == (1, 2, 1), done
    assert [str(problem["key"]) for problem in document["problems"]] == [keys[key_type][2]]
    rows = dict(site.database.execute('SELECT "Key"::text, "The Path" || other FROM "My.Pictures"'))
    assert rows == dict(
        zip(keys[key_type], ["avatar/a.pngkept", "avatar/b.pngkept", "image/missing.pngkept"], strict=True)
    )


class Once:
    """Does something the first time that it is called for a key, in the middle of a request."""

    def __init__(self, key: str, act: Callable[[], object]) -> None:
        self.key, self.act = key, act
        self.done = False
        self._lock = threading.Lock()

    def __call__(self, request: S3Request) -> None:
        """Be a hook of the proxy."""
        if request.operation == "copy" and request.key == self.key:
            with self._lock:
                if not self.done:
                    self.done = True
                    self.act()


@pytest.mark.parametrize("flags", ["-yt -b 3 -p 2", "-ytw"])
def test_rows_added_while_it_runs_are_taken_by_a_later_pass(filled: Site, flags: str) -> None:
    added = {number: f"image/added-{number}.png" for number in (-5, 0, 500)}

    def add() -> None:
        for key, path in added.items():
            filled.store.put_all(filled.store.legacy_bucket, {path: body_of(path)})
            filled.database.execute("INSERT INTO avatars VALUES (%s, %s)", key, path)

    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.before_request = hook = Once("avatar/9.png", add)
        done = filled.at(store=filled.store.via(s3.endpoint_url)).run(flags)
        assert hook.done
    assert (done.code, done.counts) == (0, counts(migrated=12, copied=12)), done
    assert done.tech_status == "tech_status 12,12,0,12,12"
    rows = filled.database.paths()
    assert rows == ALL_FLIPPED | {key: path.replace("image/", "avatar/") for key, path in added.items()}
    bodies = filled.production_bodies()
    assert {key: bodies[path or ""] for key, path in rows.items()} == {
        **{number: body_of(PATHS[number - 1]) for number in ALL_FLIPPED},
        **{key: body_of(path) for key, path in added.items()},
    }


def test_what_the_application_does_between_copy_and_flip(filled: Site) -> None:
    """The window that matters: the object is in production, its row not yet flipped, and the application is at work."""

    def work() -> None:
        filled.store.put_all(filled.store.production_bucket, {"avatar/new.png": b"new picture"})
        filled.database.execute("UPDATE avatars SET path = 'avatar/new.png' WHERE id = 2")
        filled.database.execute("DELETE FROM avatars WHERE id = 3")
        filled.database.execute("UPDATE avatars SET path = NULL WHERE id = 4")
        filled.database.execute("UPDATE avatars SET path = 'avatar/5.png' WHERE id = 5")
        filled.store.put_all(filled.store.legacy_bucket, {"image/again.png": body_of("image/again.png")})
        filled.database.execute("UPDATE avatars SET path = 'image/again.png' WHERE id = 6")

    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.after_reply = hook = Once("avatar/9.png", work)  # of the one batch: none of its rows is flipped before
        done = filled.at(store=filled.store.via(s3.endpoint_url)).run("-yv -b 100 -p 1")
        assert hook.done
    # row 6 was superseded at first, and migrated with its new path by the next pass
    # row 5 names the object that we copied: on a store without conditions the application's own may be under it
    assert (done.code, done.counts) == (1, counts(migrated=5, already=1, superseded=4, copied=10)), done
    assert "possibly overwritten: 1 of the application's objects" in done.out
    assert filled.database.paths() == {
        1: "avatar/1.png",
        2: "avatar/new.png",
        4: None,
        5: "avatar/5.png",
        6: "avatar/again.png",
        **{number: ALL_FLIPPED[number] for number in (7, 8, 9)},
    }
    bodies = filled.production_bodies()
    assert bodies["avatar/new.png"] == b"new picture"
    assert bodies["avatar/again.png"] == body_of("image/again.png")
    assert "already    avatars id=5" in done.out
    assert "superseded avatars id=3" in done.out


def test_what_the_application_stores_before_its_row_is_reached_is_kept(filled: Site) -> None:
    def store() -> None:
        filled.store.put_all(filled.store.production_bucket, {"avatar/8.png": b"the application's"})

    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.before_request = hook = Once("avatar/1.png", store)
        done = filled.at(store=filled.store.via(s3.endpoint_url)).run("-y -b 1 -p 1")
        assert hook.done
    assert (done.code, done.counts) == (1, counts(migrated=8, conflict=1, copied=8)), done
    assert filled.production_bodies()["avatar/8.png"] == b"the application's"
    assert filled.database.paths() == ALL_FLIPPED | {8: PATHS[7]}
