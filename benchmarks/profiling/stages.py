"""From collapsed stacks to stages: each sample counts for the innermost frame that belongs to one. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

START = "start: imports"
_IMPORTING = "<frozen importlib"

_WAITS = ("_worker (concurrent/futures/thread.py",)
"""Innermost frames of threads that have nothing to do, which are taken for busy now and then."""

STAGES = {
    "sign": ("wire/sigv4.py", "wire/addressing.py"),
    "write, send, receive, parse": ("wire/", "s3/replies.py"),
    "slots, routes, retries": ("sketchmigrate/s3/", "sketchmigrate/flow/"),
    "copier": ("migration/copier.py", "migration/transfer.py", "migration/overwritten.py"),
    "ledger": ("sketchmigrate/ledger/",),
    "pages, mapping, outcomes": ("sketchmigrate/migration/", "sketchmigrate/core/"),
    "database": ("sketchmigrate/postgres/", "psycopg/", "psycopg_binary/"),
    "progress, log": ("sketchmigrate/report/", "cli/observer.py", "rich/", "logging/"),
    "event loop": ("asyncio/", "uvloop/"),
    "the rest": ("",),
}
"""Each stage by what its files' paths contain; the first stage that matches a frame has it."""

_OUTERMOST = ("event loop", "the rest")
"""Frames of these are beneath everything: they have only the samples in which nothing of ours was called."""

_FRAME = re.compile(r"(?P<name>.+) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)$").fullmatch


@dataclass(slots=True)
class Stage:
    """A stage's samples, in all and by function."""

    name: str
    samples: int = 0
    functions: Counter[str] = field(default_factory=Counter)


def read_stages(collapsed: Iterable[str]) -> list[Stage]:
    """Add up the lines of a profile, ``frame;frame;… count`` with the innermost frame last, most samples first."""
    stages = {name: Stage(name) for name in (START, *STAGES)}
    for line in collapsed:
        stack, _, count = line.rstrip().rpartition(" ")
        frames = stack.split(";")
        if not stack or frames[-1].startswith(_WAITS):
            continue
        stage, function = _innermost(frames)
        stages[stage].samples += int(count)
        stages[stage].functions[function] += int(count)
    return sorted((stage for stage in stages.values() if stage.samples), key=lambda stage: -stage.samples)


def _innermost(frames: list[str]) -> tuple[str, str]:
    """Return the stage of a stack, and the function in it: the innermost that belongs to a stage of its own.

    Whatever runs while a module is imported is the start.
    """
    if any(_IMPORTING in frame for frame in frames):
        importing = (frame for frame in reversed(frames) if frame.startswith("<module>"))
        return START, next((_stage_of(frame)[1] for frame in importing), "the first module")
    outermost: tuple[str, str] | None = None
    for frame in reversed(frames):
        stage, function = _stage_of(frame)
        if stage not in _OUTERMOST:
            return stage, function
        if outermost is None or (outermost[0] == "the rest" and stage == "event loop"):
            outermost = (stage, function)
    return outermost or ("the rest", "?")


def _stage_of(frame: str) -> tuple[str, str]:
    found = _FRAME(frame)
    name, file = (found["name"], found["file"]) if found else (frame, "")
    stage = next(stage for stage, parts in STAGES.items() if any(part in file for part in parts))
    short = file.rpartition("sketchmigrate/")[2] or file
    return stage, f"{name} ({short})" if file else name
