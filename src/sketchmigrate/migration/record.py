"""What a run notes of itself in its ledger, and whether a ledger of the past belongs to these settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate import __version__
from sketchmigrate.core.errors import RunDirectoryError, RunGoesOn, UsageError
from sketchmigrate.core.keys import key_from_stored
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.plural import counted
from sketchmigrate.core.rule import SideName
from sketchmigrate.ledger import past_runs
from sketchmigrate.ledger.contract import SOURCES, going_on
from sketchmigrate.ledger.result import DOCUMENT_NAME, document_in
from sketchmigrate.migration.at_work import STILL_AT_WORK
from sketchmigrate.settings.schema import LISTS
from sketchmigrate.settings.sources import sources_of
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.reference import Key
    from sketchmigrate.ledger import PastRun
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.settings import Settings

_MUST_AGREE = {
    "moves": "MOVES",
    "urls": "URLS",
    "references": "REFERENCES",
    "table": "DB_TABLE",
    "key_column": "DB_KEY_COLUMN",
    "path_column": "DB_PATH_COLUMN",
    "legacy": "LEGACY_BUCKET, LEGACY_PREFIX",
    "production": "PRODUCTION_BUCKET, PRODUCTION_PREFIX",
}


def description(settings: Settings, command: str) -> dict[str, str]:
    """Return what a ledger says of its run: what a rollback has to know, and no secret."""
    s = settings
    about = {
        "command": command,
        "table": s.db_table,
        "key_column": s.db_key_column,
        "path_column": s.db_path_column,
        "legacy": f"s3://{s.legacy_bucket}/{s.legacy_prefix}",
        "production": f"s3://{s.production_bucket}/{s.production_prefix}",
        "endpoint": store_of(s, SideName.LEGACY).endpoint_url,
        "production_endpoint": store_of(s, SideName.PRODUCTION).endpoint_url,
        "version": __version__,
    }
    if not s.has_lists:
        return about
    lists = {name: json.dumps(getattr(s, name), sort_keys=True) for name in LISTS}
    return about | lists | {SOURCES: json.dumps([source.name for source in sources_of(s)])}


def check_ledger(run: PastRun, settings: Settings) -> None:
    """Check that a ledger is of a migration of this very table between these buckets. Raises ``UsageError``."""
    if not run.flips:
        return  # nothing to undo, whatever it was: a dry run, or one that was killed while it began
    if is_rollback(run):
        hint = "To undo a rollback, migrate again: the objects are in place, only the rows are changed."
        raise UsageError(f"{run.path} is the record of a rollback, not of a migration", hint=hint)
    present = description(settings, "migrate")
    for name, where in _MUST_AGREE.items():
        recorded, said = run.description.get(name, ""), present.get(name, "")
        if recorded != said:
            raise UsageError(
                f"{run.path} is of another migration: its {name.replace('_', ' ')} is {recorded!r}, "
                f"and the settings say {said!r}",
                hint=f"Give the settings of that run ({where}), or another directory.",
            )


def check_whole(directory: Path, flips: int) -> None:
    """Check that the ledger of a run has as many flips as the run said to have made, where it came to its end.

    Raises ``RunDirectoryError``: rows that it flipped would stay as they are, without a word.
    """
    told = document_in(directory)
    outcomes = {} if told.get("dry_run") else told.get("outcomes")
    migrated = outcomes.get(Outcome.MIGRATED, 0) if isinstance(outcomes, dict) else 0
    if isinstance(migrated, int) and migrated > flips:
        many = counted(migrated, "row was", "rows were")
        text = f"{directory / DOCUMENT_NAME} says that {many} migrated, and its ledger has {flips:,}"
        hint = "Bring the whole ledger back. Other runs can be rolled back, each by its directory."
        raise RunDirectoryError(text, hint=hint)


def check_over(run: PastRun, settings: Settings) -> None:
    """Check that a run of this site is over, if it may flip rows. Raises ``RunGoesOn``."""
    about = run.description  # empty while a run makes its ledger
    flips = not about or (not is_rollback(run) and about.get("dry_run") != "true" and is_of(run, settings))
    if flips and (sign := run.goes_on()):
        raise RunGoesOn(going_on(run, sign), hint=STILL_AT_WORK)


def is_rollback(run: PastRun) -> bool:
    """Whether the ledger is that of a rollback."""
    return run.description.get("command") == "rollback"


def runs_of(settings: Settings, first: Path | None) -> Iterator[PastRun]:
    """Yield the runs that were about this very table and these buckets, each open until the next.

    These are the runs below RUN_DIR, and those in the database of LEDGER_URL: the oldest first, after the one with the
    directory ``first``.
    """
    runs = past_runs(Path(settings.run_dir).expanduser(), settings)
    for past in sorted(runs, key=lambda run: run.directory != first):
        with past as run:
            if is_of(run, settings):
                yield run


def is_of(run: PastRun, settings: Settings) -> bool:
    """Whether a run was about this very table and these buckets."""
    present = description(settings, "")
    return all(run.description.get(name) == present.get(name) for name in _MUST_AGREE)


def key_of(table: Table, stored: StoredKey) -> Key:
    """Return a key of the table from what a ledger or a person wrote. Raises ``UsageError``."""
    try:
        return key_from_stored(stored, table.key.type_name)
    except ValueError:
        name = ".".join(table.name)
        hint = f"Column {table.key} of table {name} is of type {table.key.type_name}."
        raise UsageError(f"{stored!r} cannot be a key of table {name}", hint=hint) from None
