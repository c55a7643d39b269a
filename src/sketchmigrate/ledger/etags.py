"""ETags as a ledger keeps them: one text a row, whether the row names one object or several. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def etags_text(etags: Mapping[str, str]) -> str:
    """Return the text for a row with several objects: a JSON object of production keys and ETags, those that are known.

    It is empty where none is. That of a row with one object is the ETag itself.
    """
    known = {key: etag for key, etag in etags.items() if etag}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":")) if known else ""


def etags_of(text: str, keys: Sequence[str]) -> dict[str, str]:
    """Return the ETags of the objects that a flip has moved, by their production keys; empty where it is not known.

    An ETag that comes without its key is that of the only object.
    """
    if not text.startswith("{"):
        return dict.fromkeys(keys, text if len(keys) == 1 else "")
    try:
        known = json.loads(text)
    except ValueError:  # an ETag may begin so too
        known = {}
    return {key: known.get(key, "") for key in keys}
