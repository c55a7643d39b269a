"""The probe's questions about conditions: each is asked where an object is in the way, and where none is.

A refusal proves nothing by itself: the object must be seen to be still the same, and a new one must get through.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import (
    ObjectExists,
    PreconditionFailed,
    S3Busy,
    S3Error,
    S3Malformed,
    S3Unreachable,
)
from sketchmigrate.s3.probe.findings import Answer, ProbeFinding, Question
from sketchmigrate.s3.probe.folder import OCCUPANT_BODY, SOURCE_BODY, ProbeFolder
from sketchmigrate.s3.wire.conditions import IF_ABSENT, R2_IF_ABSENT, Condition, if_source_is

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.objects import Location

_WRONG_ETAG = "0" * 32


class Conditions:
    """The questions about conditions, in one folder, in which the source of copies is already.

    ``frugal`` asks one after the other with a single object in the way, and does not try whether new ones get through.
    """

    def __init__(self, folder: ProbeFolder, *, frugal: bool) -> None:
        self._folder = folder
        self._frugal = frugal

    async def ask(self) -> list[ProbeFinding]:
        """Ask all of them."""
        questions = (
            self._if_absent(Question.COPY_IF_ABSENT, "copy", lambda target: self._copy(target, IF_ABSENT)),
            self._if_absent(Question.COPY_IF_ABSENT_R2, "r2-copy", lambda target: self._copy(target, R2_IF_ABSENT)),
            self._if_absent(Question.PUT_IF_ABSENT, "put", self._put),
            self._if_absent(Question.COMPLETE_IF_ABSENT, "complete", self._complete),
            self._if_source(),
        )
        if self._frugal:
            return [await question for question in questions]
        return list(await asyncio.gather(*questions))

    async def _if_absent(
        self, question: Question, name: str, write: Callable[[Location], Awaitable[None]]
    ) -> ProbeFinding:
        """Ask one condition: where it must stop the write, and where it must not."""
        if self._frugal:
            return ProbeFinding(question, *await self._against_occupant(self._folder.at("occupied"), write))
        (answer, evidence), refused = await asyncio.gather(
            self._against_occupant(self._folder.at(f"{name}-occupied"), write),
            self._onto_nothing(self._folder.at(f"{name}-new"), write),
        )
        if answer is Answer.HONOURED and refused:
            return ProbeFinding(question, Answer.REJECTED, f"where nothing is in the way: {refused}")
        return ProbeFinding(question, answer, evidence)

    async def _against_occupant(
        self, target: Location, write: Callable[[Location], Awaitable[None]]
    ) -> tuple[Answer, str]:
        try:
            await self._folder.put(target, OCCUPANT_BODY)
            said = await _what_is_said(write(target))
            kept = (await self._folder.look(target)).size_bytes == len(OCCUPANT_BODY)
        except S3Error as error:
            return _no_answer(error)
        if isinstance(said, PreconditionFailed):
            if kept:
                return Answer.HONOURED, "412, and the object in the way stayed"
            return Answer.IGNORED, "412, but the object in the way was replaced all the same"
        if said is None:
            return Answer.IGNORED, f"200, and the object in the way {'stayed' if kept else 'was replaced'}"
        return _no_answer(said)

    async def _onto_nothing(self, target: Location, write: Callable[[Location], Awaitable[None]]) -> str:
        """Return why a new object does not get through, or an empty text."""
        self._folder.taken(target)
        said = await _what_is_said(write(target))
        try:
            if await self._folder.find(target) is None:
                return f"the object was not made ({said or 'status 200'})"
        except S3Error as error:
            return str(error)
        # A condition that failed at a second attempt, because the first one had made the object, is no failure.
        return "" if said is None or isinstance(said, ObjectExists) else str(said)

    async def _copy(self, target: Location, condition: Condition) -> None:
        await self._folder.store.copy(self._folder.source, target, condition)

    async def _put(self, target: Location) -> None:
        await self._folder.store.put(target, SOURCE_BODY, None, IF_ABSENT)

    async def _complete(self, target: Location) -> None:
        folder = self._folder
        source = await folder.look(folder.source)
        upload = await folder.begin_upload(target)
        try:
            etag = await replace(upload, client=folder.at_once).copy_part(folder.source, 1, None, if_match=source.etag)
        except (S3Busy, S3Unreachable):
            etag = await upload.copy_part(folder.source, 1, None, if_match=source.etag)
        await upload.complete([etag], IF_ABSENT)
        folder.completed(upload)

    async def _if_source(self) -> ProbeFinding:
        """Ask for a copy of a source with another ETag than it has."""
        target = self._folder.at("occupied" if self._frugal else "source-new")
        question = Question.COPY_IF_SOURCE
        copy = self._folder.store.copy(self._folder.source, self._folder.taken(target), if_source_is(_WRONG_ETAG))
        said = await _what_is_said(copy)
        if isinstance(said, PreconditionFailed):
            return ProbeFinding(question, Answer.HONOURED, "412 for a source with another ETag")
        if said is None:
            return ProbeFinding(question, Answer.IGNORED, "200, though the source has another ETag")
        return ProbeFinding(question, *_no_answer(said))


async def _what_is_said(work: Awaitable[object]) -> S3Error | None:
    """Return the error that a request ends with, or None where it succeeds."""
    try:
        await work
    except S3Error as error:
        return error
    return None


def _no_answer(error: S3Error) -> tuple[Answer, str]:
    """Tell a store that will not from one that could not just now."""
    passing = isinstance(error, S3Busy | S3Unreachable) or (isinstance(error, S3Malformed) and not error.status)
    return (Answer.UNKNOWN if passing else Answer.REJECTED), str(error)
