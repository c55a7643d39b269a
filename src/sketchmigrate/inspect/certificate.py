"""The result of verify as a certificate: one page of text, and one JSON document that says the same. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.inspect.standing import WRONG, Standing
from sketchmigrate.report.recognition import RIGHT_PLACE
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from sketchmigrate.inspect.evidence import EvidenceSite
    from sketchmigrate.inspect.verify import Objects, Verification


NOTHING_COMPARED = f"Legacy holds no object, so nothing was compared. {RIGHT_PLACE}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A verification, of which site, and the evidence it rests on: a file and its SHA-256 in hex."""

    site: EvidenceSite
    verification: Verification
    evidence_file: str
    evidence_sha256: str

    def json(self) -> dict[str, object]:
        """Return the certificate as values for JSON; times are UTC, ISO 8601."""
        found = self.verification
        return {
            "kind": "verify",
            "passed": found.passed,
            **found.headlines,
            "adds_up": found.adds_up,
            "site": {name: value for name, value in asdict(self.site).items() if name != "version"},
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
        }

    def text(self) -> str:
        """Return the page for a person."""
        found, site = self.verification, self.site
        head = "VERIFIED" if found.passed else "NOT AS IT SHOULD BE"
        wrong = {each.value: found.standings[each] for each in WRONG if found.standings[each]}
        lines = [f"{head}: " + ", ".join(f"{count:,} {name}" for name, count in (wrong or found.headlines).items())]
        lines += [NOTHING_COMPARED, ""] if found.is_nothing_compared else [""]
        lines += [
            printable(f"Table       {site.table_name} ({site.key_column}, {site.path_column})"),
            printable(f"Legacy      s3://{site.legacy_bucket}/{site.legacy_prefix}"),
            printable(f"Production  s3://{site.production_bucket}/{site.production_prefix}"),
            "",
            f"Rows {found.rows:>22,}",
        ]
        shown = [each for each in Standing if found.standings[each] or each in WRONG]
        lines += [f"  {each:<14}{found.standings[each]:>11,}  {each.meaning}" for each in shown]
        lines += ["", "Objects"]
        lines += [
            f"  {side:<12}{objects.count:>13,}  {decimal(objects.size_bytes)}, {_unnamed(objects):,} that no row names"
            for side, objects in (("legacy", found.legacy), ("production", found.production))
        ]
        lines += ["", *_how(found), "", "Read (UTC)"]
        lines += [
            f"  {reading.what:<20}{reading.began_at_utc:%Y-%m-%d %H:%M:%S} to {reading.ended_at_utc:%H:%M:%S}"
            f"  {reading.entries:>13,}"
            for reading in found.readings
        ]
        if not found.adds_up:
            lines += ["", "The counts do not add up: something was listed twice or not at all. Run it again."]
        lines += ["", f"Evidence    {printable(self.evidence_file)}", f"  SHA-256   {self.evidence_sha256}"]
        lines += [f"Made by     sketch-migrate {site.version}"]
        return "\n".join(lines)


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
    lines = [f"Equality was proved by ETag for {by_etag:,} rows, by comparing bytes for {by_bytes:,}."]
    if found.deep_percent is not None:
        lines.append(f"--deep {found.deep_percent:g}% read both objects of {found.compared.references:,} rows.")
    else:
        lines.append("Content headers, user metadata and tags were not compared: --deep compares them.")
    if found.compared.references and not found.compared.with_tags:
        lines.append("No object told a number of tags: tags were not compared.")
    if found.standings[Standing.SAME_SIZE]:
        lines.append("ETags that do not compare prove nothing: --deep compares the bytes.")
    if found.second_looks:
        lines.append(f"What looked wrong in the listings was looked at again: {found.second_looks:,} rows.")
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
                lines += [f"  {printable(example.key or '')}  {printable(example.path or '')}"]
                lines += [f"      {printable(example.detail)}"]
    return "\n".join(lines)
