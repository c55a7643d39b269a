"""Where S3 is by AWS's own variables and profile: which of them wins, and what is said of a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sketchmigrate.cli.surroundings import surroundings
from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.rule import SideName
from sketchmigrate.settings.loading import Loaded, load
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = """
[default]
region = eu-north-1

[profile photos]
region = eu-west-3
endpoint_url = https://of.profile.example
services = stores
ca_bundle = /etc/of-profile.pem

[profile plain]
endpoint_url = https://plain.example

[profile deaf]
endpoint_url = https://deaf.example
ignore_configured_endpoint_urls = true

[profile astray]
services = nowhere

[services stores]
s3 =
  endpoint_url = https://of.services.example
sqs =
  endpoint_url = https://of.queues.example
"""
CREDENTIALS = """
[photos]
aws_access_key_id = of-photos
aws_secret_access_key = hidden-secret

[keys]
aws_access_key_id = of-keys
aws_secret_access_key = hidden-secret
region = ap-south-1
"""


def loaded(
    tmp_path: Path, environ: Mapping[str, str], *, file: str = "", flags: Mapping[str, object] | None = None
) -> Loaded:
    """Load settings beneath these variables, with the files of profiles above."""
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(CONFIG)
    credentials.write_text(CREDENTIALS)
    settings_file = tmp_path / "site.py"
    settings_file.write_text(file)
    paths = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    return load(config_file=settings_file, search=[], environ=paths | dict(environ), flags=flags or {})


def region_of(found: Loaded) -> str:
    """The region that legacy's requests are signed for."""
    return store_of(found.settings, SideName.LEGACY).region


def test_the_order_of_the_endpoint(tmp_path: Path) -> None:
    layers: list[tuple[str, str, dict[str, str]]] = [
        ("https://of.services.example", "services stores", {"AWS_PROFILE": "photos"}),
        ("https://two.example", "AWS_ENDPOINT_URL", {"AWS_ENDPOINT_URL": "https://two.example"}),
        ("https://one.example", "AWS_ENDPOINT_URL_S3", {"AWS_ENDPOINT_URL_S3": "https://one.example"}),
    ]
    environ: dict[str, str] = {}
    for url, whence, more in layers:
        environ |= more
        of_this = loaded(tmp_path, environ)
        assert of_this.settings.s3_endpoint_url == url
        assert whence in of_this.origins["s3_endpoint_url"].brief
    of_file = 'S3_ENDPOINT_URL = "https://file.example"'
    assert loaded(tmp_path, environ, file=of_file).settings.s3_endpoint_url == "https://file.example"
    environ |= {"SKETCH_S3_ENDPOINT_URL": "https://variable.example"}
    assert loaded(tmp_path, environ, file=of_file).settings.s3_endpoint_url == "https://variable.example"
    flags: dict[str, object] = {"s3_endpoint_url": "https://flag.example"}
    of_flag = loaded(tmp_path, environ, file=of_file, flags=flags)
    assert of_flag.settings.s3_endpoint_url == "https://flag.example"
    assert of_flag.origins["s3_endpoint_url"].brief == "--s3-endpoint-url"


def test_what_is_empty_says_nothing(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        {
            "SKETCH_S3_ENDPOINT_URL": "",
            "AWS_ENDPOINT_URL_S3": "",
            "AWS_ENDPOINT_URL": "https://two.example",
            "AWS_REGION": "",
            "AWS_DEFAULT_REGION": "eu-central-1",
        },
        file='S3_ENDPOINT_URL = ""\nS3_REGION = ""',
    )
    assert found.settings.s3_endpoint_url == "https://two.example"
    assert region_of(found) == "eu-central-1"


