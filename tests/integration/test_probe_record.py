"""What is written to find something out is on record first; and only what is on record, and still ours, is removed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest
import uvloop

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.migration.probe_record import recorded_folder, remove_left_behind
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.s3.probe.folder import OCCUPANT_BODY, PROBE_FOLDER, SOURCE_BODY
from sketchmigrate.settings import Settings
from tests.sides import sides_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sketchmigrate.sides import Side
    from tests.servers.stores import Store

T = TypeVar("T")
FOLDER = f"avatar/{PROBE_FOLDER}0123456789ab/"


@pytest.fixture
def settings(moto_store: Store, tmp_path: Path) -> Settings:
    return Settings(
        s3_endpoint_url=moto_store.endpoint_url,
        legacy_bucket=moto_store.legacy_bucket,
        production_bucket=moto_store.production_bucket,
        run_dir=str(tmp_path / "runs"),
    )


def run(store: Store, scenario: Callable[[S3Client], Awaitable[T]]) -> T:
    async def main() -> T:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url), source) as client:
            return await scenario(client)

    return uvloop.run(main())


def side_of(client: S3Client, settings: Settings) -> Side:
    return sides_of(client, production_bucket=settings.production_bucket).production


def records(settings: Settings, tmp_path: Path) -> list[str]:
    found = [json.loads(path.read_text())["folder"] for path in (tmp_path / "runs").glob("probe-*.json")]
    assert all(folder.startswith(f"{settings.production_prefix}{PROBE_FOLDER}") for folder in found)
    return found


def left_by_a_killed_run(settings: Settings, tmp_path: Path, **changes: object) -> Path:
    """Make the record of a process that is gone."""
    about = {"endpoint_url": settings.s3_endpoint_url, "bucket": settings.production_bucket, "folder": FOLDER}
    path = tmp_path / "runs" / "probe-0123456789ab.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(about | changes))
    return path


def test_it_is_on_record_before_the_first_write_and_forgotten_when_all_is_removed(
    moto_store: Store, settings: Settings, tmp_path: Path
) -> None:
    async def scenario(client: S3Client) -> None:
        async with recorded_folder(side_of(client, settings), settings.run_dir) as folder:
            assert records(settings, tmp_path) == [folder.place.key]
            await folder.put(folder.source, SOURCE_BODY)
            await folder.begin_upload(folder.at("upload"))
            # a run at the same moment leaves alone what is in use
            assert await remove_left_behind(side_of(client, settings), settings.run_dir) == []
            assert moto_store.keys(moto_store.production_bucket) == [folder.source.key]
        assert records(settings, tmp_path) == []

    run(moto_store, scenario)
    assert moto_store.keys(moto_store.production_bucket) == []


def test_what_a_cancelled_one_may_have_sent_stays_on_record(
    moto_store: Store, settings: Settings, tmp_path: Path
) -> None:
    async def scenario(client: S3Client) -> None:
        async def cut_short() -> None:
            async with recorded_folder(side_of(client, settings), settings.run_dir) as folder:
                await folder.put(folder.source, SOURCE_BODY)
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await cut_short()
        assert len(records(settings, tmp_path)) == 1
        assert await remove_left_behind(side_of(client, settings), settings.run_dir) == []
        assert records(settings, tmp_path) == []

    run(moto_store, scenario)
    assert moto_store.keys(moto_store.production_bucket) == []


def test_where_nothing_can_be_put_on_record_nothing_is_written(moto_store: Store, settings: Settings) -> None:
    blocked = replace(settings, run_dir="/proc/nowhere")

    async def scenario(client: S3Client) -> None:
        with pytest.raises(RunDirectoryError, match="cannot be put on record"):
            async with recorded_folder(side_of(client, blocked), blocked.run_dir):
                raise AssertionError
        assert not client.requests_sent

    run(moto_store, scenario)


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_url": "http://elsewhere.invalid"},
        {"bucket": "another"},
        {"folder": "avatar/"},
        {"folder": "avatar/pictures/"},
        {"folder": "other/" + FOLDER},
        {"folder": None},
    ],
    ids=str,
)
def test_a_file_about_another_place_removes_nothing(
    moto_store: Store, settings: Settings, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = left_by_a_killed_run(settings, tmp_path, **changes)
    moto_store.put_all(moto_store.production_bucket, {FOLDER + "source": SOURCE_BODY, "avatar/pictures/a": SOURCE_BODY})

    async def scenario(client: S3Client) -> None:
        assert await remove_left_behind(side_of(client, settings), settings.run_dir) == []
        assert not client.requests_sent

    run(moto_store, scenario)
    assert path.exists()


def test_every_version_of_a_killed_run_is_removed(moto_store: Store, settings: Settings, tmp_path: Path) -> None:
    bucket, client = moto_store.production_bucket, moto_store.client
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (SOURCE_BODY, OCCUPANT_BODY):
        moto_store.put_all(bucket, {FOLDER + "source": body, FOLDER + "deleted": body})
    client.delete_object(Bucket=bucket, Key=FOLDER + "deleted")
    client.create_multipart_upload(Bucket=bucket, Key=FOLDER + "upload")
    path = left_by_a_killed_run(settings, tmp_path)
    assert run(moto_store, lambda store: remove_left_behind(side_of(store, settings), settings.run_dir)) == []
    assert not path.exists()
    versions = client.list_object_versions(Bucket=bucket)
    assert not versions.get("Versions", []) + versions.get("DeleteMarkers", [])
    assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")
