"""What spares a test the races of a store's conditions, which take up to 10 s on a slow one: they are on record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sketchmigrate.inspect.guard import Guard
from sketchmigrate.migration.proofs import Proofs
from sketchmigrate.s3.probe.findings import IF_ABSENT_QUESTIONS
from sketchmigrate.s3.probe.race import Race

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sketchmigrate.s3.probe.findings import Question
    from tests.servers.stores import Store

NONE_LOST = Race(races=1000, lost=0, refused=500)


def keep_races(run_dir: Path, store: Store, *, but: Collection[Question] = ()) -> None:
    """Put on record that no condition of the store, ``but`` some, has lost a race in a bucket without versions."""
    if store.name != "rclone":  # which honours none
        proofs = Proofs(run_dir, store.endpoint_url, store.production_bucket, with_versions=False)
        raced = [each for each in (*IF_ABSENT_QUESTIONS, *Guard) if each not in but]
        proofs.keep(dict.fromkeys(raced, NONE_LOST), time.time())
