"""Who is told of a run, and of what: a standstill once, and metrics of what moved last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sketchmigrate.cli.telling import Metrics, Telling
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.sample import Sample
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.report.progress import Progress
from sketchmigrate.settings import Options, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.report.event_stream import EventStream
    from sketchmigrate.report.notify import Notifier


class Kept:
    """Keeps the events that it is told, as a stream or a command."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def put(self, event: dict[str, Any]) -> None:
        """Keep one."""
        self.events.append(event)

    tell = put


def test_a_standstill_is_told_to_the_command_once_and_all_else_to_the_events() -> None:
    stream, command = Kept(), Kept()
    telling = Telling(cast("EventStream", stream), cast("Notifier", command), is_back=False)
    progress = Progress(None, lambda: 0.0, on_update=lambda: None)
    for second in range(30, 33):
        progress.stand_still(f"no progress for {second} s: waiting for x")
        telling.take(Sample(0.0, {}), progress)
    progress.stand_still("")
    telling.take(Sample(0.0, {}), progress)
    (told,) = command.events
    assert (told["event"], told["text"]) == ("stalled", "no progress for 30 s: waiting for x")
    kinds = [event["event"] for event in stream.events]
    assert (kinds.count("stalled"), kinds.count("progress")) == (2, 4)


def test_the_metrics_tell_when_it_moved_last_and_the_limits_of_this_moment(tmp_path: Path) -> None:
    file = tmp_path / "run.prom"
    tuning = Tuning(Settings(), Options())
    metrics = Metrics(Options(metrics_file=str(file)), tuning, command="migrate", run="run-1")
    progress = Progress(100, lambda: 0.0, on_update=lambda: None)
    moved_at = 0.0
    for second in range(1, 6):
        if second <= 3:
            progress.update(second, Tally(migrated=second))
            moved_at = 1_000.0 + second
        metrics.take(Sample(1_000.0 + second, {"migrated": second}), progress)
    tuning.change(["MAX_ROWS_PER_SECOND=70"])
    metrics.take(Sample(1_006.0, {"migrated": 5}), progress)
    metrics.close()
    text = file.read_text()
    assert f"sketch_migrate_last_progress_timestamp_seconds {moved_at}" in text
    assert 'sketch_migrate_limit{setting="MAX_ROWS_PER_SECOND"} 70.0' in text
    assert "sketch_migrate_rows_expected 100.0" in text
    assert "sketch_migrate_running 0.0" in text
