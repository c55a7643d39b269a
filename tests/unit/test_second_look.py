"""What a comparison of metadata counts, by the answers of whoever compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.inspect.comparing import Answer, PortionSize, Subject
from sketchmigrate.inspect.evidence import Evidence
from sketchmigrate.inspect.second_look import Compared, Looker
from tests.unit.evidence_site import site_between

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from sketchmigrate.inspect.comparing import Answers, Portion
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.postgres.database import Database

SITE = site_between("old", "new")
SEEN = (5, "e")
ALIKE = Answer(True, "", True, SEEN, SEEN)  # noqa: FBT003 - the fields in their order
OTHER = Answer(True, "same bytes, other cache-control", False, SEEN, SEEN)  # noqa: FBT003 - as above
OTHER_BYTES = Answer(same=False, legacy=SEEN, production=(5, "f"))
GONE = Answer(same=None)
REFUSED = Answer(None, "not allowed")


class Answering:
    """Whoever compares, on whichever process: with these answers."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = answers

    def portion_size(self, pairs: int, size_bytes: int) -> PortionSize:  # noqa: ARG002 - of the protocol
        """Cut as many as there are."""
        return PortionSize()

    async def compare(
        self,
        portions: AsyncIterator[Portion],
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],  # noqa: ARG002 - of the protocol
        subject: Subject = Subject.BYTES,
    ) -> None:
        """Give the answers."""
        assert subject is Subject.METADATA
        async for portion in portions:
            await take(portion, self._answers)


async def test_a_pair_whose_bytes_are_seen_to_differ_is_none_whose_metadata_was_compared(tmp_path: Path) -> None:
    answers = (ALIKE, OTHER, OTHER_BYTES, GONE, REFUSED)
    tails = [str(number) for number in range(len(answers))]
    async with Evidence(tmp_path / "evidence.duckdb", SITE) as evidence:
        rows = [(0, tail, 0, f"avatar/{tail}", "production", 1, tail, 0) for tail in tails]
        await evidence.insert("reference", rows)
        for side in BOTH_SIDES:
            await evidence.insert(f"{side}_object", [(1, tail, 5, None, "e", "2026-01-01", "", 0) for tail in tails])
        await evidence.judge()
        no_database, no_looks = cast("Database", None), cast("Looks", None)
        looker = Looker(evidence, SITE, no_database, [], no_looks, Answering(*answers), lambda *_: None)
        assert await looker.compare_metadata(100) == Compared(references=2, with_tags=1)
        counts = dict(await evidence.ask("SELECT standing, count(*) FROM verdict GROUP BY standing"))
        assert counts == {"equal": 1, "other headers": 1, "different": 1, "changed": 1, "not read": 1}
        assert len(await evidence.ask("FROM metadata_compared")) == 1
