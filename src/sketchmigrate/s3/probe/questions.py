"""Finds out by trying what a store really does with conditions, keys, listings, metadata and tags.

Documentation does not settle it: several stores accept ``If-None-Match: *`` on CopyObject, answer 200, and overwrite.
Everything happens in a folder of a random name below the production prefix, whose objects whoever made the folder
deletes at the end. All questions are asked at once: the whole takes about six round trips. Whether a condition also
holds against a write of the same moment, ``probe_race`` tells.

Where deleting is not allowed, only the conditions are tried, one after the other and on the same two objects, which
stay behind. Where the store keeps each new object for a while (Object Lock), nothing more is tried.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sketchmigrate.s3.probe.conditions import Conditions
from sketchmigrate.s3.probe.fidelity import Fidelity
from sketchmigrate.s3.probe.findings import Answer, ProbeFinding, ProbeReport, Question
from sketchmigrate.s3.probe.folder import SOURCE_BODY, SOURCE_HEADERS, ProbeFolder

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location

NOT_DELETED = "not tried, as its objects could not be deleted again (s3:DeleteObject)"


async def probe(folder: ProbeFolder, *, may_be_locked: bool = False) -> ProbeReport:
    """Try everything below a folder of the probe's own.

    ``may_be_locked``: whether new objects are locked could not be read, so that the first one has to tell. What cannot
    be told is ``unknown``: only a store in which nothing at all can be written raises, an ``S3Error``.
    """
    await asyncio.gather(folder.put(folder.source, SOURCE_BODY, SOURCE_HEADERS), folder.try_deleting())
    if may_be_locked and (until := await _locked_until(folder)):
        return untried(folder.place, f"not tried, as the bucket locks each new object until {until}")
    if not folder.may_delete:
        return _report(await Conditions(folder, frugal=True).ask(), folder.place, NOT_DELETED)
    groups = await asyncio.gather(Conditions(folder, frugal=False).ask(), Fidelity(folder).ask())
    return _report([finding for group in groups for finding in group], folder.place, "")


def untried(place: Location, why: str) -> ProbeReport:
    """Return the report of a store in which nothing was tried."""
    return _report([], place, why)


def _report(findings: list[ProbeFinding], place: Location, why_not: str) -> ProbeReport:
    found = {finding.question: finding for finding in findings}
    every = tuple(found.get(question, ProbeFinding(question, Answer.UNKNOWN, why_not)) for question in Question)
    return ProbeReport(every, place)


async def _locked_until(folder: ProbeFolder) -> str:
    info = await folder.look(folder.source)
    return info.headers.get("x-amz-object-lock-retain-until-date", "")
