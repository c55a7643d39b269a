"""What a run notes of itself in its ledger, and whether a ledger of the past belongs to these settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketch_migrate import __version__
from sketch_migrate.errors import UsageError

if TYPE_CHECKING:
    from sketch_migrate.ledger import PastRun
    from sketch_migrate.settings import Settings

_MUST_AGREE = {
    "table": "DB_TABLE",
    "key_column": "DB_KEY_COLUMN",
    "path_column": "DB_PATH_COLUMN",
    "legacy": "LEGACY_BUCKET, LEGACY_PREFIX",
    "production": "PRODUCTION_BUCKET, PRODUCTION_PREFIX",
}


def description(settings: Settings, command: str) -> dict[str, str]:
    """Return what a ledger says of its run: what a rollback has to know, and no secret."""
    s = settings
    return {
        "command": command,
        "table": s.db_table,
        "key_column": s.db_key_column,
        "path_column": s.db_path_column,
        "legacy": f"s3://{s.legacy_bucket}/{s.legacy_prefix}",
        "production": f"s3://{s.production_bucket}/{s.production_prefix}",
        "endpoint": s.s3_endpoint_url,
        "version": __version__,
    }


def check_ledger(run: PastRun, settings: Settings) -> None:
    """Check that a ledger is of a migration of this very table between these buckets. Raises ``UsageError``."""
    if not run.flips:
        return  # nothing to undo, whatever it was: a dry run, or one that was killed while it began
    if is_rollback(run):
        hint = "To undo a rollback, migrate again: the objects are in place, only the rows are changed."
        raise UsageError(f"{run.path} is the record of a rollback, not of a migration", hint=hint)
    present = description(settings, "migrate")
    for name, where in _MUST_AGREE.items():
        recorded = run.description.get(name, "")
        if recorded != present[name]:
            raise UsageError(
                f"{run.path} is of another migration: its {name.replace('_', ' ')} is {recorded!r}, "
                f"and the settings say {present[name]!r}",
                hint=f"Give the settings of that run ({where}), or another directory.",
            )


def is_rollback(run: PastRun) -> bool:
    """Whether the ledger is that of a rollback."""
    return run.description.get("command") == "rollback"
