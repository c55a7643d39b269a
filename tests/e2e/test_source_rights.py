"""``grants`` for several sources: a role with exactly these rights can do the work, and with one less is told which."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import DatabaseRefused
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.planning import Forward
from sketchmigrate.postgres.flip import flip
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.settings_sql import check_sql
from tests.sources import as_user, looked_at
from tests.tool import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.tool import Finished

TABLES = """
CREATE SCHEMA app;
CREATE TABLE app.documents (tenant int, id int, attachment text, store text, kind text, secret text,
    PRIMARY KEY (tenant, id));
CREATE TABLE app."Odd %s" ("Key" int PRIMARY KEY, "The Path" text, secret text);
CREATE TABLE avatars (path text PRIMARY KEY, secret text);
INSERT INTO app.documents VALUES (1, 1, 'image/1', 'old', 'upload', 's'), (1, 2, 'image/2', 'old', 'other', 's');
INSERT INTO app."Odd %s" VALUES (1, 'image/3', 's');
INSERT INTO avatars VALUES ('image/4', 's')
"""

SETTINGS = """
[[references]]
name = "documents"
table = "app.documents"
column = "attachment"
shape = "key"
where = "kind = 'upload' AND store = 'old'"
reads = ["kind"]
set = { store = "new" }

[[references]]
name = "odd"
table = 'app."Odd %s"'
key = "Key"
column = "The Path"
shape = "key"

[[references]]
name = "avatars"
table = "avatars"
column = "path"
shape = "key"

[[references]]
name = "documents once more"
table = "app.documents"
column = "secret"
shape = "key"
"""


@pytest.fixture
def sources(any_database: Database, tmp_path: Path) -> Database:
    any_database.execute(TABLES)
    (tmp_path / "site.toml").write_text(SETTINGS)
    return any_database


def granted(database: Database, folder: Path, *flags: str) -> Finished:
    return run("grants", *flags, "--config", "site.toml", environ=database.environ(), cwd=folder)


def entries(folder: Path) -> list[dict[str, object]]:
    import tomllib  # noqa: PLC0415 - here alone

    found: list[dict[str, object]] = tomllib.loads((folder / "site.toml").read_text())["references"]
    return found


def test_each_table_has_one_grant_of_all_that_its_sources_need(sources: Database, tmp_path: Path) -> None:
    done = granted(sources, tmp_path, "migrate", "plan", "probe", "--json", "--role", "mover")
    assert done.code == 0, done.err
    commands = json.loads(done.out)["commands"]
    select = [
        'GRANT SELECT ("tenant", "id", "attachment", "store", "kind", "secret") ON "app"."documents" TO "mover";',
        'GRANT SELECT ("Key", "The Path") ON "app"."Odd %s" TO "mover";',
        'GRANT SELECT ("path") ON "avatars" TO "mover";',
    ]
    update = [
        'GRANT UPDATE ("attachment", "store", "secret") ON "app"."documents" TO "mover";',
        'GRANT UPDATE ("The Path") ON "app"."Odd %s" TO "mover";',
        'GRANT UPDATE ("path") ON "avatars" TO "mover";',
    ]
    connect = [f'GRANT CONNECT ON DATABASE "{sources.name}" TO "mover";', 'GRANT USAGE ON SCHEMA "app" TO "mover";']
    assert commands["migrate"]["sql"] == [*connect, *select, *update]
    assert (commands["plan"]["sql"], commands["plan"]["trial_sql"]) == ([*connect, *select], update)
    assert commands["probe"]["sql"] == []


@pytest.mark.parametrize("lacking", ["", "SELECT", "UPDATE"])
async def test_a_role_with_these_rights_can_do_it_all(
    sources: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    role = sources.make_user()
    done = granted(sources, tmp_path, "migrate", "--json", "--role", role.user)
    for statement in json.loads(done.out)["commands"]["migrate"]["sql"]:
        sources.execute(statement)
    if lacking:
        sources.execute(f"REVOKE {lacking} (store) ON app.documents FROM {role.user}")
    as_user(monkeypatch, role)
    for entry in entries(tmp_path)[:3]:
        if lacking and entry["name"] == "documents":
            words = f"lacks the privilege {lacking} on column store of table app.documents"
            with pytest.raises(DatabaseRefused, match=words):
                async with looked_at(role, entry):
                    pass
            continue
        async with looked_at(role, entry) as looked:
            if looked.source.source.where:
                await looked.session.run(check_sql, looked.table, looked.source.source, doing="trying")
            references = References(looked.session, looked.table)
            pages = [page async for page in references.legacy_pages(KeyRange(), looked.source.mapping)]
            moves = (await Forward(looked.source).plan(pages[0].references, references)).moves
            answer = await looked.session.run(flip, looked.table, moves, doing="flipping", is_flip=True)
            assert len(answer.flipped) == len(moves) == 1
            assert set((await references.look_again(moves)).paths.values()) == {move.new_path for move in moves}
            backwards = looked.table.backwards()
            back = [
                move._replace(
                    reference=move.reference._replace(
                        key=looked.table.key_after(move.reference.key, move.new_path), path=move.new_path
                    ),
                    new_path=move.reference.path,
                )
                for move in moves
            ]
            answer = await looked.session.run(flip, backwards, back, doing="flipping back", is_flip=True)
            assert len(answer.flipped) == 1
    assert sources.execute("SELECT attachment, store FROM app.documents ORDER BY id") == [
        ("image/1", "old"), ("image/2", "old")
    ]  # fmt: skip


def test_without_a_database_the_key_has_to_be_set(sources: Database, tmp_path: Path) -> None:
    environ = {**sources.environ(), "SKETCH_DB_PORT": "1"}
    done = run("grants", "--config", "site.toml", environ=environ, cwd=tmp_path)
    assert done.code == 3
    assert "the source 'documents' has no key, and the catalogue that knows one cannot be asked" in done.err
    assert "Set key of the source 'documents'" in done.err
    file = tmp_path / "site.toml"
    file.write_text(
        SETTINGS.replace('table = "app.documents"', 'table = "app.documents"\nkey = ["tenant", "id"]').replace(
            'table = "avatars"', 'table = "avatars"\nkey = "path"'
        )
    )
    done = run("grants", "--config", "site.toml", environ=environ, cwd=tmp_path)
    assert done.code == 0, done.err
    assert 'GRANT SELECT ("tenant", "id", "attachment"' in done.out


def test_a_table_that_is_not_there_is_named(sources: Database, tmp_path: Path) -> None:
    sources.execute("DROP TABLE avatars")
    done = granted(sources, tmp_path)
    assert done.code == 3
    assert "there is no table avatars" in done.err


MOVES = """
[[moves]]
legacy = "s3://one/image/"
production = "s3://new/avatar/"

