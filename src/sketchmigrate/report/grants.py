"""A command's rights for given settings, and no more: SQL GRANTs and an S3 policy. Pure.

Source of the privileges: the PostgreSQL manual, section "Privileges".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.sql import Identifier

from sketchmigrate.core.rights import (
    DECRYPT,
    GENERATE_KEY,
    GET,
    GET_ACL,
    GET_BUCKET_ACL,
    GET_LOCK,
    GET_TAGS,
    LIST,
    LIST_UPLOADS,
    LIST_VERSIONS,
    PUT,
    PUT_ACL,
    PUT_HOLD,
    PUT_RETENTION,
    PUT_TAGS,
)
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.postgres.vitals import SHOW_ALL
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from sketchmigrate.s3.wire.redirect import is_aws, partition_of
from sketchmigrate.settings.sources import routes_of
from sketchmigrate.settings.stores import inventories_of, store_of
from sketchmigrate.settings.values import headers_of, manifest_place, table_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sketchmigrate.core.rights import OptionalRight, Rights
    from sketchmigrate.core.source import Source
    from sketchmigrate.settings import Settings

_DEMANDED = {
    PUT_ACL: ("x-amz-acl", "x-amz-grant-"),
    PUT_RETENTION: ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"),
    PUT_HOLD: ("x-amz-object-lock-legal-hold",),
}
"""S3 API reference, PutObject and CopyObject, "Permissions"."""

_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def sql_grants(settings: Settings, sources: Sequence[Source], rights: Rights, role: str) -> list[str]:
    """Return the statements that give a role what the command needs, each ended by a semicolon.

    The key of each of the sources is known.
    """
    if not rights.reads:
        return []
    to = f"TO {_quoted(role)};"
    statements = [f"GRANT CONNECT ON DATABASE {_quoted(settings.db_name)} {to}"] if settings.db_name else []
    names = [table_name(source.table) for source in sources]
    schemas = dict.fromkeys(name[0] for name in names if len(name) > 1)
    statements += [f"GRANT USAGE ON SCHEMA {_quoted(schema)} {to}" for schema in schemas]
    statements += _column_grants("SELECT", ((each.table, (*each.key, *each.columns)) for each in sources), to)
    if rights.updates:
        statements += _update_grants(sources, to)
    return statements


def trial_grants(sources: Sequence[Source], rights: Rights, role: str) -> list[str]:
    """Return what the role needs besides for --trial, which updates a row and rolls back."""
    return _update_grants(sources, f"TO {_quoted(role)};") if rights.tries_flip else []


def vitals_grants(rights: Rights, role: str) -> list[str]:
    """Return what the role may have besides to see how far standbys are behind, for what changes rows."""
    return [f"GRANT {SHOW_ALL} TO {_quoted(role)};"] if rights.updates else []


def block_grants(sources: Sequence[Source], rights: Rights, role: str) -> list[str]:
    """Return what the role may have besides to read a table whose key is random in the order of its blocks."""
    tables = ((each.table, ("ctid",)) for each in sources) if rights.by_block else ()
    return _column_grants("SELECT", tables, f"TO {_quoted(role)};")


def _update_grants(sources: Sequence[Source], to: str) -> list[str]:
    return _column_grants("UPDATE", ((each.table, each.written) for each in sources), to)


def _column_grants(privilege: str, columns: Iterable[tuple[str, Sequence[str]]], to: str) -> list[str]:
    """Return a statement for each table, on all columns that one of its sources needs."""
    of_tables: dict[tuple[str, ...], dict[str, None]] = {}
    for table, names in columns:
        of_tables.setdefault(table_name(table), {}).update(dict.fromkeys(names))
    return [
        f"GRANT {privilege} ({', '.join(_quoted(name) for name in names)}) ON {_quoted(*table)} {to}"
        for table, names in of_tables.items()
    ]


class Allowed(NamedTuple):
    """What a policy allows on one resource of a bucket, or with an empty ``bucket`` on keys of KMS."""

    bucket: str
    actions: tuple[str, ...]
    resource: str
    condition: Mapping[str, Mapping[str, str]] = {}


def needed(settings: Settings, rights: Rights) -> list[Allowed]:
    """Return what a policy has to allow.

    Listing is not narrowed to the prefix: a HEAD carries none, and whoever may not list is told "access denied" where
    an object is missing (S3 API reference, HeadObject, "Permissions").
    """
    places = _places(settings)
    allowed: list[Allowed] = []
    for side, actions in (("legacy", rights.legacy), ("production", rights.production)):
        for place in places[side]:
            listing = Allowed(place.bucket, (LIST,), place.arn)
            if side in rights.listed and listing not in allowed:
                allowed.append(listing)
            if actions:
                demanded = demanded_actions(settings) if PUT in actions else ()
                allowed.append(Allowed(place.bucket, (*actions, *demanded), place.objects))
    for production in {place.bucket: place for place in reversed(places["production"])}.values():
        if rights.versions:
            allowed.append(Allowed(production.bucket, (LIST_VERSIONS,), production.arn))
        if rights.probe:  # read first whether what it stores could be removed again, and find what a killed one left
            allowed.append(Allowed(production.bucket, (GET_LOCK, LIST_UPLOADS), production.arn))
            allowed.append(Allowed(production.bucket, rights.probe, production.probe))
        if settings.keep_acl and PUT in rights.production:  # the owner keeps all rights beside grants to single ids
            allowed.append(Allowed(production.bucket, (GET_BUCKET_ACL,), production.arn))
    if PUT in rights.production:
        allowed += demanded_key(settings)
    return [*allowed, *(each for side in rights.inventories for each in _inventories(settings, side))]


def _inventories(settings: Settings, side: SideName) -> list[Allowed]:
    """Return what is needed to read the inventories of a side that are in a store.

    The manifest is in a folder of its moment, and the data files are in one beside that (S3 User Guide, "Locating your
    inventory list").
    """
    found: list[Allowed] = []
    for named in inventories_of(settings, side):
        if (place := manifest_place(named)) is not None:
            bucket, key = place
            folder = key.rsplit("/", 2)[0] + "/" if key.count("/") > 1 else ""
            arn = f"arn:{partition_of(store_of(settings, side).region)}:s3:::{bucket}/{folder}*"
            found.append(Allowed(bucket, (GET,), arn))
    return found


def for_what_is_kept(settings: Settings, rights: Rights) -> Rights:
    """Return the rights of a command by what the settings keep of the old objects: to give it, and to compare it."""
    if PUT not in rights.production and not any(GET_TAGS in right.objects for right in rights.optional):
        return rights

    def kept(actions: tuple[str, ...]) -> tuple[str, ...]:
        not_kept = (GET_TAGS, PUT_TAGS) if settings.keep_tags == "no" else ()
        acl = (*((GET_ACL,) if GET in actions else ()), *((PUT_ACL,) if PUT in actions else ()))
        return (*(action for action in actions if action not in not_kept), *(acl if settings.keep_acl else ()))

    optional = [
        right._replace(objects=(*right.objects, GET_ACL))
        if settings.keep_acl and GET_TAGS in right.objects and GET_ACL not in right.objects
        else right
        for right in rights.optional
    ]
    return rights._replace(legacy=kept(rights.legacy), production=kept(rights.production), optional=tuple(optional))


def optional(settings: Settings, right: OptionalRight, already: Iterable[Allowed]) -> list[Allowed]:
    """Return what a policy may allow besides what it does ``already``; nothing where that is all of it."""
    store = store_of(settings, SideName(right.side))
    suffix = ".cn" if store.region.startswith("cn-") else ""
    via = {"StringEquals": {"kms:ViaService": f"s3.{store.region}.amazonaws.com{suffix}"}}
    wanted = [
        each
        for place in _places(settings)[right.side]
        for each in (
            Allowed(place.bucket, right.bucket, place.arn),
            Allowed(place.bucket, right.objects, place.objects),
            Allowed(place.bucket, right.probe, place.probe),
        )
    ]
    keys = right.keys if is_aws(store.endpoint_url) else ()
    wanted.append(Allowed("", keys, _key_arn(store.region, "*"), via))
    has = {(each.resource, action) for each in already for action in each.actions}
    left = (
        each._replace(actions=tuple(action for action in each.actions if (each.resource, action) not in has))
        for each in wanted
    )
    return [each for each in left if each.actions]


class _Place(NamedTuple):
    """A side's bucket, and as ARNs the bucket, the objects below the prefix, and those of a probe there."""

    bucket: str
    arn: str
    objects: str
    probe: str


def _places(settings: Settings) -> dict[str, list[_Place]]:
    """Return the places of either side, each once."""
    found: dict[str, list[_Place]] = {}
    for side in BOTH_SIDES:
        arn = f"arn:{partition_of(store_of(settings, side).region)}:s3:::"
        found[side] = [
            _Place(bucket, arn + bucket, f"{arn}{bucket}/{prefix}*", f"{arn}{bucket}/{prefix}{PROBE_FOLDER}*")
            for bucket, prefix in dict.fromkeys(route.place(side) for route in routes_of(settings).all)
        ]
    return found


def demanded_actions(settings: Settings) -> tuple[str, ...]:
    """Return the actions that storing an object takes besides, for what NEW_OBJECT_HEADERS sends with each."""
    names = [name for name, _ in headers_of(settings.new_object_headers)]
    return tuple(action for action, begins in _DEMANDED.items() if any(name.startswith(begins) for name in names))


def demanded_key(settings: Settings) -> list[Allowed]:
    """Return what is needed on the key with which NEW_OBJECT_HEADERS encrypts; nothing for S3's own, or elsewhere.

    An alias is no resource of a policy (KMS developer guide, "Use aliases to control access to KMS keys").
    """
    key = dict(headers_of(settings.new_object_headers)).get(_KEY_HEADER, "")
    store = store_of(settings, SideName.PRODUCTION)
    if not key or not is_aws(store.endpoint_url):
        return []
    *_, alias = key.rpartition(":")
    if alias.startswith("alias/"):
        condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
        return [Allowed("", (GENERATE_KEY, DECRYPT), _key_arn(store.region, "*"), condition)]
    arn = key if key.startswith("arn:") else _key_arn(store.region, key)
    return [Allowed("", (GENERATE_KEY, DECRYPT), arn)]


def _key_arn(region: str, key_id: str) -> str:
    return f"arn:{partition_of(region)}:kms:{region}:*:key/{key_id}"


def policies(allowed: Sequence[Allowed], principal: str | None) -> dict[str, object]:
    """Return the policy to attach to a user or role; or for one given by ARN those of each bucket, and of a KMS key."""
    if principal is None:
        return {"policy": _policy({}, allowed)}
    whom: dict[str, object] = {"Principal": {"AWS": [principal]}}
    buckets = dict.fromkeys(each.bucket for each in allowed if each.bucket)
    of_buckets = {bucket: _policy(whom, [each for each in allowed if each.bucket == bucket]) for bucket in buckets}
    found: dict[str, object] = {"bucket_policies": of_buckets} if of_buckets else {}
    if keys := [each._replace(resource="*", condition={}) for each in allowed if not each.bucket]:
        found["key_policy"] = _policy(whom, keys)  # in the policy of a key, * is this key
    return found


def _policy(whom: dict[str, object], allowed: Iterable[Allowed]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                **whom,
                "Action": list(each.actions),
                "Resource": [each.resource],
                **({"Condition": each.condition} if each.condition else {}),
            }
            for each in allowed
        ],
    }


def _quoted(*names: str) -> str:
    return Identifier(*names).as_string(None)
