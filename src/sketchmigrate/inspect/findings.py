"""What plan may find, how grave each is, and what to do about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.appearance import LOOKED_AT
from sketchmigrate.report.recognition import RIGHT_PLACE

if TYPE_CHECKING:
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.inspect.problems import Example
    from sketchmigrate.migration.look_ahead import BucketRules
    from sketchmigrate.migration.trial import Trial
    from sketchmigrate.postgres.catalog import TableFacts
    from sketchmigrate.postgres.path_index import Offer
    from sketchmigrate.postgres.refusals import Refusals


class Severity(StrEnum):
    """Whether a person should look before the migration."""

    LOOK = "look"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that was found: how often, what to do about it, the first ones where they are rows.

    ``source`` is the one whose table it is of, where there are several; else it is empty.
    """

    kind: str
    severity: Severity
    count: int
    what_to_do: str
    examples: tuple[Example, ...] = ()
    source: str = ""

    def of(self, source: str) -> Finding:
        """Return that of a source."""
        return replace(self, source=source)


LOOK, NOTE = Severity.LOOK, Severity.NOTE

MENTIONS_NAMED = 10
"""So many columns are named; ``discover`` names all."""

NOTHING = "nothing recognised"
NOTHING_IN_LEGACY = "nothing in legacy"

KINDS: dict[str, tuple[Severity, str]] = {
    NOTHING: (
        LOOK,
        "No path begins with either prefix: look at DB_TABLE, DB_PATH_COLUMN, LEGACY_PREFIX and PRODUCTION_PREFIX.",
    ),
    NOTHING_IN_LEGACY: (
        LOOK,
        f"These rows are on neither side. {RIGHT_PLACE} No row and no object is in",
    ),
    "unrecognised": (
        LOOK,
        f"Of at most {LOOKED_AT:,} that were looked at: each names a legacy object, but not by its key. Mend the row.",
    ),
    "missing object": (LOOK, "Put the object in its place in legacy, or mend the row: it will be reported, not moved."),
    "taken": (LOOK, "Production holds something else there. Compare both; -w would let the legacy object replace it."),
    "archived": (
        LOOK,
        "Restore these objects first (archived.csv, archived-tiers.csv): until then the migration fails these rows.",
    ),
    "two rows, one key": (LOOK, "Afterwards both rows would name one object, which is that of the row of production."),
    "unique constraint": (LOOK, "The database would refuse these flips: mend one of the two rows."),
    "cannot be moved": (LOOK, "Mend these rows: they will be reported with this reason, not moved."),
    "key too long": (LOOK, "S3 keys are at most 1,024 bytes: choose a shorter PRODUCTION_PREFIX, or mend the row."),
    "path too long": (LOOK, "Widen the column, or choose a shorter PRODUCTION_PREFIX."),
    "only the prefix": (LOOK, "Such a path names no object: mend the row. It will be reported, not moved."),
    "control character": (
        LOOK,
        "XML cannot carry such a key: it can be copied, but listings of some stores break on it.",
    ),
    "dangling row": (LOOK, "These rows are in production and have no object there. The migration does not touch them."),
    "different": (LOOK, "These are in production and differ from legacy: verify says more, repair mends stale ones."),
    "not UTF-8": (NOTE, "No row can name such a key. It stays where it is."),
    "odd key": (NOTE, "Keys with //, . or .. are sent as they are; some stores refuse them: try one, or --probe."),
    "to compare": (NOTE, "ETags do not compare here: the migration will read both objects, and so does plan --deep."),
    "twins": (NOTE, "S3 tells them apart; a file system that objects are exported to may not."),
    "shared object": (NOTE, "It is copied once, and found in place for the other rows."),
    "large object": (NOTE, "Over 5 GiB: copied in parts, which takes longer."),
    "neither side": (NOTE, "These rows are not ours: nothing happens to them."),
    "empty path": (NOTE, "NULL or empty: nothing happens to them."),
    "legacy object without a row": (NOTE, "No row names it, so it is not copied."),
    "production object without a row": (NOTE, "No row names it. It stays as it is."),
}
"""The kinds that are rows or objects, in the order in which they are told."""


CERTAIN = ("rule", "no replica identity", "check", "column type", "trial flip")
"""The kinds of which each alone refuses flips: a dry run looks for them too."""


def table_findings(facts: TableFacts, refusals: Refusals, trial: Trial | None) -> list[Finding]:
    """Say what of the table itself bears on the migration, and what a ``trial`` of it came to, where one was made."""
    found: list[Finding] = []

    def add(kind: str, severity: Severity, things: tuple[str, ...] | bool | int, what_to_do: str) -> None:
        if things:
            names = f": {', '.join(things)}" if isinstance(things, tuple) else ""
            count = len(things) if isinstance(things, tuple) else int(things)
            found.append(Finding(kind, severity, count, what_to_do + names))

    add("no right to flip", LOOK, not facts.may_update, f"GRANT UPDATE on the path column to {facts.user}")
    add("standby", LOOK, facts.is_standby, "This server takes no writes: point DB_HOST at the primary")
    add(
        "row-level security",
        LOOK,
        facts.row_security,
        "Rows that it hides from this user are not migrated, nor counted",
    )
    add("partition key", LOOK, facts.partition_key, "A flip may move the row to another partition")
    add("rule", LOOK, refusals.rules, "Takes the place of a flip, or stops it: disable it for the migration")
    add(
        "no replica identity",
        LOOK,
        refusals.nameless_for,
        "The table is published for UPDATE, so no flip is taken: ALTER TABLE … REPLICA IDENTITY. Published by",
    )
    add("check", LOOK, refusals.checks, "No flip is taken: change it so that it accepts the new paths")
    add("column type", LOOK, refusals.column, "No such flip is taken: widen it, or choose another PRODUCTION_PREFIX")
    if trial is not None and trial.refused:
        found.append(Finding("trial flip", LOOK if trial.is_refused else NOTE, len(trial.refused), trial.told()))
    elif trial is not None and trial.is_slow:
        found.append(Finding("slow flip", NOTE, 1, trial.told()))
    add("policy", LOOK, refusals.policies, "May refuse a flip, or hide its row")
    triggers = tuple(f"{name} (AFTER)" if name in facts.after_triggers else name for name in facts.triggers)
    add("trigger", LOOK, triggers, "Fires on each flip; one that changes the path again fails the row")
    add("constraint", LOOK, facts.constraints, "Must accept the new paths")
    add("generated column", NOTE, facts.generated_columns, "Made from the path, and changes with it")
    unique = tuple(index.name for index in facts.indexes if index.unique)
    add("unique index", NOTE if _alone(facts) else LOOK, unique, _about_unique(facts))
    others = tuple(index.name for index in facts.indexes if not index.unique)
    add("index", NOTE, others, "Has the path, so each flip makes new entries in all indexes (no HOT update)")
    add("publication", NOTE, facts.publications, "Each flip is sent to its subscribers")
    add("replication slot", NOTE, facts.slots, "Keeps WAL until it was read: watch the disk")
    add("standbys", NOTE, facts.standbys, "Replay each flip: watch their lag")
    return found


