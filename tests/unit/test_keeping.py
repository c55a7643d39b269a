"""What copies will not keep, as a look at legacy objects tells it, and what stores do not tell."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.objects import Location
from sketchmigrate.migration import keeping
from sketchmigrate.migration.keeping import ACL_QUESTIONS, Aspect, Sample, Way, archived_line, in_one, look_at
from sketchmigrate.s3 import S3Config
from sketchmigrate.s3.config import Keep
from tests.sides import sides_of
from tests.unit.s3.scripted import client_of, error, found, reply, scripted

if TYPE_CHECKING:
    from tests.unit.s3.scripted import Asked

PUBLIC = reply(
    200,
    b"<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList><Grant><Grantee>"
    b"<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>"
    b"</AccessControlList></AccessControlPolicy>",
)
SLOW_DOWN, DENIED = error(503, "SlowDown"), error(403, "AccessDenied")


class Objects:
    """Any number of legacy objects: all have these ``headers``, and the ``acls`` are told one after the other."""

    def __init__(self, *acls: bytes, **headers: str) -> None:
        self._acls, self._headers = list(acls), headers

    def answer(self, asked: Asked) -> bytes:
        """Answer one request."""
        if asked.target.endswith("?acl="):
            return self._acls.pop(0)
        if asked.target.endswith("?tagging="):
            return reply(200, b"<Tagging><TagSet/></Tagging>")
        return found(7, **self._headers) if asked.method == "HEAD" else error(403, "InvalidObjectState")

    async def look(self, objects: int, *, requests: int) -> Sample:
        """Look at so many of them, which has to take so many requests."""
        places = [Location("legacy", f"image/{number}") for number in range(objects)]
        async with scripted(*[self.answer] * requests) as server, client_of(server.url) as client:
            return await look_at(sides_of(client), in_one(places), encryption="")


async def test_a_refusal_that_passes_does_not_end_the_look_at_acls() -> None:
    sample = await Objects(SLOW_DOWN, PUBLIC, PUBLIC, PUBLIC).look(3, requests=1 + 2 * 3 + 1)
    assert sample.aspects == {(Aspect.ACL, "READ for everyone"): 3}
    assert sample.untold == []


async def test_acls_that_are_not_told_for_now_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(keeping, "AT_ONCE", 1)  # so that each is known before the next
    sample = await Objects(SLOW_DOWN, PUBLIC, DENIED, PUBLIC).look(4, requests=1 + 2 * 4)
    assert sample.aspects == {(Aspect.ACL, "READ for everyone"): 2}
    assert sample.untold == ["the ACLs of 1 of the objects (SlowDown)", "the ACLs of 1 of the objects (AccessDenied)"]


async def test_a_store_that_tells_no_acls_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it says; or, where it fails each time, after a while."""
    sample = await Objects(DENIED).look(3, requests=1 + 3 + 1)
    assert sample.untold == ["ACLs (AccessDenied)"]
    monkeypatch.setattr(keeping, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(keeping, "AT_ONCE", 1)
    broken = [error(500, "InternalError")] * ACL_QUESTIONS
    sample = await Objects(*broken).look(ACL_QUESTIONS + 5, requests=1 + ACL_QUESTIONS + 5 + ACL_QUESTIONS)
    assert sample.untold == ["ACLs (InternalError)"]


async def test_what_is_archived_is_counted_and_one_named_however_many_there_are() -> None:
    sample = await Objects(x_amz_storage_class="GLACIER").look(5, requests=1 + 2 * 5)
    assert (sample.objects, sample.archived) == (5, 5)
    assert archived_line(sample).startswith("5 of 5 legacy objects looked at are archived and not restored: ")
    assert "One is s3://legacy/image/" in archived_line(sample)
    kept = {name: getattr(sample, name) for name in Sample.__dataclass_fields__}
    assert all(len(value) <= 1 for value in kept.values() if isinstance(value, list | dict)), "memory does not grow"


@pytest.mark.parametrize(
    ("header", "aspect"),
    [
        ("x-amz-acl", Aspect.ACL),
        ("x-amz-grant-read", Aspect.ACL),
        ("x-amz-storage-class", Aspect.STORAGE_CLASS),
        ("x-amz-storage-class", Aspect.ARCHIVE_CLASS),
        ("x-amz-server-side-encryption", Aspect.ENCRYPTION),
        ("x-amz-object-lock-mode", Aspect.LOCK),
        ("x-amz-object-lock-legal-hold", Aspect.LEGAL_HOLD),
    ],
)
def test_what_the_settings_give_to_all_new_objects_is_not_lost(header: str, aspect: Aspect) -> None:
    seen = Counter({(aspect, "some"): 1})
    for way in Way:
        assert Sample(aspects=seen).dropped(way)
        assert not Sample(S3Config(new_object_headers=((header, "any"),)), aspects=seen).dropped(way)
        assert Sample(S3Config(new_object_headers=(("cache-control", "any"),)), aspects=seen).dropped(way)


@pytest.mark.parametrize(
    ("aspect", "keep"),
    [(Aspect.TAGS, Keep()), (Aspect.ACL, Keep(acl=True)), (Aspect.STORAGE_CLASS, Keep(storage_class=True))],
)
def test_what_a_setting_keeps_is_not_lost(aspect: Aspect, keep: Keep) -> None:
    seen = Counter({(aspect, "some"): 1})
    for way in Way:
        assert Sample(S3Config(keep=Keep(tags="no")), aspects=seen).dropped(way)
        assert not Sample(S3Config(keep=keep), aspects=seen).dropped(way)


def test_a_lock_and_a_legal_hold_are_two_things() -> None:
    headers = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-legal-hold": "ON"}
    assert keeping.aspects_of(headers, None, encryption="") == {Aspect.LOCK: "GOVERNANCE", Aspect.LEGAL_HOLD: "set"}
    assert keeping.aspects_of({"x-amz-object-lock-legal-hold": "OFF"}, None, encryption="") == {}
