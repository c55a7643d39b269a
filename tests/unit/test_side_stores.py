"""Two sides, two stores: what each has of its own, whose credentials it takes, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.cli.surroundings import surroundings
from sketchmigrate.core.errors import CredentialsError, S3Unreachable, SettingsError
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.migration.opening import caps_of, is_one_store, open_sides
from sketchmigrate.s3.credentials import CredentialSource
from sketchmigrate.s3.wire.sigv4 import Credentials
from sketchmigrate.settings import Settings
from sketchmigrate.settings.loading import load
from sketchmigrate.settings.stores import store_of
from tests.unit.test_aws_surroundings import loaded

if TYPE_CHECKING:
    from pathlib import Path

LEGACY, PRODUCTION = BOTH_SIDES
KEYS = {"AWS_ACCESS_KEY_ID": "both", "AWS_SECRET_ACCESS_KEY": "hidden-secret"}
OF_LEGACY = {
    "LEGACY_AWS_ACCESS_KEY_ID": "of-legacy",
    "LEGACY_AWS_SECRET_ACCESS_KEY": "hidden-legacy",
    "LEGACY_AWS_SESSION_TOKEN": "token",
}


def test_what_a_side_has_not_of_its_own_is_that_of_both() -> None:
    both = Settings(s3_endpoint_url="https://s3.example", s3_region="eu-1", s3_requester_pays=True)
    assert store_of(both, LEGACY) == store_of(both, PRODUCTION)
    assert is_one_store(both, KEYS)
    own = replace(
        both,
        production_s3_endpoint_url="https://new.example",
        production_s3_addressing_style="path",
        production_s3_requester_pays=False,
    )
    assert store_of(own, LEGACY) == store_of(both, LEGACY)
    found = store_of(own, PRODUCTION)
    assert (found.endpoint_url, found.region) == ("https://new.example", "eu-1")
    assert (found.addressing_style, found.requester_pays) == ("path", False)
    assert not is_one_store(own, KEYS)


def test_one_store_with_two_accounts_is_two() -> None:
    assert not is_one_store(Settings(), KEYS | OF_LEGACY)
    assert not is_one_store(Settings(production_s3_profile="new"), KEYS)


def test_a_profile_tells_what_no_setting_of_its_side_does(tmp_path: Path) -> None:
    environ = {"SKETCH_LEGACY_S3_PROFILE": "plain", "AWS_ENDPOINT_URL_S3": "https://both.example"}
    found = loaded(tmp_path, environ, file='PRODUCTION_S3_PROFILE = "photos"\nPRODUCTION_S3_REGION = "eu-2"')
    legacy, production = (store_of(found.settings, side) for side in BOTH_SIDES)
    assert (legacy.endpoint_url, legacy.region, legacy.profile) == ("https://plain.example", "eu-north-1", "plain")
    assert (production.endpoint_url, production.region) == ("https://of.services.example", "eu-2")
    assert production.ca_bundle == "/etc/of-profile.pem"
    empty = loaded(tmp_path, environ, file='LEGACY_S3_ENDPOINT_URL = ""')
    assert store_of(empty.settings, LEGACY).endpoint_url == "https://plain.example", "what is empty says nothing"
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, {}, flags={"legacy_s3_profile": "nowhere"})
    assert caught.value.message.startswith("--legacy-s3-profile (flag): there is no profile 'nowhere' in ")


@pytest.mark.parametrize("side", BOTH_SIDES)
@pytest.mark.parametrize("name", ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"])
def test_a_key_without_its_secret_is_refused(side: SideName, name: str) -> None:
    variable = f"{side.upper()}_AWS_{name}"
    with pytest.raises(SettingsError, match=f"^{variable} is set, but {side.upper()}_AWS_[A-Z_]+ is not$") as caught:
        CredentialSource.of_side(side, "photos", KEYS | {variable: "hidden-secret"})
    assert caught.value.exit_code == 2
    assert "hidden-secret" not in f"{caught.value} {caught.value.hint}"


async def test_own_variables_go_before_the_profile_and_that_before_those_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(tmp_path, {})
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    own = CredentialSource.of_side(LEGACY, "photos", KEYS | OF_LEGACY)
    assert own.current == Credentials("of-legacy", "hidden-legacy", "token")
    of_profile = CredentialSource.of_side(PRODUCTION, "photos", KEYS | OF_LEGACY)
    await of_profile.refresh()
    assert of_profile.current == Credentials("of-photos", "hidden-secret", "")
    of_both = CredentialSource.of_side(PRODUCTION, "", KEYS | OF_LEGACY)
    assert of_both.current == Credentials("both", "hidden-secret", "")


def test_secrets_of_a_side_are_not_kept_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, {}, file='LEGACY_AWS_SECRET_ACCESS_KEY = "hidden-secret"')
    assert caught.value.hint == "Take it out, and export LEGACY_AWS_SECRET_ACCESS_KEY instead."
    assert "hidden-secret" not in caught.value.message


def test_a_secret_by_another_name_is_told_its_own() -> None:
    with pytest.raises(SettingsError) as caught:
        load(config_file=None, search=[], environ={"SKETCH_LEGACY_AWS_ACCESS_KEY_ID": "hidden-secret"}, flags={})
    assert caught.value.hint == "Export it as LEGACY_AWS_ACCESS_KEY_ID, without SKETCH_."


async def test_credentials_that_are_not_there_name_the_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    settings = Settings(s3_endpoint_url="http://127.0.0.1:9")
    async with open_sides(settings, OF_LEGACY) as (sides, _):
        with pytest.raises(CredentialsError, match=r"^production: no S3 credentials were found") as caught:
            await sides.production.store.head(sides.production.at("x"))
        assert caught.value.hint.startswith("Set AWS_ACCESS_KEY_ID")


def test_the_start_has_a_line_for_each_side(tmp_path: Path) -> None:
    file = 'PRODUCTION_S3_ENDPOINT_URL = "https://new.example"\nPRODUCTION_S3_PROFILE = "keys"'
    found = loaded(tmp_path, {"AWS_REGION": "eu-1"}, file=file)
    whose = "credentials of its profile keys"
    of_file, of_profile = f"{tmp_path / 'site.py'}:1", f"profile keys in {tmp_path / 'credentials'}"
    assert surroundings(found, OF_LEGACY).splitlines() == [
        "S3 of legacy: AWS (default), region eu-1 (AWS_REGION), credentials of its own (LEGACY_AWS_ACCESS_KEY_ID)",
        f"S3 of production: https://new.example ({of_file}), region ap-south-1 ({of_profile}), {whose}",
    ]


async def test_an_error_names_the_side_and_its_settings(unused_tcp_port: int) -> None:
    settings = Settings(
        s3_endpoint_url=f"http://127.0.0.1:{unused_tcp_port}",
        production_s3_endpoint_url=f"http://localhost:{unused_tcp_port}",
        s3_retry_seconds=0,
        max_bandwidth=1000,
    )
    async with open_sides(settings, KEYS) as (sides, _):
        assert len(sides.stores) == 2
        assert sides.legacy.store.config.caps.bytes_per_second == 500, "half of what passes through this machine"
        for side, setting in zip(sides, ("LEGACY_S3_ENDPOINT_URL", "PRODUCTION_S3_ENDPOINT_URL"), strict=True):
            with pytest.raises(S3Unreachable, match=f"^{side.name}: .*: the connection was refused") as caught:
                await side.store.head(side.at("x"))
            assert f"are {setting} and the network right?" in caught.value.hint
    assert caps_of(settings).concurrency == 1024
