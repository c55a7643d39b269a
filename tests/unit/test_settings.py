"""Settings: where they come from, which one wins, and what is said about a wrong one."""

from __future__ import annotations

import os
import pickle
import runpy
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.settings import Options, SettingField, Settings, setting_fields
from sketchmigrate.settings.loading import load_settings
from sketchmigrate.settings.values import table_name

CONFIG = Path(__file__).parents[2] / "lib" / "config.py"
NO_PROFILE = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


def load(
    tmp_path: Path,
    text: str | None = None,
    *,
    suffix: str = ".py",
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> Settings:
    """Load a settings file of this text, if any, beneath these variables and flags."""
    path = tmp_path / f"site{suffix}"
    if text is not None:
        path.write_text(text)
    return load_settings(
        config_file=path if text is not None else None,
        search=[],
        environ=NO_PROFILE | (environ or {}),
        flags=flags or {},
    )


def refusal(
    tmp_path: Path,
    text: str | None = None,
    *,
    suffix: str = ".py",
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> SettingsError:
    """Return the error that loading ends with."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, suffix=suffix, environ=environ, flags=flags)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return caught.value


def test_the_file_of_the_checkout_says_every_setting_with_its_built_in_default() -> None:
    values = {name: value for name, value in runpy.run_path(str(CONFIG)).items() if name.isupper()}
    lists = {name: values.pop(name) for name in ("MOVES", "URLS", "REFERENCES", "SCHEDULE")}
    assert not any(lists.values())
    assert values == {declared.in_file: declared.default for declared in setting_fields()}
    assert load_settings(config_file=CONFIG, search=[], environ={}, flags={}) == Settings()


def test_the_file_of_the_checkout_explains_every_setting() -> None:
    lines = CONFIG.read_text().splitlines()
    for declared in setting_fields():
        line = next(number for number, text in enumerate(lines) if text.startswith(f"{declared.in_file} = "))
        assert lines[line - 1].startswith("# "), declared.in_file


@pytest.mark.parametrize("declared", setting_fields(), ids=lambda declared: declared.name)
def test_defaults_and_examples_pass_their_own_check(declared: SettingField) -> None:
    for value in (declared.default, declared.example):
        assert getattr(Settings.of({declared.name: value}), declared.name) == value
    assert declared.help


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    text = 'DB_HOST = "file"\nDB_NAME = "file"\nDB_TABLE = "file"\n'
    environ = {"SKETCH_DB_HOST": "env", "SKETCH_DB_NAME": "env"}
    settings = load(tmp_path, text, environ=environ, flags={"db_host": "flag"})
    assert (settings.db_host, settings.db_name, settings.db_table, settings.db_key_column) == (
        "flag",
        "env",
        "file",
        "id",
    )


def test_the_first_file_of_the_search_that_exists_is_read_alone(tmp_path: Path) -> None:
    first, second, third = tmp_path / "none.py", tmp_path / "two.toml", tmp_path / "three.py"
    second.write_text('db_host = "second"\n')
    third.write_text('DB_HOST = "third"\nDB_NAME = "third"\n')
    settings = load_settings(config_file=None, search=[first, second, third], environ={}, flags={})
    assert (settings.db_host, settings.db_name) == ("second", "")


def test_no_file_at_all_is_the_defaults() -> None:
    assert load_settings(config_file=None, search=[Path("/nonexistent/x.py")], environ={}, flags={}) == Settings()


@pytest.mark.parametrize("text", ['db_host = "h"\ndb_port = 6432\n', 'DB_HOST = "h"\nDB_PORT = 6432\n'])
def test_toml_may_write_names_in_either_case(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, text, suffix=".toml")
    assert (settings.db_host, settings.db_port) == ("h", 6432)


def test_text_becomes_the_type_of_its_setting(tmp_path: Path) -> None:
    environ = {
        "SKETCH_DB_PORT": "6432",
        "SKETCH_S3_REQUESTER_PAYS": "yes",
        "SKETCH_S3_TIMEOUT_SECONDS": "1.5",
        "SKETCH_MAX_CONCURRENCY": "7",
    }
    settings = load(tmp_path, environ=environ)
    assert (settings.db_port, settings.s3_requester_pays) == (6432, True)
    assert (settings.s3_timeout_seconds, settings.max_concurrency) == (1.5, 7)


@pytest.mark.parametrize(
    ("written", "bytes_per_second"), [("0", 0), ("500", 500), ("20M", 20_000_000), ("1.5k", 1500), ("2G", 2 * 10**9)]
)
def test_a_bandwidth_may_be_written_short(tmp_path: Path, written: str, bytes_per_second: int) -> None:
    assert load(tmp_path, environ={"SKETCH_MAX_BANDWIDTH": written}).max_bandwidth == bytes_per_second


def test_an_empty_variable_unsets_what_may_be_unset(tmp_path: Path) -> None:
    settings = load(tmp_path, 'DB_HOST = "h"\nDB_PORT = 6432\n', environ={"SKETCH_DB_HOST": "", "SKETCH_DB_PORT": ""})
    assert (settings.db_host, settings.db_port) == ("", None)


@pytest.mark.parametrize(("ports", "read"), [("6432", 6432), ("5432,6432", "5432,6432"), ("5432, 6432", "5432,6432")])
def test_several_hosts_have_one_port_or_one_each(tmp_path: Path, ports: str, read: int | str) -> None:
    settings = load(tmp_path, environ={"SKETCH_DB_HOST": "a,b", "SKETCH_DB_PORT": ports})
    assert (settings.db_host, settings.db_port) == ("a,b", read)


def test_a_python_file_may_compute_and_keep_names_of_its_own(tmp_path: Path) -> None:
    text = "import os\nfrom pathlib import Path\n_HOST = 'h'\ndef _name(): return 'n'\n"
    text += "DB_HOST = _HOST\nDB_NAME = _name()\n"
    settings = load(tmp_path, text)
    assert (settings.db_host, settings.db_name) == ("h", "n")


def test_database_user_and_password_are_known_variables_and_no_settings(tmp_path: Path) -> None:
    environ = {"SKETCH_DB_USER": "bob", "SKETCH_DB_PASS": "hunter2", "OTHER": "x"}
    settings = load(tmp_path, environ=environ)
    assert settings == Settings()
    assert "hunter2" not in repr(settings)


FAULTS = [
    ('LEGACY_BUKET = "b-1"', ["LEGACY_BUKET", "site.py:1", "did you mean LEGACY_BUCKET?"]),
    ('\n\nlegacy_buket = "b-1"', ["legacy_buket", "site.py:3", "did you mean LEGACY_BUCKET?"]),
    ('DB_PORT = "abc"', ["DB_PORT", "site.py:1", "'abc'", "whole number from 1 to 65535"]),
    ("DB_PORT = 0", ["DB_PORT", "0", "from 1 to 65535"]),
    ("DB_PORT = True", ["DB_PORT", "whole number"]),
    ('DB_PORT = "5432,x"', ["DB_PORT", "'5432,x'", "one for each host"]),
    ('DB_PORT = "5432,"', ["DB_PORT", "one for each host"]),
    ('DB_PORT = "5432,0"', ["DB_PORT", "one for each host"]),
    ('DB_HOST = "a,b,c"\nDB_PORT = "5432,5433"', ["DB_HOST", "DB_PORT", "3 hosts and 2 ports"]),
    ('DB_HOST = "a"\nDB_PORT = "5432,5433"', ["DB_PORT", "1 host and 2 ports"]),
    ("S3_TIMEOUT_SECONDS = True", ["S3_TIMEOUT_SECONDS", "number of seconds"]),
    ("DB_PORT = 5432.5", ["DB_PORT", "whole number"]),
    ("DB_HOST = 5", ["DB_HOST", "5 must be text"]),
    ("DB_HOST = None", ["DB_HOST", "None must be text"]),
    ('DB_SSLMODE = "on"', ["DB_SSLMODE", "'on'", "require"]),
    ('DB_TABLE = ""', ["DB_TABLE", "must not be empty"]),
    ('DB_TABLE = "a.b.c"', ["DB_TABLE", "3 parts"]),
    ('DB_TABLE = "a."', ["DB_TABLE", "schema.table"]),
    (f'DB_TABLE = "{"x" * 64}"', ["DB_TABLE", "64 bytes", "63"]),
    ('S3_ADDRESSING_STYLE = "dns"', ["S3_ADDRESSING_STYLE", "'dns'", "auto, path, virtual"]),
    ('S3_ENDPOINT_URL = "s3.example.com"', ["S3_ENDPOINT_URL", "http:// or https://"]),
    ('S3_ENDPOINT_URL = "https://"', ["S3_ENDPOINT_URL", "name a host"]),
    ('S3_ENDPOINT_URL = "http://h:99999"', ["S3_ENDPOINT_URL", "host and port"]),
    ('S3_ENDPOINT_URL = "http://h/?x=1"', ["S3_ENDPOINT_URL", "query"]),
    ('LEGACY_S3_ENDPOINT_URL = "http://h/a b"', ["LEGACY_S3_ENDPOINT_URL", "'/a b'", "percent-encoded"]),
    ('PRODUCTION_S3_ENDPOINT_URL = "http://h/100%"', ["PRODUCTION_S3_ENDPOINT_URL", "'/100%'"]),
    ('LEGACY_BUCKET = ""', ["LEGACY_BUCKET", "site.py:1", "must not be empty"]),
    ('LEGACY_BUCKET = "s3://b"', ["LEGACY_BUCKET", "without s3://"]),
    ('LEGACY_BUCKET = "ab"', ["LEGACY_BUCKET", "3 to 255"]),
    ('PRODUCTION_PREFIX = "avatar"', ["PRODUCTION_PREFIX", "'avatar'", "must end with a slash"]),
    ('PRODUCTION_PREFIX = ""', ["PRODUCTION_PREFIX", "must not be empty"]),
    ('PRODUCTION_PREFIX = "/avatar/"', ["PRODUCTION_PREFIX", "must not begin with a slash"]),
    (
        'PRODUCTION_PREFIX = "image/new/"',
        ["PRODUCTION_PREFIX (", "site.py:1", "LEGACY_PREFIX", "begins with the other"],
    ),
    ('PRODUCTION_PREFIX = "image/"', ["both 'image/'"]),
    ('LEGACY_PREFIX = "avatar/"\nPRODUCTION_BUCKET = "sketch-legacy-s3"', ["the same place"]),
    ('RUN_DIR = "  "', ["RUN_DIR", "must not be empty"]),
    ("MAX_CONCURRENCY = 0", ["MAX_CONCURRENCY", "from 1 to 10000"]),
    ("MAX_REQUESTS_PER_SECOND = -1", ["MAX_REQUESTS_PER_SECOND", "at least 0"]),
    ('MAX_BANDWIDTH = "20 apples"', ["MAX_BANDWIDTH", "'20 apples'", "K, M or G"]),
    ('S3_TIMEOUT_SECONDS = "nan"', ["S3_TIMEOUT_SECONDS", "number of seconds"]),
    ("S3_RETRY_SECONDS = -1", ["S3_RETRY_SECONDS", "at least 0"]),
    ('S3_REQUESTER_PAYS = "perhaps"', ["S3_REQUESTER_PAYS", "yes or no"]),
    ('DB_HOST = "h"\nDB_HOST = 5', ["DB_HOST", "site.py:2"]),
    ('DB_HOST = "h"\ndb_host = "i"', ["db_host", "set twice"]),
    ("DB_HOST = 'h", ["site.py:1", "Python does not understand it"]),
    ("DB_HOST = 'h'\n\nDB_NAME = 1 / 0", ["site.py:3", "ZeroDivisionError"]),
    ("import nonexistent_module", ["site.py:1", "ModuleNotFoundError"]),
    ("\nraise SystemExit(0)", ["site.py:2", "SystemExit"]),
    ("DB_HOST = '\0'", ["site.py", "Python does not understand it"]),
]


@pytest.mark.parametrize(("text", "said"), FAULTS, ids=[text[:40].strip() for text, _ in FAULTS])
def test_a_fault_in_a_python_file_is_named_with_its_line(tmp_path: Path, text: str, said: list[str]) -> None:
    message = refusal(tmp_path, text).message
    assert [part for part in said if part not in message] == []


TOML_FAULTS = [
    ('db_host = "h"\nlegacy_buket = "b"\n', ["legacy_buket", "site.toml:2", "LEGACY_BUCKET"]),
    ('db_host = "h"\n\ndb_port = "abc"\n', ["db_port", "site.toml:3", "'abc'"]),
    ("db_host = h\n", ["site.toml", "line 1"]),
    ('[database]\ndb_host = "h"\n', ["database", "site.toml:1", "no such setting"]),
    ('db_host = "h"\nDB_HOST = "i"\n', ["DB_HOST", "set twice"]),
    ("_env_ignore_empty = true\n", ["_env_ignore_empty", "site.toml:1", "no such setting"]),
]


@pytest.mark.parametrize(("text", "said"), TOML_FAULTS, ids=[text[:30].strip() for text, _ in TOML_FAULTS])
def test_a_fault_in_a_toml_file_is_named_with_its_line(tmp_path: Path, text: str, said: list[str]) -> None:
    message = refusal(tmp_path, text, suffix=".toml").message
    assert [part for part in said if part not in message] == []


def test_a_fault_in_a_variable_names_it_and_says_what_to_write(tmp_path: Path) -> None:
    error = refusal(tmp_path, environ={"SKETCH_LEGACY_PREFIX": "image"})
    assert error.message.startswith("SKETCH_LEGACY_PREFIX (environment variable): 'image' must end with a slash")
    assert error.hint == "For example: SKETCH_LEGACY_PREFIX=image/"


def test_a_fault_in_a_flag_names_it_and_says_what_to_write(tmp_path: Path) -> None:
    error = refusal(tmp_path, flags={"s3_requester_pays": "maybe"})
    assert error.message == "--s3-requester-pays (flag): 'maybe' must be yes or no"
    assert error.hint == "For example: --s3-requester-pays no"


@pytest.mark.parametrize(
    ("suffix", "line"), [(".py", "S3_REQUESTER_PAYS = False"), (".toml", "S3_REQUESTER_PAYS = false")]
)
def test_the_hint_is_in_the_language_of_the_file(tmp_path: Path, suffix: str, line: str) -> None:
    assert refusal(tmp_path, "S3_REQUESTER_PAYS = 3\n", suffix=suffix).hint == f"For example: {line}"


def test_an_unknown_variable_names_the_one_that_was_meant(tmp_path: Path) -> None:
    message = refusal(tmp_path, environ={"SKETCH_DB_PASSWORD": "hunter2"}).message
    assert "SKETCH_DB_PASSWORD (environment variable)" in message
    assert "did you mean SKETCH_DB_PASS?" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "text",
    [
        'DB_PASS = "hunter2"',
        'DB_PASSWORD = "hunter2"',
        'AWS_SECRET_ACCESS_KEY = "hunter2"',
        'S3_ENDPOINT_URL = "https://bob:hunter2@s3.example.com"',
        'DB_HOST = "postgresql://bob:hunter2@db.example.com/x"',
        'DB_NAME = "dbname=x password=hunter2"',
        'DB_NAME = b"dbname=x password=hunter2"',
        'raise ValueError("hunter2")',
    ],
)
def test_no_message_repeats_a_secret(tmp_path: Path, text: str) -> None:
    error = refusal(tmp_path, text)
    assert "hunter2" not in error.message + error.hint


@pytest.mark.parametrize("name", ["absent.py", "folder.py", "settings.ini"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "settings.ini").touch()
    with pytest.raises(SettingsError, match=name):
        load_settings(config_file=tmp_path / name, search=[], environ={}, flags={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "closed.py"
    path.touch(mode=0o000)
    with pytest.raises(SettingsError, match="Permission denied"):
        load_settings(config_file=path, search=[], environ={}, flags={})


def test_settings_and_options_travel_between_processes() -> None:
    for value in (Settings(db_host="h"), Options(limit=3)):
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().db_host = "x"  # type: ignore[misc]  # that is the claim


def test_settings_made_in_code_are_checked_and_take_nothing_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCH_DB_HOST", "env")
    assert Settings(db_name="n") == load_settings(config_file=None, search=[], environ={}, flags={"db_name": "n"})
    with pytest.raises(ValueError, match="one begins with the other"):
        Settings(production_prefix="image/new/")
    with pytest.raises(TypeError, match="db_hots"):
        Settings(db_hots="h")  # type: ignore[call-arg]  # that is the claim


def test_the_environment_is_the_one_given_and_not_the_process_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKETCH_DB_HOST", "process")
    monkeypatch.setenv("SKETCH_NONSENSE", "x")
    assert load(tmp_path, environ={"SKETCH_DB_NAME": "given"}) == Settings(db_name="given")


def test_a_variable_in_lower_case_is_no_setting_and_is_refused(tmp_path: Path) -> None:
    assert "did you mean SKETCH_DB_HOST?" in refusal(tmp_path, environ={"SKETCH_db_host": "h"}).message


@pytest.mark.parametrize(
    ("db_table", "parts"),
    [
        ("avatars", ("avatars",)),
        ("public.avatars", ("public", "avatars")),
        ("Public.Avatars", ("Public", "Avatars")),
        ('"My Schema"."t.x"', ("My Schema", "t.x")),
        ('public."say ""hi"""', ("public", 'say "hi"')),
        ("my table", ("my table",)),
        ("größe", ("größe",)),
    ],
)
def test_table_names_are_taken_apart(db_table: str, parts: tuple[str, ...]) -> None:
    assert table_name(db_table) == parts


