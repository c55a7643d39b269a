"""Why a reference has the outcome that it has: a kind, and what is particular of this one. Pure.

A reason is kept as such, in results and in ledgers; ``str`` makes the sentence where it is shown.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.errors import DatabaseError, S3Error

Detail: TypeAlias = str | int
Stored: TypeAlias = "str | Mapping[str, Any] | None"
"""What a ledger has of a reason besides its kind: a JSON object, as text or read already; earlier ones have nothing."""


class ReasonKind(StrEnum):
    """All kinds of reasons. The values are in ledgers, in problems.csv and in JSON: they are kept for good."""

    # the new path cannot be stored
    PATH_NOT_TEXT = "path_not_text"
    ONLY_PREFIX = "only_prefix"
    KEY_TOO_LONG = "key_too_long"
    COLUMN_TOO_SHORT = "column_too_short"
    PATH_HELD = "path_held"
    KEY_EMPTY = "key_empty"
    KEY_NOT_TEXT = "key_not_text"
    KEY_HAS_NUL = "key_has_nul"
    NO_MOVE = "no_move"
    # what is written in the value is not to be exchanged for something else
    PRESIGNED_URL = "presigned_url"
    NO_PERCENT_ENCODING = "no_percent_encoding"
    SPLIT_ENTITY = "split_entity"
    SERIALIZED_BY_PHP = "serialized_by_php"
    NOT_JSON = "not_json"
    # what is in the buckets
    NO_LEGACY_OBJECT = "no_legacy_object"
    DIFFERENT_OBJECT = "different_object"
    OTHER_HEADERS = "other_headers"
    ARCHIVED = "archived"
    STORE_ERROR = "store_error"
    FOUND_AND_REFUSED = "found_and_refused"
    TAKEN_BY_TURNS = "taken_by_turns"
    REPLACED_VERSION = "replaced_version"
    PERHAPS_REPLACED = "perhaps_replaced"
    PERHAPS_REPLACED_UNSEEN = "perhaps_replaced_unseen"
    # what the database made of the row
    DATABASE_ERROR = "database_error"
    LOCKED = "locked"
    HELD_BACK = "held_back"
    HIDDEN = "hidden"
    PATH_TAKEN_AWAY = "path_taken_away"
    KEY_CHANGED = "key_changed"
    ANOTHER_PATH_STORED = "another_path_stored"
    # the way back
    NOTHING_TO_GO_BACK_TO = "nothing_to_go_back_to"
    RECORDED_TWICE = "recorded_twice"
    UNDONE_BY_ANOTHER_RUN = "undone_by_another_run"
    HOLDS_OLD_PATH = "holds_old_path"
    LEADS_ELSEWHERE = "leads_elsewhere"
    STORED_OTHERWISE = "stored_otherwise"
    CHANGED_SINCE = "changed_since"
    # ledgers of versions that kept the sentence alone
    SENTENCE = "sentence"


OVERWRITTEN = (ReasonKind.REPLACED_VERSION, ReasonKind.PERHAPS_REPLACED, ReasonKind.PERHAPS_REPLACED_UNSEEN)
"""An object of the application's is, or may be, replaced by our copy."""

POSSIBLY_OVERWRITTEN = "possibly overwritten"
"""How these are called where they are shown. Earlier versions kept the sentence, which begins so."""

_SET_MEANWHILE = (
    POSSIBLY_OVERWRITTEN + ": the application (or another run) set this row to {target} while it was copied"
)

