"""The document of a run, ``result.json`` in its directory: that of ``--json``, whether it was asked for or not."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.directory import POINTER_NAME
from sketchmigrate.ledger.disk import disk_hint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DOCUMENT_NAME = "result.json"


def document_in(directory: Path) -> Mapping[str, Any]:
    """Return the document in a run's directory; nothing where there is none, or none to be read."""
    with suppress(OSError, ValueError):
        told = json.loads((directory / DOCUMENT_NAME).read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    return {}


def finished_below(folder: Path) -> list[Path]:
    """Return the directories below a folder, or itself, of runs that left a document and no pointer to a ledger."""
    found = {document.parent for document in folder.rglob(DOCUMENT_NAME)}
    return sorted(directory for directory in found if not (directory / POINTER_NAME).exists())


def leave_document(directory: Path, document: Mapping[str, Any]) -> None:
    """Write the document of a run into its directory, for its owner alone. Raises ``RunDirectoryError``."""
    path = directory / DOCUMENT_NAME
    try:
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror or error}"
        raise RunDirectoryError(text, hint=disk_hint(error)) from error
