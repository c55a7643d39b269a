"""How values of a column mention legacy, and the entries of REFERENCES that would cover them. Pure.

A value is read by each shape that its column may have, as a run would read it (``core.shapes``), and the simplest one
that finds a reference counts. So what is found is what would be moved.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.text import Text
from sketchmigrate.core.shapes.whole import Whole
from sketchmigrate.inspect.mention_paths import MOST_PATHS, generalised, strings_in, written
from sketchmigrate.inspect.mention_patterns import is_media_type
from sketchmigrate.postgres.text_columns import ColumnKind
from sketchmigrate.settings.entries import ReferenceEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sketchmigrate.core.notation import Notation
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.shapes.contract import Shape
    from sketchmigrate.inspect.mention_paths import Path
    from sketchmigrate.inspect.mention_patterns import Sought

EXAMPLES = 2
EXAMPLE_CHARS = 72
_KEPT = 20
"""Examples are the shortest of so many values."""

_ShapeName = Literal["key", "url", "json", "array", "text"]


class Form(StrEnum):
    """How a reference is written."""

    KEY = "a key"
    URL = "a URL"
    TEXT = "text with URLs"
    TEXT_KEYS = "text with keys"


_KEYS = frozenset({Form.KEY, Form.TEXT_KEYS})
_WHOLE = frozenset({Form.KEY, Form.URL})
_may_end_in_a_text = re.compile(r"""[\s"'<>)\]|\\&]|[.,;:!?]\Z""").search
_php_lengths = re.compile(r"(?<![A-Za-z0-9])s:\d{1,10}:").sub


class Seen(NamedTuple):
    """What one value has: the ``forms`` of its legacy references, how many they are, and the moves they take.

    ``places`` are the paths at which a JSON document has each, and ``media`` those of media types. ``is_unmovable``:
    one of them cannot be moved as it is. ``is_other``: it mentions legacy, and not by a
    reference that its shapes read.
    ``is_whole``: it is one reference, which would end at a blank, or the like, in a text.
    """

    forms: frozenset[Form] = frozenset()
    references: int = 0
    moves: frozenset[str] = frozenset()
    places: tuple[tuple[Form, Path], ...] = ()
    media: tuple[Path, ...] = ()
    is_unmovable: bool = False
    is_other: bool = False
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Eye:
    """Reads values of one kind of column."""

    sought: Sought
    kind: ColumnKind
    _shapes: tuple[tuple[Form, Shape], ...] = field(init=False, repr=False, compare=False)
    _notations: tuple[tuple[Form, Notation], ...] = field(init=False, repr=False, compare=False)
    _within: Text = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys, urls = self.sought.keys, self.sought.lists.urls_of(_entry("url"))
        whole = Array if self.kind is ColumnKind.ARRAY else Whole
        shapes: list[tuple[Form, Shape]] = [(Form.KEY, whole(keys))] if keys is not None else []
        shapes.append((Form.URL, whole(urls)))
        if self.kind is ColumnKind.TEXT:
            # with an empty prefix every word would be a key
            if keys is not None and not self.sought.empty_prefixes:
                shapes.append((Form.TEXT_KEYS, Text(urls, keys)))
            shapes.append((Form.TEXT, Text(urls)))
        object.__setattr__(self, "_shapes", tuple(shapes))
        object.__setattr__(self, "_within", Text(urls, keys) if not self.sought.empty_prefixes else Text(urls))
        notations = ((Form.KEY, keys), (Form.URL, urls))
        object.__setattr__(self, "_notations", tuple(each for each in notations if each[1] is not None))

    def see(self, value: str) -> Seen:
        """Return what a value has."""
        seen = self._see_document(value) if self.kind is ColumnKind.JSON else self._see(value)
        return seen if seen.forms else seen._replace(is_other=self.sought.names_place(value) or self._has_within(value))

    def _is_read_in_a_text(self, value: str) -> bool:
        """Whether a text's shape reads a value that is one reference as that."""
        if _may_end_in_a_text(value) is None:
            return True
        return [(each.start, each.stop) for each in self._within.read(value).slots] == [(0, len(value))]

    def _has_within(self, value: str) -> bool:
        """Whether a value has a reference where its shapes have none: in a text within a document, or one escaped."""
        slots = self._within.read(_php_lengths("=", value.replace(r"\/", "/").replace(r"\"", '"'))).slots
        return any(each.side is SideName.LEGACY and not is_media_type(each.key) for each in slots)

    def _see(self, value: str) -> Seen:
        found: dict[Form, list[str]] = {}
        has_media = False
        failing: Form | None = None
        for form, shape in self._shapes:
            slots, failure = shape.read(value)
            if failure and failure.kind is ReasonKind.SERIALIZED_BY_PHP:
                slots = shape.read(_php_lengths("=", value)).slots
            legacy = [each for each in slots if each.side is SideName.LEGACY]
            real = [each for each in legacy if not (form in _KEYS and is_media_type(each.key))]
            has_media = has_media or len(real) < len(legacy)
            if failure and failing is None and _is_about_a_reference(failure, is_real=bool(real)):
                failing = form
            if real and not (failure and failure.kind is ReasonKind.SERIALIZED_BY_PHP):
                found[form] = [self._move(each.key, each.bucket) for each in real]
            if legacy and form in _WHOLE and self.kind is ColumnKind.TEXT:
                break  # it is nothing else
        forms = frozenset(found) if self.kind is ColumnKind.ARRAY else _simplest(found)
        media: tuple[Path, ...] = ((),) if has_media else ()
        if not forms and failing is not None:
            return Seen(frozenset({failing}), 1, media=media, is_unmovable=True)
        moves = frozenset(move for form in forms for move in found[form])
        references = sum(len(found[form]) for form in forms)
        is_whole = bool(forms & _WHOLE) and self.kind is ColumnKind.TEXT and not self._is_read_in_a_text(value)
        return Seen(forms, references, moves, media=media, is_unmovable=failing in forms, is_whole=is_whole)

    def _see_document(self, value: str) -> Seen:
        places: list[tuple[Form, Path]] = []
        media: list[Path] = []
        moves: set[str] = set()
        is_unmovable = False
        try:
            for path, text in strings_in(value):
                for form, notation in self._notations:
                    try:
                        found = notation.read(text)
                    except Unmappable as fault:
                        if _is_about_a_reference(fault.reason, is_real=False):
                            is_unmovable = True
                            places.append((form, path))
                        continue
                    if found is None or found.side is not SideName.LEGACY:
                        continue
                    if form is Form.KEY and is_media_type(text):
                        media.append(path)
                        continue
                    places.append((form, path))
                    moves.add(self._move(found.key, found.bucket))
        except (ValueError, RecursionError):  # no run would read it either, or it is nested too deeply to be looked at
            return Seen()
        forms = frozenset(form for form, _ in places)
        return Seen(forms, len(places), frozenset(moves), tuple(places), tuple(media), is_unmovable=is_unmovable)

    def _move(self, key: str, bucket: str) -> str:
        route = self.sought.lists.routes.of_legacy(key, bucket)
        return str(route)


