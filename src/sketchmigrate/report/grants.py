"""A command's rights for given settings, and no more: SQL GRANTs and an S3 policy. Pure.

Source of the privileges: the PostgreSQL manual, section "Privileges".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import Identifier

from sketchmigrate.core.rights import GET_LOCK, LIST, LIST_UPLOADS, LIST_VERSIONS
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from sketchmigrate.settings import table_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.core.rights import Rights
    from sketchmigrate.settings import Settings


def sql_grants(settings: Settings, rights: Rights, role: str) -> list[str]:
    """Return the statements that give a role what the command needs, each ended by a semicolon."""
    if not rights.reads:
        return []
    to = f"TO {_quoted(role)};"
    name = table_name(settings.db_table)
    columns = f"{_quoted(settings.db_key_column)}, {_quoted(settings.db_path_column)}"
    statements = [f"GRANT CONNECT ON DATABASE {_quoted(settings.db_name)} {to}"] if settings.db_name else []
    if len(name) > 1:
        statements.append(f"GRANT USAGE ON SCHEMA {_quoted(name[0])} {to}")
    statements.append(f"GRANT SELECT ({columns}) ON {_quoted(*name)} {to}")
    if rights.updates:
        statements.append(_update_grant(settings, to))
    return statements


def trial_grants(settings: Settings, rights: Rights, role: str) -> list[str]:
    """Return what the role needs besides for --trial, which updates a row and rolls back."""
    return [_update_grant(settings, f"TO {_quoted(role)};")] if rights.tries_flip else []


def _update_grant(settings: Settings, to: str) -> str:
    return f"GRANT UPDATE ({_quoted(settings.db_path_column)}) ON {_quoted(*table_name(settings.db_table))} {to}"


def statements(settings: Settings, rights: Rights) -> list[tuple[str, list[str], str]]:
    """Return what a policy allows: bucket, actions, resource.

    Listing is not narrowed to the prefix: a HEAD carries none, and whoever may not list is told "access denied" where
    an object is missing (S3 API reference, HeadObject, "Permissions").
    """
    sides = {
        "legacy": (settings.legacy_bucket, settings.legacy_prefix, rights.legacy),
        "production": (settings.production_bucket, settings.production_prefix, rights.production),
    }
    arn = f"arn:{_partition(settings.region)}:s3:::"
    allowed: list[tuple[str, list[str], str]] = []
    for side, (bucket, prefix, actions) in sides.items():
        if side in rights.listed and (bucket, [LIST], arn + bucket) not in allowed:
            allowed.append((bucket, [LIST], arn + bucket))
        if actions:
            allowed.append((bucket, list(actions), f"{arn}{bucket}/{prefix}*"))
    bucket, prefix, _ = sides["production"]
    if rights.versions:
        allowed.append((bucket, [LIST_VERSIONS], arn + bucket))
    if rights.probe:  # read first whether what it stores could be removed again, and find what a killed one left
        allowed.append((bucket, [GET_LOCK, LIST_UPLOADS], arn + bucket))
        allowed.append((bucket, list(rights.probe), f"{arn}{bucket}/{prefix}{PROBE_FOLDER}*"))
    return allowed


def identity_policy(settings: Settings, rights: Rights) -> dict[str, object]:
    """Return the policy to attach to a user or role."""
    return _policy({}, statements(settings, rights))


def bucket_policies(settings: Settings, rights: Rights, principal: str) -> dict[str, dict[str, object]]:
    """Return the policy to attach to each bucket, for a user or role given by ARN."""
    allowed = statements(settings, rights)
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
