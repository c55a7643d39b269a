"""The shortcut for the usual page of a listing and the XML parser agree on every document, damaged ones included."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.s3.wire.xml import NotS3
from sketchmigrate.s3.wire.xml_listings import ListPage, read_list_page
from tests.unit.s3.scripted import ETAG

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = "<ListBucketResult xmlns='x'>".replace("'", '"')


def _entry(key: str, etag: str, size: str, further: str, space: str) -> str:
    elements = f"<Key>{key}</Key>", "<LastModified>2026-11-22T18:00:00.000Z</LastModified>", f"<ETag>{etag}</ETag>"
    return "<Contents>" + space.join(["", *elements, f"<Size>{size}</Size>", further, ""]) + "</Contents>" + space


def _document(entries: list[str], tail: str, *, encoded: bool) -> str:
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{ROOT}<Name>b</Name><Prefix/><IsTruncated>false</IsTruncated>'
        f"{encoding}{''.join(entries)}{tail}</ListBucketResult>\n"
    )


def _with_every_character_escaped(key: str) -> str:
    return "".join(f"%{byte:02X}" for byte in key.encode())


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SPELLINGS: list[Callable[[str], str]] = [
    quote,
    quote_plus,
    lambda key: quote(key, safe=""),
    _with_every_character_escaped,
]
SPELT = st.builds(lambda key, spell: spell(key), KEYS, st.sampled_from(SPELLINGS))
RAW = st.text(st.sampled_from("aB%2Ff+ /'>é&;]"), min_size=1, max_size=8)
ENTRIES = st.builds(
    _entry,
    st.one_of(SPELT, RAW),
    st.sampled_from([f"&quot;{ETAG}&quot;", f'"{ETAG}-2"', f"&#34;{ETAG}&#34;", ETAG, "", " a ", '""a""', '"']),
    st.sampled_from(["0", "7", "5000000000", "x", "-1", ""]),
    st.sampled_from(["", "<StorageClass>STANDARD</StorageClass>", "<Type>Normal</Type>", "<Key>twice</Key>", "<A/>"]),
    st.sampled_from(["", "\n  ", "\x0b", "text"]),
)
TAILS = st.sampled_from(
    ["", "<KeyCount>1</KeyCount>", "<Contents/>", "<!-- </Contents> -->", "<Contents >x</Contents>"]
)
DOCUMENTS = st.builds(_document, st.lists(ENTRIES, max_size=4), TAILS, encoded=st.booleans())


def read(document: str) -> ListPage | None:
    """Read a page; None for what is none."""
    try:
        return read_list_page(document.encode())
    except NotS3:
        return None


def read_slowly(document: str) -> ListPage | None:
    """Read the same page with the parser alone: a comment, which says nothing, is too unusual for the shortcut."""
    return read(document.replace(ROOT, ROOT + "<!-- -->", 1))


@given(DOCUMENTS)
def test_every_page_is_read_alike_on_both_ways(document: str) -> None:
    assert read(document) == read_slowly(document)


@given(DOCUMENTS, st.integers(min_value=0), st.integers(0, 3), st.text(st.sampled_from("<>&;/!-[]CK \0é"), max_size=3))
def test_a_page_that_is_damaged_anywhere_is_read_alike_on_both_ways(
    document: str, position: int, removed: int, put_in: str
) -> None:
    begin = document.index(ROOT) + len(ROOT)
    at = begin + position % (len(document) - begin)
    damaged = document[:at] + put_in + document[at + removed :]
    assert read(damaged) == read_slowly(damaged)


@pytest.mark.parametrize("hidden", ["<!--{}-->", "<![CDATA[{}]]>", "<?pi {}?>", "<Other>{}</Other>"])
def test_an_entry_that_is_not_below_the_root_is_none(hidden: str) -> None:
    entry = _entry("a", ETAG, "7", "", "")
    page = read(_document([hidden.format(entry)], "", encoded=True))
    assert page is not None
    assert page.objects == []


def test_the_document_may_be_of_another_namespace_or_none() -> None:
    document = _document([_entry("a", ETAG, "7", "", "")], "", encoded=True)
    for root in ("<ListBucketResult>", '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'):
        assert read(document.replace(ROOT, root)) == read(document)
