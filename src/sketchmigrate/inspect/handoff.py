"""Hands the copying over to S3 Batch Operations: lists of the legacy objects that a run would have to copy.

A run afterwards finds them in place, compares, and flips. Source of what a job can do: S3 User Guide, "Copy objects"
(of S3 Batch Operations) and "Specifying a manifest"; S3 API reference, S3CopyObjectOperation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.plural import counted
from sketchmigrate.inspect.archived import look_at_archived
from sketchmigrate.inspect.batch_manifest import MOST_BYTES, write_batch_manifest
from sketchmigrate.inspect.inventory.told import inventories_json, inventories_read, inventory_of
from sketchmigrate.inspect.standing import Standing
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from sketchmigrate.core.routes import Route
    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.second_look import Looker
    from sketchmigrate.s3.config import S3Config

_MOVES = "SELECT move, count(*), sum(size_bytes)::BIGINT FROM to_copy GROUP BY move ORDER BY move"
# A legacy object is restored once, however many ways of sources it goes.
_ARCHIVED = """
SELECT count(DISTINCT (counted_route(tail, route := route), counted_tail(tail, route := route)))
FROM fate WHERE fate = 'archived'
"""
_TO_COPY = "SELECT bucket, key FROM to_copy WHERE move = ? ORDER BY key"


class Operation(StrEnum):
    """What a job has to do to bring objects to their place."""

    COPY = "S3PutObjectCopy"
    """S3's own copy: to the same key, or to the same key below a folder."""

    LAMBDA = "LambdaInvoke"
    """A function of one's own, that copies: where one prefix takes the place of another."""


FATES = {
    "in_production": "hold something under their production key already: a run compares it",
    "archived": "have an object that is archived: restore it first",
    "too_large": "have an object of over 5 GB, which no job can copy: the run copies it in parts",
    "missing": "have no legacy object",
    "unmovable": "cannot be moved as they are: plan says why",
    "changed": "were changed by the application while this looked",
}
"""Why the object of a legacy reference is in no list."""


@dataclass(frozen=True, slots=True)
class JobLists:
    """The lists of one move, which is what one job can be given: from one bucket into one, by one operation.

    ``target_key_prefix`` is that of the operation ``S3PutObjectCopy``; empty for the same key. A job takes one file.
    """

    move: str
    legacy_bucket: str
    legacy_prefix: str
    production_bucket: str
    production_prefix: str
    operation: Operation
    target_key_prefix: str
    objects: int
    size_bytes: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handoff:
    """What was written. ``references`` counts those of legacy rows: ``to_copy``, or by what they are left out for.

    ``not_set`` are settings of what new objects have, which a job knows nothing of.
    """

    jobs: tuple[JobLists, ...]
    references: Mapping[str, int]
    archived_objects: int
    not_set: tuple[str, ...]
    inventories: Mapping[str, datetime]

    @property
    def objects(self) -> int:
        """How many objects are to be copied."""
        return sum(job.objects for job in self.jobs)

    @property
    def size_bytes(self) -> int:
        """How many bytes they have."""
        return sum(job.size_bytes for job in self.jobs)

    def json(self) -> dict[str, object]:
        """Return it as values for JSON."""
        return {
            "kind": "handoff",
            "objects": self.objects,
            "size_bytes": self.size_bytes,
            "archived_objects": self.archived_objects,
            "references": dict(self.references),
            "jobs": [asdict(job) for job in self.jobs],
            "inventories": inventories_json(self.inventories),
            "not_set": list(self.not_set),
        }


def operation_of(route: Route) -> tuple[Operation, str]:
    """Return what brings the objects of a move to their place, and the ``TargetKeyPrefix`` of S3's own copy. Pure.

    That one puts a folder and a slash before the key, and can take nothing away from it.
    """
    if route.production_prefix == route.legacy_prefix:
        return Operation.COPY, ""
    folder, slash, rest = route.production_prefix.removesuffix(route.legacy_prefix).rpartition("/")
    is_below = route.production_prefix.endswith(route.legacy_prefix) and slash and not rest
    if is_below and folder and not folder.endswith("/"):
        return Operation.COPY, folder
    return Operation.LAMBDA, ""


