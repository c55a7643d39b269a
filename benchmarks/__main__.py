"""``scripts/bench``: measure, say what was found, and compare it with the targets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import calibration
from benchmarks.arguments import OUTPUT, SCALE, Arguments, parse
from benchmarks.kept import forget, kept_results
from benchmarks.measurements.trees import compare_trees
from benchmarks.measuring import Measuring
from benchmarks.profiling.recording import profile
from benchmarks.report.chart import draw
from benchmarks.report.scale import scale_document
from benchmarks.report.summary import between_marks, felt_summary, summary
from benchmarks.report.tables import document
from benchmarks.results import Execution, Results, describe_machine
from benchmarks.servers.table import table
from benchmarks.targets import SCALE_TARGETS, TARGETS, Verdict, judge
from sketchmigrate.core.errors import MigrateError

if TYPE_CHECKING:
    from collections.abc import Sequence

README = Path("README.md")
OPERATIONS = Path("docs/operations.md")
PROFILED_ROWS = COMPARED_ROWS = 200_000
COMPARED_PAIRS = 5


def main(arguments: Arguments) -> int:
    """Carry out what is asked for; return the exit code. Raises ``MigrateError``."""
    if arguments.profile:
        return _profile(arguments)
    if arguments.other_tree is not None:
        return _compare(arguments, arguments.other_tree)
    results = _begun(arguments)
    verdicts = judge(results, SCALE_TARGETS if arguments.scale else TARGETS)
    with table() as rows_table:
        measuring = Measuring(arguments, rows_table, results, _say)
        for name in arguments.only:
            if name in results.measured:
                if not arguments.renews:
                    continue
                forget(results, name)
            measuring.measure(name)
            verdicts = judge(results, SCALE_TARGETS if arguments.scale else TARGETS)
            if arguments.output is not None:  # it takes hours: what ends it early is not to take all of it away
                _write(arguments, results, verdicts)
    _say("== targets")
    for each in verdicts:
        mark = {True: "ok    ", False: "MISSED", None: "-     "}[each.met]
        _say(f"  {mark} {each.what}: {each.measured} ({each.wanted})")
    if arguments.output is not None:
        _say(f"written to {arguments.output}")
    return int(arguments.check and any(each.met is False for each in verdicts))


def _begun(arguments: Arguments) -> Results:
    """Return the results to add to: none yet, or those of earlier executions. Raises ``UsageError``."""
    loop_ns = calibration.bare_loop_ns()
    _say(
        f"a turn of a bare loop takes {loop_ns:.1f} ns, and {calibration.RECORDED_NS:.1f} on the machine of the targets"
    )
    extent = arguments.extent.name
    if not arguments.resume or arguments.output is None:
        results = Results(extent)
    else:
        results = kept_results(arguments.output / f"{_name(arguments)}.json", extent)
        _say(f"measured already: {', '.join(results.measured)}")
    results.executions.append(Execution(arguments.command, describe_machine(), loop_ns))
    return results


def _name(arguments: Arguments) -> str:
    return SCALE if arguments.scale else "figures"


def _profile(arguments: Arguments) -> int:
    with table() as rows_table:
        rows = arguments.rows[0] if arguments.rows else PROFILED_ROWS
        page = profile(rows_table, rows, arguments.command)
    _say(page)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "profile.md").write_text(page)
    return 0


def _compare(arguments: Arguments, other: Path) -> int:
    rows, pairs = arguments.rows[0] if arguments.rows else COMPARED_ROWS, arguments.rounds or COMPARED_PAIRS
    with table() as rows_table:
        found = compare_trees(rows_table, other, rows, pairs, _say)
    for what, times in (("rows a second", found.rates), ("CPU a row", found.cpu)):
        _say(f"{what}: {times.median:.3f} times that of {other} ({times.least:.3f} to {times.most:.3f}, {pairs} pairs)")
    return 0


def _write(arguments: Arguments, results: Results, verdicts: Sequence[Verdict]) -> None:
    folder = arguments.output
    assert folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    name, page = _name(arguments), scale_document if arguments.scale else document
    (folder / f"{name}.json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    (folder / f"{name}.md").write_text(page(results, verdicts))
    if results.sizes("rclone"):
        draw(results, folder / "end-to-end.svg")
        if folder == OUTPUT:
            _put_into(README, summary(results))
    if results.applications and folder == OUTPUT:
        _put_into(OPERATIONS, felt_summary(results))


def _put_into(page: Path, block: str) -> None:
    page.write_text(between_marks(page.read_text(encoding="utf-8"), block), encoding="utf-8")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(parse(sys.argv[1:])))
    except MigrateError as failed:
        sys.exit(f"error: {failed}\nhint:  {failed.hint}")
