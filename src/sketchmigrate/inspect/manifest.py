"""The legacy keys that are safe to delete, as files for whoever deletes them. This tool deletes nothing.

Verify proved what the objects are. That says nothing of a later moment: so no run may have set a row since, and all
rows are read, and both sides listed, again when the manifest is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.filesize import decimal

from sketchmigrate.core.appearance import Legacy, readings
from sketchmigrate.core.errors import EvidenceOutdated, RunDirectoryError, UsageError
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.batch_manifest import MOST_BYTES, write_batch_manifest
from sketchmigrate.inspect.evidence import digest
from sketchmigrate.ledger.contract import going_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.ledger import PastRun

CERTIFICATE_NAME = "certificate.json"
EVIDENCE_NAME = "evidence.duckdb"
PROVED, FOUND = "proved", "found"
"""What the evidence of the verify, and that of one that compared objects, are called in SQL."""

_SAFE = "SELECT bucket, key FROM safe ORDER BY key"
_TABLE = "SELECT bucket, key, size_bytes, etag FROM safe ORDER BY key"

_NEITHER = "SELECT DISTINCT path FROM reference WHERE side = 'neither' AND route IS NULL AND path <> ''"
_PROVED_AMONG = """
SELECT p.route, p.tail FROM proved_key AS p
SEMI JOIN (SELECT unnest(?) AS tail) AS named ON lower(nfc_normalize(named.tail)) = lower(nfc_normalize(p.tail))
WHERE p.route = ?
"""

_MAY_DIFFER = frozenset({"max_path_chars", "max_path_bytes"})
"""What of a site, and of a source, bears on no legacy key."""

# A pair is taken off by a later look that compared the same: what bytes show by a look at them, which compares the
# headers as well, and other headers by a look at these. What a verify found to differ is noted last: a pair is looked
# at once for each of its references, and one look that found it alike says nothing of another that did not.
_NOTE_METADATA = """
DELETE FROM found_different AS f WHERE standing = 'other headers' AND EXISTS (
    FROM {found}.verdict AS v SEMI JOIN {found}.metadata_compared USING (source, key, slot)
    WHERE v.tail = f.pair_tail AND produced_route(v.route) = f.pair_route
);
"""
_NOTE_FOUND = """
CREATE OR REPLACE TEMP TABLE judged AS
SELECT DISTINCT counted_route(tail, route := route) AS route, counted_tail(tail, route := route) AS tail,
       produced_route(route) AS pair_route, tail AS pair_tail, standing
FROM {found}.verdict WHERE (standing = 'equal' AND proof = 'bytes') OR standing IN ('other headers', 'different');
DELETE FROM found_different AS f WHERE EXISTS (
    FROM judged AS j WHERE j.standing = 'equal' AND j.pair_tail = f.pair_tail AND j.pair_route = f.pair_route
);
INSERT INTO found_different SELECT DISTINCT * FROM judged WHERE standing <> 'equal';
"""
_TAKE_METADATA = f"INSERT INTO metadata_compared FROM {PROVED}.metadata_compared"

_NO_EVIDENCE = "Put it back, or remove its run's directory where a later verify --deep has read all objects."
_AGAIN = "Run verify again, and make the manifest of that."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written: how many keys of how many bytes, from which verify, and where.

    ``csv_files`` are the lists for S3 Batch Operations, of which one job takes one: none where there is no key.

    ``headers_not_compared`` counts those of them whose content headers, metadata and tags the verify did not compare.
    ``left_out`` counts keys that it had proved, and that are not listed; ``left_out_because`` has each of them once.
    """

    objects: int
    size_bytes: int
    headers_not_compared: int
    left_out: int
    left_out_because: dict[str, int]
    verify_run: str
    csv_files: tuple[str, ...]
    parquet_file: str


