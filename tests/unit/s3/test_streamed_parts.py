"""How large the parts of a streamed object are, the ETag that they make, and the memory that they may have. Pure."""

from __future__ import annotations

import asyncio

import pytest

from sketchmigrate.core.errors import S3Error
from sketchmigrate.s3.etags import EtagHash, digests_of, expected_etag
from sketchmigrate.s3.memory import MemoryBudget
from sketchmigrate.s3.streamed_parts import MIB, part_bytes_for


def test_the_etag_of_pieces_is_that_of_the_parts_they_make() -> None:
    body = b"0123456789abcdef" * 62 + b"01234567"
    for part_bytes in (100, 300, 1000, 2000):
        whole = EtagHash(part_bytes)
        for first in range(0, 1000, 70):
            whole.update(body[first : first + 70])
        parts = [body[first : first + part_bytes] for first in range(0, 1000, part_bytes)]
        digests = b"".join(bytes.fromhex(digests_of(part).md5) for part in parts)
        assert whole.etag() == f"{digests_of(digests).md5}-{len(parts)}"
    assert expected_etag([digests_of(body).md5]) == f"{digests_of(bytes.fromhex(digests_of(body).md5)).md5}-1"


@pytest.mark.parametrize(
    ("size_bytes", "legacy_part_bytes", "memory_bytes", "expected"),
    [
        (100 * MIB, 8 * MIB, 64 * MIB, 8 * MIB),
        (100 * MIB, 80 * MIB, 64 * MIB, 16 * MIB),  # legacy's do not fit
        (100 * MIB, 0, 64 * MIB, 16 * MIB),
        (100 * MIB, 0, 10 * MIB, 10 * MIB),
        (10_000 * 20 * MIB, 0, 64 * MIB, 20 * MIB),
        (3 * MIB, MIB, 64 * MIB, 16 * MIB),  # smaller parts than a store takes
    ],
)
def test_how_large_parts_are(size_bytes: int, legacy_part_bytes: int, memory_bytes: int, expected: int) -> None:
    assert part_bytes_for(size_bytes, legacy_part_bytes, memory_bytes, "it") == expected


def test_what_fits_into_no_memory_names_what_it_needs() -> None:
    with pytest.raises(S3Error) as caught:
        part_bytes_for(10_000 * 100 * 10**6 + 1, 0, 64 * MIB, "s3://b/k")
    assert caught.value.hint == "Set STREAM_MEMORY to 101M or more."


async def test_the_budget_serves_in_order_and_forgets_who_has_left() -> None:
    budget = MemoryBudget(10)
    await budget.take(8)
    order: list[str] = []

    async def take(name: str, wanted_bytes: int) -> None:
        await budget.take(wanted_bytes)
        order.append(name)

    large, small, left = (asyncio.create_task(take(*each)) for each in (("large", 9), ("small", 1), ("left", 5)))
    await asyncio.sleep(0)
    assert not budget.try_to_take(1), "who came later does not pass"
    left.cancel()
    budget.give_back(8)
    await asyncio.gather(large, small)
    assert order == ["large", "small"]
    budget.give_back(10)
    assert budget.try_to_take(10)
    await asyncio.gather(left, return_exceptions=True)
