"""How keys are written as URLs: by the forms of a site, and as stores have them. Pure.

Only what stands before the key, and the key's prefix, is replaced. The rest keeps its spelling byte for byte, so a URL
that the application has written in its own way stays the one that it would write again.
Source: RFC 3986, sections 2.1 and 6.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, islice, product
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from sketchmigrate.core.mapping import Unmappable
from sketchmigrate.core.notation import Signs, Written, along, back_along, longest_prefix_chars, prefixes
from sketchmigrate.core.reason import ReasonKind
from sketchmigrate.core.routes import Routes, RoutesClash, nested, refuse_nested
from sketchmigrate.core.rule import SideName
from sketchmigrate.core.store_urls import STYLES, StorePlace, plain_host, without_region

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "{key}"
_LONGEST_REGION_AND_PORT = 32

_start = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#\\]*)").match
_template = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#@\\{}\s]+)(/[^#{}\s]*)").fullmatch
_aws_endpoint = re.compile(r"((?:.*\.)?s3)[.-][^/]*amazonaws\.com(?:\.cn)?").fullmatch
_bad_sequence = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_characters = re.compile(r"(?i:%[0-7].|%[CD].%..|%E.(?:%..){2}|%F.(?:%..){3})|.", re.DOTALL).finditer
"""One character of a key, percent-encoded or not, where the key is UTF-8."""

_query_names = re.compile(r"[?&]([^=&#]*)=").findall
_SIGNED = {"x-amz-signature", "x-goog-signature"}
_SIGNED_FOR = {"awsaccesskeyid", "googleaccessid", "key-pair-id"}  # S3, Google, CloudFront: each beside Signature=


@dataclass(frozen=True, slots=True)
class UrlForm:
    """How the keys of a legacy bucket are written, and how when they are in production: one entry of URLS.

    Both end with ``{key}``, as query and fragment stay. Raises ``ValueError``.
    """

    legacy: str
    production: str
    bucket: str

    def __post_init__(self) -> None:
        for template in (self.legacy, self.production):
            check_template(template)


@dataclass(frozen=True, slots=True)
class _Front:
    """What stands before a key, from the first slash behind the host, and what takes its place for each new bucket.

    ``scheme`` None keeps the scheme as it is. ``targets`` begin with the two slashes.
    """

    side: SideName
    path: str
    bucket: str | None
    routes: Routes
    scheme: str | None = None
    targets: dict[str, str] = field(default_factory=dict)

    def end_of_key(self, url: str, begin: int) -> int:
        """Return where the key ends: before the query or the fragment, or within a query before its next part."""
        end, fragment = url.find("&" if "?" in self.path else "?", begin), url.find("#", begin)
        if fragment >= 0 and not 0 <= end < fragment:
            return fragment
        return len(url) if end < 0 else end


@dataclass(frozen=True, slots=True)
class UrlNotation:
    """The text is a URL: of one of the forms, or of a bucket in its store. See ``core.notation.Notation``.

    S3 URLs keep their style (bucket in the host or in the path, dual-stack, ``s3://``), unless ``s3_urls`` is a
    template for all of them. Raises ``ValueError`` for a template that is none.
    """

    routes: Routes
    forms: tuple[UrlForm, ...]
    legacy: StorePlace
    production: StorePlace
    s3_urls: str = ""
    _fronts: dict[str, tuple[_Front, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.s3_urls:
            check_template(self.s3_urls)
        fronts: dict[str, list[_Front]] = {}
        for starts, front in (*self._of_forms(), *self._of_stores()):
            for start in starts:
                fronts.setdefault(start, []).append(front)
        # the longest first, and legacy before production
        ordered = {
            start: tuple(sorted(found, key=lambda front: (-len(front.path), front.side is not SideName.LEGACY)))
            for start, found in fronts.items()
        }
        object.__setattr__(self, "_fronts", ordered)

    @property
    def longest_chars(self) -> int:
        """See ``core.notation.Notation``."""
        starts = (len(start) + len(front.path) for start, fronts in self._fronts.items() for front in fronts)
        return max(starts) + _LONGEST_REGION_AND_PORT + longest_prefix_chars(self.routes)

    def signs(self, side: SideName) -> tuple[Signs, ...]:
        """See ``core.notation.Notation``: the hosts, and the prefixes."""
        of_side = {start: f for start, fronts in self._fronts.items() for f in fronts if f.side is side}
        hosts = (_of_aws(start.partition("//")[2]) for start in of_side)
        begins = (prefix for front in of_side.values() for prefix in prefixes(front.routes, side))
        return (
            Signs(tuple(dict.fromkeys(hosts)), ignores_case=True),
            Signs(tuple(dict.fromkeys(begins)), may_be_encoded=True),
        )

    def check(self) -> None:
        """Make sure that a URL tells its side. Raises ``RoutesClash``, naming two routes."""
        for form in self.forms:
            for one, other in combinations(_of_bucket(self.routes, form.bucket).all, 2):
                refuse_nested(one, other, "that one form of URL writes ")
        for start, fronts in self._fronts.items():
            for old in (front for front in fronts if front.side is SideName.LEGACY):
                for new in (front for front in fronts if front.side is SideName.PRODUCTION):
                    _refuse_alike(start, old, new)

    def read(self, written: str, side: SideName | None = None) -> Written | None:
        """See ``core.notation.Notation``."""
        start = _start(written)
        if start is None:
            return None
        fronts = self._fronts.get(start[0]) or self._fronts_of(start[1] or "", start[2])
        at = start.end()
        for front in fronts:
            if (side is None or front.side is side) and written.startswith(front.path, at):
                begin = at + len(front.path)
                end = front.end_of_key(written, begin)
                spelling = written[begin:end]
                # what cannot be decoded stays visible in the key: it decides nothing unless the prefix is a legacy one
                key = unquote(spelling, errors="surrogateescape") if "%" in spelling else spelling
                if front.side is SideName.PRODUCTION:
                    route = front.routes.of_production(key, front.bucket)
                    if route is not None:
                        return back_along(front.routes, route, key)
                    continue
                route = front.routes.of_legacy(key, front.bucket)
                if route is None:
                    continue
                if end < len(written):
                    _refuse_signed(written[end:])
                if key is not spelling and (bad := _bad_sequence(spelling)):
                    sequence = spelling[bad.start() : bad.start() + 3]
                    raise Unmappable(ReasonKind.NO_PERCENT_ENCODING, sequence=sequence)
                new_prefix = _quoted(route.production_prefix)
                if "/" not in spelling and "%2f" in spelling.lower():
                    new_prefix = new_prefix.replace("/", "%2F")
                scheme = "" if start[1] is None else f"{front.scheme or start[1]}:"
                cut = begin + _spelling_length(spelling, route.legacy_prefix)
                return along(route, key, cut, scheme + front.targets[route.production_bucket] + new_prefix)
        return None

    def _fronts_of(self, scheme: str, host: str) -> tuple[_Front, ...]:
        """Look up what is not written in small letters, or has a port or a region."""
        scheme = scheme.lower()
        if scheme == "s3":
            return self._fronts.get(f"s3://{host}", ())
        host, before = plain_host(scheme, host), f"{scheme}:" if scheme else ""
        found = self._fronts.get(f"{before}//{host}", ())
        if not found and (pattern := without_region(host)) is not None:
            found = self._fronts.get(f"{before}//{pattern}", ())
        return found

    def _of_forms(self) -> Iterator[tuple[list[str], _Front]]:
        for form in self.forms:
            routes = _of_bucket(self.routes, form.bucket)
            scheme, rest = _scheme_and_rest(form.production)
            targets = dict.fromkeys((route.production_bucket for route in routes.all), rest)
            starts, path = _starts_and_path(form.legacy)
            yield starts, _Front(SideName.LEGACY, path, form.bucket, routes, scheme, targets)
            starts, path = _starts_and_path(form.production)
            yield starts, _Front(SideName.PRODUCTION, path, None, routes)

    def _of_stores(self) -> Iterator[tuple[list[str], _Front]]:
        legacy_buckets = {route.legacy_bucket for route in self.routes.all}
        production_buckets = {route.production_bucket for route in self.routes.all}
        for style in STYLES:
            is_elsewhere = style is not None and not self.production.is_aws and self.production != self.legacy
            scheme = urlsplit(self.production.endpoint_url).scheme if is_elsewhere else None
            targets = {bucket: self.production.write(style, bucket) for bucket in production_buckets}
            if self.s3_urls:
                scheme, rest = _scheme_and_rest(self.s3_urls)
                targets = dict.fromkeys(production_buckets, rest)
            for bucket in legacy_buckets:
                if (found := self.legacy.read_as(style, bucket)) is not None:
                    yield found[0], _Front(SideName.LEGACY, found[1], bucket, self.routes, scheme, targets)
            for bucket in production_buckets:
                if (found := self.production.read_as(style, bucket)) is not None:
                    yield found[0], _Front(SideName.PRODUCTION, found[1], bucket, self.routes)
        if self.s3_urls:
            starts, path = _starts_and_path(self.s3_urls)
            yield starts, _Front(SideName.PRODUCTION, path, None, self.routes)


def check_template(template: str) -> None:
    """Make sure that this is a URL with ``{key}`` at its end. Raises ``ValueError``."""
    if template.count(KEY) != 1 or not template.endswith(KEY):
        raise ValueError(f"{template!r} must end with {KEY}, and have it once: query and fragment stay as they are")
    if _template(template.removesuffix(KEY)) is None:
        raise ValueError(f"{template!r} must be scheme://host/…{KEY}, without a user and a fragment")


def _scheme_and_rest(template: str) -> tuple[str, str]:
    scheme, _, rest = template.removesuffix(KEY).partition(":")
    return scheme, rest


def _starts_and_path(template: str) -> tuple[list[str], str]:
    """Return how URLs of a template begin, with the scheme or without it, and their path before the key."""
    found = _template(template.removesuffix(KEY))
    assert found is not None, template  # noqa: S101 - it was checked
    scheme = found[1].lower()
    host = found[2] if scheme == "s3" else plain_host(scheme, found[2])
    return [f"{scheme}://{host}", f"//{host}"], found[3]


def _of_bucket(routes: Routes, legacy_bucket: str) -> Routes:
    return Routes(tuple(route for route in routes.all if route.legacy_bucket == legacy_bucket))


def _of_aws(host: str) -> str:
    """Return the beginning of a host of AWS, up to where it may have another region or endpoint; else the host."""
    found = _aws_endpoint(host)
    return host if found is None else found[1]


def _refuse_alike(start: str, old: _Front, new: _Front) -> None:
    """Raise ``RoutesClash`` where a production URL could be taken for a legacy one."""
    for one, other in product(old.routes.all, new.routes.all):
        if old.bucket == one.legacy_bucket and new.bucket in {None, other.production_bucket}:
            legacy, production = old.path + one.legacy_prefix, new.path + other.production_prefix
            if nested(legacy, production):
                urls = f"{start}{legacy} and {start}{production}"
                raise RoutesClash(f"legacy URLs of {one} and production URLs of {other} look alike: {urls}")


@lru_cache(maxsize=1024)
def _quoted(prefix: str) -> str:
    return quote(prefix, safe="/")


def _refuse_signed(rest: str) -> None:
    """Raise ``Unmappable`` where a query signs the URL: another one would be refused by the store."""
    if "ignature" in rest.lower():
        names = {name.lower() for name in _query_names(rest)}
        if names & _SIGNED or ("signature" in names and names & _SIGNED_FOR):
            raise Unmappable(ReasonKind.PRESIGNED_URL)


def _spelling_length(spelling: str, prefix: str) -> int:
    """Return how many characters of a spelling make up the prefix that it begins with when it is decoded."""
    if "%" not in prefix and spelling.startswith(prefix):
        return len(prefix)
    characters = islice(_characters(spelling), len(prefix))
    return sum(len(each[0]) for each in characters)
