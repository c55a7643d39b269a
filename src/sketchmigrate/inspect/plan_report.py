"""A plan as text for a person, and as values for JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.plural import counted
from sketchmigrate.inspect.estimate import FIRST_HOURS_SECONDS
from sketchmigrate.inspect.findings import Severity, about_trial
from sketchmigrate.inspect.inventory.told import inventories_json, inventory_of
from sketchmigrate.report.progress import duration
from sketchmigrate.report.sources import table_of
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.inspect.archived import RestoreList
    from sketchmigrate.inspect.estimate import Estimate
    from sketchmigrate.inspect.findings import Finding
    from sketchmigrate.inspect.plan import Plan
    from sketchmigrate.migration.transfer_kind import SettledKind


LOOK_FIRST = "Look at these first"


def plan_text(plan: Plan, needs: Estimate, transfer: tuple[SettledKind, str], keeping: Sequence[str]) -> str:
    """Say what would be moved, what that takes, and what was found; ``keeping`` has lines on what copies keep.

    ``transfer`` is its kind, and what keeps it from replacing objects.
    """
    kind, strategy = transfer
    figures = [
        ("legacy", plan.legacy_rows, "rows"),
        ("production", plan.production_rows, "rows, which are done"),
        ("neither", plan.other_rows, "rows, which are not ours"),
        ("to migrate", plan.to_migrate, f"rows, {plan.in_place:,} of them with their object in place already"),
        ("to copy", plan.objects_to_copy, f"objects, {decimal(plan.bytes_to_copy)}"),
    ]
    if plan.archived.objects:
        of_rows = f"objects of {counted(plan.archived.rows, 'row', 'rows')}, to be restored first"
        figures.append(("archived", plan.archived.objects, of_rows))
    lines = ["What is there", *(f"  {name:<12}{count:>14,}  {what}" for name, count, what in figures)]
    for side, created_at_utc in plan.inventories.items():
        lines.append(f"  {side} by the {inventory_of(created_at_utc)}; what looks wrong by it was looked at now")
    if len(plan.sources) > 1:
        counts = [
            (each.name, (each.legacy_rows, each.production_rows, each.other_rows, each.to_migrate))
            for each in plan.sources
        ]
        lines += ["", *table_of([name for name, *_ in figures[:4]], counts), ""]
    if plan.deep_percent is not None:
        lines.append(f"  {'compared':<12}{plan.compared_bytes:>14,}  rows, by the bytes of both objects")
    more = needs.table_bytes_more, needs.index_bytes, needs.index_bytes_more
    lines += [
        "",
        "What it takes",
        f"  requests    {needs.copies:,} copies and listings, {needs.reads:,} looks: about USD {needs.price_usd:,.2f}",
        f"  time        {duration(needs.seconds)} at {needs.rows_per_second:,.0f} rows/s, {printable(needs.rate_from)}",
        *_about_prefix(needs),
        *_about_schedule(needs),
        f"  WAL         {_wal(needs)}",
        *_about_flip_times(needs),
        f"  way back    {duration(needs.rollback_seconds)} at most, by the same rate: a rollback copies nothing",
        "  growth      at most {} of the table; of its indexes, now {}, at most {}".format(*map(decimal, more)),
        f"  ledger      {_about_ledger(needs)}",
        *([] if kind.is_plain else [f"  transfer    {kind.kind}, as {printable(kind.reason)}"]),
        f"  no clobber  {printable(strategy)}",
        f"  fence       {', '.join(_fences(plan)) or 'none'}",
        *_about_flips(plan),
    ]
    if keeping:
        lines += ["", "What copies keep", *(f"  {line}" for line in keeping)]
    for severity, title in ((Severity.LOOK, LOOK_FIRST), (Severity.NOTE, "Good to know")):
        found = [finding for finding in plan.findings if finding.severity is severity]
        if found:
            lines += ["", findings_text(title, found)]
    if not plan.needs_a_look:
        lines += ["", "Nothing needs a look first."]
    return "\n".join(lines)


def _wal(needs: Estimate) -> str:
    if needs.wal_bytes == needs.wal_bytes_most:
        return f"{decimal(needs.wal_bytes)}, by what that run has measured a row"
    return f"at least {decimal(needs.wal_bytes)}, at most {decimal(needs.wal_bytes_most)}"


def _about_flip_times(needs: Estimate) -> list[str]:
    if needs.flip_ms is None or needs.flip_rows is None:
        return []
    return [f"  a flip      {needs.flip_ms:g} ms for {needs.flip_rows:g} rows on average, as that run has measured"]


def _about_flips(plan: Plan) -> list[str]:
    lines = []
    for number, each in enumerate(plan.sources):
        named = f"{each.name}: " if len(plan.sources) > 1 else ""
        about = about_trial(each.facts, each.refusals, each.trial)
        lines.append(f"  {'' if number else 'flips':<12}{printable(named + about)}")
    return lines


def _about_prefix(needs: Estimate) -> list[str]:
    if needs.prefix_rows_per_second is None:
        return []
    return [
        f"              at most {needs.prefix_rows_per_second:,.0f} rows/s in its first hours: S3 takes no more of one",
        f"              prefix until it has parted it, reckoned to take {FIRST_HOURS_SECONDS / 3600:.0f} hours",
    ]


def _about_schedule(needs: Estimate) -> list[str]:
    if needs.scheduled_end is None:
        return []
    if not needs.scheduled_end:
        return ["  SCHEDULE    in its hours that does not end within years: look at its hours and rates"]
    return [f"  SCHEDULE    begun now, it ends {needs.scheduled_end} by these hours and rates"]


def _about_ledger(needs: Estimate) -> str:
    size = decimal(needs.ledger_bytes)
    if needs.free_bytes is None:
        return f"about {size} in the database of LEDGER_URL, whose room is not seen from here"
    return f"up to {size}; the disk of RUN_DIR has {decimal(needs.free_bytes)} free"


def findings_text(title: str, findings: Sequence[Finding]) -> str:
    """List findings below their title."""
    return "\n".join([title, *(line for finding in findings for line in _finding(finding))])


def _finding(finding: Finding) -> list[str]:
    of = f" ({printable(finding.source)})" if finding.source else ""
    lines = [f"  {finding.count:>10,}  {finding.kind}{of}", f"              {printable(finding.what_to_do)}"]
    for example in finding.examples:
        key = f"{printable(example.key)}  " if example.key is not None else ""
        detail = f"  ({printable(example.detail)})" if example.detail else ""
        path = "NULL" if example.path is None else printable(example.path)
        lines.append(f"                {key}{path}{detail}")
    if finding.examples and finding.count > len(finding.examples):
        lines.append("                …")
    return lines


def _fences(plan: Plan) -> list[str]:
    return list(dict.fromkeys(name for each in plan.sources for name in each.facts.fences))


def plan_json(
    plan: Plan,
    needs: Estimate,
    transfer: tuple[SettledKind, str],
    keeping: dict[str, object],
    lists: Sequence[RestoreList],
) -> dict[str, object]:
    """Return the plan for ``--json``: sizes in bytes, times in seconds, prices in USD. ``lists``: what to restore."""
    kind, strategy = transfer
    first = plan.sources[0]
    return {
        "kind": "plan",
        "needs_a_look": plan.needs_a_look,
        "rows": {
            "legacy": plan.legacy_rows,
            "production": plan.production_rows,
            "neither": plan.other_rows,
            "to_migrate": plan.to_migrate,
            "in_place": plan.in_place,
        },
        "objects_to_copy": plan.objects_to_copy,
        "bytes_to_copy": plan.bytes_to_copy,
        "deep": None
        if plan.deep_percent is None
        else {"percent": plan.deep_percent, "references_compared": plan.compared_bytes},
        "estimate": asdict(needs),
        "no_clobber": strategy,
        "keeping": keeping,
        "trial": None if first.trial is None else first.trial.as_json(),
        "table": asdict(first.facts),
        "refusals": asdict(first.refusals),
        "findings": [asdict(finding) for finding in plan.findings],
        "sources": [
            {
                "source": each.name,
                "rows": {
                    "legacy": each.legacy_rows,
                    "production": each.production_rows,
                    "neither": each.other_rows,
                    "to_migrate": each.to_migrate,
                    "in_place": each.in_place,
                },
                "references_to_migrate": each.references_to_migrate,
                "value_bytes": round(each.value_bytes, 1),
                "trial": None if each.trial is None else each.trial.as_json(),
                "table": asdict(each.facts),
                "refusals": asdict(each.refusals),
            }
            for each in plan.sources
        ],
        "transfer": kind.kind,
        "transfer_reason": kind.reason,
        "inventories": inventories_json(plan.inventories),
        "archived": {
            "objects": plan.archived.objects,
            "rows": plan.archived.rows,
            "lists": [
                {"file": str(each.path), "objects": each.objects, "etag": each.etag, "tiers": tiers}
                for each, tiers in lists
            ],
        },
    }
