"""What a copy keeps of an object besides content, content headers, user metadata and tags, and what it does not.

Told by a small sample of legacy objects, before the copies are made. By the ways of AWS (S3 API reference, CopyObject,
PutObject, CreateMultipartUpload), which keep the least: other stores may keep more, see docs/safety.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import ObjectMissing, S3Error
from sketchmigrate.core.reason import archived
from sketchmigrate.migration.no_clobber import Means
from sketchmigrate.report.text import printable
from sketchmigrate.s3.headers import archive_of, not_restored
from sketchmigrate.s3.wire.xml import NotS3
from sketchmigrate.s3.wire.xml_subresources import read_acl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.objects import Location
    from sketchmigrate.migration.look_ahead import BucketRules
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.s3.wire.xml_subresources import Acl

SAMPLE_OBJECTS = 10
"""So many legacy objects are looked at, with two requests each, and a third for one in an archive."""

_GROUPS = {"AllUsers": "everyone", "AuthenticatedUsers": "everyone with an account", "LogDelivery": "log delivery"}

_CHECKSUMS = ("crc32", "crc32c", "sha1", "sha256")  # crc64nvme is what S3 gives each object by itself

_NOT_SPECIAL = frozenset({"", "STANDARD"})

_KEPT_ALWAYS = "content, content headers, user metadata and tags are kept"


class Aspect(StrEnum):
    """What an object may have."""

    ACL = "ACL"
    STORAGE_CLASS = "storage class"
    ENCRYPTION = "encryption"
    REDIRECT = "website redirect"
    CHECKSUM = "checksum"
    LOCK = "object lock"


class Way(StrEnum):
    """How an object gets to production."""

    COPY = "CopyObject"
    PUT = "conditional-put"
    PARTS = "conditional-complete"
    STREAM = "streamed"


_WITHIN = (Way.COPY, Way.PUT, Way.PARTS)
"""Those within a store, of which a trial may choose any."""

_KEPT: dict[Aspect, frozenset[Way]] = {
    Aspect.ACL: frozenset(),
    Aspect.STORAGE_CLASS: frozenset({Way.PUT, Way.PARTS}),  # we send it: see s3/multipart.kept_headers
    Aspect.ENCRYPTION: frozenset(),
    Aspect.REDIRECT: frozenset(),
    Aspect.CHECKSUM: frozenset({Way.COPY}),
    Aspect.LOCK: frozenset(),
}

_WAY = {
    Means.CONDITIONAL_COPY: Way.COPY,
    Means.CHECK_FIRST: Way.COPY,
    Means.CONDITIONAL_PUT: Way.PUT,
    Means.CONDITIONAL_COMPLETE: Way.PARTS,
}


def way_of(means: Means | str | None, *, overwrite: bool = False, is_streamed: bool = False) -> Way | None:
    """Return how objects get there; None where that is found out by trying."""
    if is_streamed:
        return Way.STREAM
    if overwrite:
        return Way.COPY
    return _WAY[Means(means)] if means in set(Means) else None


def aspects_of(headers: Mapping[str, str], acl: Acl | None, *, encryption: str) -> dict[Aspect, str]:
    """Return what an object has that a copy may drop, each in words.

    ``headers`` are those of a HEAD that asked for checksums; ``encryption`` is the default of the production bucket, in
    which the copy has the same.
    """
    found = {
        Aspect.ACL: _others(acl) if acl else "",
        Aspect.STORAGE_CLASS: _special(headers.get("x-amz-storage-class", "")),
        Aspect.ENCRYPTION: _encryption(headers, encryption),
        Aspect.REDIRECT: "set" if headers.get("x-amz-website-redirect-location") else "",
        Aspect.CHECKSUM: ", ".join(name for name in _CHECKSUMS if headers.get(f"x-amz-checksum-{name}")),
        Aspect.LOCK: _lock(headers),
    }
    return {aspect: value for aspect, value in found.items() if value}


def _special(storage_class: str) -> str:
    return "" if storage_class in _NOT_SPECIAL else storage_class


def _encryption(headers: Mapping[str, str], default: str) -> str:
    algorithm = headers.get("x-amz-server-side-encryption", "")
    key = headers.get("x-amz-server-side-encryption-aws-kms-key-id", "")
    if algorithm == "AES256" and default in ("", "AES256"):
        return ""  # what AWS gives each object without another default
    return "" if f"{algorithm} {key}".strip() == default else algorithm


def _lock(headers: Mapping[str, str]) -> str:
    held = "legal hold" if headers.get("x-amz-object-lock-legal-hold", "").upper() == "ON" else ""
    return ", ".join(part for part in (headers.get("x-amz-object-lock-mode", ""), held) if part)


def _others(acl: Acl) -> str:
    grants = [grant for grant in acl.grants if grant.grantee != acl.owner]
    if not grants:
        return ""
    names = [_GROUPS.get(grant.grantee.rpartition("/")[2], "another account") for grant in grants]
    pairs = zip(names, grants, strict=True)
    return ", ".join(dict.fromkeys(f"{grant.permission} for {name}" for name, grant in pairs))


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that some objects of the sample have and the copies will not: ``objects`` of them, what it is, by ways.

    ``ways`` are those that drop it, of those that are possible.
    """

    aspect: Aspect
    objects: int
    values: tuple[str, ...]
    ways: tuple[Way, ...]


