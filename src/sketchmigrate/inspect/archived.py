"""Legacy objects in an archive, which have to be restored before they can be copied: which they are, and their list.

Nothing is restored from here. A restore changes legacy, and costs: whoever pays for it starts it.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.plural import counted
from sketchmigrate.core.reason import archived
from sketchmigrate.inspect.batch_manifest import FORMAT, write_batch_manifest
from sketchmigrate.inspect.looks import Refused
from sketchmigrate.inspect.second_look import LOOKS_AT_ONCE, MOST_SECOND_LOOKS
from sketchmigrate.s3.headers import ARCHIVES, TIERED, archive_of, not_restored, restore_under_way
from sketchmigrate.s3.wire.redirect import partition_of
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sketchmigrate.inspect.batch_manifest import BatchManifest
    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.second_look import Looker

_SUSPECTS = """
SELECT DISTINCT o.route, o.tail, o.storage_class FROM legacy_object AS o SEMI JOIN (
    SELECT route, tail FROM verdict WHERE standing = 'unmigrated' AND same IS DISTINCT FROM true
) AS v ON v.tail = o.tail AND v.route = o.route WHERE list_contains(?, o.storage_class)
"""

_COUNTS = """
SELECT (SELECT count(*) FROM (
            SELECT DISTINCT legacy_bucket(route := route), legacy_key(tail, route := route) FROM archived
        )),
       (SELECT count(*) FROM (
            SELECT DISTINCT source, key FROM verdict SEMI JOIN archived USING (route, tail)
            WHERE standing = 'unmigrated' AND same IS DISTINCT FROM true
        ))
"""

# A table, as the macros are not known where it is streamed.
_TO_RESTORE = f"""
CREATE TABLE to_restore AS
SELECT DISTINCT legacy_bucket(route := route) AS bucket, legacy_key(tail, route := route) AS key,
       starts_with(archive, '{TIERED}') AS is_tier