def test_the_order_of_the_region(tmp_path: Path) -> None:
    no_files = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    unset = loaded(tmp_path, no_files)
    assert (unset.settings.s3_region, region_of(unset)) == ("", "us-east-1")
    assert region_of(loaded(tmp_path, {})) == "eu-north-1", "of the profile default"
    assert region_of(loaded(tmp_path, {"AWS_PROFILE": "keys"})) == "ap-south-1", "the credentials' file has it as well"
    environ = {"AWS_PROFILE": "photos", "AWS_DEFAULT_REGION": "eu-south-1"}
    assert region_of(loaded(tmp_path, environ)) == "eu-south-1"
    environ |= {"AWS_REGION": "eu-south-2"}
    assert region_of(loaded(tmp_path, environ)) == "eu-south-2"
    assert region_of(loaded(tmp_path, environ, file='S3_REGION = "us-west-2"')) == "us-west-2"


def test_certificates_are_the_variables_or_the_profiles(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"AWS_PROFILE": "photos"}).settings.s3_ca_bundle == "/etc/of-profile.pem"
    found = loaded(tmp_path, {"AWS_PROFILE": "photos", "AWS_CA_BUNDLE": "/etc/ca.pem"})
    assert (found.settings.s3_ca_bundle, found.origins["s3_ca_bundle"].brief) == ("/etc/ca.pem", "AWS_CA_BUNDLE")


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "https://x.example"},
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True", "AWS_PROFILE": "plain"},
        {"AWS_PROFILE": "deaf"},
    ],
)
def test_configured_endpoints_are_ignored_where_that_is_asked_for(tmp_path: Path, environ: dict[str, str]) -> None:
    assert loaded(tmp_path, environ).settings.s3_endpoint_url == ""
    kept = loaded(tmp_path, environ, file='S3_ENDPOINT_URL = "https://file.example"')
    assert kept.settings.s3_endpoint_url == "https://file.example", "our own setting is not such an endpoint"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AWS_PROFILE": "phottos"}, "AWS_PROFILE (environment variable): there is no profile 'phottos'"),
        ({"AWS_PROFILE": "astray"}, "there is no section [services nowhere]"),
        ({"AWS_ENDPOINT_URL": "s3.example"}, "AWS_ENDPOINT_URL (environment variable): 's3.example' must begin with"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(tmp_path: Path, environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, environ)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_no_file_of_profiles_is_named_and_not_quoted(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("[default\naws_secret_access_key = hidden-secret\n")
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, {"AWS_CONFIG_FILE": str(broken)})
    assert str(broken) in caught.value.message
    assert "hidden-secret" not in caught.value.message


def test_the_start_says_each_value_and_whence_it_came(tmp_path: Path) -> None:
    no_files = {"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    assert surroundings(loaded(tmp_path, no_files), {}) == "S3: AWS (default), region us-east-1 (default)"
    other_host = "S3: AWS (default), region us-east-1 (default), AWS_USE_FIPS_ENDPOINT is not heeded"
    assert surroundings(loaded(tmp_path, no_files), {"AWS_USE_FIPS_ENDPOINT": "true"}) == other_host
    environ = {"AWS_PROFILE": "photos", "AWS_ENDPOINT_URL_S3": "https://s3.example"}
    environ |= {"HTTPS_PROXY": "http://me:hidden-secret@proxy.example:3128"}
    place = f"profile photos in {tmp_path / 'config'}"
    said = (
        "S3: https://s3.example (AWS_ENDPOINT_URL_S3), region eu-west-3 ({0}), certificates /etc/of-profile.pem ({0}), "
    )
    found = loaded(tmp_path, environ)
    assert surroundings(found, environ) == said.format(place) + "proxy http://proxy.example:3128 (HTTPS_PROXY)"
    exempt = environ | {"no_proxy": ".example"}
    assert surroundings(found, exempt) == said.format(place) + "no proxy (no_proxy)"
    of_file = loaded(tmp_path, no_files, file='\nS3_REGION = "us-west-2"', flags={"s3_ca_bundle": "/c.pem"})
    assert surroundings(of_file, {}) == (
        f"S3: AWS (default), region us-west-2 ({tmp_path / 'site.py'}:2), certificates /c.pem (--s3-ca-bundle)"
    )
