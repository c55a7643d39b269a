"""What was proved of a store's conditions: kept in RUN_DIR for 30 days, as not every run has to race its writes."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.s3.probe.race import Race

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

K = TypeVar("K", bound=str)

FILE_NAME = "proofs.json"
KEPT_SECONDS = 30 * 86_400.0


class Raced(NamedTuple):
    """A race that was run, and when, in seconds since 1970."""

    race: Race
    unix_time: float


class Proofs:
    """The races of one bucket at one store, in a file below ``run_dir``.

    ``with_versions`` says that the bucket keeps versions: then a store goes another way.
    """

    def __init__(self, run_dir: Path, endpoint_url: str, bucket: str, *, with_versions: bool) -> None:
        self._path = run_dir / FILE_NAME
        self._about = {
            "endpoint_url": endpoint_url,
            "bucket": bucket,
            "with_versions": with_versions,
            "aimed": True,  # before, races of a store that is far away proved nothing
        }

    def kept(self, condition: str, unix_time: float) -> Raced | None:
        """Return the race of a condition, if it was run in the 30 days before ``unix_time``."""
        for entry in self._read():
            if self._is_about(entry, condition):
                raced = _raced(entry)
                if raced is not None and 0 <= unix_time - raced.unix_time < KEPT_SECONDS:
                    return raced
        return None

    def keep(self, races: Mapping[K, Race], unix_time: float) -> None:
        """Keep races that were run just now, in place of earlier ones. Raises ``RunDirectoryError``."""
        entries = [each for each in self._read() if not any(self._is_about(each, condition) for condition in races)]
        entries += [
            {**self._about, "condition": str(condition), "unix_time": unix_time, **race._asdict()}
            for condition, race in races.items()
        ]
        new = self._path.with_name(f".{FILE_NAME}-{secrets.token_hex(3)}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
                json.dump(entries, file, indent=1)
            new.replace(self._path)
        except OSError as error:
            text = f"{self._path} cannot be written: {error.strerror or error}"
            hint = "Set RUN_DIR to a folder that you may write to, on a disk with room."
            raise RunDirectoryError(text, hint=hint) from error

    def _read(self) -> list[dict[str, object]]:
        """Return all entries; a file that is not ours has none."""
        try:
            entries = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return []
        return [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []

    def _is_about(self, entry: dict[str, object], condition: str) -> bool:
        about = {**self._about, "condition": str(condition)}
        return all(entry.get(name) == value for name, value in about.items())


def _raced(entry: dict[str, object]) -> Raced | None:
    counts = [entry.get(name) for name in Race._fields]
    at = entry.get("unix_time")
    if not isinstance(at, int | float):
        return None
    numbers = [count for count in counts if isinstance(count, int)]
    return Raced(Race(*numbers), at) if len(numbers) == len(counts) else None
