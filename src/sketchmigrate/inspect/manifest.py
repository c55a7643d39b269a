"""The legacy keys that are safe to delete, as files for whoever deletes them. This tool deletes nothing.

Verify proved what the objects are. That says nothing of a later moment: so no run may have set a row since, and all
rows are read, and both sides listed, again when the manifest is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from sketchmigrate.core.appearance import Legacy, readings
from sketchmigrate.core.errors import EvidenceOutdated, RunDirectoryError, UsageError
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.evidence import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.ledger import PastRun

CERTIFICATE_NAME = "certificate.json"
EVIDENCE_NAME = "evidence.duckdb"
PROVED, DEEP = "proved", "deep"
"""What the evidence of the verify, and that of one with --deep, are called in SQL."""

# S3 Batch Operations wants a CSV without a header: the bucket, and the key URL-encoded (S3 User Guide, "Specifying a
# manifest"). url_encode() leaves the unreserved characters alone; a slash may stay as well.
_BATCH = "SELECT bucket, replace(url_encode(key), '%2F', '/') AS key FROM safe ORDER BY key"
_TABLE = "SELECT bucket, key, size_bytes, etag FROM safe ORDER BY key"

_NEITHER = "SELECT DISTINCT path FROM reference WHERE side = 'neither' AND route IS NULL AND path <> ''"
_PROVED_AMONG = """
SELECT p.route, p.tail FROM proved_key AS p
SEMI JOIN (SELECT unnest(?) AS tail) AS named ON lower(nfc_normalize(named.tail)) = lower(nfc_normalize(p.tail))
WHERE p.route = ?
"""

_MAY_DIFFER = frozenset({"max_path_chars", "max_path_bytes"})
"""What of a site, and of a source, bears on no legacy key."""

# A key is taken off by a later look at its bytes alone, which compares the headers as well.
_NOTE_DEEP = """
CREATE OR REPLACE TEMP TABLE judged AS
SELECT DISTINCT counted_route(tail, route := route) AS route, counted_tail(tail, route := route) AS tail, standing
FROM {deep}.verdict WHERE (standing = 'equal' AND proof = 'bytes') OR standing IN ('other headers', 'different');
DELETE FROM found_different AS f
WHERE EXISTS (FROM judged AS j WHERE j.standing = 'equal' AND j.tail = f.tail AND j.route = f.route);
INSERT INTO found_different SELECT DISTINCT route, tail FROM judged WHERE standing <> 'equal';
"""

_NO_EVIDENCE = "Put it back, or remove its run's directory where a later verify --deep has read all objects."
_AGAIN = "Run verify again, and make the manifest of that."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written: how many keys of how many bytes, from which verify, and where.

    ``headers_not_compared`` counts those of them whose content headers, metadata and tags the verify did not compare.
    ``left_out`` counts keys that it had proved, and that are not listed; ``left_out_because`` has each of them once.
    """

    objects: int
    size_bytes: int
    headers_not_compared: int
    left_out: int
    left_out_because: dict[str, int]
    verify_run: str
    csv_file: str
    parquet_file: str


REASONS = {
    "found_different": "the newest verify --deep of them found other content, headers, metadata or tags",
    "named_otherwise": "a row on neither side names them in another way",
    "changed_since": "a row or an object was changed since",
    "same_name": "a row on neither side ends in the same name",
    "unreadable": "rows of legacy hold references that cannot be read, and may name any of them",
}
"""Why a proved key is left out, the first one that holds."""


