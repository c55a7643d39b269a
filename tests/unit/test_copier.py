"""What one object needs is decided by a pure function; every case of it is here."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from sketchmigrate.core.objects import Location, ObjectInfo
from sketchmigrate.migration.copier import Copied, Copier, Need, Verdict, decide
from sketchmigrate.migration.stop import Stop
from sketchmigrate.s3 import CopyResult

MD5 = "0123456789abcdef0123456789abcdef"
OTHER_MD5 = "f" * 32
PARTS = f"{MD5}-2"


def _info(size_bytes: int, etag: str, **headers: str) -> ObjectInfo:
    return ObjectInfo(size_bytes, etag, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("overwrite", [False, True])
def test_without_a_legacy_object_there_is_nothing_to_copy_or_compare(overwrite: bool) -> None:
    nowhere = decide(None, None, overwrite=overwrite)
    assert isinstance(nowhere, Copied)
    assert nowhere.verdict is Verdict.MISSING
    only_there = decide(None, _info(5, MD5), overwrite=overwrite)
    assert isinstance(only_there, Copied)
    assert only_there.verdict is Verdict.MISSING
    assert not only_there.may_flip, "promise 1: an object of that name alone is no proof"
    assert "production holds an object" in str(only_there.reason)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("production", "need"),
    [
        (None, Need.COPY),
        (_info(5, MD5), Need.NOTHING),
    ],
)
def test_what_is_absent_is_copied_and_what_is_equal_is_left(
    production: ObjectInfo | None, need: Need, overwrite: bool
) -> None:
    assert decide(_info(5, MD5), production, overwrite=overwrite) is need


def test_empty_objects_are_equal_whatever_their_etags() -> None:
    assert decide(_info(0, MD5), _info(0, PARTS), overwrite=False) is Need.NOTHING


@pytest.mark.parametrize(
    ("legacy", "production"),
    [
        (_info(5, MD5), _info(6, MD5)),
        (_info(5, MD5), _info(5, OTHER_MD5)),
    ],
)
def test_a_different_object_is_a_conflict_unless_it_may_be_replaced(legacy: ObjectInfo, production: ObjectInfo) -> None:
    verdict = decide(legacy, production, overwrite=False)
    assert isinstance(verdict, Copied)
    assert verdict.verdict is Verdict.CONFLICT
    assert not verdict.may_flip
    assert decide(legacy, production, overwrite=True) is Need.COPY


@pytest.mark.parametrize(
    ("legacy", "production"),
    [
        (_info(5, PARTS), _info(5, MD5)),
        (_info(5, MD5), _info(5, "opaque")),
        (_info(5, MD5, x_amz_server_side_encryption="aws:kms"), _info(5, OTHER_MD5)),
        (_info(5, MD5), _info(5, OTHER_MD5, x_amz_server_side_encryption_customer_algorithm="AES256")),
        (_info(5, ""), _info(5, "")),
    ],
)
def test_where_etags_prove_nothing_the_bytes_decide(legacy: ObjectInfo, production: ObjectInfo) -> None:
    assert decide(legacy, production, overwrite=False) is Need.COMPARE_BYTES
    assert decide(legacy, production, overwrite=True) is Need.COPY


def test_only_a_copy_or_an_equal_object_allows_a_flip() -> None:
    assert {verdict for verdict in Verdict if Copied(verdict).may_flip} == {Verdict.COPIED, Verdict.IN_PLACE}


class Waiting:
    """Sides and transfer in one: the first objects wait until all others are there, and keep nobody else from going."""

    def __init__(self, first: int, others: int) -> None:
        self.legacy = self.production = SimpleNamespace(store=None, retrying=lambda _seconds: None)
        self.waiting = 0
        self._first, self._left = first, others
        self._over = asyncio.Event()

    @property
    def concurrency(self) -> int:
        """Two, and those who wait."""
        return 2 + self.waiting

    async def bring(self, move: Any) -> CopyResult:
        """Bring it at once, or when all others are there."""
        if int(move.target.key) < self._first:
            self.waiting += 1
            await self._over.wait()
            self.waiting -= 1
        else:
            self._left -= 1
            if not self._left:
                self._over.set()
        return CopyResult("etag", 1)

    async def unguarded(self) -> bool:
        """No."""
        return False


async def test_a_few_workers_that_all_wait_for_a_prefix_hold_up_no_other() -> None:
    sides: Any = Waiting(5, 20)
    moves: Any = [
        SimpleNamespace(source=Location("legacy", str(number)), target=Location("production", str(number)))
        for number in range(25)
    ]

    async def check_access() -> None: ...

    async with (
        asyncio.timeout(10),
        Copier(sides, check_access, overwrite=True, dry_run=False, stop=Stop(), transfer=sides) as copier,
    ):
        verdicts = await copier.copy_all(moves)
    assert {each.verdict for each in verdicts} == {Verdict.COPIED}