@pytest.mark.parametrize("db_table", ["", ".", "a.", ".a", "a..b", 'a"b', '"a', '""', '"a"b', "a.b.c", '"a" . "b"'])
def test_what_is_no_table_name_is_refused(db_table: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        table_name(db_table)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=15).filter(str.strip)


@given(st.lists(NAMES, min_size=1, max_size=2))
def test_any_name_can_be_written_in_quotes(names: list[str]) -> None:
    quoted = ".".join('"' + name.replace('"', '""') + '"' for name in names)
    assert table_name(quoted) == tuple(names)


LEDGER_URLS = [
    ("postgresql://me:p%40ss@db.example.com:5433/sketch", "postgresql://me@db.example.com:5433/sketch"),
    ("postgres://me:?#@db/sketch?sslmode=require", "postgres://me@db/sketch?sslmode=require"),
    ("postgresql://one,two:5433/sketch?password=x&user=me", "postgresql://one,two:5433/sketch?user=me"),
    ("postgresql:///sketch?host=/run/pg&p%61ssword=x", "postgresql:///sketch?host=/run/pg"),
    ("postgresql://:x@/", "postgresql://@/"),
    ("postgresql://me:two  words@db/sketch", "postgresql://me@db/sketch"),
    (" postgresql://me:x@db/sketch ", "postgresql://me@db/sketch"),
]


