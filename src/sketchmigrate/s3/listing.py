"""Pages of a listing: ListObjectsV2 with tokens, or, where a store does not have it, ListObjects with markers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import replies
from sketchmigrate.s3.wire.addressing import encode_query
from sketchmigrate.s3.wire.messages import Request

if TYPE_CHECKING:
    from sketchmigrate.s3.exchange import Exchange
    from sketchmigrate.s3.learned import Learned
    from sketchmigrate.s3.wire.xml_listings import ListPage

# How a server says that it does not know ``list-type=2``. Not 403 and 404: those are about the bucket.
_UNKNOWN_REQUEST = frozenset({400, 405, 501})


async def list_page(
    exchange: Exchange,
    learned: Learned,
    bucket: str,
    prefix: str,
    *,
    start_after: str,
    continuation_token: str,
    max_keys: int,
    retry_seconds: float,
) -> ListPage:
    """Return one page: see ``S3Client.list_page``.

    A store that refuses ListObjectsV2, or ignores what makes it that and answers as ListObjects, is asked by markers
    from then on. A marker is a page's token then, as in ListObjects the key after which the next page begins.
    """
    parameters = {"encoding-type": "url", "prefix": prefix, "max-keys": str(max_keys)}

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
