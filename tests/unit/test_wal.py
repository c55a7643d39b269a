"""The two bounds of the WAL; what is measured has its test beside the servers."""

from __future__ import annotations

from dataclasses import replace

from sketchmigrate.inspect.wal import reckon_wal
from sketchmigrate.postgres.catalog import Index, IndexSize, Sizes, TableFacts

ROWS = 1_000_000
FACTS = TableFacts(
    rows=ROWS,
    pages=10_000,
    page_bytes=8192,
    row_bytes=60,
    full_page_writes=True,
    is_standby=False,
    may_update=True,
    user="u",
    row_security=False,
    partition_key=False,
    indexes=(),
    triggers=(),
    after_triggers=(),
    constraints=(),
    generated_columns=(),
    publications=(),
    standbys=0,
    slots=(),
)
KEY = IndexSize("avatars_pkey", "btree", 22_000_000, is_in_key_order=True, has_path=False)
SIZES = Sizes(
    table_bytes=90_000_000,
    fillfactor=100,
    width_is_known=True,
    is_in_key_order=True,
    checkpoint_seconds=300,
    checkpoint_bytes=2**30,
    indexes=(KEY,),
)
ON_PATH = IndexSize("path", "btree", 50_000_000, is_in_key_order=False, has_path=True)


def of(facts: TableFacts = FACTS, sizes: Sizes = SIZES, seconds: float = 60) -> tuple[int, int]:
    wal = reckon_wal(ROWS, total_rows=ROWS, seconds=seconds, facts=facts, sizes=sizes)
    return wal.least // ROWS, wal.most // ROWS


def test_every_index_is_written_where_one_has_the_path() -> None:
    with_path = replace(
        FACTS, indexes=(Index("path", unique=False, on_path_alone=True, partial=False, method="btree"),)
    )
    least, most = of(with_path, replace(SIZES, indexes=(KEY, ON_PATH)))
    third_least, third_most = of(with_path, replace(SIZES, indexes=(KEY, ON_PATH, replace(KEY, name="other"))))
    assert third_least == least + 68
    assert third_most > most + 68
    assert of()[0] < least


def test_an_index_without_the_path_counts_for_the_upper_bound_alone() -> None:
    (least, most), (other_least, other_most) = of(), of(sizes=replace(SIZES, indexes=(KEY, replace(KEY, name="b"))))
    assert other_least == least
    assert other_most > most


def test_the_fillfactor_counts_where_the_room_is_there() -> None:
    roomy = replace(SIZES, fillfactor=50, table_bytes=180_000_000)
    full = replace(SIZES, fillfactor=50)
    assert of(sizes=roomy)[1] - of(sizes=full)[1] < 30  # its pages are twice as many
    assert of(sizes=roomy)[1] < of(sizes=replace(roomy, width_is_known=False))[1]
    images_off = replace(FACTS, full_page_writes=False)
    assert of(images_off, roomy)[1] < of(images_off, full)[1] < 2 * of(images_off, SIZES)[1]


def test_a_long_run_writes_pages_once_for_each_checkpoint_if_it_comes_back_to_them() -> None:
    short, long = of(seconds=60)[1], of(seconds=60_000)[1]
    assert long - short <= 10  # in the order of the key each page is left behind
    scattered = replace(SIZES, indexes=(KEY, ON_PATH))
    assert of(sizes=scattered, seconds=60_000)[1] > 3 * of(sizes=scattered, seconds=60)[1]


def test_between_two_checkpoints_each_page_of_what_is_scattered_is_written_twice_but_for_the_last() -> None:
    """As the flips go through them once, a page is met before and after each checkpoint."""
    alone = replace(SIZES, table_bytes=8192 * 100, indexes=(), is_in_key_order=False, checkpoint_bytes=2**62)
    without = replace(FACTS, full_page_writes=False)

    def pages(checkpoints: int) -> float:
        seconds = 300.0 * (checkpoints - 1)
        both = (reckon_wal(ROWS, total_rows=ROWS, seconds=seconds, facts=f, sizes=alone).most for f in (FACTS, without))
        return (next(both) - next(both)) / 8192

    assert [round(pages(checkpoints)) for checkpoints in (1, 2, 3)] == [100, 300, 500]


def test_nothing_to_flip_takes_nothing() -> None:
    wal = reckon_wal(0, total_rows=0, seconds=0, facts=FACTS, sizes=replace(SIZES, table_bytes=0, indexes=()))
    assert (wal.least, wal.table_bytes_more, wal.index_bytes_more) == (0, 0, 0)
    assert wal.most < 50_000
