"""What a copy keeps of an object besides content, content headers and user metadata, and what it does not.

Told by a sample of legacy objects, before the copies are made. By the ways of AWS (S3 API reference, CopyObject,
PutObject, CreateMultipartUpload), which keep the least: other stores may keep more, see docs/fidelity.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import ObjectMissing, S3Error, S3Refused
from sketchmigrate.core.plural import counted
from sketchmigrate.core.reason import archived
from sketchmigrate.migration.no_clobber import Means
from sketchmigrate.report.text import printable
from sketchmigrate.s3.acl import ACL_HEADERS, in_words
from sketchmigrate.s3.config import S3Config
from sketchmigrate.s3.headers import ARCHIVES, TAG_COUNT, archive_of, not_restored
from sketchmigrate.s3.properties import acl_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence

    from sketchmigrate.core.objects import Location
    from sketchmigrate.migration.look_ahead import BucketRules
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.s3.wire.xml_subresources import Acl
    from sketchmigrate.sides import Sides

SAMPLE_OBJECTS = 100
"""So many legacy objects are looked at, with two requests each, and a third for one in an archive."""

PATIENCE_SECONDS = 3.0
"""For so long a look is tried again that the store refuses for now: a person waits for the question."""

ACL_QUESTIONS = 20
"""So many objects are asked for their ACL where the store fails each time, and told none before: it tells none."""

_CHECKSUMS = ("crc32", "crc32c", "sha1", "sha256")  # crc64nvme is what S3 gives each object by itself

_NOT_SPECIAL = frozenset({"", "STANDARD"})

AT_ONCE = 100
"""Objects that are looked at beside each other; how many requests the store gets at once, its client decides."""

_KEPT_ALWAYS = "content, content headers, user metadata"


class Aspect(StrEnum):
    """What an object may have."""

    TAGS = "tags"
    ACL = "ACL"
    STORAGE_CLASS = "storage class"
    ARCHIVE_CLASS = "archive class"
    ENCRYPTION = "encryption"
    REDIRECT = "website redirect"
    CHECKSUM = "checksum"
    LOCK = "object lock"
    LEGAL_HOLD = "legal hold"


class Way(StrEnum):
    """How an object gets to production."""

    COPY = "CopyObject"
    PUT = "conditional-put"
    PARTS = "conditional-complete"
    STREAM = "streamed"


_WITHIN = (Way.COPY, Way.PUT, Way.PARTS)
"""Those within a store, of which a trial may choose any."""

_KEPT_BY = {
    Aspect.TAGS: "KEEP_TAGS = if-allowed keeps them",
    Aspect.ACL: "KEEP_ACL = yes keeps it",
    Aspect.STORAGE_CLASS: "KEEP_STORAGE_CLASS = keep keeps it",
    Aspect.ARCHIVE_CLASS: "no setting archives a copy",
    Aspect.ENCRYPTION: "NEW_OBJECT_HEADERS encrypts all new objects alike",
    Aspect.REDIRECT: "no setting keeps it",
    Aspect.CHECKSUM: "no setting keeps it",
    Aspect.LOCK: "NEW_OBJECT_HEADERS locks all new objects alike",
    Aspect.LEGAL_HOLD: "NEW_OBJECT_HEADERS holds all new objects alike",
}
"""What a person can do for an aspect that is not kept."""

_SET_BY = {
    Aspect.ACL: ACL_HEADERS,
    Aspect.STORAGE_CLASS: ("x-amz-storage-class",),
    Aspect.ARCHIVE_CLASS: ("x-amz-storage-class",),
    Aspect.ENCRYPTION: ("x-amz-server-side-encryption",),
    Aspect.LOCK: ("x-amz-object-lock-mode",),
    Aspect.LEGAL_HOLD: ("x-amz-object-lock-legal-hold",),
}
"""How the headers begin by which all new objects have one, whatever the old ones had: then none is lost."""

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


def is_kept(aspect: Aspect, way: Way, config: S3Config) -> bool:
    """Whether an aspect is kept on this way, by the settings of production's client, or set by them for all."""
    keep = config.keep
    if any(name.startswith(_SET_BY.get(aspect, ())) for name, _ in config.new_object_headers):
        return True
    match aspect:
        case Aspect.TAGS:
            return keep.tags != "no"
        case Aspect.ACL:
            return keep.acl
        case Aspect.STORAGE_CLASS:
            return keep.storage_class
        case Aspect.CHECKSUM:
            return way is Way.COPY
        case _:
            return False


