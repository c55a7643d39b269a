"""What is checked before anything is changed: that the table can be flipped and both buckets used as the job needs.

Every failure names the thing and the setting or right to mend. Nothing is written that an application could see: the
right to write into production is tried by a multipart upload that is begun and called off at once, the right to tags on
an object that is not there. Both are under a random name of the tool's own (``probe_record``).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from psycopg.sql import Identifier

from sketchmigrate.core.errors import (
    BucketMissing,
    DatabaseUnreachable,
    ObjectMissing,
    S3Error,
    S3Refused,
    SettingsError,
)
from sketchmigrate.postgres.others import identity_of
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.trial import LIMITS
from sketchmigrate.postgres.watchdog import hung_up_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.objects import Location
    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.s3.probe.folder import ProbeFolder
    from sketchmigrate.sides import Side, Sides

PATIENCE_SECONDS = 3.0
"""For a store that does not answer before the run: a wrong address is told at once, a hiccup is passed."""

CATALOGUE_SECONDS = 30.0
"""For a database that falls silent while its catalogue is looked at."""

ABSENT_NAME = ".sketch-migrate-absent"
"""What is read where there is no object to try that on. Nothing is ever written or deleted under this name."""


OTHERS_TRIED = 20
"""Spread over the first page of the listing."""

RIGHTS = "sketch-migrate grants prints the rights that are needed."


async def check_database(
    database: Database, sources: Sequence[Source], *, for_writing: bool
) -> list[tuple[Source, Table]]:
    """Connect once and look at the tables. Raises ``DatabaseUnreachable`` or ``DatabaseRefused``, without waiting."""
    async with first_connection(database) as connection:
        found = [(each, await inspect_table(connection, each, for_writing=for_writing)) for each in sources]
        database.identity = await identity_of(connection) if for_writing else ""
    database.watched = tuple(dict.fromkeys(Identifier(*table.name).as_string() for _, table in found))
    return found


@asynccontextmanager
async def first_connection(database: Database) -> AsyncIterator[AsyncConnection]:
    """Connect once, for a look at the catalogue. Raises ``DatabaseUnreachable`` where nothing answers."""
    connection = await database.connect()
    try:
        with hung_up_after(CATALOGUE_SECONDS, connection):
            yield connection
    except TimeoutError as error:
        text = f"the database at {database.where} does not answer"
        raise DatabaseUnreachable(text, hint="Look whether it, or a pooler in front of it, hangs.") from error
    finally:
        await database.leave(connection)


async def check_settings_sql(database: Database, sources: Sequence[tuple[Source, Table]]) -> None:
    """Try the SQL of the settings. Raises ``SettingsError`` or ``DatabaseError``."""
    with_sql = [(source, table) for source, table in sources if source.where or source.expression or source.also_move]
    if not with_sql:
        return
    from sketchmigrate.postgres.settings_sql import check_sql  # noqa: PLC0415 - few have any

    async with database.session() as session:
        for source, table in with_sql:
            doing = f"trying the SQL of the source {source.name!r}"
            await session.run(check_sql, table, source, doing=doing, limits=LIMITS)


class Specimens(NamedTuple):
    """What rights are tried on: an object of each side, or a key of none.

    AWS answers for both, Ceph only for what is there.
    """

    legacy: Location
    production: Location

    @property
    def untried(self) -> tuple[str, ...]:
        """What could not be tried, for lack of an object."""
        place = str(self.legacy).removesuffix(ABSENT_NAME)
        return () if place == str(self.legacy) else (f"No object is under {place}: reading was not tried.",)


async def check_reading(sides: Sides, likely: Location | None = None) -> Specimens:
    """Try to list both sides and to read a legacy object, and return an object of each side.

    ``likely`` of the legacy side is tried first, to spare the listing of the whole side. Raises ``S3Error``.
    """
    if likely and await _is_specimen(sides.legacy.store, likely):
        return Specimens(likely, await find_specimen(sides.production))
    legacy = await find_specimen(sides.legacy)
    specimens = Specimens(legacy, await find_specimen(sides.production))
    if specimens.untried:
        return specimens
    return specimens._replace(legacy=await check_read(sides.legacy, legacy))


async def check_all_reading(moves: Sequence[Sides]) -> None:
    """Try it for each move. Raises ``S3Error``."""
    for sides in moves:
        await check_reading(sides)


async def _is_specimen(store: S3Client, likely: Location) -> bool:
    """Try to list what is below an object, most often nothing, and to read it. Raises ``S3Error`` if the store fails.

    rclone's server sorts a folder for a listing of any object in it: 0.15 s with 20 000 objects, 2 s with 200 000.
    """
    try:
        await store.list_page(likely.bucket, likely.key + "/", max_keys=1)
        await store.head(likely)
    except S3Error as error:
        if not error.is_client_error:
            raise
        return False  # the listing of the whole side, and reading what it has, tell whether that was about this key
    return True


async def find_specimen(side: Side) -> Location:
    """Try to list one side, and return an object to try a right on, or a key of none.

    Raises ``S3Error``, and ``SettingsError`` where the path of an endpoint was taken for that of an object.
    """
    try:
        page = await side.store.list_page(side.bucket, side.prefix, max_keys=2)
    except (ObjectMissing, BucketMissing) as error:
        if refusal := _path_refused(side):
            raise refusal from error
        if isinstance(error, BucketMissing):
            text = f"there is no bucket {side.bucket} at {side.store_name}"
            raise BucketMissing(text, hint=f"Set {side.setting('BUCKET')}, or make the bucket.") from error
        raise
    except S3Refused as error:
        if error.is_denial:
            raise _denied(error, f"list {side}", "s3:ListBucket") from error
        raise
    if not page.objects:
        return side.below(ABSENT_NAME)
    # the first may be a folder marker: the prefix itself
    return side.at(page.objects[-1].key)


def _path_refused(side: Side) -> SettingsError | None:
    """Return what to say of a store that finds no bucket behind the path of its endpoint; None where that has none."""
    path = urlsplit(side.store.config.endpoint_url).path
    if not path:
        return None
    name = side.store.config.name_of("S3_ENDPOINT_URL")
    text = f"{name} {side.store.config.endpoint_url} has the path {path}, and there is no bucket {side.bucket} below it"
    return SettingsError(text, hint="Leave it away, unless the store is served below one: the tool adds the bucket.")


async def check_read(side: Side, location: Location, *, others: bool = True) -> Location:
    """Try to read an object, and return it; that it is not there is an answer as well. Raises ``S3Error``.

    Where it is refused, ``others`` of the side are tried: the first that can be read is returned.
    """
    try:
        await side.store.head(location)
    except ObjectMissing:
        return location
    except S3Refused as error:
        if not error.is_denial:
            raise
        other = await other_readable(side, location) if others else None
        if other is None:
            raise _denied(error, f"read {location}", "s3:GetObject") from error
        return other
    return location


async def other_readable(side: Side, refused: Location) -> Location | None:
    """Return an object of the side that can be read, or None. Raises ``S3Error`` for all but refusals.

    A refusal of one object says nothing of the others: it may belong to another account, or be encrypted with a key of
    its own. So others are tried before it is said that reading is not allowed.
    """
    page = await side.store.list_page(side.bucket, side.prefix)
    others = [each.key for each in page.objects if each.key not in (refused.key, side.prefix)]
    for key in others[:: max(1, len(others) // OTHERS_TRIED)][:OTHERS_TRIED]:
        other = side.at(key)
        try:
            await side.store.head(other)
        except ObjectMissing:
            continue
        except S3Refused as error:
            if not error.is_denial:
                raise
        else:
            return other
    return None


async def check_tagging(folder: ProbeFolder, sides: Sides, specimens: Specimens) -> list[str]:
    """Try the rights to tags, as far as they are kept, and return what is not allowed.

    Only objects that have tags need them, so that lacking one is worth a note, and no reason to refuse.
    """
    keep_tags = sides.production.store.config.keep.tags
    if keep_tags == "no":
        return []
    what_then = "objects with tags fail" if keep_tags == "required" else "the copies of objects with tags have none"
    source, target = specimens.legacy, specimens.production
    at_once = sides.retrying(0)  # a store without tags fails in strange ways, and no wait mends that
    readings = await asyncio.gather(
        _refusal(at_once.legacy.store.tags(source)), _refusal(at_once.production.store.tags(target))
    )
    refusals = [
        (readings[0], "s3:GetObjectTagging", sides.legacy),
        (readings[1], "s3:GetObjectTagging", sides.production),
    ]
    if not any(isinstance(reading, S3Error) and reading.code != "AccessDenied" for reading in readings):
        writing = await _refusal(_tag(folder))
        refusals.append((writing, "s3:PutObjectTagging", sides.production))
    return [
        f"The store denies {right} on {side}*: {what_then}. {RIGHTS}"
        for refusal, right, side in refusals
        if isinstance(refusal, S3Refused) and refusal.code == "AccessDenied"
    ]


async def check_versions(side: Side) -> list[str]:
    """Try the right to list versions, which tell what a copy without a condition replaced; return what is lacking."""
    refusal = await _refusal(side.store.retrying(0).versions(*side.below(ABSENT_NAME)))
    if not isinstance(refusal, S3Refused) or refusal.code != "AccessDenied":
        return []  # a store without versions fails in strange ways, and has none to list
    return [f"The store denies s3:ListBucketVersions on s3://{side.bucket}. {RIGHTS}"]


async def _refusal(attempt: Awaitable[object]) -> S3Error | None:
    """Return the error that an attempt ends with; that an object is not there is none."""
    try:
        await attempt
    except ObjectMissing:
        return None
    except S3Error as error:
        return error
    return None


async def _tag(folder: ProbeFolder) -> None:
    """Tag an object that is not there. rclone's server takes the tags for the object: then the folder deletes it."""
    absent = folder.taken(folder.alone)
    try:
        await folder.at_once.put_tags(absent, [])
    except S3Error as error:
        folder.refused(absent, error)
        raise


async def check_writing(folder: ProbeFolder, side: Side) -> None:
    """Try the right to write into production. Raises ``S3Error``."""
    location = folder.alone
    try:
        upload = await folder.begin_upload(location)
    except S3Refused as error:
        if error.is_denial:
            raise _denied(error, f"write into {side}", "s3:PutObject") from error
        raise
    try:
        await folder.abort(upload)
    except S3Error as error:
        begun = f"the upload {upload.upload_id} to {location}, begun to try the right to write"
        message = f"{begun}, was not called off (which takes s3:AbortMultipartUpload): {error}"
        raise S3Refused(message, hint=error.hint, code=error.code) from error


def _denied(error: S3Refused, what: str, right: str) -> S3Refused:
    """Say in the words of the job what is not allowed, and which right it takes.

    That this right is what is lacking is known only where the store says so, and then the error has a hint already: a
    policy that demands a header, or a key that may not be used, is refused with the same code.
    """
    return S3Refused(
        f"not allowed to {what} (which takes {right}): {error}",
        hint=error.hint,
        status=error.status,
        code=error.code,
    )