@dataclass(slots=True)
class Sample:
    """What was seen of some legacy objects, by ``requests`` requests. ``untold`` is what was not, each with why."""

    objects: int = 0
    requests: int = 0
    aspects: list[tuple[Aspect, str]] = field(default_factory=list)
    archived: list[tuple[Location, str]] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)

    def dropped(self, way: Way | None) -> list[Dropped]:
        """Return what is dropped that way, or by some way where it is not known yet."""
        found = []
        for aspect in Aspect:
            values = [value for kind, value in self.aspects if kind is aspect]
            ways = tuple(each for each in ([way] if way else _WITHIN) if each not in _KEPT[aspect])
            if values and ways:
                found.append(Dropped(aspect, len(values), tuple(sorted(set(values))), ways))
        return found


async def look_at(store: S3Client, objects: Sequence[Location], *, encryption: str) -> Sample:
    """Look at some objects, with two requests each, and a third for one that may be archived.

    Whether a store tells ACLs is found out with the first. Raises nothing of the store's.
    """
    sample = Sample()
    looker = _Looker(store.retrying(0), sample, encryption)
    if objects:
        await looker.look(objects[0])
        await asyncio.gather(*(looker.look(each) for each in objects[1:]))
    why = Counter(looker.refused)
    sample.untold += [f"{count} of the objects ({reason})" for reason, count in why.items()]
    if looker.no_acl:
        sample.untold.append(f"ACLs ({looker.no_acl})")
    return sample


class _Looker:
    def __init__(self, store: S3Client, sample: Sample, encryption: str) -> None:
        self._store, self._sample, self._encryption = store, sample, encryption
        self.no_acl = ""
        self.refused: list[str] = []

    async def look(self, location: Location) -> None:
        sample = self._sample
        sample.requests += 1
        try:
            info = await self._store.head(location, checksums=True)
            archive = archive_of(info.headers)
            if archive:
                sample.requests += 1
                if refusal := await not_restored(self._store, location):
                    sample.archived.append((location, str(archived(refusal, archive))))
        except ObjectMissing:
            return
        except S3Error as error:
            self.refused.append(error.code or f"status {error.status}")
            return
        sample.objects += 1
        acl = None if archive else await self._acl(location)
        sample.aspects += aspects_of(info.headers, acl, encryption=self._encryption).items()

    async def _acl(self, location: Location) -> Acl | None:
        if self.no_acl:
            return None
        self._sample.requests += 1
        try:
            return read_acl(await self._store.subresource("GetObjectAcl", location, "acl"))
        except ObjectMissing:
            return None
        except NotS3:
            self.no_acl = "the store does not know them"
        except S3Error as error:
            self.no_acl = error.code or str(error)
        return None


def dropped_lines(sample: Sample, way: Way | None) -> list[str]:
    """Say what the copies of the sample will not keep, by kind and count, on lines of at most 100 columns."""
    looked_at = f"by a sample of {sample.objects:,} legacy objects ({sample.requests:,} requests)"
    dropped = sample.dropped(way)
    if not sample.objects:
        return []
    if not dropped:
        return [f"Nothing was found that a copy would not keep, {looked_at}."]
    lines = [f"Not kept by the copies, {looked_at}; {_KEPT_ALWAYS}:"]
    return [
        *lines,
        *(f"  {each.aspect:<17}{each.objects:>3} of {sample.objects}  {_told(each, way)}" for each in dropped),
    ]


def _told(dropped: Dropped, way: Way | None) -> str:
    values = printable(", ".join(dropped.values))
    keeping = [each for each in _WITHIN if each not in dropped.ways]
    return f"{values} (kept by {', '.join(keeping)})" if way is None and keeping else values


def untold_line(rules: BucketRules, sample: Sample) -> str:
    """Say, once, what the store did not tell; empty where it told all."""
    untold = [*rules.untold, *sample.untold]
    return f"Not told by the store: {printable('; '.join(untold))}." if untold else ""


def archived_line(sample: Sample) -> str:
    """Say that objects of the sample are archived; empty where none is."""
    if not sample.archived:
        return ""
    location, reason = sample.archived[0]
    count = f"{len(sample.archived):,} of {sample.objects:,} legacy objects looked at are archived and not restored"
    return f"{count}: their rows will fail. One is {printable(str(location))}: {printable(reason)}"


def keeping_json(rules: BucketRules, sample: Sample, way: Way | None) -> dict[str, object]:
    """Return the same for ``--json``."""
    return {
        "object_lock": None if rules.lock is None else rules.lock._asdict(),
        "default_encryption": rules.encryption,
        "sampled_objects": sample.objects,
        "requests": sample.requests,
        "archived": len(sample.archived),
        "not_kept": [
            {
                "kind": str(each.aspect),
                "objects": each.objects,
                "values": list(each.values),
                "by": [str(by) for by in each.ways],
            }
            for each in sample.dropped(way)
        ],
        "not_told": [*rules.untold, *sample.untold],
    }