def index_finding(offer: Offer | None, legacy_rows: int) -> list[Finding]:
    """Offer an index of the paths, where so many legacy rows would be found by it in far fewer blocks."""
    if offer is None or not offer.is_worth(legacy_rows):
        return []
    said = (
        "Rows are in no order of their key, so each is read from another block. By this index one process finds legacy"
        " rows in far fewer. It is yours to make, or not: beside it each flip makes new entries in all indexes (no HOT"
        f" update). {offer.statement}"
    )
    return [Finding("no index of the paths", NOTE, 1, said)]


def fence_finding(fences: tuple[str, ...], legacy_rows: int) -> list[Finding]:
    """Say that a fence is there, and what that means for the legacy rows that are left."""
    if not fences:
        return []
    told = "Refuses new legacy references; a rollback needs it taken away first"
    if legacy_rows:
        told = "Refuses each UPDATE of the legacy rows that are left, and no run begins: take it away"
    return [Finding("fence", LOOK if legacy_rows else NOTE, len(fences), f"{told}: {', '.join(fences)}")]


def rules_findings(rules: BucketRules) -> list[Finding]:
    """Say what the production bucket does to each new object."""
    found = []
    if about := rules.about_lock():
        found.append(Finding("object lock", LOOK if rules.keeps_objects else NOTE, 1, about))
    if about := rules.about_encryption():
        found.append(Finding("default encryption", NOTE, 1, about))
    return found


def tier_findings(unseen: int) -> list[Finding]:
    """Say of how many objects it is not known whether they are in an archive tier, which a listing does not show."""
    if not unseen:
        return []
    told = "Objects of INTELLIGENT_TIERING that were not looked at: some may be in an archive tier, and fail their rows"
    return [Finding("tier not looked at", NOTE, unseen, told)]


def mention_findings(found: Discovery) -> list[Finding]:
    """Return the columns that mention legacy and are in no source, and those that could not be read."""
    columns = found.columns_not_covered
    names = [f"{each.table}.{each.column}" for each in columns] + [f"{t}.{c}" for t, c in found.unreadable]
    findings: list[Finding] = []
    if columns:
        named = ", ".join(names[: len(columns)][:MENTIONS_NAMED])
        said = f"By a sample, these columns mention legacy and are in no source: {named}. See: sketch-migrate discover"
        findings.append(Finding("mentioned elsewhere", NOTE, len(columns), said))
    if found.unreadable:
        named = ", ".join(names[len(columns) :][:MENTIONS_NAMED])
        said = f"This role may not read these columns, which may mention legacy as well: {named}"
        findings.append(Finding("columns not read", NOTE, len(found.unreadable), said))
    return findings


def room_finding(ledger_bytes: int, free_bytes: int | None) -> list[Finding]:
    """Say that the ledger does not fit on its disk; nothing where it does, or where that cannot be seen."""
    if free_bytes is None or ledger_bytes <= free_bytes:
        return []
    told = (
        f"The run would not begin: its ledger takes about {decimal(ledger_bytes)}, and {decimal(free_bytes)} are free"
    )
    return [Finding("disk of RUN_DIR", LOOK, 1, f"{told}. Make room, point RUN_DIR elsewhere, or set LEDGER_URL.")]


def certain_findings(facts: TableFacts, refusals: Refusals, trial: Trial | None) -> list[Finding]:
    """Say which of these alone would stop a migration."""
    return [
        found
        for found in table_findings(facts, refusals, trial)
        if found.kind in CERTAIN and found.severity is Severity.LOOK
    ]


def about_trial(facts: TableFacts, refusals: Refusals, trial: Trial | None) -> str:
    """Say what came of the trial, or what would have to be tried."""
    if trial is not None:
        return trial.told()
    names = {"triggers": facts.triggers, "policies": refusals.policies}
    unsure = "".join(f"; {what}: {', '.join(each)}" for what, each in names.items() if each)
    return f"no flip was tried: --trial tries one, and rolls it back{unsure}"


def _alone(facts: TableFacts) -> bool:
    return all(index.on_path_alone and not index.partial for index in facts.indexes if index.unique)


def _about_unique(facts: TableFacts) -> str:
    if _alone(facts):
        return "Holds the path alone: rows that would hit it are listed as unique constraint"
    return "Not of the path alone: whether a flip would hit it was not looked at"
