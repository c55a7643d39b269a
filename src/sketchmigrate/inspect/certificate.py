"""The result of verify as a certificate: one page of text, and one JSON document that says the same. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.plural import counted
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.discover_report import discovery_json
from sketchmigrate.inspect.inventory.told import inventories_json, inventory_of
from sketchmigrate.inspect.standing import WRONG, Standing
from sketchmigrate.report.recognition import RIGHT_PLACE
from sketchmigrate.report.sources import table_of
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.inspect.evidence import EvidenceSite
    from sketchmigrate.inspect.verify import Objects, Verification


NOTHING_COMPARED = f"Legacy holds no object, so nothing was compared. {RIGHT_PLACE}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A verification, of which site, and the evidence it rests on: a file and its SHA-256 in hex.

    ``discovery`` is what mentions legacy anywhere in the database, None where that was not looked for.
    """

    site: EvidenceSite
    verification: Verification
    evidence_file: str
    evidence_sha256: str
    discovery: Discovery | None = None

    @property
    def passed(self) -> bool:
        """Whether all is as it should be, and no column mentions legacy where that was looked for."""
        return self.verification.passed and not self._mentioning

    @property
    def _mentioning(self) -> int:
        """How many columns mention legacy, as far as that was looked for."""
        found = self.discovery
        return 0 if found is None else len(found.columns_of_legacy) + len(found.naming)

    def json(self) -> dict[str, object]:
        """Return the certificate as values for JSON; times are UTC, ISO 8601."""
        found = self.verification
        return {
            "kind": "verify",
            "passed": self.passed,
            **found.headlines,
            "adds_up": found.adds_up,
            "site": self.site.json(),
            "rows": {"total": found.rows, **{each.value: count for each, count in found.standings.items()}},
            "equality_proved_by": found.proofs,
            "objects": {"legacy": _objects_json(found.legacy), "production": _objects_json(found.production)},
            "nothing_compared": found.is_nothing_compared,
            "second_looks": found.second_looks,
            "deep": None
            if found.deep_percent is None
            else {"percent": found.deep_percent, "references_compared": found.compared.references},
            "readings": [
                {
                    "what": reading.what,
                    "began_at": f"{reading.began_at_utc.isoformat(timespec='seconds')}Z",
                    "ended_at": f"{reading.ended_at_utc.isoformat(timespec='seconds')}Z",
                    "entries": reading.entries,
                }
                for reading in found.readings
            ],
            "examples": {kind: [asdict(example) for example in examples] for kind, examples in found.examples.items()},
            "evidence": {"file": self.evidence_file, "sha256": self.evidence_sha256},
            "sources": [
                {
                    "source": each.name,
                    **each.headlines,
                    "rows": each.rows,
                    "references": each.references,
                    "standings": {standing.value: count for standing, count in each.standings.items()},
                }
                for each in found.sources
            ],
            "discovery": None if self.discovery is None else discovery_json(self.discovery, ""),
            "inventories": inventories_json(found.inventories),
            "metadata": None
            if found.metadata_percent is None
            else {
                "percent": found.metadata_percent,
                "references_compared": found.metadata.references,
                "tags_compared": found.metadata.with_tags,
            },
        }

    def text(self) -> str:
        """Return the page for a person."""
        found, site = self.verification, self.site
        head = "VERIFIED" if self.passed else "NOT AS IT SHOULD BE"
        wrong = {each.value: found.standings[each] for each in WRONG if found.standings[each]}
        told = [f"{count:,} {name}" for name, count in (wrong or found.headlines).items()]
        if self._mentioning:
            told.append(f"legacy mentioned in {counted(self._mentioning, 'column', 'columns')}")
        lines = [f"{head}: {', '.join(told)}"]
        lines += [NOTHING_COMPARED, ""] if found.is_nothing_compared else [""]
        for each in site.sources:
            shape = f", {each.shape}" if each.shape != "key" else ""
            columns = f"({each.key_column}, {each.path_column})"
            named = "" if len(site.sources) == 1 else f"{each.name}: "
            lines.append(printable(f"Table       {named}{each.table_name} {columns}{shape}"))
        lines += [printable(f"Legacy      {place}") for place in site.places(SideName.LEGACY)]
        lines += [printable(f"Production  {place}") for place in site.places(SideName.PRODUCTION)]
        is_plain = all(each.is_copied for each in site.sources)
        lines += ["", f"Rows {found.rows:>22,}" if is_plain else f"References {found.rows:>16,}"]
        shown = [each for each in Standing if found.standings[each] or each in WRONG]
        lines += [f"  {each:<14}{found.standings[each]:>11,}  {each.meaning}" for each in shown]
        if len(found.sources) > 1:
            counts = [(each.name, (each.rows, each.references, *each.headlines.values())) for each in found.sources]
            lines += ["", *table_of(("rows", "references", *found.headlines), counts)]
        lines += ["", "Objects"]
        lines += [
            f"  {side:<12}{objects.count:>13,}  {decimal(objects.size_bytes)}, {_unnamed(objects):,} that no row names"
            for side, objects in (("legacy", found.legacy), ("production", found.production))
        ]
        if self.discovery is not None:
            lines += ["", *_mentions(self.discovery)]
        lines += ["", *_how(found), "", "Read (UTC)"]
        lines += [
            f"  {reading.what:<20}{reading.began_at_utc:%Y-%m-%d %H:%M:%S} to {reading.ended_at_utc:%H:%M:%S}"
            f"  {reading.entries:>13,}{_by(found, reading.what)}"
            for reading in found.readings
        ]
        if not found.adds_up:
            lines += ["", "The counts do not add up: something was listed twice or not at all. Run it again."]
        lines += ["", f"Evidence    {printable(self.evidence_file)}", f"  SHA-256   {self.evidence_sha256}"]
        lines += [f"Made by     sketch-migrate {site.version}"]
        return "\n".join(lines)


