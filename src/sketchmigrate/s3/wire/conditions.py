"""Conditions that a store checks together with what it is asked to do, so that nothing happens in between. Pure.

Whether a store checks them at all is another matter: see ``s3.probe``.
"""

from __future__ import annotations

from typing import TypeAlias

Condition: TypeAlias = tuple[str, str]
"""A header, its name in lower case."""

IF_ABSENT: Condition = ("if-none-match", "*")
"""Only if there is no object under the key yet (S3 User Guide, "How to prevent object overwrites")."""

R2_IF_ABSENT: Condition = ("cf-copy-destination-if-none-match", "*")
"""The same for CopyObject on Cloudflare R2 ("R2 extensions to the S3 API")."""


def if_source_is(etag: str) -> Condition:
    """Only if the source of a copy has this ETag."""
    return ("x-amz-copy-source-if-match", f'"{etag}"')


def if_target_is(etag: str) -> Condition:
    """Only if the object that is to be replaced has this ETag."""
    return ("if-match", f'"{etag}"')


def only_if_absent(conditions: tuple[Condition, ...]) -> bool:
    """Whether a failed condition can only mean that there is an object already."""
    return bool(conditions) and all(condition in (IF_ABSENT, R2_IF_ABSENT) for condition in conditions)


def for_completing(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Translate the conditions of a copy on its target for CompleteMultipartUpload; the parts look at the source."""
    on_target = (IF_ABSENT if condition == R2_IF_ABSENT else condition for condition in conditions)
    return tuple(condition for condition in on_target if condition[0] in {"if-none-match", "if-match"})