def newest_verify(run_dir: Path) -> Path:
    """Return the directory of the newest run of verify. Raises ``UsageError`` where there is none."""
    found = sorted(run_dir.glob(f"*/{CERTIFICATE_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise UsageError(f"no run of verify is below {run_dir}", hint="Run verify first, or give its directory.")
    return found[-1].parent


def certified_evidence(verify_run: Path, site: EvidenceSite) -> Path:
    """Return the evidence of a verify of this site.

    Raises ``UsageError`` where there is no certificate, it is of another site or version, or the evidence is not what
    it certifies, and ``RunDirectoryError``.
    """
    try:
        certificate: dict[str, Any] = json.loads((verify_run / CERTIFICATE_NAME).read_text(encoding="utf-8"))
        version, of, sha256 = certificate["version"], dict(certificate["site"]), certificate["evidence"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{verify_run} holds no certificate of verify", hint="Give the run of a verify.") from error
    for name, value in _other_than(of, site):
        text = f"{verify_run} verified another site: its {name} is {of.get(name)!r}, and that of the settings"
        raise UsageError(f"{text} {value!r}", hint="Give the settings of that verify, or another run of verify.")
    if version != site.version:
        raise UsageError(f"{verify_run} was verified by version {version}, and this is {site.version}", hint=_AGAIN)
    path = verify_run / EVIDENCE_NAME
    if digest(path) != sha256:
        raise UsageError(f"{path} is not the evidence that its certificate names", hint=_AGAIN)
    return path


def deep_evidence(run_dir: Path, site: EvidenceSite) -> list[Path]:
    """Return the evidence of every verify of this site that compared objects (``--deep``), the oldest first.

    What is no certificate, as one that a kill cut off, is passed over. Raises ``RunDirectoryError`` where the evidence
    of one is gone: what it found may still hold.
    """
    found: list[Path] = []
    for file in sorted(run_dir.glob(f"*/{CERTIFICATE_NAME}"), key=lambda path: path.stat().st_mtime_ns):
        try:
            certificate: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            is_deep, of = certificate["deep"] is not None, dict(certificate["site"])
        except (ValueError, KeyError, TypeError):
            continue
        other = [name for name, _ in _other_than(of, site)]
        path = file.with_name(EVIDENCE_NAME)
        if is_deep and "moves" not in of and other == ["moves", "sources"]:
            text = f"{path} is of an earlier version, and what it found to differ cannot be read"
            raise RunDirectoryError(text, hint=_NO_EVIDENCE)
        if not is_deep or other:
            continue
        if not path.exists():
            raise RunDirectoryError(f"{path} is gone, and what it found to differ is not known", hint=_NO_EVIDENCE)
        found.append(path)
    return found


def _other_than(of: Mapping[str, object], site: EvidenceSite) -> list[tuple[str, object]]:
    """Return in what a certificate's site is another one: each name, and what it is here."""
    now, then = _bearing(site.json()), _bearing(of)
    return [(name, value) for name, value in now.items() if then.get(name) != value]


def _bearing(site: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a site, as JSON has it, bears on legacy keys."""
    kept = {name: value for name, value in site.items() if name not in _MAY_DIFFER}
    sources = kept.get("sources", [])
    return {**kept, "sources": [{n: v for n, v in each.items() if n not in _MAY_DIFFER} for each in sources]}


async def evidence_began_at(now: Evidence) -> float:
    """Return the Unix time at which the evidence of the verify was begun."""
    ((began_at_utc,),) = await now.ask(f"SELECT min(began_at_utc) FROM {PROVED}.reading")  # noqa: S608 - our own words
    began: datetime = began_at_utc
    return began.replace(tzinfo=UTC).timestamp()


def check_nothing_since(runs: Iterable[PastRun], verify_run: Path, began_at: float) -> None:
    """Check that no run of this site, nor rollback, has set rows since that Unix time, and that none goes on.

    Raises ``EvidenceOutdated`` and what reading a ledger raises.
    """
    for run in runs:
        if run.last_flip_at >= began_at:
            at = datetime.fromtimestamp(run.last_flip_at, UTC)
            text = f"the run {run.directory} set rows at {at:%Y-%m-%d %H:%M:%S} UTC, after {verify_run} began to read"
            raise EvidenceOutdated(text, hint=_AGAIN)
        if run.description.get("dry_run") != "true" and (sign := run.goes_on()):
            text = f"the run {run.directory} is still going on: {sign}"
            raise EvidenceOutdated(text, hint=f"Stop it, or wait for its end. {_AGAIN}")


async def judge(now: Evidence, proved: Path, deep: Sequence[Path]) -> None:
    """Find the keys that are safe, from the attached evidence of the verify and what was read and listed again.

    ``proved`` is where that evidence is, and ``deep`` is what ``deep_evidence`` returns.
    """
    await now.script("proved")
    for path in deep:
        if path.samefile(proved):
            await now.execute(_NOTE_DEEP.format(deep=PROVED))
        else:
            await now.attach(path, DEEP)
            await now.execute(_NOTE_DEEP.format(deep=DEEP))
            await now.execute(f"DETACH {DEEP}")
    await _note_other_names(now)
    await now.script("manifest")


async def _note_other_names(now: Evidence) -> None:
    """Take note of the proved keys that rows on neither side may mean: of all such rows, as they are by now."""
    for number, move in enumerate(now.site.moves, start=1):
        legacy = Legacy(*move.place(SideName.LEGACY))
        async for paths in now.stream(_NEITHER):
            keys = {each.legacy_key for (path,) in paths for each in readings(path, legacy)}
            tails = [key.removeprefix(legacy.prefix) for key in keys if key]
            await now.insert("named_otherwise", await now.ask(_PROVED_AMONG, [tails, number]) if tails else [])


async def write_manifest(now: Evidence, verify_run: Path, directory: Path) -> Manifest:
    """Write what ``judge`` found into a directory. Raises ``RunDirectoryError``."""
    csv_file, parquet_file = directory / "manifest.csv", directory / "manifest.parquet"
    ((objects, size_bytes, unseen),) = await now.ask(
        "SELECT count(*), coalesce(sum(size_bytes), 0), count(*) FILTER (NOT headers_compared) FROM safe"
    )
    counts = dict(await now.ask("SELECT reason, count(*) FROM left_out GROUP BY reason"))
    await now.export(_BATCH, csv_file, header=False)
    await now.export(_TABLE, parquet_file)
    return Manifest(
        objects=objects,
        size_bytes=int(size_bytes),
        headers_not_compared=unseen,
        left_out=sum(counts.values()),
        left_out_because={reason: counts.get(reason, 0) for reason in REASONS},
        verify_run=str(verify_run),
        csv_file=str(csv_file),
        parquet_file=str(parquet_file),
    )


def manifest_text(made: Manifest) -> str:
    """Say what the manifest holds, what it rests on, and what was left out of it for which reason."""
    lines = [
        f"{made.objects:,} legacy objects, {decimal(made.size_bytes)}, are safe to delete, as long as nobody",
        f"changes them. All rows and objects were read and listed again. Proved by {made.verify_run}",
    ]
    if made.headers_not_compared:
        whose = "Their" if made.headers_not_compared == made.objects else f"For {made.headers_not_compared:,} of them"
        lines.append(f"{whose} headers, metadata and tags were not compared: verify --deep compares them.")
    if made.left_out:
        lines.append(f"{made.left_out:,} more were proved by it, and are left out:")
        lines += [f"  {count:>9,}  {REASONS[reason]}" for reason, count in made.left_out_because.items() if count]
    return "\n".join((*lines, "Nothing was deleted."))