[[moves]]
legacy = "s3://two/image/"
production = "s3://new/other/"

[[references]]
table = "avatars"
key = "path"
column = "path"
shape = "url"

[[urls]]
legacy = "https://one.example.com/{key}"
production = "https://new.example.com/{key}"
bucket = "one"

[[urls]]
legacy = "https://two.example.com/{key}"
production = "https://new.example.com/{key}"
bucket = "two"
"""


def test_each_move_has_its_place_in_the_policy(sources: Database, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(MOVES)
    done = granted(sources, tmp_path, "migrate", "--json")
    assert done.code == 0, done.err
    statements = json.loads(done.out)["commands"]["migrate"]["policy"]["Statement"]
    reading = {each["Resource"][0] for each in statements if "s3:GetObject" in each["Action"]}
    writing = {each["Resource"][0] for each in statements if "s3:PutObject" in each["Action"]}
    listing = [each["Resource"][0] for each in statements if "s3:ListBucket" in each["Action"]]
    versions = [each["Resource"][0] for each in statements if "s3:ListBucketVersions" in each["Action"]]
    assert {f"arn:aws:s3:::{place}*" for place in ("one/image/", "two/image/")} <= reading
    places = {each for each in writing if re.search(r"/(avatar|other)/[*]$", each)}
    assert places == {"arn:aws:s3:::new/avatar/*", "arn:aws:s3:::new/other/*"}
    assert sorted(listing) == ["arn:aws:s3:::new", "arn:aws:s3:::one", "arn:aws:s3:::two"]
    assert versions == ["arn:aws:s3:::new"]
