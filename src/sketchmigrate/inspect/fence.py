"""The fence of each source, where no legacy row is left: as text for an administrator, and as values for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.fence import LOCK_TIMEOUT, NoFence, fence_of, read_fences
from sketchmigrate.postgres.references import References
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.fence import Fence


@dataclass(frozen=True, slots=True)
class SourceFence:
    """What is to be said of a source. ``fence`` is None where SQL cannot say one exactly, and ``why_none`` says why.

    ``legacy_rows`` are left; they are not counted where there is no fence. ``present`` are the fences that stand.
    """

    source: str
    table: str
    fence: Fence | None
    why_none: str
    legacy_rows: int
    present: tuple[str, ...]

    @property
    def stands(self) -> bool:
        """Whether the very fence is there."""
        return self.fence is not None and self.fence.name in self.present


async def look_at_fences(
    database: Database, sources: Sequence[SourceTable], reach: Callable[[int, int | None], None]
) -> list[SourceFence]:
    """Look at each source, and count the legacy rows that are left, page by page.

    ``reach`` hears how many rows of all sources were read, and how many there are by the planner's estimate, None where
    that has none. Raises ``DatabaseError``.
    """
    fences = [_fence_of(each) for each in sources]
    estimates = [each.table.estimated_rows for each, (fence, _) in zip(sources, fences, strict=True) if fence]
    total = None if None in estimates else sum(estimate or 0 for estimate in estimates)
    found: list[SourceFence] = []
    read = 0
    for each, (fence, why_none) in zip(sources, fences, strict=True):
        legacy = 0
        async with database.session() as session:
            present = await session.run(read_fences, each.table, doing="looking for a fence")
            if fence is not None:
                references = References(session, each.table)
                async for page in references.counted_pages(KeyRange(), each.mapping):
                    legacy, read = legacy + page.legacy, read + page.rows
                    reach(read, total)
                legacy += (await references.without_key(each.mapping)).legacy
        found.append(SourceFence(each.source.name, each.source.table, fence, why_none, legacy, present))
    return found


def _fence_of(source: SourceTable) -> tuple[Fence | None, str]:
    """Return the fence of a source, or why there is none."""
    try:
        return fence_of(source.source, source.table), ""
    except NoFence as reason:
        return None, str(reason)


def rows_left(found: Sequence[SourceFence]) -> str:
    """Say which legacy rows are left, and what a fence would do to them; empty where none is. Pure."""
    left = [f"{each.legacy_rows:,} legacy rows of {printable(each.source)}" for each in found if each.legacy_rows]
    if not left:
        return ""
    return f"{', '.join(left)} are left: with a fence every UPDATE of them would fail. So none is printed."


def fences_text(found: Sequence[SourceFence]) -> str:
    """Return a script that sets the fences that are not there, with what takes them away as comments. Pure."""
    lines: list[str] = []
    new = [each for each in found if each.fence is not None and not each.stands]
    if new:
        lines += [LOCK_TIMEOUT, ""]
    for each in found:
        about = f"-- {_comment(each.source)}: "
        if each.fence is None:
            lines += [f"{about}none, as {_comment(each.why_none)}."]
        elif each.stands:
            lines += [f"{about}{each.fence.name} is there."]
        else:
            lines += [f"{about}refuses new legacy references (23514).", each.fence.add]
        if each.fence is not None:
            lines += ["-- To take it away, which a rollback needs first:", f"-- {LOCK_TIMEOUT}"]
            lines += [f"-- {each.fence.drop}"]
        lines.append("")
    return "\n".join(lines).rstrip()


def _comment(text: str) -> str:
    """Return a text on one line, as a comment has to be."""
    return " ".join(printable(text).split())


def fences_json(found: Sequence[SourceFence], *, is_left: bool) -> list[dict[str, object]]:
    """Return the same for ``--json``; with rows left there are no statements that set a fence. Pure."""
    return [
        {
            "source": each.source,
            "table": each.table,
            "legacy_rows": None if each.fence is None else each.legacy_rows,
            "present": list(each.present),
            "name": None if each.fence is None else each.fence.name,
            "why_none": each.why_none or None,
            "add": None if each.fence is None or is_left else [LOCK_TIMEOUT, each.fence.add],
            "drop": None if each.fence is None else [LOCK_TIMEOUT, each.fence.drop],
        }
        for each in found
    ]
