"""MOVES, URLS and REFERENCES: what is understood, and what is said about a wrong entry."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.cli.main import main
from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.routes import Route
from sketchmigrate.core.shapes.contract import replace
from sketchmigrate.core.urls import UrlForm
from sketchmigrate.settings import Settings
from sketchmigrate.settings.files import ValueOrigin, read_settings_file
from sketchmigrate.settings.lists import Lists, read_lists
from sketchmigrate.settings.loading import load_settings
from sketchmigrate.settings.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NO_PROFILE = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}

SITE = """
[[moves]]
legacy = "s3://sketch-legacy-s3/image/"
production = "s3://sketch-production-s3/avatar/"

[[urls]]
legacy = "https://old.example.com/{key}"
production = "https://cdn.example.com/{key}"

[[references]]
name = "attachments"
table = "documents"
key = ["tenant_id", "id"]
column = "attachment"
shape = "json"
paths = ["$.file.id", "$.derivatives.*.id"]
where = "kind = 'upload'"
reads = ["kind"]
set = { storage = "production", done = true, version = 2 }
also_move = "ARRAY['image/thumb/' || split_part(path, '/', 2)]"

[[references]]
table = "pages"
key = "id"
column = "body"
shape = "text"

[[references]]
table = "files"
column = "paths"
shape = "array"