REASONS = {
    "found_different": "the newest verify that compared them found other content, headers, metadata or tags",
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

    Raises ``UsageError`` where there is no certificate, it is of another site or version, rests on an inventory, or the
    evidence is not what it certifies, and ``RunDirectoryError``.
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
    for side, created_at in dict(certificate.get("inventories") or {}).items():
        if created_at:
            text = f"{verify_run} rests on an inventory of {created_at} for the {side} objects, and not on a listing"
            raise UsageError(text, hint=f"Run verify without INVENTORY_{side.upper()}, and make the manifest of that.")
    path = verify_run / EVIDENCE_NAME
    if digest(path) != sha256:
        raise UsageError(f"{path} is not the evidence that its certificate names", hint=_AGAIN)
    return path


class Found(NamedTuple):
    """The evidence of a verify that compared objects: their bytes, or with ``has_metadata`` what describes them too."""

    path: Path
    has_metadata: bool


def comparing_evidence(run_dir: Path, site: EvidenceSite) -> list[Found]:
    """Return that of every verify of this site that compared objects (``--deep``, ``--metadata``), the oldest first.

    What is no certificate, as one that a kill cut off, is passed over. Raises ``RunDirectoryError`` where the evidence
    of one is gone: what it found may still hold.
    """
    found: list[Found] = []
    for file in sorted(run_dir.glob(f"*/{CERTIFICATE_NAME}"), key=lambda path: path.stat().st_mtime_ns):
        try:
            certificate: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            has_metadata = certificate.get("metadata") is not None  # those of earlier versions say nothing of it
            is_comparing, of = has_metadata or certificate["deep"] is not None, dict(certificate["site"])
        except (ValueError, KeyError, TypeError):
            continue
        other = [name for name, _ in _other_than(of, site)]
        path = file.with_name(EVIDENCE_NAME)
        if is_comparing and "moves" not in of and other == ["moves", "sources"]:
            text = f"{path} is of an earlier version, and what it found to differ cannot be read"
            raise RunDirectoryError(text, hint=_NO_EVIDENCE)
        if not is_comparing or other:
            continue
        if not path.exists():
            raise RunDirectoryError(f"{path} is gone, and what it found to differ is not known", hint=_NO_EVIDENCE)
        found.append(Found(path, has_metadata))
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
            raise EvidenceOutdated(going_on(run, sign), hint=f"Stop it, or wait for its end. {_AGAIN}")


async def judge(now: Evidence, proved: Path, comparing: Sequence[Found]) -> None:
    """Find the keys that are safe, from the attached evidence of the verify and what was read and listed again.

    ``proved`` is where that evidence is, and ``comparing`` is what ``comparing_evidence`` returns.
    """
    if any(path.samefile(proved) and has_metadata for path, has_metadata in comparing):
        await now.execute(_TAKE_METADATA)
    await now.script("proved")
    for path, has_metadata in comparing:
        note = f"{_NOTE_METADATA if has_metadata else ''}{_NOTE_FOUND}"
        if path.samefile(proved):
            await now.execute(note.format(found=PROVED))
        else:
            await now.attach(path, FOUND)
            await now.execute(note.format(found=FOUND))
            await now.execute(f"DETACH {FOUND}")
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


async def write_manifest(
    now: Evidence, verify_run: Path, directory: Path, *, most_file_bytes: int = MOST_BYTES
) -> Manifest:
    """Write what ``judge`` found into a directory; files of CSV have at most so many bytes.

    Raises ``RunDirectoryError``.
    """
    parquet_file = directory / "manifest.parquet"
    ((objects, size_bytes, unseen),) = await now.ask(
        "SELECT count(*), coalesce(sum(size_bytes), 0), count(*) FILTER (NOT headers_compared) FROM safe"
    )
    counts = dict(await now.ask("SELECT reason, count(*) FROM left_out GROUP BY reason"))
    files = await write_batch_manifest(now.stream(_SAFE), directory / "manifest.csv", most_bytes=most_file_bytes)
    await now.export(_TABLE, parquet_file)
    return Manifest(
        objects=objects,
        size_bytes=int(size_bytes),
        headers_not_compared=unseen,
        left_out=sum(counts.values()),
        left_out_because={reason: counts.get(reason, 0) for reason in REASONS},
        verify_run=str(verify_run),
        csv_files=tuple(str(file.path) for file in files),
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
        lines.append(f"{whose} headers, metadata and tags were not compared: verify --metadata compares them.")
    if made.left_out:
        lines.append(f"{made.left_out:,} more were proved by it, and are left out:")
        lines += [f"  {count:>9,}  {REASONS[reason]}" for reason, count in made.left_out_because.items() if count]
    return "\n".join((*lines, "Nothing was deleted."))