def aspects_of(headers: Mapping[str, str], acl: Acl | None, *, encryption: str) -> dict[Aspect, str]:
    """Return what an object has that a copy may drop, each in words.

    ``headers`` are those of a HEAD that asked for checksums; ``encryption`` is the default of the production bucket, in
    which the copy has the same.
    """
    storage_class = headers.get("x-amz-storage-class", "")
    found = {
        Aspect.TAGS: "" if headers.get(TAG_COUNT, "0") == "0" else "set",
        Aspect.ACL: in_words(sorted(acl.others)) if acl else "",
        Aspect.STORAGE_CLASS: "" if storage_class in _NOT_SPECIAL | ARCHIVES else storage_class,
        Aspect.ARCHIVE_CLASS: storage_class if storage_class in ARCHIVES else "",
        Aspect.ENCRYPTION: _encryption(headers, encryption),
        Aspect.REDIRECT: "set" if headers.get("x-amz-website-redirect-location") else "",
        Aspect.CHECKSUM: ", ".join(name for name in _CHECKSUMS if headers.get(f"x-amz-checksum-{name}")),
        Aspect.LOCK: headers.get("x-amz-object-lock-mode", ""),
        Aspect.LEGAL_HOLD: "set" if headers.get("x-amz-object-lock-legal-hold", "").upper() == "ON" else "",
    }
    return {aspect: value for aspect, value in found.items() if value}


def _encryption(headers: Mapping[str, str], default: str) -> str:
    algorithm = headers.get("x-amz-server-side-encryption", "")
    key = headers.get("x-amz-server-side-encryption-aws-kms-key-id", "")
    if algorithm == "AES256" and default in ("", "AES256"):
        return ""  # what AWS gives each object without another default
    return "" if f"{algorithm} {key}".strip() == default else algorithm


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
    """What was seen of some legacy objects, or all, by ``requests`` requests, and what settings say is kept of it.

    These are of the ``config`` of production's client. ``objects`` were there, of ``object_bytes`` together.
    ``aspects`` counts what they have, in words; ``archived`` of them cannot be read, and ``an_archived`` says of one
    why. ``untold`` is what was not told, each with why.
    """

    config: S3Config = field(default_factory=S3Config)
    is_of_all: bool = False
    objects: int = 0
    object_bytes: int = 0
    requests: int = 0
    aspects: Counter[tuple[Aspect, str]] = field(default_factory=Counter)
    archived: int = 0
    an_archived: str = ""
    untold: list[str] = field(default_factory=list)

    def dropped(self, way: Way | None) -> list[Dropped]:
        """Return what is dropped that way, or by some way where it is not known yet."""
        found = []
        for aspect in Aspect:
            values = {value: count for (kind, value), count in self.aspects.items() if kind is aspect}
            ways = tuple(each for each in ([way] if way else _WITHIN) if not is_kept(aspect, each, self.config))
            if values and ways:
                found.append(Dropped(aspect, sum(values.values()), tuple(sorted(values)), ways))
        return found


async def in_one(objects: Sequence[Location]) -> AsyncIterator[Sequence[Location]]:
    """Return few objects as ``look_at`` takes many."""
    yield objects


async def look_at(
    sides: Sides, objects: AsyncIterable[Sequence[Location]], *, encryption: str, is_of_all: bool = False
) -> Sample:
    """Look at legacy objects, with two requests each, and a third for one that may be archived.

    They come in portions, of which one is in memory at a time. ``encryption`` is the default of the production bucket.
    Whether the store tells ACLs, and lets this user read tags, is found out with the first. Raises nothing of the
    store's.
    """
    config = sides.production.store.config
    sample = Sample(config, is_of_all)
    looker = _Looker(sides.legacy.store.retrying(PATIENCE_SECONDS), sample, encryption)
    async for some in objects:
        for first in range(0, len(some), AT_ONCE):
            await looker.look_at_all(some[first : first + AT_ONCE])
    sample.untold += [f"{count} of the objects ({reason})" for reason, count in looker.refused.items()]
    if looker.no_acl:
        sample.untold.append(f"ACLs ({looker.no_acl})")
    else:
        sample.untold += [f"the ACLs of {count} of the objects ({reason})" for reason, count in looker.no_acls.items()]
    if looker.no_tags and config.keep.tags != "no":
        is_required = config.keep.tags == "required"
        instead = "objects that have some are not migrated" if is_required else "new objects have none"
        sample.untold.append(f"tags ({looker.no_tags}: {instead})")
    return sample


