"""The rights that each command needs for given settings, and no more: SQL GRANTs and an S3 policy. Pure.

Sources: for the actions, the Service Authorization Reference for Amazon S3, and "Permissions" of each operation in the
S3 API reference; for the privileges, the PostgreSQL manual, section "Privileges".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.sql import Identifier

from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from sketchmigrate.settings import table_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.settings import Settings

LIST = "s3:ListBucket"
LIST_VERSIONS = "s3:ListBucketVersions"
GET_LOCK = "s3:GetBucketObjectLockConfiguration"
LIST_UPLOADS = "s3:ListBucketMultipartUploads"
GET = "s3:GetObject"
PUT = "s3:PutObject"
ABORT = "s3:AbortMultipartUpload"
GET_TAGS = "s3:GetObjectTagging"
PUT_TAGS = "s3:PutObjectTagging"
DELETE = "s3:DeleteObject"


@dataclass(frozen=True, slots=True)
class Needs:
    """What one command does on either side.

    ``legacy`` and ``production`` are actions on objects below the prefix, ``probe`` those on the folder that a probe
    makes in production; the sides that are ``listed`` need the right to list as well, and production that to list
    versions where ``versions`` is set. ``reads`` and ``updates`` are about the table; with ``tries_flip`` it updates
    with --trial alone.
    """

    purpose: str
    reads: bool = True
    updates: bool = False
    listed: tuple[str, ...] = ("legacy", "production")
    legacy: tuple[str, ...] = (GET,)
    production: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    versions: bool = False
    tries_flip: bool = False


_WRITING = (GET, PUT, ABORT, GET_TAGS, PUT_TAGS)
# Deleting is for what the probe made itself; without it the probe leaves two objects behind, and says so.
_MIGRATING = Needs(
    "copies objects and rewrites rows",
    updates=True,
    legacy=(GET, GET_TAGS),
    production=_WRITING,
    probe=(DELETE,),
    versions=True,  # tell what was replaced, where the store honours no condition
)

NEEDS: dict[str, Needs] = {
    "migrate": _MIGRATING,
    "status": Needs("counts rows and objects (-s); a dry run (-d) needs verify's rights, with --trial plan's too"),
    "rollback": Needs("sets rows back, where the legacy object is there", updates=True),
    "probe": Needs(
        "tries what the store does",
        reads=False,
        listed=("production",),
        legacy=(),
        production=_WRITING,
        probe=(DELETE,),
    ),
    "plan": Needs(
        "says beforehand what a migration would meet (with --probe it needs probe's rights too, with --deep verify's)",
        tries_flip=True,
    ),
    "verify": Needs("proves that every row has its object", production=(GET,)),
    "repair": Needs(
        "copies again what was changed since, and migrates what was left",
        updates=True,
        legacy=_MIGRATING.legacy,
        production=_MIGRATING.production,
        probe=_MIGRATING.probe,
        versions=_MIGRATING.versions,
    ),
    "manifest": Needs("reads the rows and lists both sides again before it names what is safe to delete"),
}
"""By command; ``grants`` itself needs none."""


def sql_grants(settings: Settings, needs: Needs, role: str) -> list[str]:
    """Return the statements that give a role what the command needs, each ended by a semicolon."""
    if not needs.reads:
        return []
    to = f"TO {_quoted(role)};"
    name = table_name(settings.db_table)
    columns = f"{_quoted(settings.db_key_column)}, {_quoted(settings.db_path_column)}"
    statements = [f"GRANT CONNECT ON DATABASE {_quoted(settings.db_name)} {to}"] if settings.db_name else []
    if len(name) > 1:
        statements.append(f"GRANT USAGE ON SCHEMA {_quoted(name[0])} {to}")
    statements.append(f"GRANT SELECT ({columns}) ON {_quoted(*name)} {to}")
    if needs.updates:
        statements.append(_update_grant(settings, to))
    return statements


def trial_grants(settings: Settings, needs: Needs, role: str) -> list[str]:
    """Return what the role needs besides for --trial, which updates a row and rolls back."""
    return [_update_grant(settings, f"TO {_quoted(role)};")] if needs.tries_flip else []


def _update_grant(settings: Settings, to: str) -> str:
    return f"GRANT UPDATE ({_quoted(settings.db_path_column)}) ON {_quoted(*table_name(settings.db_table))} {to}"


def statements(settings: Settings, needs: Needs) -> list[tuple[str, list[str], str]]:
    """Return what a policy allows: bucket, actions, resource.

    Listing is not narrowed to the prefix: a HEAD carries none, and whoever may not list is told "access denied" where
    an object is missing (S3 API reference, HeadObject, "Permissions").
    """
    sides = {
        "legacy": (settings.legacy_bucket, settings.legacy_prefix, needs.legacy),
        "production": (settings.production_bucket, settings.production_prefix, needs.production),
    }
    arn = f"arn:{_partition(settings.region)}:s3:::"
    allowed: list[tuple[str, list[str], str]] = []
    for side, (bucket, prefix, actions) in sides.items():
        if side in needs.listed and (bucket, [LIST], arn + bucket) not in allowed:
            allowed.append((bucket, [LIST], arn + bucket))
        if actions:
            allowed.append((bucket, list(actions), f"{arn}{bucket}/{prefix}*"))
    bucket, prefix, _ = sides["production"]
    if needs.versions:
        allowed.append((bucket, [LIST_VERSIONS], arn + bucket))
    if needs.probe:  # read first whether what it stores could be removed again, and find what a killed one left
        allowed.append((bucket, [GET_LOCK, LIST_UPLOADS], arn + bucket))
        allowed.append((bucket, list(needs.probe), f"{arn}{bucket}/{prefix}{PROBE_FOLDER}*"))
    return allowed


def identity_policy(settings: Settings, needs: Needs) -> dict[str, object]:
    """Return the policy to attach to a user or role."""
    return _policy({}, statements(settings, needs))


def bucket_policies(settings: Settings, needs: Needs, principal: str) -> dict[str, dict[str, object]]:
    """Return the policy to attach to each bucket, for a user or role given by ARN."""
    allowed = statements(settings, needs)
    return {
        bucket: _policy({"Principal": {"AWS": [principal]}}, (each for each in allowed if each[0] == bucket))
        for bucket in dict.fromkeys(each[0] for each in allowed)
    }


def _policy(whom: dict[str, object], allowed: Iterable[tuple[str, list[str], str]]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", **whom, "Action": actions, "Resource": [resource]} for _, actions, resource in allowed
        ],
    }


def _partition(region: str) -> str:
    """Return the part of AWS that a region is in (AWS General Reference, "Amazon Resource Names")."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _quoted(*names: str) -> str:
    return Identifier(*names).as_string(None)