def _is_about_a_reference(reason: Reason, *, is_real: bool) -> bool:
    """Whether what cannot be moved is a reference: a prefix alone is none, nor is a text that no key is as long as."""
    if reason.kind is ReasonKind.SERIALIZED_BY_PHP:
        return is_real
    is_no_key = reason.kind is ReasonKind.KEY_TOO_LONG and reason.details.get("side") == SideName.LEGACY
    return reason.kind is not ReasonKind.ONLY_PREFIX and not is_no_key


def _simplest(found: dict[Form, list[str]]) -> frozenset[Form]:
    """Choose the form that counts of those by which references were found."""
    for form in (Form.KEY, Form.URL):
        if form in found:
            return frozenset({form})
    if len(found.get(Form.TEXT_KEYS, ())) > len(found.get(Form.TEXT, ())):
        return frozenset({Form.TEXT_KEYS})
    return frozenset({Form.TEXT}) if Form.TEXT in found else frozenset()


class Sights:
    """What was seen in a column so far. ``covering`` are the shapes of the sources that it is in already."""

    def __init__(self, eye: Eye, covering: Iterable[Shape] = ()) -> None:
        self._eye = eye
        self._covering = tuple(covering)
        self.rows = self.covered = self.unmovable = self.media = self.other = self.too_long = 0
        self.forms: Counter[Form] = Counter()
        self._whole: Counter[Form] = Counter()
        self.unmovable_forms: Counter[Form] = Counter()
        self.moves: Counter[str] = Counter()
        self._examples: dict[str, None] = {}
        self._other_examples: dict[str, None] = {}
        self._places: dict[Form, set[Path]] = {}
        self._media_places: set[Path] = set()

    def add(self, value: str) -> None:
        """Take in a value that matched the patterns."""
        seen = self._eye.see(value)
        if seen.media:
            self.media += 1
            self._media_places = _bounded(self._media_places | set(seen.media))
        if not seen.forms:
            if seen.is_other:
                self.other += 1
                self._keep(self._other_examples, value)
            return
        self.rows += 1
        self.unmovable += seen.is_unmovable
        if seen.is_whole:
            self._whole.update(seen.forms)
        (self.forms if seen.moves else self.unmovable_forms).update(seen.forms)
        self.moves.update(seen.moves)
        self.covered += self._is_covered(value, seen)
        self._keep(self._examples, value)
        for form, path in seen.places:
            places = self._places.setdefault(form, set())
            places.add(path)
            if len(places) > MOST_PATHS:
                self._places[form] = set(generalised(places))

    def add_too_long(self, rows: int) -> None:
        """Take in values that were too long to be read."""
        self.too_long += rows

    def left(self, chosen: Sequence[Form]) -> int:
        """Return how many rows hold references in a way that the entries of the forms that were chosen do not read."""
        read = {*chosen}
        if Form.TEXT_KEYS in chosen:
            read = {*Form}
        elif Form.TEXT in chosen:
            read.add(Form.URL)
        unread = sum(rows for form, rows in self.forms.items() if form not in read)
        return unread + sum(rows for form, rows in self._whole.items() if form in read and form not in chosen)

    @property
    def examples(self) -> tuple[str, ...]:
        """Some values with references, the shortest."""
        return _shortest(self._examples)

    @property
    def other_examples(self) -> tuple[str, ...]:
        """Some values that mention legacy in another way."""
        return _shortest(self._other_examples)

    @property
    def paths(self) -> dict[Form, tuple[str, ...]]:
        """The paths of JSON documents at which references are written in each form."""
        made = {form: generalised(places, self._media_places) for form, places in self._places.items()}
        return {form: tuple(sorted(map(written, made[form]))) for form in Form if form in made}

    def _keep(self, examples: dict[str, None], value: str) -> None:
        if len(examples) < _KEPT:
            examples[self._eye.sought.snippet(value, EXAMPLE_CHARS)] = None

    def _is_covered(self, value: str, seen: Seen) -> bool:
        if not self._covering:
            return False
        moved = 0
        for shape in self._covering:
            slots, failure = shape.read(value)
            moved += sum(each.side is SideName.LEGACY for each in slots) + bool(failure)
        return moved >= seen.references


