"""What a page says of a run besides its charts, each fact from what is on record. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.exit_codes import ExitCode, signal_of
from sketchmigrate.core.outcome import WORDS_NEEDING_A_PERSON, outcome_word
from sketchmigrate.core.plural import counted
from sketchmigrate.core.prices import USD_PER_1000_COPIES, USD_PER_1000_READS
from sketchmigrate.core.traffic import NO_REPLY
from sketchmigrate.ledger.overview import RunState
from sketchmigrate.report.page.scale import SPACE, lasting, size
from sketchmigrate.report.page.series import percentile, refusals, requests
from sketchmigrate.report.rollback import BACK_WORDS
from sketchmigrate.report.tables import OUTCOME_MEANINGS, signal_name
from sketchmigrate.settings import other_than_default

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.sample import Sample
    from sketchmigrate.ledger.story import Story

_READS = ("Head", "Get")
_STATUS = {NO_REPLY: "no reply"}
_FREE = ("Delete", "Abort")

SIZES = (
    ("under 1 kB", 1_000),
    ("1 kB to 10 kB", 10_000),
    ("10 kB to 100 kB", 100_000),
    ("100 kB to 1 MB", 1_000_000),
    ("1 MB to 10 MB", 10_000_000),
    ("10 MB to 100 MB", 100_000_000),
    ("100 MB to 1 GB", 1_000_000_000),
    ("1 GB and more", None),
)
_TYPES_SHOWN = 12
_LONGEST_TYPE = 8

DONE, LOOK, FAILED, GOING_ON, NEUTRAL = "good", "look", "bad", "going-on", "neutral"
"""How a run stands at a glance."""


class Verdict(NamedTuple):
    """How a run stands: a ``tone`` for the eye, a word, a sentence."""

    tone: str
    word: str
    sentence: str


class Requests(NamedTuple):
    """The requests of one operation: how many, by status, their times in ms, their price in USD."""

    operation: str
    requests: int
    statuses: str
    times: tuple[float | None, ...]
    price_usd: float


class Share(NamedTuple):
    """A part of a whole: its name, how many, and the part of the most frequent, from 0 to 1."""

    name: str
    objects: int
    part: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is shown of one run, read from its story."""

    story: Story

    @property
    def last(self) -> Sample | None:
        """The last sample."""
        return self.story.samples[-1] if self.story.samples else None

    @property
    def command(self) -> str:
        """Its command."""
        return self.story.run.command or "run"

    @property
    def is_back(self) -> bool:
        """Whether it set rows back."""
        return self.story.run.command == "rollback"

    @property
    def is_dry(self) -> bool:
        """Whether it was a dry run."""
        return self.story.run.about.get("dry_run") == "true"

    @property
    def outcomes(self) -> dict[str, int]:
        """Rows by outcome, in the words of the run's own report; by the last sample while the run has not told them."""
        told: Mapping[str, int] = self.story.run.outcomes or (self.last.rows if self.last else {})
        return {outcome_word(str(word), is_back=self.is_back): int(count) for word, count in told.items()}

    @property
    def done(self) -> int:
        """How many rows were moved, or set back; while that is not told, how many flips are on record."""
        counts = self.outcomes
        return counts.get(outcome_word("migrated", is_back=self.is_back), 0 if counts else self.story.flips)

    @property
    def needing_a_person(self) -> int:
        """How many rows need a person."""
        return sum(count for word, count in self.outcomes.items() if word in WORDS_NEEDING_A_PERSON)

    @property
    def rows(self) -> int:
        """How many rows were taken up."""
        return sum(self.outcomes.values()) or self.done

    @property
    def seconds(self) -> float | None:
        """How long it took, or takes by now."""
        run = self.story.run
        if run.state is RunState.RUNNING and run.began_at is not None:
            return max(0.0, self.story.read_at - run.began_at)
        if run.state is RunState.KILLED and self.last is not None and run.began_at is not None:
            return max(run.seconds or 0.0, self.last.at - run.began_at)
        return run.seconds

    @property
    def rows_per_second(self) -> float | None:
        """Its rate."""
        return self.rows / self.seconds if self.rows and self.seconds else None

    def verdict(self) -> Verdict:
        """Say how it stands, in a sentence that a manager understands."""
        run, took, did = self.story.run, self._took(), self._did()
        is_blank = bool(run.ledger) and not run.about  # each ledger says at its beginning what it is about
        if (self.story.unread or is_blank) and not self.story.document and run.state is not RunState.RUNNING:
            return Verdict(FAILED, "Not read", "What this run did cannot be told: its record cannot be read.")
        if run.state is RunState.RUNNING:
            return Verdict(GOING_ON, "Going on", f"{did} so far{took}.")
        if run.state is RunState.KILLED:
            sentence = (
                f"The run ended without a word{took}, as if it was killed. {did} by then, as far as is on record."
            )
            return Verdict(FAILED, "Killed", sentence)
        if run.exit_code is not None and (number := signal_of(run.exit_code)) is not None:
            return Verdict(LOOK, "Stopped", f"Stopped by {signal_name(number)}{took}. {did} by then.")
        if run.error:
            return Verdict(FAILED, "Ended early", f"An error ended the run{took}. {did} by then, and that stays done.")
        return self._finished(did, took)

    def _finished(self, did: str, took: str) -> Verdict:
        run, document = self.story.run, self.story.document
        if "passed" in document:
            return self._verified()
        if document.get("kind") == "plan":
            return self._planned()
        if self.needing_a_person:
            person = f"{counted(self.needing_a_person, 'row needs', 'rows need')} a person."
            return Verdict(LOOK, "Needs a person", f"{did}{took}. {person}")
        if run.exit_code is None:
            return Verdict(NEUTRAL, "Not known", "How it ended is not on record, as of a run of an earlier version.")
        if run.exit_code != ExitCode.DONE:
            return Verdict(LOOK, "Something is left", f"{did}{took}. What is left is said in the log.")
        return Verdict(
            DONE,
            "Done",
            f"{did}{took}.{'' if self.is_dry else ' Nothing is left.'}"
            if self.rows
            else f"There was nothing to do{took}.",
        )

    def _verified(self) -> Verdict:
        document = self.story.document
        rows, wrong = int(_dict(document.get("rows")).get("total", 0)), sum(count for _, count in self._wrong())
        if document["passed"]:
            objects = "each has its object, and it is the right one"
            return Verdict(DONE, "Verified", f"{counted(rows, 'row was', 'rows were')} looked at: {objects}.")
        if not wrong:
            return Verdict(LOOK, "Not as it should be", "The rows are right, and something else is not: see below.")
        what = f"{wrong:,} of {counted(rows, 'row is', 'rows are')} not as they should be."
        return Verdict(LOOK, "Not as it should be", what)

    def _wrong(self) -> list[tuple[str, int]]:
        """Return the headlines of a verification."""
        document = self.story.document
        return [(each, int(document.get(each, 0))) for each in ("dangling", "unmigrated", "different")]

    def _planned(self) -> Verdict:
        document = self.story.document
        look = sum(each.get("severity") == "look" for each in _list(document.get("findings")))
        objects = counted(int(document.get("objects_to_copy", 0)), "object", "objects")
        rows = counted(int(_dict(document.get("rows")).get("to_migrate", 0)), "row is", "rows are")
        first = f" {counted(look, 'thing needs', 'things need')} a look first." if look else ""
        return Verdict(LOOK if look else DONE, "Planned", f"{rows} to be migrated, {objects} to be copied.{first}")

    def _did(self) -> str:
        what = "set back" if self.is_back else "migrated"
        if self.is_dry:
            return f"Dry run, nothing was changed: {counted(self.done, 'row', 'rows')} would be {what}"
        if not self.outcomes and self.story.flips:  # a flip is on record before it is made
            return f"At most {counted(self.done, 'row was', 'rows were')} {what}"
        return f"{counted(self.done, 'row was', 'rows were')} {what}"

    def _took(self) -> str:
        return "" if self.seconds is None else f" in {lasting(self.seconds)}"

    def figures(self) -> list[tuple[str, str]]:
        """Return the few figures that are shown large."""
        found: list[tuple[str, str]] = []
        document = self.story.document
        if document.get("kind") == "plan":
            needs = _dict(document.get("estimate"))
            found.append(("rows to migrate", f"{int(_dict(document.get('rows')).get('to_migrate', 0)):,}"))
            found.append(("to copy", size(document.get("bytes_to_copy"))))
            found.append(("time it takes", lasting(float(needs.get("seconds", 0.0)))))
            found.append(("price of requests", _usd(float(needs.get("price_usd", 0.0)))))
            return found
        if self.rows:
            what = "set back" if self.is_back else "migrated"
            found.append((f"rows that would be {what}" if self.is_dry else f"rows {what}", f"{self.done:,}"))
            found.append(("need a person", f"{self.needing_a_person:,}"))
        elif "passed" in document:
            found.append(("rows", f"{int(_dict(document.get('rows')).get('total', 0)):,}"))
            found += [(name, f"{count:,}") for name, count in self._wrong()]
        if self.seconds is not None:
            found.append(("took" if self.story.run.state is not RunState.RUNNING else "so far", lasting(self.seconds)))
        if self.rows_per_second is not None:
            found.append(("rows a second", f"{self.rows_per_second:,.0f}"))
        if self.requests():
            found.append(("price of S3 requests", _usd(self.price_usd)))
        return found

    def outcome_rows(self) -> list[tuple[str, int, float, str]]:
        """Return each outcome with its count, its percentage and its meaning."""
        total = sum(self.outcomes.values())
        meanings = {outcome.value: meaning for outcome, meaning in OUTCOME_MEANINGS.items()}
        if self.is_back:
            meanings = dict(BACK_WORDS.values())
        return [
            (word, count, 100 * count / total if total else 0.0, meanings.get(word, ""))
            for word, count in self.outcomes.items()
        ]

    def about(self) -> list[tuple[str, str]]:
        """Say what was moved, from where to where, by whom, when, with which version."""
        run, account = self.story.run, self.story.run.account
        told = self.site()
        facts = {
            "Run": run.name,
            "State": run.state if run.exit_code is None else f"{run.state}, exit status {run.exit_code}",
            "Typed": "" if account is None else f"sketch-migrate {shlex.join(account.typed)}",
            "By": "" if account is None else f"{account.user} on {account.host}, process {account.pid}",
            "Began": "" if run.began_at is None else f"{utc(run.began_at)} UTC",
            "Took": "" if self.seconds is None else lasting(self.seconds),
            "Version": run.version,
            "Table": told.get("table", ""),
            "From": told.get("legacy", ""),
            "To": told.get("production", ""),
            "Store": " to ".join(dict.fromkeys(filter(None, (told.get("endpoint"), told.get("production_endpoint"))))),
            "Way back": self._way_back(),
            "Error": run.error,
            "Ledger": run.ledger,
            "Not read": self.story.unread,
            "Directory": "" if run.directory is None else str(run.directory),
        }
        return [(title, str(fact)) for title, fact in facts.items() if fact]

    def site(self) -> dict[str, str]:
        """Return the table, the places of both sides and their stores, by their names in a ledger; or empty texts."""
        run = self.story.run
        legacy, production = run.places
        places = {"legacy": legacy, "production": production}
        if "table" in run.about or run.account is None:
            return {**run.about, **places}
        told = run.account.settings
        return {"table": str(told.get("DB_TABLE", "")), **places, "endpoint": str(told.get("S3_ENDPOINT_URL", ""))}

    def _way_back(self) -> str:
        seconds = self.story.run.rollback_seconds
        return "" if seconds is None or self.is_back else f"{lasting(seconds)} at most: a rollback copies nothing"

    def needs(self) -> list[tuple[str, str]]:
        """Say what a migration takes, by a plan; nothing of other runs."""
        if self.story.document.get("kind") != "plan":
            return []
        told = _dict(self.story.document.get("estimate"))
        least, most = told.get("wal_bytes"), told.get("wal_bytes_most")
        facts = {
            "Requests": f"{told.get('copies', 0):,} copies and listings, {told.get('reads', 0):,} looks",
            "Rate": f"{told.get('rows_per_second', 0):,.0f} rows a second, {told.get('rate_from', '')}",
            "WAL": size(least) if least == most else f"at least {size(least)}, at most {size(most)}",
            "Growth": f"at most {size(told.get('table_bytes_more'))} of the table,"
            f" at most {size(told.get('index_bytes_more'))} of its indexes",
            "Ledger": f"{'about' if told.get('free_bytes') is None else 'up to'} {size(told.get('ledger_bytes'))}",
            "Way back": f"{lasting(float(told.get('rollback_seconds', 0.0)))} at most: a rollback copies nothing",
            "No clobber": str(self.story.document.get("no_clobber", "")),
        }
        return [(name, fact) for name, fact in facts.items() if fact]

    def settings(self) -> list[tuple[str, str]]:
        """Return the settings other than the defaults, as the log has them: no secret is among them."""
        account = self.story.run.account
        return [] if account is None else [(k, repr(v)) for k, v in other_than_default(account.settings).items()]

    def requests(self) -> list[Requests]:
        """Return the S3 requests by operation, the most frequent first."""
        if self.last is None:
            return []
        found = []
        for operation, counts in self.last.replies.items():
            count, classes = sum(counts.values()), self.last.latency.get(operation, ())
            statuses = ", ".join(f"{_STATUS.get(status, status)}: {each:,}" for status, each in sorted(counts.items()))
            times = tuple(percentile(classes, part) for part in (0.5, 0.9, 0.99))
            found.append(Requests(operation, count, statuses, times, price_usd(operation, count)))
        return sorted(found, key=lambda each: (-each.requests, each.operation))

    @property
    def price_usd(self) -> float:
        """What the requests cost, in USD."""
        return sum(each.price_usd for each in self.requests())

    @property
    def request_count(self) -> int:
        """How many requests there were, refused ones included."""
        return requests(self.last.replies) if self.last else 0

    @property
    def refused(self) -> int:
        """How many of them were refused, or got no reply."""
        return refusals(self.last) if self.last else 0

    def sizes(self) -> list[Share]:
        """Return how many objects are how large, as far as that is known of the newest."""
        counts = Counter(_class_of(each) for _, each in self.story.objects if each is not None)
        if not counts:
            return []
        there = [place for place, (name, _) in enumerate(SIZES) if counts[name]]
        return _shares([(name, counts[name]) for name, _ in SIZES[there[0] : there[-1] + 1]])

    def types(self) -> list[Share]:
        """Return how many of the newest objects have which ending, the most frequent first."""
        counts = Counter(_type_of(path) for path, _ in self.story.objects)
        shown = counts.most_common(_TYPES_SHOWN)
        rest = sum(counts.values()) - sum(count for _, count in shown)
        return _shares([*shown, *([("all others", rest)] if rest else [])])


def utc(unix_time: float) -> str:
    """Write a Unix time in UTC."""
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def price_usd(operation: str, count: int) -> float:
    """Return what requests cost by AWS's list: copies, puts and listings more than looks; to delete is free."""
    if operation.startswith(_FREE):
        return 0.0
    return count * (USD_PER_1000_READS if operation.startswith(_READS) else USD_PER_1000_COPIES) / 1000


def _usd(price: float) -> str:
    return f"USD{SPACE}{price:,.2f}" if price >= 0.01 or not price else f"USD{SPACE}<{SPACE}0.01"  # noqa: PLR2004 - a cent


def _class_of(size_bytes: int) -> str:
    return next(name for name, limit in SIZES if limit is None or size_bytes < limit)


def _type_of(path: str) -> str:
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    is_type = name and dot and ending.isalnum() and ending.isascii() and len(ending) <= _LONGEST_TYPE
    return f".{ending.lower()}" if is_type else "without an ending"


def _shares(counts: list[tuple[str, int]]) -> list[Share]:
    most = max((count for _, count in counts), default=0) or 1
    return [Share(name, count, count / most) for name, count in counts]


def _dict(told: object) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}


def _list(told: object) -> list[dict[str, Any]]:
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
