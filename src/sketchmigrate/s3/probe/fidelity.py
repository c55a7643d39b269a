"""The probe's questions about fidelity: whether keys, metadata, tags and listings come back as they were given."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from sketchmigrate.core.errors import S3Error
from sketchmigrate.s3.probe.findings import Answer, ProbeFinding, Question
from sketchmigrate.s3.probe.folder import ODD_NAMES, SOURCE_BODY, SOURCE_HEADERS, ProbeFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.s3.wire.listed import ListedObject

_TAG = ("probe", "kept + more")


class Fidelity:
    """The questions about fidelity, in one folder, in which the source of copies is already."""

    def __init__(self, folder: ProbeFolder) -> None:
        self._folder = folder

    async def ask(self) -> list[ProbeFinding]:
        """Ask all of them."""
        groups = await asyncio.gather(self._keys_and_listings(), self._metadata(), self._tags())
        return [finding for group in groups for finding in group]

    async def _keys_and_listings(self) -> list[ProbeFinding]:
        folder = self._folder
        questions = (Question.ODD_KEYS, Question.LISTING_ORDER, Question.START_AFTER)
        refusals = await asyncio.gather(*(self._store_odd(size, name) for size, name in enumerate(ODD_NAMES, start=1)))
        room = folder.at("odd/")
        pivot = room.key + "%41"
        try:
            whole, rest = await asyncio.gather(
                folder.store.list_page(room.bucket, room.key),
                folder.store.list_page(room.bucket, room.key, start_after=pivot),
            )
        except S3Error as error:
            return [ProbeFinding(question, Answer.UNKNOWN, str(error)) for question in questions]
        refused = {name: reason for name, reason in zip(ODD_NAMES, refusals, strict=True) if reason}
        found = {each.key.removeprefix(room.key): each.size_bytes for each in whole.objects}
        keys, after = _keys(whole.objects), _keys(rest.objects)
        return [
            _odd_keys(refused, found),
            _sorted(keys),
            _after(after, [key for key in sorted(keys) if key > pivot.encode()]),
        ]

    async def _store_odd(self, size_bytes: int, name: str) -> str:
        """Store an object of a size of its own under an odd key; return why not, or an empty text."""
        try:
            await self._folder.put(self._folder.at(f"odd/{name}"), b"x" * size_bytes)
        except S3Error as error:
            return error.code or str(error)
        return ""

    async def _metadata(self) -> list[ProbeFinding]:
        folder, question = self._folder, Question.METADATA
        target = folder.taken(folder.at("with-metadata"))
        try:
            await folder.store.copy(folder.source, target)
            headers = (await folder.look(target)).headers
        except S3Error as error:
            return [ProbeFinding(question, Answer.UNKNOWN, str(error))]
        lost = [name for name, value in SOURCE_HEADERS.items() if headers.get(name) != value]
        if lost:
            return [ProbeFinding(question, Answer.IGNORED, f"lost: {', '.join(lost)}")]
        return [ProbeFinding(question, Answer.HONOURED, f"kept: {', '.join(SOURCE_HEADERS)}")]

    async def _tags(self) -> list[ProbeFinding]:
        folder = self._folder
        tagged, copy = folder.at("tagged"), folder.taken(folder.at("tagged-copy"))
        try:
            header = f"{_TAG[0]}={quote(_TAG[1], safe='')}"
            await folder.put(tagged, SOURCE_BODY, {"x-amz-tagging": header})
            (info, _), kept = await asyncio.gather(
                folder.store.read_beginning(tagged, len(SOURCE_BODY)), folder.at_once.tags(tagged)
            )
            counted = _counted(info.headers.get("x-amz-tagging-count", ""), kept)
            if kept != [_TAG]:
                return [ProbeFinding(Question.TAGS, Answer.IGNORED, "the store keeps no tags"), counted]
            await folder.store.copy(tagged, copy)
            copied = await folder.at_once.tags(copy)
        except S3Error as error:
            return [
                ProbeFinding(question, Answer.UNKNOWN, str(error)) for question in (Question.TAGS, Question.TAG_COUNT)
            ]
        if copied == kept:
            return [ProbeFinding(Question.TAGS, Answer.HONOURED, "a tag was copied with its object"), counted]
        return [ProbeFinding(Question.TAGS, Answer.IGNORED, "the copy has no tags"), counted]


def _counted(told: str, tags: list[tuple[str, str]]) -> ProbeFinding:
    evidence = f"x-amz-tagging-count: {told}" if told else "no x-amz-tagging-count"
    answer = Answer.HONOURED if told == str(len(tags)) else Answer.IGNORED
    return ProbeFinding(Question.TAG_COUNT, answer, evidence)


def _keys(objects: Sequence[ListedObject]) -> list[bytes]:
    return [each.key.encode("utf-8", "surrogateescape") for each in objects]


def _odd_keys(refused: dict[str, str], found: dict[str, int]) -> ProbeFinding:
    """Judge by the listing: every name stored, and no other, each with the size that is its own."""
    question = Question.ODD_KEYS
    stored = {name: size for size, name in enumerate(ODD_NAMES, start=1) if name not in refused}
    if found != stored:
        wrong = sorted(name for name in found.keys() | stored.keys() if found.get(name) != stored.get(name))
        return ProbeFinding(question, Answer.IGNORED, f"changed, lost or mixed up: {', '.join(map(ascii, wrong))}")
    if refused:
        names = ", ".join(f"{name!a} ({code})" for name, code in refused.items())
        return ProbeFinding(question, Answer.REJECTED, f"refused: {names}")
    return ProbeFinding(question, Answer.HONOURED, ", ".join(map(ascii, ODD_NAMES)))


def _sorted(keys: list[bytes]) -> ProbeFinding:
    question = Question.LISTING_ORDER
    if not keys:
        return ProbeFinding(question, Answer.UNKNOWN, "the listing is empty")
    if keys != sorted(keys):
        return ProbeFinding(question, Answer.IGNORED, "another order")
    return ProbeFinding(question, Answer.HONOURED, f"{len(keys)} keys in order")


def _after(found: list[bytes], expected: list[bytes]) -> ProbeFinding:
    question = Question.START_AFTER
    if sorted(found) != expected:
        return ProbeFinding(question, Answer.IGNORED, f"{len(found)} keys came instead of {len(expected)}")
    return ProbeFinding(question, Answer.HONOURED, f"the {len(expected)} keys behind it came")
