"""Lists for S3 Batch Operations: what is in them, how large they get, and the commands that take them."""

from __future__ import annotations

import csv
import json
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.inspect.archived import RestoreList, restore_commands
from sketchmigrate.inspect.batch_manifest import BatchManifest, write_batch_manifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEYS = ["a.png", "with space.png", "a,b", 'q"uote', "line\nbreak", "é/ü+%41", "//odd/../key", "plain~-_."]


async def objects(keys: list[str]) -> AsyncIterator[list[tuple[str, str]]]:
    for first in range(0, len(keys), 3):
        yield [("legacy", key) for key in keys[first : first + 3]]


def read(path: Path) -> list[str]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert {bucket for bucket, _ in rows} == {"legacy"}
    return [unquote(key) for _, key in rows]


async def test_each_line_is_a_bucket_and_a_key_that_needs_no_quotes(tmp_path: Path) -> None:
    (written,) = await write_batch_manifest(objects(KEYS), tmp_path / "list.csv")
    assert (read(written.path), written.objects) == (KEYS, len(KEYS))
    text = written.path.read_text()
    assert text.splitlines()[1] == "legacy,with%20space.png"
    assert '"' not in text
    assert len(text.splitlines()) == len(KEYS)
    assert written.path.stat().st_mode & 0o777 == 0o600


async def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    keys = [f"{number:04}" for number in range(10)]
    line_bytes = len("legacy,0000\n")
    written = await write_batch_manifest(objects(keys), tmp_path / "list.csv", most_bytes=4 * line_bytes + 1)
    assert [(each.path.name, each.objects) for each in written] == [
        ("list.csv", 4),
        ("list-2.csv", 4),
        ("list-3.csv", 2),
    ]
    assert [key for each in written for key in read(each.path)] == keys
    assert all(each.path.stat().st_size <= 4 * line_bytes + 1 for each in written)


async def test_nothing_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    assert await write_batch_manifest(objects([]), path) == []
    assert not path.exists()


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.csv").mkdir()
    with pytest.raises(RunDirectoryError, match=r"list\.csv cannot be written: Is a directory"):
        await write_batch_manifest(objects(KEYS), tmp_path / "list.csv")


ENDPOINT = "https://s3-fips.dualstack.us-gov-west-1.amazonaws.com"


@pytest.mark.parametrize("tiers", [False, True])
@pytest.mark.parametrize(
    ("region", "partition", "endpoint_url"),
    [("eu-west-3", "aws", ""), ("cn-north-1", "aws-cn", ""), ("us-gov-west-1", "aws-us-gov", ENDPOINT)],
)
def test_the_commands_are_what_the_client_of_aws_takes(
    tmp_path: Path, region: str, partition: str, endpoint_url: str, *, tiers: bool
) -> None:
    listed = RestoreList(BatchManifest(tmp_path / "it's.csv", 3, "0" * 32), tiers)
    lines = restore_commands([listed], region, endpoint_url).replace("\\\n", " ").split("\n")
    put, create = (shlex.split(line) for line in lines)
    assert (put[:3], create[:3]) == (["aws", "s3api", "put-object"], ["aws", "s3control", "create-job"])
    of_put, flags = ({a: b for a, b in pairwise(words) if a.startswith("--")} for words in (put, create))
    assert of_put["--body"] == str(tmp_path / "it's.csv")
    assert of_put["--region"] == flags["--region"] == region
    assert of_put.get("--endpoint-url", "") == endpoint_url
    assert "--endpoint-url" not in flags, "jobs are made elsewhere than at an endpoint of S3"
    asked: dict[str, Any] = {
        "AccountId": "123456789012",
        "ConfirmationRequired": "--no-confirmation-required" not in create,
        "Operation": json.loads(flags["--operation"]),
        "Manifest": json.loads(flags["--manifest"]),
        "Report": json.loads(flags["--report"]),
        "Priority": int(flags["--priority"]),
        "RoleArn": flags["--role-arn"],
        "ClientRequestToken": "made by the client",
    }
    validate_parameters(asked, get_session().get_service_model("s3control").operation_model("CreateJob").input_shape)
    assert asked["Manifest"]["Location"]["ObjectArn"].startswith(f"arn:{partition}:s3:::")
    assert asked["RoleArn"].startswith(f"arn:{partition}:iam::")
    assert ("ExpirationInDays" in asked["Operation"]["S3InitiateRestoreObject"]) is not tiers
