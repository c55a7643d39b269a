"""``init``: asks, looks, and writes a settings file that a later run reads; never a secret, never over a file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pexpect
import pytest

from sketchmigrate.settings import Settings
from sketchmigrate.settings.files import ValueOrigin, read_settings_file
from sketchmigrate.settings.lists import Lists, read_lists
from sketchmigrate.settings.loading import load_settings
from tests.e2e.site import body_of, check_refused
from tests.e2e.two_stores import TwoStores
from tests.tool import on_a_terminal, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.servers.databases import Database
    from tests.servers.stores import Store

NAME = "sketch-migrate.toml"


def secrets(site: Site) -> dict[str, str]:
    """What comes from the environment alone."""
    return {name: value for name, value in site.settings.items() if name.startswith("AWS_")} | {
        "SKETCH_DB_USER": site.database.user,
        "SKETCH_DB_PASS": site.database.password,
    }


def lists_in(file: Path) -> Lists:
    values, places = read_settings_file(file)
    return read_lists(Settings(**values), {name: ValueOrigin(name, place) for name, place in places.items()})


def test_it_writes_what_a_later_run_reads(any_site: Site) -> None:
    any_site.fill(["image/1.png", "avatar/2.png"])
    done = any_site.run("init")
    assert done.code == 0, done
    file = any_site.folder / NAME
    assert f"Written: {NAME}" in done.out
    text = file.read_text()
    assert any_site.database.password not in text
    for secret in secrets(any_site).values():
        assert f'"{secret}"' not in text
    assert "has image/." in text
    loaded = load_settings(config_file=file, search=[], environ={}, flags={})
    assert (loaded.db_table, loaded.db_key_column, loaded.db_path_column) == ("avatars", "id", "path")
    assert (loaded.legacy_bucket, loaded.legacy_prefix) == (any_site.store.legacy_bucket, "image/")
    assert loaded.s3_endpoint_url == any_site.store.endpoint_url
    status = run("-s", "--config", NAME, environ=secrets(any_site), cwd=any_site.folder)
    assert status.code == 0, status
    assert "Done          50.0 %" in status.out


def test_a_migration_runs_by_the_file_unedited(site: Site) -> None:
    site.fill([*(f"image/{number}.png" for number in range(9)), "avatar/own.png", None])
    assert site.run("init").code == 0
    migrated = run("-y", "--config", NAME, environ=secrets(site), cwd=site.folder)
    assert migrated.code == 0, migrated
    assert migrated.counts["migrated"] == 9
    found = json.loads(
        run("discover", "--full", "--json", "--config", NAME, environ=secrets(site), cwd=site.folder).out
    )
    assert (found["columns"], found["naming"], found["complete"]) == ([], [], True)


def test_the_file_is_readable_for_all(site: Site) -> None:
    site.fill([])
    assert site.run("init").code == 0
    assert (site.folder / NAME).stat().st_mode & 0o777 == 0o644


def test_it_never_writes_over_a_file(site: Site) -> None:
    site.fill(["image/1.png"])
    file = site.folder / NAME
    file.write_text("# mine\n")
    check_refused(site.run("init"), 2, f"{NAME} is there already")
    assert file.read_text() == "# mine\n"
    link = site.folder / "link.toml"
    link.symlink_to("nowhere")
    check_refused(site.run("init -o link.toml"), 2, "link.toml is there already")
    assert site.run("init -o other.toml").code == 0


def test_more_than_one_column_becomes_moves_and_references(site: Site) -> None:
    site.fill(["image/1.png"])
    site.store.put_all(site.store.legacy_bucket, {"thumbs/2.png": b"x", "unused/3": b"x", "root": b"x"})
    site.database.execute("CREATE TABLE thumbs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), src text)")
    url = f"{site.store.endpoint_url}/{site.store.legacy_bucket}/image/1.png"
    site.database.execute("INSERT INTO thumbs (src) VALUES ('thumbs/2.png'), ('thumbs/3.png'), (%s)", url)
    done = site.run("init --json")
    assert done.code == 0, done
    said = json.loads(done.out)
    assert (said["classic"], said["file"]) == (False, NAME)
    assert said["prefixes"]["legacy"] == {"all": ["image/", "thumbs/", "unused/"], "is_all": True, "has_others": True}
    lists = lists_in(site.folder / NAME)
    old, new = site.store.legacy_bucket, site.store.production_bucket
    assert [str(route) for route in lists.routes.all] == [
        f"s3://{old}/image/ -> s3://{new}/avatar/",
        f"s3://{old}/thumbs/ -> s3://{new}/moved/thumbs/",
    ]
    assert [(each.table, each.column, each.shape, each.title) for each in lists.references] == [
        ("avatars", "path", "key", "avatars.path"),
        ("thumbs", "src", "key", "thumbs.src"),
        ("thumbs", "src", "url", "thumbs.src URLs"),
    ]


def test_variables_that_contradict_the_file_are_named(site: Site) -> None:
    site.fill(["image/1.png"])
    site.database.execute("CREATE TABLE more (id int PRIMARY KEY, path text)")
    site.database.execute("INSERT INTO more VALUES (1, 'image/1.png')")
    assert "  unset SKETCH_LEGACY_BUCKET SKETCH_PRODUCTION_BUCKET\n" in site.run("init").out


def test_nothing_found_leaves_the_column_to_say(site: Site) -> None:
    site.fill([])
    assert site.run("init").code == 0
    assert "No column was found that mentions legacy: say which" in (site.folder / NAME).read_text()
    load_settings(config_file=site.folder / NAME, search=[], environ={}, flags={})


@pytest.mark.parametrize("missing", ["LEGACY_BUCKET", "PRODUCTION_BUCKET", "DB_NAME"])
def test_without_a_terminal_what_is_missing_is_named(site: Site, missing: str) -> None:
    site.fill([])
    environ = {name: value for name, value in site.settings.items() if name != f"SKETCH_{missing}"}
    done = run("init", environ=environ, cwd=site.folder)
    check_refused(done, 2, "standard input is no terminal")
    assert f"hint:  Give --{missing.lower().replace('_', '-')}." in done.err
    assert not (site.folder / NAME).exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SKETCH_LEGACY_BUCKET", "no-such-bucket", "there is no bucket no-such-bucket"),
        ("SKETCH_DB_PASS", "wrong", "does not accept this user and password"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", ""),
    ],
)
def test_what_does_not_work_is_told_and_nothing_is_written(site: Site, name: str, value: str, said: str) -> None:
    site.fill(["image/1.png"])
    done = site.with_environ(**{name: value}).run("init")
    assert done.code == 3, done
    assert said in done.err
    assert not (site.folder / NAME).exists()


def test_on_a_terminal_it_asks_for_what_was_not_given(site: Site) -> None:
    site.fill(["image/1.png", "avatar/2.png"])
    environ = {**secrets(site), "SKETCH_DB_PORT": str(site.database.port), "SKETCH_S3_REGION": "us-east-1"}
    terminal = on_a_terminal("init", environ=environ, cwd=site.folder)
    for question, answer in (
        ("Database server", site.database.host),
        ("Name of the database", site.database.name),
        ("URL of the S3 store", site.store.endpoint_url),
        ("Bucket to move from", site.store.legacy_bucket),
        ("Bucket to move to", site.store.production_bucket),
    ):
        terminal.expect(question)
        terminal.sendline(answer)
    terminal.expect(re.escape("in another store or account? [yes/no]"))
    terminal.sendline("no")
    terminal.expect(f"Written: {NAME}")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    status = run("-s", "--config", NAME, environ=secrets(site), cwd=site.folder)
    assert "Done          50.0 %" in status.out


def test_on_a_terminal_it_asks_whether_production_is_elsewhere(
    moto_store: Store, seaweed_store: Store, database: Database, tmp_path: Path
) -> None:
    site = TwoStores(database, seaweed_store, tmp_path, legacy=moto_store)
    site.fill(["image/1.png", "avatar/2.png"])
    in_environment = {name: value for name, value in site.settings.items() if "_AWS_" in name}
    aws = tmp_path / "credentials"
    key = in_environment.pop("PRODUCTION_AWS_ACCESS_KEY_ID"), in_environment.pop("PRODUCTION_AWS_SECRET_ACCESS_KEY")
    aws.write_text("[new]\naws_access_key_id = {}\naws_secret_access_key = {}\n".format(*key))
    legacy_key = (in_environment.pop(f"LEGACY_AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    secret = {
        **dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), legacy_key, strict=True)),
        "AWS_SHARED_CREDENTIALS_FILE": str(aws),
        "SKETCH_DB_USER": database.user,
        "SKETCH_DB_PASS": database.password,
    }
    environ = {**database.environ(), **secret}
    terminal = on_a_terminal("init", environ=environ, cwd=tmp_path)
    for question, answer in (
        ("URL of the S3 store", moto_store.endpoint_url),
        ("Bucket to move from", moto_store.legacy_bucket),
        ("Bucket to move to", seaweed_store.production_bucket),
        ("in another store or account", "yes"),
        ("URL of that store", seaweed_store.endpoint_url),
        ("Its region", ""),
        ("AWS profile with the credentials for it", "new"),
    ):
        terminal.expect(re.escape(question))
        terminal.sendline(answer)
    terminal.expect(f"Written: {NAME}")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    text = (tmp_path / NAME).read_text()
    written = load_settings(config_file=tmp_path / NAME, search=[], environ=secret, flags={})
    assert (written.s3_endpoint_url, written.legacy_s3_endpoint_url) == ("", moto_store.endpoint_url)
    assert (written.production_s3_endpoint_url, written.production_s3_profile) == (seaweed_store.endpoint_url, "new")
    assert not any(each in text for each in (*key, moto_store.secret_key, database.password))
    done = run("-y", "--config", NAME, environ=environ, cwd=tmp_path)
    assert (done.code, done.counts["migrated"]) == (0, 1), done
    assert seaweed_store.body(seaweed_store.production_bucket, "avatar/1.png") == body_of("image/1.png")


def test_credentials_of_production_are_a_reason_to_ask_where_it_is(
    moto_store: Store, seaweed_store: Store, database: Database, tmp_path: Path
) -> None:
    """All but the URL of production is given: legacy's is not taken for it, and no profile is asked for."""
    site = TwoStores(database, seaweed_store, tmp_path, legacy=moto_store)
    site.fill(["image/1.png", "avatar/2.png"])
    environ = dict(site.settings)
    del environ["SKETCH_PRODUCTION_S3_ENDPOINT_URL"]
    environ["SKETCH_S3_ENDPOINT_URL"] = environ.pop("SKETCH_LEGACY_S3_ENDPOINT_URL")
    terminal = on_a_terminal("init", environ=environ, cwd=tmp_path)
    for question, answer in (
        ("in another store or account", "yes"),
        ("URL of that store", seaweed_store.endpoint_url),
        ("Its region", ""),
    ):
        terminal.expect(re.escape(question))
        terminal.sendline(answer)
    assert terminal.expect([f"Written: {NAME}", "AWS profile"]) == 0
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    written = load_settings(config_file=tmp_path / NAME, search=[], environ={}, flags={})
    assert (written.s3_endpoint_url, written.production_s3_endpoint_url) == (
        moto_store.endpoint_url,
        seaweed_store.endpoint_url,
    )


def test_from_another_provider_to_aws_its_address_is_written(site: Site) -> None:
    """An empty one would be that of both. Nothing of AWS answers here."""
    site.fill(["image/1.png"])
    environ = {name: value for name, value in site.settings.items() if name != "SKETCH_PRODUCTION_BUCKET"}
    no_way = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    terminal = on_a_terminal("init", environ=environ | no_way, cwd=site.folder)
    for question, answer in (
        ("Bucket to move to", "new-photos"),
        ("in another store or account", "yes"),
        ("URL of that store", ""),
        ("Its region", "eu-west-3"),
        ("AWS profile", ""),
    ):
        terminal.expect(question)
        terminal.sendline(answer)
    terminal.expect("S3 of production: https://s3.eu-west-3.amazonaws.com")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3
    assert not (site.folder / NAME).exists()