class _Looker:
    def __init__(self, store: S3Client, sample: Sample, encryption: str) -> None:
        self._store, self._sample, self._encryption = store, sample, encryption
        self._is_first = True
        self._failed_acls = 0
        self._tells_acls = False
        self.no_acl = ""
        self.no_acls: Counter[str] = Counter()
        self.no_tags = ""
        self.refused: Counter[str] = Counter()

    async def look_at_all(self, locations: Sequence[Location]) -> None:
        """Look at some objects at once, and first at one alone where nothing is known of the store yet."""
        alone = 1 if self._is_first else 0
        for location in locations[:alone]:
            await self._try_tags(location)
            await self._look(location)
            self._is_first = False
        await asyncio.gather(*(self._look(each) for each in locations[alone:]))

    async def _try_tags(self, location: Location) -> None:
        """See whether this user may read tags; what else a store says of them is for the first object with some."""
        self._sample.requests += 1
        try:
            await self._store.tags(location)
        except S3Error as error:
            if isinstance(error, S3Refused) and error.is_denial:
                self.no_tags = error.code or str(error)

    async def _look(self, location: Location) -> None:
        sample = self._sample
        sample.requests += 1
        try:
            info = await self._store.head(location, checksums=True)
            archive = archive_of(info.headers)
            if archive:
                sample.requests += 1
                if refusal := await not_restored(self._store, location, info.headers):
                    sample.archived += 1
                    why = printable(str(archived(refusal, archive)))
                    sample.an_archived = sample.an_archived or f"{printable(str(location))}: {why}"
        except ObjectMissing:
            return
        except S3Error as error:
            self.refused[_named(error)] += 1
            return
        sample.objects += 1
        sample.object_bytes += info.size_bytes
        acl = None if archive else await self._acl(location)
        sample.aspects.update(aspects_of(info.headers, acl, encryption=self._encryption).items())

    async def _acl(self, location: Location) -> Acl | None:
        if self.no_acl:
            return None
        self._sample.requests += 1
        try:
            acl = await acl_of(self._store, location)
        except ObjectMissing:
            return None
        except S3Error as error:
            self._learn_of_acls(error)
            return None
        self._tells_acls = acl is not None
        if acl is None:
            self.no_acl = "the store does not know them"
        return acl

    def _learn_of_acls(self, error: S3Error) -> None:
        """Take note that one was not told: where others were, that is about this one, or passes."""
        self._failed_acls += 1
        self.no_acls[_named(error)] += 1
        if not self._tells_acls and (error.is_unsupported or self._failed_acls >= ACL_QUESTIONS):
            self.no_acl = _named(error)


def _named(error: S3Error) -> str:
    return error.code or (f"status {error.status}" if error.status else "no answer")


def dropped_lines(sample: Sample, way: Way | None) -> list[str]:
    """Say what the copies of the sample will not keep, by kind and count, on lines of at most 100 columns."""
    of_them = "all" if sample.is_of_all else "a sample of"
    looked_at = f"by {of_them} {counted(sample.objects, 'legacy object')} ({counted(sample.requests, 'request')})"
    dropped = sample.dropped(way)
    if not sample.objects:
        return []
    if not dropped:
        return [f"Nothing was found that a copy would not keep, {looked_at}."]
    kept = f"{_KEPT_ALWAYS} and tags are" if sample.config.keep.tags != "no" else f"{_KEPT_ALWAYS} are"
    lines = [f"Not kept by the copies, {looked_at}; {kept} kept:"]
    return [
        *lines,
        *(f"  {each.aspect:<17}{each.objects:>3,} of {sample.objects:,}  {_told(each, way)}" for each in dropped),
    ]


def _told(dropped: Dropped, way: Way | None) -> str:
    values = printable(", ".join(dropped.values))
    keeping = [each for each in _WITHIN if each not in dropped.ways]
    kept_by = f"kept by {', '.join(keeping)}" if way is None and keeping else _KEPT_BY[dropped.aspect]
    return f"{values} ({kept_by})"


def untold_line(rules: BucketRules, sample: Sample) -> str:
    """Say, once, what the store did not tell; empty where it told all."""
    untold = [*rules.untold, *sample.untold]
    return f"Not told by the store: {printable('; '.join(untold))}." if untold else ""


def archived_line(sample: Sample) -> str:
    """Say that objects of the sample are archived; empty where none is."""
    if not sample.archived:
        return ""
    count = f"{sample.archived:,} of {sample.objects:,} legacy objects looked at are archived and not restored"
    return f"{count}: their rows will fail. One is {sample.an_archived}"


def keeping_json(rules: BucketRules, sample: Sample, way: Way | None) -> dict[str, object]:
    """Return the same for ``--json``."""
    return {
        "object_lock": None if rules.lock is None else rules.lock._asdict(),
        "default_encryption": rules.encryption,
        "sampled_objects": sample.objects,
        "requests": sample.requests,
        "archived": sample.archived,
        "not_kept": [
            {
                "kind": str(each.aspect),
                "objects": each.objects,
                "values": list(each.values),
                "by": [str(by) for by in each.ways],
                "hint": _KEPT_BY[each.aspect],
            }
            for each in sample.dropped(way)
        ],
        "not_told": [*rules.untold, *sample.untold],
    }