@pytest.mark.parametrize(("written", "kept"), LEDGER_URLS)
def test_a_password_in_the_ledgers_url_is_taken_from_the_environment_alone(
    tmp_path: Path, written: str, kept: str
) -> None:
    assert load(tmp_path, environ={"SKETCH_LEDGER_URL": written}).ledger_url == kept
    assert load(tmp_path, environ={"SKETCH_LEDGER_URL": kept}).ledger_url == kept
    in_file = refusal(tmp_path, f"LEDGER_URL = {written!r}")
    as_flag = refusal(tmp_path, flags={"ledger_url": written})
    for error in (in_file, as_flag):
        assert "must hold no password" in str(error)
        assert written not in f"{error} {error.hint}"


@pytest.mark.parametrize("url", ["mysql://db/sketch", "db/sketch", "postgresql://me:p@ss@db/sketch"])
def test_what_is_no_url_of_libpq_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    error = refusal(tmp_path, environ={"SKETCH_LEDGER_URL": url})
    assert "must be a URL as libpq has them" in str(error)
    assert url not in f"{error} {error.hint}"


@pytest.mark.parametrize("name", ["LEDGER_URL", "REPLICA_URLS", "DB_HOST", "S3_ENDPOINT_URL"])
def test_a_text_with_a_character_that_cannot_be_seen_is_refused_and_not_repeated(tmp_path: Path, name: str) -> None:
    error = refusal(tmp_path, f"{name} = 'postgresql://me:secret\\x07@db/sketch'")
    assert str(error).endswith("it holds '\\x07', a character that cannot be seen")
    assert "secret" not in f"{error} {error.hint}"


def test_the_passwords_of_standbys_are_the_environments_alone_and_no_setting(tmp_path: Path) -> None:
    written = "postgresql://ada:secret@one/sketch  postgresql://two:5433/sketch?password=secret"
    kept = "postgresql://ada@one/sketch postgresql://two:5433/sketch"
    assert load(tmp_path, environ={"SKETCH_REPLICA_URLS": written}).replica_urls == kept
    for refused in (
        refusal(tmp_path, f"REPLICA_URLS = {written!r}"),
        refusal(tmp_path, flags={"replica_urls": written}),
    ):
        assert "SKETCH_REPLICA_URLS" in str(refused)
        assert "secret" not in str(refused) + refused.hint
    assert "postgresql://" in str(refusal(tmp_path, environ={"SKETCH_REPLICA_URLS": "replica-1.example.com"}))
