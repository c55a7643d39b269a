"""Finds out by trying what a store really does with conditions, keys, listings, metadata and tags.

Documentation does not settle it: several stores accept ``If-None-Match: *`` on CopyObject, answer 200, and overwrite.
Everything happens in a folder of a random name below the production prefix, whose objects are deleted at the end. All
questions are asked at once: the whole takes about six round trips.

Where deleting is not allowed, only the conditions are tried, one after the other and on the same two objects, which
stay behind.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from sketch_migrate.errors import S3Error
from sketch_migrate.s3.findings import Answer, Finding, ProbeReport, Question
from sketch_migrate.s3.probe_conditions import Conditions
from sketch_migrate.s3.probe_fidelity import Fidelity
from sketch_migrate.s3.probe_folder import SOURCE_BODY, SOURCE_HEADERS, ProbeFolder

if TYPE_CHECKING:
    from sketch_migrate.s3.client import S3Client

PROBE_FOLDER = ".sketch-migrate-probe-"
"""How the names of all probe objects begin, after the production prefix: a policy may allow to delete just these."""

PATIENCE_SECONDS = 3.0


async def probe(store: S3Client, bucket: str, prefix: str) -> ProbeReport:
    """Try everything below a prefix, and remove what was made for it.

    What cannot be told is ``unknown``, what cannot be removed is in the report: only a store in which nothing at all
    can be written raises, an ``S3Error``.
    """
    folder = ProbeFolder(store.retrying(PATIENCE_SECONDS), bucket, f"{prefix}{PROBE_FOLDER}{secrets.token_hex(6)}/")
    try:
        (_, may_delete) = await asyncio.gather(
            folder.put(folder.source, SOURCE_BODY, SOURCE_HEADERS), _may_delete(folder)
        )
        if may_delete:
            groups = await asyncio.gather(Conditions(folder, frugal=False).ask(), Fidelity(folder).ask())
            findings = [finding for group in groups for finding in group]
        else:
            findings = await Conditions(folder, frugal=True).ask()
    finally:
        await folder.clear()
    untried = Answer.UNKNOWN, "not tried, as its objects could not be deleted again (s3:DeleteObject)"
    found = {finding.question: finding for finding in findings}
    return ProbeReport(
        findings=tuple(found.get(question, Finding(question, *untried)) for question in Question),
        folder=folder.place,
        left_behind=tuple(folder.left_behind),
    )


async def _may_delete(folder: ProbeFolder) -> bool:
    """Try it on a key that is not there, which S3 grants to whoever may delete."""
    try:
        await folder.store.delete(folder.at("absent"))
    except S3Error:
        return False
    return True
