"""The grants of an ACL as the headers that give them to a new object. Pure.

Source: S3 User Guide, "Access control list (ACL) overview". What the owner has is not carried along: the new object has
an owner of its own, perhaps in another account.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sketchmigrate.s3.wire.xml_subresources import Grant

if TYPE_CHECKING:
    from collections.abc import Iterable

_GROUPS = "http://acs.amazonaws.com/groups/"
EVERYONE = _GROUPS + "global/AllUsers"
EVERYONE_WITH_AN_ACCOUNT = _GROUPS + "global/AuthenticatedUsers"

_CANNED = {
    frozenset({Grant(EVERYONE, "READ")}): "public-read",
    frozenset({Grant(EVERYONE_WITH_AN_ACCOUNT, "READ")}): "authenticated-read",
}
"""Those that give the owner all rights, whoever that is, and that nearly every store knows."""

ACL_HEADERS = ("x-amz-acl", "x-amz-grant-")
"""How the headers begin that give a new object its ACL."""

_HEADERS = {
    "FULL_CONTROL": "x-amz-grant-full-control",
    "READ": "x-amz-grant-read",
    "READ_ACP": "x-amz-grant-read-acp",
    "WRITE_ACP": "x-amz-grant-write-acp",
}
"""Of an object, where there is none for WRITE."""

_WORDS = {
    EVERYONE: "everyone",
    EVERYONE_WITH_AN_ACCOUNT: "everyone with an account",
    _GROUPS + "s3/LogDelivery": "log delivery",
}


def canned_acl(grants: frozenset[Grant]) -> str:
    """Return the name of the ACL that is just these grants to others; empty where none is, or there are no grants."""
    return _CANNED.get(grants, "")


def grant_headers(grants: Iterable[Grant], owner: str) -> dict[str, str]:
    """Return the headers that give grants one by one, and all rights to the id of the new owner, which has none else.

    Raises ``ValueError`` for a grantee that no header can name, or without a new owner.
    """
    if not owner:
        message = "production tells no owner of its bucket, who has to keep all rights beside other grants"
        raise ValueError(message)
    grantees: dict[str, list[str]] = defaultdict(list)
    for grant in sorted({*grants, Grant(owner, "FULL_CONTROL")}):
        if header := _HEADERS.get(grant.permission):
            grantees[header].append(_written(grant.grantee))
    return {header: ", ".join(written) for header, written in grantees.items()}


def in_words(grants: Iterable[Grant]) -> str:
    """Say who is given what: ``READ for everyone``."""
    told = (f"{grant.permission} for {_WORDS.get(grant.grantee, 'another account')}" for grant in grants)
    return ", ".join(dict.fromkeys(told))


def _written(grantee: str) -> str:
    if not grantee or not grantee.isprintable() or not grantee.isascii() or '"' in grantee:
        message = f"a grant to {grantee!r} cannot be written in a header"
        raise ValueError(message)
    kind = "uri" if grantee.startswith("http") else "emailAddress" if "@" in grantee else "id"
    return f'{kind}="{grantee}"'