_SENTENCES = {
    ReasonKind.PATH_NOT_TEXT: "the row's path, or its key, is not text in UTF-8",
    ReasonKind.ONLY_PREFIX: "the path is only the prefix {prefix!r} and names no object",
    ReasonKind.KEY_TOO_LONG: "the {side} key {verb} {size} bytes long; S3 allows {limit}",
    ReasonKind.COLUMN_TOO_SHORT: "the new path has {size} {unit}; the column holds {limit}",
    ReasonKind.PATH_HELD: "another row holds {path!r} already",
    ReasonKind.KEY_EMPTY: "the key is empty",
    ReasonKind.KEY_NOT_TEXT: "the key is not text in UTF-8",
    ReasonKind.KEY_HAS_NUL: "the key holds a NUL",
    ReasonKind.NO_MOVE: "the row counts as legacy, and no move has the key that it names",
    ReasonKind.PRESIGNED_URL: "the URL is presigned: its signature would not hold for another one",
    ReasonKind.NO_PERCENT_ENCODING: "{sequence!r} in the URL is no percent-encoding",
    ReasonKind.SPLIT_ENTITY: "an entity in it is part of the prefix and of what follows it",
    ReasonKind.SERIALIZED_BY_PHP: "the text is serialized by PHP with the lengths of its parts, which would not hold",
    ReasonKind.NOT_JSON: "the value is not JSON",
    ReasonKind.NO_LEGACY_OBJECT: "there is no legacy object",
    ReasonKind.DIFFERENT_OBJECT: (
        "production holds a different object ({production_bytes} bytes there, {legacy_bytes} in legacy)"
    ),
    ReasonKind.OTHER_HEADERS: "production holds the {difference}",
    ReasonKind.ARCHIVED: "archived{where}, and not restored: {said}",
    ReasonKind.STORE_ERROR: "{said}",
    ReasonKind.FOUND_AND_REFUSED: "a look finds the legacy object, and yet: {said}",
    ReasonKind.TAKEN_BY_TURNS: "production's key is taken and free by turns: someone else is at work there",
    ReasonKind.REPLACED_VERSION: (
        POSSIBLY_OVERWRITTEN + ": our copy to {target} replaced what had been stored there in that moment;"
        " its object is version {version}: restore that one"
    ),
    ReasonKind.PERHAPS_REPLACED: (
        _SET_MEANWHILE + "; the bucket keeps no versions, so store its object again if it differs"
    ),
    ReasonKind.PERHAPS_REPLACED_UNSEEN: (_SET_MEANWHILE + ", and what is there now could not be looked at: {said}"),
    ReasonKind.DATABASE_ERROR: "{said}",
    ReasonKind.LOCKED: "locked: another transaction held the row for {seconds} s after all others were done",
    ReasonKind.HELD_BACK: "a trigger or row-level security left the row as it was",
    ReasonKind.HIDDEN: "the row is not there any more: deleted, or hidden by a policy",
    ReasonKind.PATH_TAKEN_AWAY: "a trigger or a policy takes its path away, or the row itself",
    ReasonKind.KEY_CHANGED: "a trigger changes the row's key",
    ReasonKind.ANOTHER_PATH_STORED: "another path was stored: {path!r}",
    ReasonKind.NOTHING_TO_GO_BACK_TO: "there is no legacy object {object} to go back to",
    ReasonKind.RECORDED_TWICE: "recorded twice",
    ReasonKind.UNDONE_BY_ANOTHER_RUN: "another run undoes it",
    ReasonKind.HOLDS_OLD_PATH: "the row holds the old path",
    ReasonKind.LEADS_ELSEWHERE: "the settings do not lead from here back to {path!r}",
    ReasonKind.STORED_OTHERWISE: (
        "the run let the database store another path than {new_path!r}; the row holds {path!r}"
    ),
    ReasonKind.CHANGED_SINCE: "the application changed or deleted the row since",
    ReasonKind.SENTENCE: "{said}",
}

_MORE = {
    "taken": "; production holds an object of the new name, but nothing to compare it with",
    "probably": "; {probably}",
    "which": " ({which})",
}
"""What a detail of that name adds to a sentence."""


class Reason(NamedTuple):
    """A reason. ``code`` and ``status`` are the server's (an S3 code and HTTP status, or an SQLSTATE).

    ``hint`` is what a person can do about all of its kind and code, where the cause is understood.
    """

    kind: ReasonKind
    details: Mapping[str, Detail]
    code: str = ""
    status: int = 0
    hint: str = ""

    def __str__(self) -> str:
        """Return the sentence."""
        more = "".join(text for name, text in _MORE.items() if name in self.details)
        return (_SENTENCES[self.kind] + more).format_map(self.details)

    @property
    def is_overwritten(self) -> bool:
        """Whether our copy may have replaced an object of the application's."""
        return self.kind in OVERWRITTEN

    def adding(self, **details: Detail) -> Reason:
        """Return it with further details."""
        return self._replace(details={**self.details, **details})


def sentence_of(kind: ReasonKind) -> str:
    """Return the sentence of a kind, with three dots for what is particular of one reason."""
    return re.sub(r"\{[^}]*\}", "…", _SENTENCES[kind])


def because(kind: ReasonKind, **details: Detail) -> Reason:
    """Return a reason of ours."""
    return Reason(kind, details)


def refused_by_store(error: S3Error, kind: ReasonKind = ReasonKind.STORE_ERROR) -> Reason:
    """Return the reason that is an error of the store."""
    return Reason(kind, {"said": str(error)}, error.code, error.status, error.hint)


def archived(error: S3Error, archive: str = "") -> Reason:
    """Return the reason that the store refuses an object that is not restored, ``archive`` being where it is."""
    where = f" ({archive})" if archive else ""
    return refused_by_store(error, ReasonKind.ARCHIVED).adding(where=where)


def refused_by_database(error: DatabaseError) -> Reason:
    """Return the reason that is an error of the database."""
    return Reason(ReasonKind.DATABASE_ERROR, {"said": str(error)}, error.sqlstate, 0, error.hint)


def stored_reason(reason: Reason | None) -> tuple[str, str | None]:
    """Return what a ledger keeps: the kind, and all else as a JSON object; nothing where the outcome alone says why."""
    if reason is None:
        return "", None
    kind, details, code, status, hint = reason
    about = {name: value for name, value in (("code", code), ("status", status), ("hint", hint)) if value}
    return kind.value, json.dumps({**about, "details": dict(details)}, ensure_ascii=False)


def reason_from_stored(kind: str, about: Stored) -> Reason | None:
    """Return the reason that is stored so. Earlier versions kept a sentence in place of the kind, and nothing else."""
    if about is None:
        return because(ReasonKind.SENTENCE, said=kind) if kind else None
    found = json.loads(about) if isinstance(about, str) else about
    return Reason(ReasonKind(kind), **found)
