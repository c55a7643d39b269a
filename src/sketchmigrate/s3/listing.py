"""Pages of a listing: ListObjectsV2 with tokens, or, where a store does not have it, ListObjects with markers.

A store that gives ever new tokens would be listed for ever: ``Paging`` finds that out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Error, S3Malformed
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import replies
from sketchmigrate.s3.wire.addressing import encode_query
from sketchmigrate.s3.wire.messages import Request

if TYPE_CHECKING:
    from sketchmigrate.s3.dialect import Learned
    from sketchmigrate.s3.exchange import Exchange
    from sketchmigrate.s3.wire.xml_listings import ListPage

# How a server says that it does not know ``list-type=2``. Not 403 and 404: those are about the bucket.
_UNKNOWN_REQUEST = frozenset({400, 405, 501})

MAX_EMPTY_PAGES = 1000
"""So many in a row may hold no key: a store may look through a million that are deleted before it finds one."""


async def list_page(
    exchange: Exchange,
    learned: Learned,
    bucket: str,
    prefix: str,
    *,
    start_after: str,
    continuation_token: str,
    max_keys: int,
    delimiter: str = "",
    retry_seconds: float,
) -> ListPage:
    """Return one page: see ``S3Client.list_page``.

    A store that refuses ListObjectsV2, or ignores what makes it that and answers as ListObjects, is asked by markers
    from then on. A marker is a page's token then, as in ListObjects the key after which the next page begins.
    """
    parameters = {"encoding-type": "url", "prefix": prefix, "max-keys": str(max_keys)}
    if delimiter:
        parameters["delimiter"] = delimiter

    async def ask(operation: str, more: dict[str, str]) -> ListPage:
        request = Request(operation, "GET", Location(bucket, ""), query=encode_query({**parameters, **more}))
        return await exchange.perform(request, replies.listing, retry_seconds)

    async def ask_by_marker() -> ListPage:
        marker = continuation_token or start_after
        return await ask("ListObjects", {"marker": marker} if marker else {})

    if learned.lists_by_marker:
        return await ask_by_marker()
    after = {"continuation-token": continuation_token} if continuation_token else {}
    if start_after and not continuation_token:
        after = {"start-after": start_after}
    try:
        page = await ask("ListObjectsV2", {"list-type": "2", **after})
    except S3Error as error:
        if error.status not in _UNKNOWN_REQUEST or continuation_token:
            raise
        try:
            page = await ask_by_marker()
        except S3Error:
            raise error from None  # it is not for its version that it was refused
        learned.lists_by_marker = True
        return page
    if page.is_version_1:
        learned.lists_by_marker = True
        return await ask_by_marker()
    return page


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