FROM archived WHERE NOT is_being_restored
"""  # noqa: S608 - our own words

DAYS = 30
"""How long the command asks for restored copies to stay: longer than a migration, and a figure to be changed."""


class Archived(NamedTuple):
    """How many legacy objects are archived and how many rows name one; ``unseen`` ones may be, of those of a tier."""

    objects: int = 0
    rows: int = 0
    unseen: int = 0


class RestoreList(NamedTuple):
    """A list of objects to restore. One job takes either objects of archive classes or those of archive ``tiers``."""

    manifest: BatchManifest
    tiers: bool


async def look_at_archived(looker: Looker) -> Archived:
    """Note which objects to be copied are in an archive and not restored, by a look at each that may be.

    Those are of a class that is an archive, or has archive tiers. Of more than ``MOST_SECOND_LOOKS`` objects the others
    of an archive's class are noted by that alone, and those of the other are ``unseen``. Raises ``S3Error``.
    """
    evidence, unseen = looker.evidence, 0
    for classes in (sorted(ARCHIVES), [TIERED]):
        done = 0
        async for rows in evidence.stream(_SUSPECTS, [classes]):
            for first in range(0, len(rows), LOOKS_AT_ONCE):
                some = rows[first : first + LOOKS_AT_ONCE]
                if done < MOST_SECOND_LOOKS:
                    found = await all_of([_look(looker, *each) for each in some])
                else:
                    found = [_by_class(name) for *_, name in some]
                    unseen += found.count(None)
                noted = [(*pair, *one) for (*pair, _), one in zip(some, found, strict=True) if one is not None]
                await evidence.insert("archived", noted)
                done += len(some)
                looker.count("objects that may be archived", done)
    ((objects, rows_naming),) = await evidence.ask(_COUNTS)
    return Archived(objects, rows_naming, unseen)


def _by_class(storage_class: str) -> tuple[str, str, bool] | None:
    if storage_class == TIERED:
        return None
    return f"archived ({storage_class}), and whether it is restored was not looked at", storage_class, False


async def _look(looker: Looker, route: int, tail: str, storage_class: str) -> tuple[str, str, bool] | None:
    """Return why an object cannot be read, its archive, and whether it is being restored; None where it can."""
    began_at = time.monotonic()
    looks, source = looker.looks, looker.site.pairing.legacy(route, tail)
    info = None if source is None else await looks.legacy(source)
    if source is None or info is None:
        return None
    of_class = storage_class if storage_class in ARCHIVES else ""
    if isinstance(info, Refused):
        return (info.words, of_class, False) if of_class else None
    archive = archive_of(info.headers) or of_class
    if not archive:
        return None
    try:
        refusal = await not_restored(looks.sides.legacy.store, source, info.headers)
    except S3Error as error:
        return (await looks.refused(error, began_at)).words, archive, False
    if refusal is None:
        return None
    return str(archived(refusal, archive)), archive, restore_under_way(source, info.headers) is not None


async def write_restore_lists(evidence: Evidence, directory: Path) -> list[RestoreList]:
    """List the archived objects that nobody restores yet, each once, into a directory. Raises ``RunDirectoryError``."""
    await evidence.execute(_TO_RESTORE)
    lists: list[RestoreList] = []
    for name, tiers in (("archived.csv", False), ("archived-tiers.csv", True)):
        objects = evidence.stream("SELECT bucket, key FROM to_restore WHERE is_tier = ? ORDER BY ALL", [tiers])
        written = await write_batch_manifest(objects, directory / name)
        lists += [RestoreList(manifest, tiers) for manifest in written]
    return lists


def restore_text(lists: Sequence[RestoreList]) -> str:
    """Say where the lists are, and who has to restore."""
    lines = [
        f"Archived    {each.manifest.path}: {counted(each.manifest.objects, 'object', 'objects')} to be restored"
        f"{' from archive tiers' if each.tiers else ''}"
        for each in lists
    ]
    lines.append("            This tool restores none, as that changes legacy, and costs: docs/batch-operations.md.")
    return "\n".join(lines)


def restore_commands(lists: Sequence[RestoreList], region: str, endpoint_url: str) -> str:
    """Return the commands that have S3 Batch Operations restore what is listed, as AWS's own client takes them.

    Both are for legacy's region; S3 itself is asked at its endpoint, empty for the usual one, which takes no jobs. What
    only a person knows is in capitals. An object of an archive tier stays restored, and takes no number of days
    (S3 API reference, S3InitiateRestoreObjectOperation).
    """
    commands, partition, no_report = [], partition_of(region), _json({"Enabled": False})
    there = f"--region {shlex.quote(region)}"
    of_s3 = f"{there} --endpoint-url {shlex.quote(endpoint_url)}" if endpoint_url else there
    for each in lists:
        path, etag = each.manifest.path, each.manifest.etag
        operation = {"GlacierJobTier": "BULK", **({} if each.tiers else {"ExpirationInDays": DAYS})}
        location = {"ObjectArn": f"arn:{partition}:s3:::BUCKET/{path.name}", "ETag": etag}
        manifest = {"Spec": {"Format": FORMAT, "Fields": ["Bucket", "Key"]}, "Location": location}
        commands += [
            f"aws s3api put-object {of_s3} --bucket BUCKET --key {shlex.quote(path.name)} \\",
            f"  --body {shlex.quote(str(path))}",
            f"aws s3control create-job {there} --account-id ACCOUNT --no-confirmation-required \\",
            f"  --role-arn arn:{partition}:iam::ACCOUNT:role/ROLE --priority 10 --report {no_report} \\",
            f"  --operation {_json({'S3InitiateRestoreObject': operation})} \\",
            f"  --manifest {_json(manifest)}",
        ]
    return "\n".join(commands)


def _json(value: object) -> str:
    return shlex.quote(json.dumps(value))