async def judge(evidence: Evidence, looker: Looker) -> None:
    """Find the objects that a run would have to copy.

    Raises ``RunDirectoryError``, ``DatabaseError`` or ``S3Error``.
    """
    await evidence.judge()
    await looker.second_look([Standing.MISSING])
    await look_at_archived(looker)
    await evidence.script("handoff")


def settings_of_new_objects(config: S3Config) -> tuple[str, ...]:
    """Return the settings by which a run makes objects otherwise than S3 copies them. Pure."""
    keep = config.keep
    named = {
        "NEW_OBJECT_HEADERS": bool(config.new_object_headers),
        "KEEP_TAGS": keep.tags == "no",
        "KEEP_ACL": keep.acl,
        "KEEP_STORAGE_CLASS": keep.storage_class,
        "KEEP_MTIME": keep.mtime,
    }
    return tuple(name for name, is_set in named.items() if is_set)


async def write_lists(
    evidence: Evidence, folder: Path, *, not_set: tuple[str, ...] = (), most_file_bytes: int = MOST_BYTES
) -> Handoff:
    """Write what ``judge`` found into a folder, in files of at most so many bytes. Raises ``RunDirectoryError``."""
    jobs = []
    for move, objects, size_bytes in await evidence.ask(_MOVES):
        route = evidence.site.pairing.routes[move - 1]
        operation, target_key_prefix = operation_of(route)
        path = folder / f"handoff-{move}.csv"
        files = await write_batch_manifest(evidence.stream(_TO_COPY, [move]), path, most_bytes=most_file_bytes)
        jobs.append(
            JobLists(
                move=str(route),
                legacy_bucket=route.legacy_bucket,
                legacy_prefix=route.legacy_prefix,
                production_bucket=route.production_bucket,
                production_prefix=route.production_prefix,
                operation=operation,
                target_key_prefix=target_key_prefix,
                objects=objects,
                size_bytes=size_bytes,
                files=tuple(str(file.path) for file in files),
            )
        )
    counts = dict(await evidence.ask("SELECT fate, count(*) FROM fate GROUP BY fate"))
    ((archived,),) = await evidence.ask(_ARCHIVED)
    return Handoff(
        jobs=tuple(jobs),
        references={fate: counts.get(fate, 0) for fate in ("to_copy", *FATES)},
        archived_objects=archived,
        not_set=not_set,
        inventories=await inventories_read(evidence),
    )


def handoff_text(made: Handoff) -> str:
    """Say what the lists hold, which job each is for, and what is in none."""
    if made.jobs:
        many = counted(made.objects, "legacy object is", "legacy objects are")
        lines = [f"{many} to be copied, {decimal(made.size_bytes)}: by S3 Batch Operations, one job for each list."]
    else:
        lines = ["No legacy object is to be copied: there is no list."]
    for side, created_at_utc in made.inventories.items():
        lines.append(f"By the {inventory_of(created_at_utc)} of {side}; what it lacks was looked at now.")
    for job in made.jobs:
        lines += [
            "",
            printable(f"Move        {job.move}"),
            f"  objects   {job.objects:,}, {decimal(job.size_bytes)}",
            f"  operation {_operation_text(job)}",
            *(printable(f"  list      {file}") for file in job.files),
        ]
    if any(count for fate, count in made.references.items() if fate != "to_copy"):
        lines += ["", "In no list are the objects of these references of legacy rows:"]
        lines += [f"  {made.references[fate]:>9,}  {words}" for fate, words in FATES.items() if made.references[fate]]
    if made.jobs and made.not_set:
        what = (
            f"What {', '.join(made.not_set)} {'says' if len(made.not_set) == 1 else 'say'} of new objects no job knows:"
        )
        lines += ["", what, "have the job, or its function, set it, or the run finds conflicts, which -w copies anew."]
    lines += ["", "Nothing was copied. After the job run the migration as usual: it compares, and flips."]
    return "\n".join(lines)


def _operation_text(job: JobLists) -> str:
    if job.operation is Operation.LAMBDA:
        return f"{job.operation}, as one prefix takes the place of another (docs/batch-operations.md)"
    into = f"arn:aws:s3:::{job.production_bucket}"
    below = f", TargetKeyPrefix {job.target_key_prefix}" if job.target_key_prefix else ""
    return printable(f"{job.operation}, TargetResource {into}{below}")
