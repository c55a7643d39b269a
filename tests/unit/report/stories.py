"""Stories of runs for the tests of their page: a short one, and a long one in which everything happens."""

from __future__ import annotations

import math
import random

from sketchmigrate.core.outcome import Outcome, ProblemGroup
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Felt, Sample
from sketchmigrate.ledger.account import Account
from sketchmigrate.ledger.overview import RunOverview, RunState
from sketchmigrate.ledger.story import Story

BEGIN = 1_796_000_000.0
ACCOUNT = Account("migrate", ("-y",), "0.1.0", "host-1", "ada", 7, BEGIN, {"RUN_DIR": "runs", "DB_TABLE": "users"})
COUNTS = {"migrated": 90, "already": 0, "superseded": 0, "missing": 7, "conflict": 0, "failed": 3}
RUN = RunOverview(
    "20261129T231708Z-ada-59ba5d", None, ACCOUNT, RunState.FINISHED, {"command": "migrate"}, BEGIN, 50.0, 100, 1,
    outcomes=COUNTS,
)  # fmt: skip
STORY = Story(RUN, BEGIN + 60, flips=90)
SITE = {"table": "avatars", "legacy": "s3://sketch-legacy-s3/image/", "production": "s3://sketch-production-s3/avatar/"}


def long_story(seed: int = 3) -> Story:
    """Three minutes with refusals, a pause, a standby that is behind, and rows that fail."""
    dice = random.Random(seed)
    rows = dict.fromkeys(COUNTS, 0)
    replies: dict[str, dict[str, int]] = {"CopyObject": {"200": 0, "503": 0, "none": 1}, "HeadObject": {"404": 0}}
    latency = {name: [0] * (len(LATENCY_BOUNDS_MS) + 1) for name in replies}
    samples = []
    for second in range(1, 186):
        rate, middle, limit, window, lag = 1500 + 120 * dice.gauss(0, 1), 18.0, "s3 (latency)", 64, 0.4
        if 45 <= second < 75:
            rate, middle, limit, window = 520.0, 90.0, "s3 (503)", 22
            replies["CopyObject"]["503"] += round(160 + 40 * dice.gauss(0, 1))
        elif 95 <= second < 115:
            rate, limit = 0.0, "paused by ada on mover-1"
        elif 120 <= second < 140:
            rate, lag = 800.0, 9.4
            limit = f"database: standby-a is {second - 111} s behind (limit 10 s), at most 800 rows/s"
        count = round(rate)
        failed = count // 8 if 150 <= second < 165 else 0
        rows["failed"] += failed
        rows["missing"] += second % 3 == 0 and count > 0
        rows["migrated"] += count - failed
        replies["CopyObject"]["200"] += count
        replies["HeadObject"]["404"] += count
        for part, name in enumerate(replies):
            for _ in range(200 if count else 0):
                milliseconds = middle / (1 + 3 * part) * math.exp(dice.gauss(0, 0.6))
                latency[name][sum(milliseconds > bound for bound in LATENCY_BOUNDS_MS)] += 7
        samples.append(
            Sample(
                BEGIN + second,
                dict(rows),
                {name: dict(counts) for name, counts in replies.items()},
                {name: tuple(counts) for name, counts in latency.items()},
                round(window * 0.93) if count else 0,
                window,
                limit=limit,
                is_stopped=not count,
                vitals=Felt(lag, 10**6, 10**7, 2e5 + 501 * rate, dice.random() < 0.1, 40, 300 + rate / 2),
            )
        )
    endings = [".png"] * 6 + [".jpg"] * 3 + [""]
    objects = tuple(
        (f"avatar/{number}{endings[number % 10]}", round(2000 * math.exp(dice.gauss(1, 1.5))) if number % 4 else None)
        for number in range(5000)
    )
    groups = (
        ProblemGroup(rows["failed"], Outcome.FAILED, ReasonKind.DATABASE_ERROR, "23514", ""),
        ProblemGroup(rows["missing"], Outcome.MISSING, ReasonKind.NO_LEGACY_OBJECT, "", ""),
    )
    run = RunOverview(
        RUN.name, None, ACCOUNT, RunState.FINISHED, SITE, BEGIN, 187.4, sum(rows.values()), 1, outcomes=rows,
        error="the table is <locked>", ledger="runs/20261129T231708Z-ada-59ba5d/ledger.sqlite",
    )  # fmt: skip
    certificate = (
        "VERIFIED: 0 dangling, 0 unmigrated, 0 different\n\nTable       avatars (id, path)\n" + "x" * 200 + "\n"
    )
    return Story(run, BEGIN + 200, rows["migrated"], tuple(samples), groups, objects, {}, certificate)
