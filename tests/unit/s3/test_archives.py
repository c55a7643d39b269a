"""Whether an archived object can be read: by what a HEAD tells of its restore, else by trying."""

from __future__ import annotations

import pytest

from sketchmigrate.s3.headers import archive_of, not_restored
from tests.unit.s3.scripted import SOURCE, client_of, error, reply, scripted

COLD = {"x-amz-storage-class": "DEEP_ARCHIVE"}
FIRST_BYTE = reply(206, b"c", content_range="bytes 0-0/4", etag='"e"')
REFUSED = error(403, "InvalidObjectState")


@pytest.mark.parametrize(
    ("told", "trial", "said"),
    [
        ('ongoing-request="false", expiry-date="Fri, 21 Dec 2026 00:00:00 GMT"', None, ""),
        ('ongoing-request="true"', None, f"a restore of {SOURCE} is under way"),
        ("", REFUSED, "InvalidObjectState"),
        ("", error(403, "ObjectNotInActiveTierError"), "ObjectNotInActiveTierError"),
        ("", FIRST_BYTE, ""),
        ("perhaps", FIRST_BYTE, ""),
        ("perhaps", REFUSED, "InvalidObjectState"),
        ("", error(404, "NoSuchKey"), ""),
    ],
)
async def test_what_is_told_spares_the_trial(told: str, trial: bytes | None, said: str) -> None:
    headers = COLD | ({"x-amz-restore": told} if told else {})
    async with scripted(*([trial] if trial else [])) as server, client_of(server.url) as client:
        refusal = await not_restored(client, SOURCE, headers)
    assert len(server.asked) == (trial is not None)
    assert (said in str(refusal)) if said else refusal is None


@pytest.mark.parametrize(
    ("headers", "archive"),
    [
        (COLD, "DEEP_ARCHIVE"),
        ({"x-amz-storage-class": "GLACIER"}, "GLACIER"),
        ({"x-amz-storage-class": "GLACIER_IR"}, ""),
        ({"x-amz-storage-class": "INTELLIGENT_TIERING"}, ""),
        (
            {"x-amz-storage-class": "INTELLIGENT_TIERING", "x-amz-archive-status": "ARCHIVE_ACCESS"},
            "INTELLIGENT_TIERING ARCHIVE_ACCESS",
        ),
        ({}, ""),
    ],
)
def test_a_tier_is_an_archive_too(headers: dict[str, str], archive: str) -> None:
    assert archive_of(headers) == archive
