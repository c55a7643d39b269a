"""The shortcuts for usual pages of a listing read what the XML parser reads, or leave the page to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sketchmigrate.s3.wire import xml_listings
from sketchmigrate.s3.wire.listed import ListedObject, ListedObjects
from sketchmigrate.s3.wire.xml import NotS3

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.s3.wire.xml_listings import ListPage

Entry = tuple[str, str, str, str, str]

KEYS = ["a", "b%2Fc", "a+b", 'q"', "a&amp;b", "", "ü", "a>b", "x\ny"]
TIMES = ["2026-11-22T18:00:00.000Z", "", " ", "&#49;", "]]>"]
ETAGS = ["&quot;e&quot;", '"e"', "e", "", "&quot;&quot;", 'W/"e"', "&quot;e f&quot;", "&quot;e"]
SIZES = ["7", "07", "", "+7", "7_0", "-7", " 7", "7" * 30]
CLASSES = ["<StorageClass>STANDARD</StorageClass>", "", "<StorageClass/>", "<StorageClass></StorageClass>"]
BEHIND = ["", "\n", "<Prefix>p</Prefix>", "<!-- -->", "text", "<Contents/>"]

an_entry = st.tuples(*map(st.sampled_from, (KEYS, TIMES, ETAGS, SIZES, CLASSES)))
USUAL = ("a", TIMES[0], ETAGS[0], "7", CLASSES[0])


def page(entries: list[Entry], behind: str) -> bytes:
    """Write a page; ``behind`` follows each entry."""
    written = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{at}</LastModified><ETag>{etag}</ETag><Size>{size}</Size>{storage}"
        f"</Contents>{behind}"
        for key, at, etag, size, storage in entries
    )
    head = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    return f"{head}{written}</ListBucketResult>".encode()


def objects_by(read: Callable[[bytes], ListPage], body: bytes) -> list[ListedObject] | None:
    """Return the objects of a page; None where it is refused."""
    try:
        return list(read(body).objects)
    except NotS3:
        return None


@example(entries=[USUAL, (*USUAL[:2], ETAGS[1], *USUAL[3:])], behind="")
@example(entries=[USUAL, USUAL], behind="text")
@settings(max_examples=400)
@given(entries=st.lists(st.one_of(st.just(USUAL), an_entry), min_size=1, max_size=4), behind=st.sampled_from(BEHIND))
def test_a_shortcut_reads_what_the_parser_reads(entries: list[Entry], behind: str) -> None:
    body = page(entries, behind)
    assert objects_by(xml_listings.read_list_page, body) == objects_by(xml_listings.read_any, body)


def test_a_usual_page_takes_the_shortcut() -> None:
    found = xml_listings.read_usual(page([USUAL] * 3, ""))
    assert found is not None
    assert found.objects == [ListedObject("a", 7, "e", TIMES[0], "STANDARD")] * 3


def test_objects_in_columns_are_a_sequence_of_objects() -> None:
    objects = [ListedObject(str(number), number, "e", "t", "c") for number in range(5)]
    columns = ListedObjects.of(objects)
    assert columns == objects
    assert (columns[1], columns[-1]) == (objects[1], objects[-1])
    assert columns[1:3] == objects[1:3]
    assert ListedObjects.of(columns) is columns
    assert not ListedObjects.of([])
