"""Whether the pages of a listing get anywhere: a store that gives ever new tokens would be listed for ever. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Malformed

if TYPE_CHECKING:
    from sketchmigrate.s3.wire.xml_listings import ListPage

MAX_EMPTY_PAGES = 1000
"""So many in a row may hold no key: a store may look through a million that are deleted before it finds one."""


class Paging:
    """Takes the pages of one listing in, and finds a token that comes again, or a page that begins with the same key.

    It does so as Brent does (BIT 20, 1980), against one earlier token and page that are replaced ever more rarely. So
    it takes no memory and next to no time, whatever the length of the listing and the order of its keys.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._token = ""
        self._key: str | None = None
        self._pages = 0
        self._replace_after = 1
        self._empty = 0

    def take(self, page: ListPage) -> None:
        """Take in the next page. Raises ``S3Malformed`` where the listing would never end."""
        self._empty = 0 if page.objects else self._empty + 1
        if self._empty > MAX_EMPTY_PAGES:
            raise self._never_ends(f"{MAX_EMPTY_PAGES:,} pages in a row hold no key")
        if page.next_token is not None and page.next_token == self._token:
            raise self._never_ends("the store repeats a continuation token")
        first = page.objects[0].key if page.objects else None
        if first is not None and first == self._key:
            raise self._never_ends("a page comes again")
        self._pages += 1
        if self._pages == self._replace_after:
            self._token, self._pages, self._replace_after = page.next_token or "", 0, 2 * self._replace_after
            self._key = first if first is not None else self._key

    def _never_ends(self, why: str) -> S3Malformed:
        return S3Malformed(
            f"{self._what}: {why}", hint="The listing would never end. This is a fault of the store, or of a cache."
        )
