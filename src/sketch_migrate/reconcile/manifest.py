"""The legacy keys that verify proved safe to delete, as files for whoever deletes them. This tool deletes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sketch_migrate.errors import UsageError
from sketch_migrate.reconcile.evidence import Evidence, digest

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE_NAME = "certificate.json"

# S3 Batch Operations wants a CSV without a header: the bucket, and the key URL-encoded (S3 User Guide, "Specifying a
# manifest"). url_encode() leaves the unreserved characters alone; a slash may stay as well.
_BATCH = "SELECT bucket, replace(url_encode(key), '%2F', '/') AS key FROM safe ORDER BY key"
_TABLE = "SELECT bucket, key, size_bytes, etag FROM safe ORDER BY key"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written: how many keys of how many bytes, from which verify, and where."""

    objects: int
    size_bytes: int
    verify_run: str
    csv_file: str
    parquet_file: str


def newest_verify(run_dir: Path) -> Path:
    """Return the directory of the newest run of verify. Raises ``UsageError`` where there is none."""
    found = sorted(run_dir.glob(f"*/{CERTIFICATE_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise UsageError(f"no run of verify is below {run_dir}", hint="Run verify first, or give its directory.")
    return found[-1].parent


async def write_manifest(verify_run: Path, directory: Path) -> Manifest:
    """Write the manifest of a verify into a directory.

    Raises ``UsageError`` where there is no certificate, or the evidence is not what it certifies, and
    ``RunDirectoryError``.
    """
    path = verify_run / CERTIFICATE_NAME
    try:
        certificate: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sha256 = certificate["evidence"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{verify_run} holds no certificate of verify", hint="Give the run of a verify.") from error
    evidence_path = verify_run / "evidence.duckdb"
    if digest(evidence_path) != sha256:
        hint = "Run verify again, and make the manifest of that."
        raise UsageError(f"{evidence_path} is not the evidence that its certificate names", hint=hint)
    csv_file, parquet_file = directory / "manifest.csv", directory / "manifest.parquet"
    async with Evidence(evidence_path) as evidence:
        await evidence.script("manifest")
        ((objects, size_bytes),) = await evidence.ask("SELECT count(*), coalesce(sum(size_bytes), 0) FROM safe")
        await evidence.export(_BATCH, csv_file, header=False)
        await evidence.export(_TABLE, parquet_file)
    return Manifest(objects, int(size_bytes), str(verify_run), str(csv_file), str(parquet_file))
