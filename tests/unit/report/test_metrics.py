"""Metrics: a sample as Prometheus reads it, and the dashboard and the alerts name none that is not there."""

from __future__ import annotations

import json
import logging
import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from sketchmigrate.core.errors import MetricsRefused
from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Felt, Sample
from sketchmigrate.report.metrics import PREFIX, Reading, RunCollector, families
from sketchmigrate.report.metrics_server import MetricsFile, registry_of, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[3] / "docs"
CLASSES = tuple(range(len(LATENCY_BOUNDS_MS) + 1))
SAMPLE = Sample(
    at=1_700_000_000.0,
    rows={"migrated": 7, "failed": 0},
    replies={"CopyObject": {"200": 5, "503": 1, "none": 2}},
    latency={"CopyObject": CLASSES},
    in_flight=3,
    window=16,
    stored_bytes=4_096,
    ledger_bytes=8_192,
    limit="database: standby-2 is 12 s behind (limit 10 s), stopped",
    is_stopped=True,
    vitals=Felt(1.5, 10, 20, 30.5, 1, 7, 99.5),
)
READING = Reading(
    "1.2", "migrate", "20261130T100306Z-ada-fd31b6", 1_699_999_999.0, SAMPLE, {"MAX_LOCK_WAITERS": 2.0}, 9, 12
)


def exported(reading: Reading) -> dict[str, float]:
    """All values by name and labels, as a scraper reads them."""
    server = serve(registry_of(RunCollector(reading)), "127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
            text = reply.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    return {
        each.name + json.dumps(each.labels, sort_keys=True): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def key(name: str, **labels: str) -> str:
    return PREFIX + name + json.dumps(labels, sort_keys=True)


def test_a_scraper_reads_what_was_sampled() -> None:
    found = exported(READING)
    wanted = {
        key("rows_total", outcome="migrated"): 7,
        key("rows_total", outcome="failed"): 0,
        key("requests_total", operation="CopyObject", status="none"): 2,
        key("request_duration_seconds_bucket", operation="CopyObject", le="0.001"): 0,
        key("request_duration_seconds_bucket", operation="CopyObject", le="0.005"): 3,
        key("request_duration_seconds_bucket", operation="CopyObject", le="+Inf"): sum(CLASSES),
        key("request_duration_seconds_count", operation="CopyObject"): sum(CLASSES),
        key("requests_in_flight"): 3,
        key("requests_window"): 16,
        key("stored_bytes_total"): 4_096,
        key("ledger_bytes"): 8_192,
        key("limited", by="database (standby)"): 1,
        key("stopped"): 1,
        key("limit", setting="MAX_LOCK_WAITERS"): 2,
        key("replica_lag_seconds"): 1.5,
        key("slot_wal_bytes"): 20,
        key("last_progress_timestamp_seconds"): 1_699_999_999,
        key("rows_passed"): 9,
        key("rows_expected"): 12,
        key("info", version="1.2", command="migrate", run="20261130T100306Z-ada-fd31b6"): 1,
    }
    assert {name: found.get(name) for name in wanted} == wanted


def test_what_nobody_can_see_is_absent_and_not_0() -> None:
    found = exported(Reading("1", "migrate", "x", 0.0, Sample(0.0, {})))
    assert not [name for name in found if "lag" in name or "ledger" in name or "limited" in name or "waiters" in name]
    assert found[key("stopped")] == 0
    assert key("info", version="1", command="migrate", run="x") in exported(Reading("1", "migrate", "x", 0.0))


def test_names_follow_the_conventions() -> None:
    for family in families(READING):
        assert family.name == PREFIX[:-1] or family.name.startswith(PREFIX)
        assert re.fullmatch(r"[a-z_]+", family.name)
        assert not family.name.endswith("_total")
        assert family.documentation
        for each in family.samples:
            assert each.name.endswith("_total") == (family.type == "counter")


def test_a_port_that_is_taken_is_named() -> None:
    server = serve(registry_of(RunCollector(READING)), "127.0.0.1", 0)
    with pytest.raises(MetricsRefused, match=rf"127\.0\.0\.1:{server.server_port}: Address already in use") as caught:
        serve(registry_of(RunCollector(READING)), "127.0.0.1", server.server_port)
    assert caught.value.exit_code == 3
    server.shutdown()
    server.server_close()


def test_the_file_is_always_whole_and_written_when_it_is_time(tmp_path: Path) -> None:
    collector = RunCollector(READING)
    path = tmp_path / "run.prom"
    file = MetricsFile(path, registry_of(collector), now=0.0)
    file.look(0.0)
    collector.reading = Reading("1.2", "migrate", "later", 0.0)
    file.look(1.0)  # not yet
    file.close()
    assert 'run="later"' in path.read_text()
    assert list(text_string_to_metric_families(path.read_text()))
    assert [each.name for each in tmp_path.iterdir()] == ["run.prom"]


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sketchmigrate"):
        file = MetricsFile(tmp_path / "gone" / "run.prom", registry_of(RunCollector(READING)), now=0.0)
        file.look(0.0)
        file.look(9.0)
        file.close()
    (told,) = [record.getMessage() for record in caplog.records]
    assert "run.prom cannot be written: No such file or directory. The run goes on." in told


# -- dashboard and alerts


def exported_names() -> set[str]:
    """The names of all series, and of those of a histogram."""
    return {each.name for family in families(READING) for each in family.samples}


def expressions(document: Any) -> Iterator[str]:
    """Every expression of a dashboard or a file of alerts."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name in {"expr", "query", "definition"} and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(document, list):
        for each in document:
            yield from expressions(each)


def named_in(document: Any) -> set[str]:
    return {name for each in expressions(document) for name in re.findall(r"\bsketch_migrate_\w+", each)}


def dashboard() -> Any:
    return json.loads((DOCS / "grafana.json").read_text())


def alerts() -> Any:
    return yaml.safe_load((DOCS / "alerts.yml").read_text())


def test_every_metric_of_dashboard_and_alerts_is_exported() -> None:
    assert named_in(dashboard()) - exported_names() == set()
    assert named_in(alerts()) - exported_names() == set()


def test_every_metric_is_in_the_page() -> None:
    page = (DOCS / "metrics.md").read_text()
    section = page.partition("\n## Events")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    documented = {PREFIX + name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    shown = {re.sub(r"(_seconds)_(bucket|count)$", r"\1", name) for name in exported_names()}
    assert documented == shown


def test_the_alerts_are_the_three_that_wake_somebody() -> None:
    rules = [rule for group in alerts()["groups"] for rule in group["rules"]]
    assert [rule["alert"] for rule in rules] == ["SketchMigrateStalled", "SketchMigrateFailing", "SketchMigrateLag"]
    for rule in rules:
        assert named_in(rule)
        assert rule["for"]
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_each_panel_has_a_place_of_its_own_and_something_to_show() -> None:
    document = dashboard()
    assert document["title"]
    places = [tuple(panel["gridPos"].values()) for panel in document["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in document["panels"]}) == len(places)
    for panel in document["panels"]:
        assert named_in(panel), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
