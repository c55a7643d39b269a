"""The legacy keys that are safe to delete, as files for whoever deletes them. This tool deletes nothing.

Verify proved what the objects are. That says nothing of a later moment: so no run may have set a row since, and all
rows are read, and both sides listed, again when the manifest is made.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sketchmigrate.appearance import Legacy, readings
from sketchmigrate.errors import EvidenceOutdated, UsageError
from sketchmigrate.reconcile.evidence import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sketchmigrate.ledger import PastRun
    from sketchmigrate.reconcile.evidence import Evidence, EvidenceSite

CERTIFICATE_NAME = "certificate.json"
EVIDENCE_NAME = "evidence.duckdb"
PROVED = "proved"
"""What the evidence of the verify is called in SQL."""

# S3 Batch Operations wants a CSV without a header: the bucket, and the key URL-encoded (S3 User Guide, "Specifying a
# manifest"). url_encode() leaves the unreserved characters alone; a slash may stay as well.
_BATCH = "SELECT bucket, replace(url_encode(key), '%2F', '/') AS key FROM safe ORDER BY key"
_TABLE = "SELECT bucket, key, size_bytes, etag FROM safe ORDER BY key"

_NEITHER = "SELECT DISTINCT path FROM reference WHERE side = 'neither' AND path <> ''"
_PROVED_AMONG = "SELECT tail FROM proved_key SEMI JOIN (SELECT unnest(?) AS tail) AS named USING (tail)"

_MAY_DIFFER = ("version", "max_path_chars", "max_path_bytes")
"""What of a site bears on no legacy key."""

_AGAIN = "Run verify again, and make the manifest of that."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written: how many keys of how many bytes, from which verify, and where.

    ``left_out`` counts keys that the verify had proved, and that rows and listings do not bear out any more.
    """

    objects: int
    size_bytes: int
    left_out: int
    verify_run: str
    csv_file: str
    parquet_file: str


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
    for name, value in asdict(site).items():
        if name not in _MAY_DIFFER and of.get(name) != value:
            text = f"{verify_run} verified another site: its {name} is {of.get(name)!r}, and that of the settings"
            raise UsageError(f"{text} {value!r}", hint="Give the settings of that verify, or another run of verify.")
    if version != site.version:
        raise UsageError(f"{verify_run} was verified by version {version}, and this is {site.version}", hint=_AGAIN)
    path = verify_run / EVIDENCE_NAME
    if digest(path) != sha256:
        raise UsageError(f"{path} is not the evidence that its certificate names", hint=_AGAIN)
    return path


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


async def judge(now: Evidence) -> None:
    """Find the keys that are safe, from the attached evidence of the verify and what was read and listed again."""
    await now.script("proved")
    await _note_other_names(now)
    await now.script("manifest")


async def _note_other_names(now: Evidence) -> None:
    """Take note of the proved keys that rows on neither side may mean: of all such rows, as they are by now."""
    ((bucket, prefix),) = await now.ask("SELECT legacy_bucket, legacy_prefix FROM site")
    legacy = Legacy(bucket, prefix)
    async for paths in now.stream(_NEITHER):
        keys = {each.legacy_key for (path,) in paths for each in readings(path, legacy)}
        tails = [key.removeprefix(prefix) for key in keys if key]
        await now.insert("named_otherwise", await now.ask(_PROVED_AMONG, [tails]) if tails else [])


async def write_manifest(now: Evidence, verify_run: Path, directory: Path) -> Manifest:
    """Write what ``judge`` found into a directory. Raises ``RunDirectoryError``."""
    csv_file, parquet_file = directory / "manifest.csv", directory / "manifest.parquet"
    ((objects, size_bytes),) = await now.ask("SELECT count(*), coalesce(sum(size_bytes), 0) FROM safe")
    ((proved,),) = await now.ask("SELECT count(*) FROM proved_key")
    await now.export(_BATCH, csv_file, header=False)
    await now.export(_TABLE, parquet_file)
    return Manifest(objects, int(size_bytes), proved - objects, str(verify_run), str(csv_file), str(parquet_file))