def _bounded(paths: set[Path]) -> set[Path]:
    return paths if len(paths) <= MOST_PATHS else set(generalised(paths))


def _shortest(examples: dict[str, None]) -> tuple[str, ...]:
    return tuple(sorted(examples, key=len)[:EXAMPLES])


class Place(NamedTuple):
    """Where an entry is to be: a table's name as settings have it, its key, and the column."""

    table: str
    key: tuple[str, ...]
    column: str


def entries(place: Place, kind: ColumnKind, sights: Sights) -> tuple[ReferenceEntry, ...]:
    """Return the entries that cover what was seen in a column, as far as such can; a second one has a name.

    Raises pydantic's ``ValidationError``, a ``ValueError``, where settings cannot have such a name.
    """
    chosen = chosen_forms(kind, sights.forms or sights.unmovable_forms)
    made: list[ReferenceEntry] = []
    for form in chosen:
        shape: _ShapeName = "text"
        value: Literal["", "key", "url"] = ""
        if kind is not ColumnKind.TEXT:
            shape, value = ("json" if kind is ColumnKind.JSON else "array"), ("url" if form is Form.URL else "")
        elif form is Form.TEXT_KEYS:
            value = "key"
        elif form is not Form.TEXT:
            shape = "key" if form is Form.KEY else "url"
        made.append(
            ReferenceEntry(
                name=f"{place.table}.{place.column} {'URLs' if form is not Form.KEY else 'keys'}" if made else "",
                table=place.table,
                key=place.key,
                column=place.column,
                shape=shape,
                paths=sights.paths.get(form, ()) if kind is ColumnKind.JSON else (),
                value=value,
            )
        )
    return tuple(made)


def chosen_forms(kind: ColumnKind, counts: Counter[Form]) -> tuple[Form, ...]:
    """Return the forms for which a column needs an entry each.

    A text is one of them for URLs, and with bare keys in it for these too. Whole keys come first then, unless there are
    fewer of them: in a text, a key ends at a blank.
    """
    if kind is not ColumnKind.TEXT:
        return tuple(form for form in (Form.KEY, Form.URL) if counts[form])
    if counts[Form.TEXT_KEYS] > counts[Form.KEY]:
        return (Form.TEXT_KEYS,)
    of_urls = Form.TEXT if counts[Form.TEXT] else Form.URL
    return tuple(form for form in (Form.KEY, of_urls) if counts[form])


def _entry(shape: _ShapeName, *, value: Literal["", "key", "url"] = "") -> ReferenceEntry:
    return ReferenceEntry(table="t", column="c", shape=shape, value=value)
