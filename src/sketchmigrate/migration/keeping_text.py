"""What was seen of the production bucket and of a sample of legacy objects, as text and as values for JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.migration.keeping import Way
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from sketchmigrate.migration.bucket_rules import BucketRules
    from sketchmigrate.migration.keeping import Dropped, Sample

_KEPT_ALWAYS = "content, content headers, user metadata and tags are kept"


def dropped_lines(sample: Sample, way: Way | None) -> list[str]:
    """Say what the copies of the sample will not keep, by kind and count, on lines of at most 100 columns."""
    looked_at = f"by a sample of {sample.objects:,} legacy objects ({sample.requests:,} requests)"
    dropped = sample.dropped(way)
    if not sample.objects:
        return []
    if not dropped:
        return [f"Nothing was found that a copy would not keep, {looked_at}."]
    lines = [f"Not kept by the copies, {looked_at}; {_KEPT_ALWAYS}:"]
    return [
        *lines,
        *(f"  {each.aspect:<17}{each.objects:>3} of {sample.objects}  {_told(each, way)}" for each in dropped),
    ]


def _told(dropped: Dropped, way: Way | None) -> str:
    values = printable(", ".join(dropped.values))
    keeping = [each for each in Way if each not in dropped.ways]
    return f"{values} (kept by {', '.join(keeping)})" if way is None and keeping else values


def untold_line(rules: BucketRules, sample: Sample) -> str:
    """Say, once, what the store did not tell; empty where it told all."""
    untold = [*rules.untold, *sample.untold]
    return f"Not told by the store: {printable('; '.join(untold))}." if untold else ""


def archived_line(sample: Sample) -> str:
    """Say that objects of the sample are archived; empty where none is."""
    if not sample.archived:
        return ""
    location, reason = sample.archived[0]
    count = f"{len(sample.archived):,} of {sample.objects:,} legacy objects looked at are archived and not restored"
    return f"{count}: their rows will fail. One is {printable(str(location))}: {printable(reason)}"


def keeping_json(rules: BucketRules, sample: Sample, way: Way | None) -> dict[str, object]:
    """Return the same for ``--json``."""
    return {
        "object_lock": None if rules.lock is None else rules.lock._asdict(),
        "default_encryption": rules.encryption,
        "sampled_objects": sample.objects,
        "requests": sample.requests,
        "archived": len(sample.archived),
        "not_kept": [
            {
                "kind": str(each.aspect),
                "objects": each.objects,
                "values": list(each.values),
                "by": [str(by) for by in each.ways],
            }
            for each in sample.dropped(way)
        ],
        "not_told": [*rules.untold, *sample.untold],
    }
