"""Values that are made by position, as naming each field costs where there is one for each row: their order is held.

A field that is added shall be the last one, and whoever makes the value by position is to be looked at: here is who.
"""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import sketchmigrate
from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Result
from sketchmigrate.core.reference import Reference, make_all
from sketchmigrate.ledger import Flip, PastFlip, RecordedFlip, UnsettledCopy

PACKAGE = Path(sketchmigrate.__file__).parent

MADE_OF_ROWS = {
    # core/mapping, of a batch
    Location: "bucket key",
    Move: "reference new_path source target",
    # postgres/references, of a page; the ledgers write its fields in this order
    Reference: "key path",
    # migration/flipping, of a flip
    Result: "reference outcome reason copied size_bytes sampled",
    # migration/iteration, of a batch; ledger/sqlite/writer names its columns by the fields
    Flip: "key old_path new_path size_bytes etag copied",
}
"""By ``make_all``, which does not look."""

READ_FROM_A_LEDGER = {
    # ledger/sqlite/reader and ledger/postgres/past_run select these columns
    PastFlip: "key old_path new_path etag unix_time stored_otherwise",
    UnsettledCopy: "key path new_path xid",
    RecordedFlip: "flip denied unsettled xid",
}


@pytest.mark.parametrize(("kind", "order"), (MADE_OF_ROWS | READ_FROM_A_LEDGER).items())
def test_fields_are_in_the_order_in_which_they_are_given(kind: type, order: str) -> None:
    found = [field.name for field in fields(kind)] if is_dataclass(kind) else kind._fields  # type: ignore[attr-defined]  # a named tuple
    assert " ".join(found) == order


def test_nothing_else_is_made_so() -> None:
    made = {
        ast.unparse(call.args[0])
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == make_all.__name__
    }
    assert made == {kind.__name__ for kind in MADE_OF_ROWS}


def test_what_is_made_of_rows_is_what_naming_the_fields_makes() -> None:
    assert make_all(Reference, [(1, "image/1.png")]) == [Reference(key=1, path="image/1.png")]
    assert make_all(Location, [("bucket", "key")]) == [Location(bucket="bucket", key="key")]