[[references]]
table = "people"
expression = "'image/' || id || '.png'"
shape = "expression"
where = "store = 'legacy'"
set = { store = "production" }
"""


def lists(tmp_path: Path, text: str) -> Lists:
    """Return what a file in TOML says."""
    path = tmp_path / "site.toml"
    path.write_text(text)
    values, places = read_settings_file(path)
    origins = {name: ValueOrigin(name, place) for name, place in places.items()}
    return read_lists(Settings(**values), origins)


def refusal(
    tmp_path: Path, text: str, suffix: str = ".toml", environ: Mapping[str, str] | None = None
) -> SettingsError:
    """Return the error that loading a file ends with."""
    path = tmp_path / f"site{suffix}"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config_file=path, search=[], environ=NO_PROFILE | dict(environ or {}), flags={})
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value


def loaded(tmp_path: Path, text: str, suffix: str = ".toml") -> Settings:
    """Return the settings that a file gives."""
    path = tmp_path / f"site{suffix}"
    path.write_text(text)
    return load_settings(config_file=path, search=[], environ=NO_PROFILE, flags={})


def test_what_a_file_says_is_understood(tmp_path: Path) -> None:
    found = lists(tmp_path, SITE)
    assert found.routes.all == (Route("sketch-legacy-s3", "image/", "sketch-production-s3", "avatar/"),)
    assert found.forms == (
        UrlForm("https://old.example.com/{key}", "https://cdn.example.com/{key}", "sketch-legacy-s3"),
    )
    first, *others = found.references
    assert (first.key, first.reads, first.paths) == (
        ("tenant_id", "id"),
        ("kind",),
        ("$.file.id", "$.derivatives.*.id"),
    )
    assert first.set == {"storage": "production", "done": True, "version": 2}
    assert [each.title for each in others] == ["pages.body", "files.paths", "people.expression"]
    assert others[0].key == ("id",)


def test_each_source_has_its_shape(tmp_path: Path) -> None:
    found = lists(tmp_path, SITE)
    values = (
        ('{"file": {"id": "image/1"}}', '{"file": {"id": "avatar/1"}}'),
        ("see https://old.example.com/image/1.", "see https://cdn.example.com/avatar/1."),
        ("{image/1,NULL}", "{avatar/1,NULL}"),
        ("image/1", "avatar/1"),
    )
    for source, (old, new) in zip(found.references, values, strict=True):
        shape = found.shape_of(source)
        assert replace(old, shape.read(old).slots) == new
    companions = found.computed_of(found.references[0]).read("{image/1,image/2}")
    assert [each.other_key for each in companions.slots] == ["avatar/1", "avatar/2"]


def test_without_moves_the_classic_settings_say_where_keys_go(tmp_path: Path) -> None:
    prefixes = 'legacy_prefix = "a/"\nproduction_prefix = "b/"\n'
    found = lists(tmp_path, prefixes + '[[references]]\ntable = "files"\ncolumn = "path"\nshape = "key"\n')
    assert found.routes.all == (Route("sketch-legacy-s3", "a/", "sketch-production-s3", "b/"),)


@pytest.mark.parametrize("suffix", [".toml", ".py"])
def test_a_list_that_is_right_is_taken(tmp_path: Path, suffix: str) -> None:
    entry = {"legacy": "s3://sketch-legacy-s3/image/", "production": "s3://sketch-production-s3/avatar/"}
    settings = loaded(tmp_path, SITE if suffix == ".toml" else f"MOVES = [{entry!r}]\n", suffix)
    assert settings.moves == (entry,)
    assert [each["table"] for each in settings.references] == (
        ["documents", "pages", "files", "people"] if suffix == ".toml" else []
    )
    assert settings.has_lists


COMMANDS = [(), ("-d",), ("-s",), ("plan",), ("verify",), ("manifest", "production.csv"), ("repair", "-y")]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_works_by_lists_as_far_as_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: whoever asks for the database ends with 3
        where = ["--db-host", "127.0.0.1", "--db-port", str(taken.getsockname()[1]), "--db-retry-seconds", "0"]
        files = ["--config", str(path), "--run-dir", str(tmp_path / "runs")]
        code = main(["sketch-migrate", *words, *where, *files])
    assert (code, "MOVES" in capsys.readouterr().err) == (3, False)


def test_an_empty_list_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "site.py"
    path.write_text("MOVES = URLS = REFERENCES = []\n")
    assert load_settings(config_file=path, search=[], environ=NO_PROFILE, flags={}) == Settings()


def test_a_list_is_in_a_settings_file_alone(tmp_path: Path) -> None:
    error = refusal(tmp_path, "", environ={"SKETCH_MOVES": "[]"})
    assert error.message == "SKETCH_MOVES (environment variable): a list of entries can only be in a settings file"


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("db_table = 'x'", "references"),
        ("db_key_column = 'x'", "references"),
        ("db_path_column = 'x'", "references"),
        ("legacy_bucket = 'xxx'", "moves"),
        ("legacy_prefix = 'x/'", "moves"),
        ("production_bucket = 'xxx'", "moves"),
        ("production_prefix = 'x/'", "moves"),
    ],
)
def test_a_classic_setting_beside_a_list_is_refused_and_both_are_named(tmp_path: Path, setting: str, name: str) -> None:
    error = refusal(tmp_path, f"{setting}\n{SITE}")
    assert f"{setting.split(maxsplit=1)[0]} ({tmp_path}/site.toml:1) and {name} ({tmp_path}/site.toml:" in error.message


def test_a_classic_setting_at_its_default_may_stay(tmp_path: Path) -> None:
    defaults = 'db_table = "avatars"\ndb_key_column = "id"\nlegacy_prefix = "image/"\n'
    assert len(loaded(tmp_path, defaults + SITE).references) == 4


MOVE = '[[moves]]\nlegacy = "s3://old-s3/image/"\nproduction = "s3://new-s3/avatar/"\n'
NAMED = MOVE + 'name = "images"\n'
OTHER = '[[moves]]\nlegacy = "s3://older-s3/image/"\nproduction = "s3://new-s3/older/"\nname = "older"\n'
SAME = '[[moves]]\nlegacy = "s3://old-s3/"\nproduction = "s3://new-s3/"\n'
FILES = '[[references]]\ntable = "files"\n'
KEYS = f'{FILES}column = "path"\nshape = "key"\n'
OID = MOVE.replace("image/", "urn:oid:").replace("avatar/", "")
URLS = '[[urls]]\nlegacy = "https://old.example.com/{key}"\nproduction = "https://cdn.example.com/{key}"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("moves = 3\n", "moves (FILE:1): it must be a list of entries"),
        ("[moves]\nlegacy = 's3://a'\n", "moves (FILE:1): it must be a list of entries"),
        (
            f"{MOVE}[[moves]]\nlegcy = 1\n",
            "(FILE:1), entry 2: there is no 'legcy' in an entry; did you mean legacy?",
        ),
        (f"{KEYS}were = 'x'\n", "references (FILE:1), entry 1: there is no 'were' in an entry; did you mean where?"),
        (f"{KEYS}name = 'n'\nfoo = 1\n", "references (FILE:1), entry 1 (n): there is no 'foo' in an entry"),
        (f"{KEYS}db_host = 'x'\n", "entry 1: there is no 'db_host' in an entry"),
        ("[[moves]]\nlegacy = 's3://a-b-c'\n", "moves (FILE:1), entry 1: production: Field required"),
        (MOVE.replace("s3://old-s3", "https://x"), "legacy: 'https://x/image/' must be s3://bucket/prefix"),
        (MOVE.replace("old-s3", "o"), "legacy: 'o' is not the name of a bucket"),
        (MOVE.replace("image/", "image"), "legacy: 'image' must end with a slash"),
        (MOVE.replace("image/", "image:"), "'image:' and 'avatar/': both prefixes must end with a slash, or neither"),
        (MOVE + MOVE.replace("new", "newer"), "both begin at the same place"),
        (MOVE + MOVE.replace("image", "x"), "may not lie inside each other"),
        (NAMED + NAMED.replace("image/", "x/"), "both have the name 'images'"),
        (MOVE.replace("s3://new-s3/avatar/", "s3://old-s3/image/"), "legacy and production are the same place"),
        (
            MOVE + URLS.replace("{key}", "x", 1),
            "urls (FILE:4), entry 1: legacy: 'https://old.example.com/x' must end",
        ),
        (MOVE + OTHER + URLS, "urls (FILE:8), entry 1: the moves have several legacy buckets"),
        (MOVE + URLS + "bucket = 'old-s4'\n", "entry 1: no move begins in bucket 'old-s4'; did you mean old-s3?"),
        (KEYS + KEYS, "references (FILE:1), entry 2 (files.path): entry 1 has this name as well"),
        (FILES + "shape = 'key'\n", "column: it must be there"),
        (FILES + "column = 'x'\n", "shape: Field required"),
        (FILES + "column = 'x'\nshape = 'jsn'\n", "shape: Input should be 'key', 'url', 'json'"),
        (KEYS.replace("files", "a.b.c"), "table: 'a.b.c' has 3 parts"),
        (KEYS + "key = ['a', 'a']\n", "key: 'a' is there twice"),
        (KEYS + "key = ['a', 'path']\n", "key: 'path' is what changes, so it can be the key only by itself"),
        (KEYS + "paths = ['$.a']\n", "paths: only shape 'json' has them, not 'key'"),
        (KEYS.replace("'key'", "").replace('"key"', '"json"'), "paths: they must be there"),
        (KEYS.replace('"key"', '"json"') + "paths = '.a'\n", "paths: '.a' must begin with $"),
        (KEYS + "value = 'key'\n", "value: shape 'key' says it already"),
        (KEYS + "s3_urls = 'https://x.example.com/{key}'\n", "s3_urls: this source holds keys and no URLs"),
        (KEYS.replace('"key"', '"url"') + "s3_urls = 'https://x.example.com/'\n", "must end with {key}"),
        (KEYS + "reads = 'kind'\n", "reads: it names the columns that SQL reads, and there is none"),
        (KEYS + "where = ' '\n", "where: it must not be blank"),
        (KEYS + "set = { path = 'x' }\n", "set: 'path' is the column or part of the key"),
        (KEYS + "set = { a = [1] }\n", "set: the value of 'a' must be text, a number, true or false"),
        (KEYS + "set = { a = nan }\n", "set: the value of 'a' must be text, a number, true or false"),
        (KEYS + "set = 'a'\n", "set: it must be columns and their values"),
        (KEYS + "partial = 'perhaps'\n", "partial: 'perhaps' must be yes or no"),
        (KEYS + "partial = true\nwhere = 'x'\nset = { a = 1 }\n", "partial: where and set say where all objects"),
        (KEYS + "expression = 'x'\n", "expression: shape 'key' has none"),
        (FILES + "shape = 'expression'\n", "expression: it must be there, in place of column"),
        (FILES + "shape = 'expression'\nexpression = 'x'\n", "expression: needs set"),
        (FILES + "shape = 'expression'\nexpression = 'x'\nset = { a = 1 }\n", "expression: needs where"),
        (FILES + "shape = 'expression'\nexpression = 'x'\ncolumn = 'y'\n", "column and expression: only one of them"),
        (NAMED + KEYS + "moves = 'image'\n", "(files.path): no move is named 'image'; did you mean 'images'?"),
        (NAMED + OTHER + KEYS, "one legacy prefix in two buckets, and a key names no bucket"),
        (SAME + KEYS, "production keys of s3://old-s3/ -> s3://new-s3/ would match its legacy prefix again"),
        (SAME + KEYS + "set = { store = 'x' }\n", "where: it has to say which rows are legacy"),
        (
            SAME + URLS.replace("cdn.", "old.") + KEYS.replace('"key"', '"url"'),
            "legacy URLs of s3://old-s3/ -> s3://new-s3/ and production URLs of",
        ),
        (
            SAME + KEYS.replace('"key"', '"text"') + "value = 'key'\n",
            "value: with the empty prefix of s3://old-s3/ -> s3://new-s3/ every word of a text would be a key",
        ),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, said: str) -> None:
    error = refusal(tmp_path, text)
    assert said.replace("FILE", f"{tmp_path}/site.toml") in error.message


def test_moves_alone_are_refused_by_who_works_on_the_classic_table(tmp_path: Path) -> None:
    """Others look for what they lead to: ``discover``."""
    settings = loaded(tmp_path, OID)
    with pytest.raises(SettingsError, match="would match its legacy prefix again") as caught:
        sources_of(settings)
    assert caught.value.message.startswith("MOVES: production keys of s3://old-s3/urn:oid: -> s3://new-s3/")


@pytest.mark.parametrize(
    "text",
    [
        NAMED + OTHER + KEYS + "moves = ['images']\n",
        NAMED + OTHER + KEYS.replace('"key"', '"url"'),
        SAME + KEYS + "set = { store = 'x' }\nwhere = \"store = 'y'\"\n",
        SAME + URLS + KEYS.replace('"key"', '"url"'),
        KEYS + "key = ['path']\n",
        OID + KEYS + "set = { store = 'x' }\nwhere = \"store = 'y'\"\n",
    ],
)
def test_what_may_be_said(tmp_path: Path, text: str) -> None:
    assert loaded(tmp_path, text).has_lists


def test_a_setting_below_an_entry_is_explained(tmp_path: Path) -> None:
    assert "settings stand above the first [[references]]" in refusal(tmp_path, f"{KEYS}db_host = 'x'\n").hint
