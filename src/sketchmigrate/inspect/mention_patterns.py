"""What discovery looks for: the legacy prefixes of keys, and the names of places that legacy URLs have. Pure."""

from __future__ import annotations

import json
import mimetypes
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sketchmigrate.core.notation import KeyNotation
from sketchmigrate.core.routes import Routes, RoutesClash, ToldBy
from sketchmigrate.core.shapes.array import element_text
from sketchmigrate.postgres.mentions import Patterns
from sketchmigrate.postgres.text_columns import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.settings.lists import Lists

_OTHER_IMAGES = "avif apng bmp heic heif jp2 jpg jxl pjpeg svg svg+xml tif webp x-icon x-ms-bmp x-png"
_MEDIA_TYPES = frozenset(
    {*mimetypes.types_map.values(), *(f"image/{kind}" for kind in _OTHER_IMAGES.split(" "))}
)  # what is registered, and what is written all the same


_BEFORE_CHARS = 20


def is_media_type(text: str) -> bool:
    """Whether a text is a media type, such as ``image/png``, which a key below ``image/`` may look like."""
    return text.partition(";")[0].strip().lower() in _MEDIA_TYPES


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for. A key can be told from other text by its prefix alone, so one without any is not ``keys``."""

    lists: Lists
    keys: KeyNotation | None = field(init=False)
    why_no_keys: str = field(init=False)
    """Why an entry cannot go by keys, though they can be found; empty where it can."""

    _place: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _any: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        told = tuple(route for route in self.lists.routes.all if route.legacy_prefix)
        object.__setattr__(self, "keys", KeyNotation(Routes(told)) if told else None)
        clash = ""
        try:
            self.lists.routes.check(ToldBy.KEY)
        except RoutesClash as error:
            clash = str(error)
        object.__setattr__(self, "why_no_keys", clash)
        buckets = "|".join(re.escape(name) for name in sorted(self.buckets))
        hosts = "|".join(re.escape(name) for name in sorted(self.hosts)) or "(?!)"
        # in a host a dot may stand behind a bucket's name, and a region before it
        place = rf"(?<![A-Za-z0-9_-])(?:{buckets})(?![A-Za-z0-9_-])|//(?:{hosts})(?![A-Za-z0-9.-])"
        object.__setattr__(self, "_place", re.compile(place, re.IGNORECASE))
        all_of_it = [*self.buckets, *self.hosts, *(route.legacy_prefix for route in told)]
        anywhere = "|".join(re.escape(each).replace("/", r"\\?/") for each in all_of_it)
        object.__setattr__(self, "_any", re.compile(anywhere, re.IGNORECASE))

    @property
    def empty_prefixes(self) -> tuple[str, ...]:
        """The moves whose keys cannot be found, as they have no prefix."""
        return tuple(str(route) for route in self.lists.routes.all if not route.legacy_prefix)

    @property
    def buckets(self) -> frozenset[str]:
        """The names of the legacy buckets."""
        return frozenset(route.legacy_bucket for route in self.lists.routes.all)

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of the forms of URL; those of the store's own URLs have, or stand beside, a bucket's name."""
        return frozenset(urlsplit(form.legacy).netloc.lower() for form in self.lists.forms)

    def names_place(self, text: str) -> bool:
        """Whether a text has a legacy bucket's name, or begins a URL of a legacy host."""
        return self._place.search(text) is not None

    def snippet(self, text: str, chars: int) -> str:
        """Return so many characters of a text, with what is looked for near their beginning."""
        if len(text) <= chars:
            return text
        found = self._any.search(text)
        start = 0 if found is None or found.end() <= chars else max(0, found.start() - _BEFORE_CHARS)
        return f"{'…' * (start > 0)}{text[start : start + chars]}{'…' * (start + chars < len(text))}"

    def patterns(self, kind: ColumnKind) -> Patterns:
        """Return what values of a kind of column match that have any of this, and some that have not."""
        prefixes = [] if self.keys is None else [route.legacy_prefix for route in self.keys.routes.all]
        spelled = {each for prefix in prefixes for each in _spellings(prefix, kind)}
        return Patterns(_containing(spelled), _containing(self.buckets | self.hosts))


def _spellings(prefix: str, kind: ColumnKind) -> Iterable[str]:
    """Yield how a prefix may be written in a value of this kind."""
    yield prefix
    if kind is ColumnKind.JSON:
        for ascii_alone in (False, True):
            text = json.dumps(prefix, ensure_ascii=ascii_alone)[1:-1]
            yield from (text, text.replace("/", r"\/"))
    elif kind is ColumnKind.ARRAY:
        yield element_text(prefix).strip('"')
    else:
        yield from (escape(prefix), prefix.replace("/", r"\/"))


def _containing(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple("%" + re.sub(r"([\\%_])", r"\\\1", text) + "%" for text in sorted(texts))
