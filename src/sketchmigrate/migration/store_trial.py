"""Tries a store before a migration relies on it: what it does, and which conditions hold against a write of the moment.

What would stay for ever is not stored: nothing at all where new objects are locked by default (Object Lock), and no
races where objects have versions, unless a person asks for them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sketchmigrate.core.errors import S3Refused
from sketchmigrate.migration.probe_record import recorded_folder
from sketchmigrate.migration.proofs import Proofs
from sketchmigrate.s3.probe.findings import IF_ABSENT_QUESTIONS, Proof
from sketchmigrate.s3.probe.questions import probe, untried
from sketchmigrate.s3.probe.race import RACE_SECONDS, contests_for_absence, race
from sketchmigrate.s3.wire.redirect import is_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sketchmigrate.s3.probe.findings import ProbeReport, Question
    from sketchmigrate.s3.probe.folder import ProbeFolder
    from sketchmigrate.s3.probe.race import Contest
    from sketchmigrate.s3.wire.xml_subresources import ObjectLock
    from sketchmigrate.sides import Side

K = TypeVar("K", bound=str)

DOCUMENTED = "AWS documents that it holds (S3 User Guide, “How to prevent object overwrites”)"


class Races(Enum):
    """When to race: only what no race is kept of; anew; anew, and where objects have versions as well."""

    UNLESS_KEPT = 1
    ANEW = 2
    WITH_VERSIONS = 3


async def try_store(
    side: Side,
    run_dir: str,
    races: Races = Races.UNLESS_KEPT,
    tell: Callable[[str], None] = lambda _: None,
) -> ProbeReport:
    """Probe a side, and race the conditions that are honoured. Removes what it makes.

    ``tell`` hears of it before the first object is stored, if any is. Raises ``S3Error`` where nothing can be written,
    and ``RunDirectoryError``.
    """
    lock = await object_lock_of(side)
    if why := keeps_for_ever(lock):
        return untried(side.below(""), why)
    tell(f"Trying the store's conditions: up to {RACE_SECONDS:.0f} s, unless races of the last 30 days are on record.")
    async with recorded_folder(side, run_dir) as folder:
        report = await probe(folder, may_be_locked=lock is None)
        proofs = await _proofs(folder, report, run_dir, races, has_lock=is_enabled(lock))
    return replace(report, proofs=proofs, left_behind=tuple(folder.left_behind))


def is_enabled(lock: ObjectLock | None) -> bool:
    """Whether Object Lock, and with it versions, is on in a bucket; no, where that may not be read. Pure."""
    return lock is not None and lock.is_enabled


def keeps_for_ever(lock: ObjectLock | None) -> str:
    """Return why nothing is stored to find something out: it could not be removed again; empty if it could. Pure."""
    if lock is None or not lock.default_retention:
        return ""
    return f"not tried, as the bucket locks each new object ({lock.default_retention}): it could not be removed again"


async def object_lock_of(side: Side) -> ObjectLock | None:
    """Read what Object Lock does in a side's bucket; None where that may not be read."""
    try:
        return await side.store.object_lock(side.bucket)
    except S3Refused as error:
        if not error.is_denial:
            raise
        return None


async def _proofs(
    folder: ProbeFolder, report: ProbeReport, run_dir: str, races: Races, *, has_lock: bool
) -> dict[Question, Proof]:
    honoured = [question for question in IF_ABSENT_QUESTIONS if report.honours(question)]
    contests = await contests_for_absence(folder, honoured) if honoured else {}
    return await prove(folder, contests, run_dir, races, has_lock=has_lock)


async def prove(
    folder: ProbeFolder,
    contests: Mapping[K, Contest],
    run_dir: str,
    races: Races = Races.UNLESS_KEPT,
    *,
    has_lock: bool,
) -> dict[K, Proof]:
    """Say of each condition whether it is proved: by the documents, by races of the last 30 days, or by some now.

    Raises ``RunDirectoryError``.
    """
    endpoint_url = folder.store.config.endpoint_url
    if is_aws(endpoint_url):
        return dict.fromkeys(contests, Proof(is_proved=True, evidence=DOCUMENTED))
    with_versions = folder.keeps_versions or has_lock
    why_not = _why_not(folder, races, with_versions=with_versions)
    home = Path(run_dir).expanduser()  # noqa: ASYNC240 - it asks for the home folder, at most
    kept_by = Proofs(home, endpoint_url, folder.place.bucket, with_versions=with_versions)
    now = time.time()
    proofs: dict[K, Proof] = {}
    for condition in contests:
        kept = kept_by.kept(condition, now)
        if kept is not None and (why_not or races is Races.UNLESS_KEPT):
            day = datetime.fromtimestamp(kept.unix_time, UTC)
            proofs[condition] = Proof(kept.race.is_proved, f"{kept.race.told()} ({day:%Y-%m-%d})")
        elif why_not:
            proofs[condition] = Proof(is_proved=False, evidence=f"it was not raced, as {why_not}")
    raced = await race(folder, {each: contest for each, contest in contests.items() if each not in proofs})
    if raced:
        kept_by.keep(raced, now)
    return proofs | {condition: Proof(each.is_proved, each.told()) for condition, each in raced.items()}


def _why_not(folder: ProbeFolder, races: Races, *, with_versions: bool) -> str:
    """Return why nothing may be raced; empty if it may."""
    if not folder.may_delete:
        return "its objects could not be deleted again (s3:DeleteObject)"
    if with_versions and races is not Races.WITH_VERSIONS:
        return "the bucket keeps versions, of which a race makes thousands (`sketch-migrate probe --race` does it)"
    return ""