def _by(found: Verification, what: str) -> str:
    """Say by which inventory something was read; nothing of what was read as it was then."""
    created_at_utc = found.inventories.get(what.partition(" ")[0])
    return f"  {inventory_of(created_at_utc)}" if created_at_utc else ""


def _mentions(found: Discovery) -> list[str]:
    """Say which columns mention legacy, and how far that is known."""
    looked = f"{counted(found.rows, 'row')} of {counted(found.tables, 'table')}"
    mentioning = [(each.table, each.column, each.rows, "") for each in found.columns_of_legacy]
    mentioning += [(each.table, each.column, each.rows, ", in a way that no source reads") for each in found.naming]
    if mentioning:
        many = counted(len(mentioning), "column mentions", "columns mention")
        lines = [f"Discovery   {many} legacy ({looked}):"]
        for table, column, rows, how in mentioning:
            lines.append(printable(f"  {table}.{column}: {counted(rows, 'row', 'rows')}{how}"))
    else:
        lines = [f"Discovery   no column that this role can read mentions legacy ({looked})"]
    by_row = [f"{each.table}.{each.column}" for each in found.columns if each not in found.columns_of_legacy]
    if by_row:
        lines.append(printable(f"  Not counted, as their rows tell the side and not their keys: {', '.join(by_row)}"))
    if not found.is_complete:
        lines.append("  Not all could be read: sketch-migrate discover --full names what was not.")
    return lines


def _unnamed(objects: Objects) -> int:
    return objects.count + objects.strange_keys - objects.named


def _objects_json(objects: Objects) -> dict[str, int]:
    return {
        "total": objects.count + objects.strange_keys,
        "bytes": objects.size_bytes,
        "named_by_a_row": objects.named,
        "named_by_none": _unnamed(objects),
    }


def _how(found: Verification) -> list[str]:
    by_etag, by_bytes = found.proofs.get("ETag", 0), found.proofs.get("bytes", 0)
    lines = [f"Equality was proved by ETag for {counted(by_etag, 'row')}, by comparing bytes for {by_bytes:,}."]
    if found.deep_percent is not None:
        lines.append(
            f"--deep {found.deep_percent:g}% read both objects of {counted(found.compared.references, 'row')}."
        )
    if found.metadata_percent is not None:
        compared, tagged = found.metadata
        rows = counted(compared, "row")
        lines += [
            f"--metadata {found.metadata_percent:g}% compared content headers and user metadata of {rows},",
            f"and the tags of {tagged:,} of them.",
        ]
        if tagged < compared:
            lines.append("Of the others the tags cannot be told: not to this user, or the store knows none.")
    elif found.deep_percent is None:
        lines.append("Content headers, user metadata and tags were not compared: --metadata compares them.")
    elif found.compared.references and not found.compared.with_tags:
        lines.append("No object told a number of tags: tags were not compared, and --metadata asks for them.")
    if found.standings[Standing.SAME_SIZE]:
        lines.append("ETags that do not compare prove nothing: --deep compares the bytes.")
    for side, created_at_utc in found.inventories.items():
        lines.append(f"Of {side} an {inventory_of(created_at_utc)} was read: what was changed since may not be seen.")
    if found.second_looks:
        where = "listings and inventories" if found.inventories else "listings"
        lines.append(f"What looked wrong in the {where} was looked at again: {counted(found.second_looks, 'row')}.")
    return lines


def problems_text(found: Verification) -> str:
    """Show the first problems of each kind."""
    lines: list[str] = []
    for standing in WRONG:
        examples = found.examples.get(standing.value, ())
        if examples:
            count = found.standings[standing]
            more = "" if count <= len(examples) else f" (the first {len(examples)} of {count:,})"
            lines.append(f"{standing}: {standing.meaning}{more}")
            for example in examples:
                named = f"{printable(example.source)}  " if len(found.sources) > 1 else ""
                lines += [f"  {named}{printable(example.key or '')}  {printable(example.path or '')}"]
                lines += [f"      {printable(example.detail)}"]
    return "\n".join(lines)
