"""Where the access key comes from, and what is said if it comes from nowhere."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import CredentialsError
from sketchmigrate.s3.credentials import CredentialSource
from sketchmigrate.s3.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from pathlib import Path


def test_both_variables_are_enough() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    assert CredentialSource.from_environment(environ).current == Credentials("A", "s", "t")


@pytest.mark.parametrize(
    ("there", "absent"),
    [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")],
)
def test_one_variable_without_the_other_is_an_error_that_names_it(there: str, absent: str) -> None:
    with pytest.raises(CredentialsError, match=f"{there} is set, but {absent} is not"):
        CredentialSource.from_environment({there: "x", absent: ""})


@pytest.fixture
def no_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave botocore nothing to find."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.usefixtures("no_chain")
def test_none_at_all_is_an_error_that_names_the_variables() -> None:
    with pytest.raises(CredentialsError, match="no S3 credentials were found") as caught:
        asyncio.run(CredentialSource.from_environment({}).refresh())
    assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in caught.value.hint


@pytest.mark.usefixtures("no_chain")
def test_a_profile_is_found_and_an_unknown_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text("[photos]\naws_access_key_id = P\naws_secret_access_key = q\n")
    monkeypatch.setenv("AWS_PROFILE", "photos")

    async def load() -> Credentials | None:
        source = CredentialSource.from_environment({})
        assert source.current is None
        await source.refresh()
        return source.current

    assert asyncio.run(load()) == Credentials("P", "q")
    monkeypatch.setenv("AWS_PROFILE", "phottos")
    with pytest.raises(CredentialsError, match="phottos"):
        asyncio.run(load())


@pytest.mark.usefixtures("no_chain")
def test_an_expired_profile_is_resolved_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    text = "[default]\naws_access_key_id = P\naws_secret_access_key = q\naws_session_token = {}\n"
    monkeypatch.setenv("AWS_PROFILE", "default")
    file.write_text(text.format("old"))

    async def scenario() -> str:
        source = CredentialSource.from_environment({})
        await source.refresh()
        expired = source.current
        file.write_text(text.format("new"))
        await source.refresh(expired)
        assert source.current is not None
        return source.current.session_token

    assert asyncio.run(scenario()) == "new"


def test_a_failed_renewal_ahead_of_time_is_told_and_the_old_ones_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sketchmigrate.s3.credentials.CHECK_SECONDS", 0.0)
    found = [Credentials("A", "s", "t")]

    def load() -> Credentials:
        if not found:
            raise CredentialsError("the metadata service is away")
        return found.pop()

    async def scenario() -> Credentials | None:
        source = CredentialSource(load, renewable=True)
        await source.refresh()
        await source.refresh()
        return source.current

    assert asyncio.run(scenario()) == Credentials("A", "s", "t")
    assert "metadata service is away" in caplog.text


def test_botocore_is_not_imported_for_nothing() -> None:
    code = "import sys, sketchmigrate.s3; sys.exit('botocore' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
