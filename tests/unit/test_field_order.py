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
from sketchmigrate.core.notation import Written
from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Result
from sketchmigrate.core.reference import Reference, make_all
from sketchmigrate.core.shapes.contract import Reading, Slot
from sketchmigrate.ledger import Flip, PastFlip, RecordedFlip, UnsettledCopy

PACKAGE = Path(sketchmigrate.__file__).parent
AS_IT_IS = "tuple.__new__"

MADE_OF_ROWS = {
    # core/mapping, of a batch; migration/bringing, of several objects
    Location: "bucket key",
    Move: "reference new_path source target more references left",
    # core/notation, core/shapes, of a value; core/mapping takes a slot apart
    Written: "side bucket key other_bucket other_key cut front",
    Slot: "start stop side bucket key other_bucket other_key text",
    Reading: "slots failure",
    # postgres/pages, of a page; the ledgers write its fields in this order
    Reference: "key path",
    # migration/flipping, of a flip
    Result: "reference outcome reason copied size_bytes sampled references move",
    # migration/iteration, of a batch; ledger/sqlite/writer names its columns by the fields
    Flip: "key old_path new_path size_bytes etag copied read_checksum",
}
"""By ``make_all`` or ``tuple.__new__``, which do not look."""

READ_FROM_A_LEDGER = {
    # ledger/sqlite/reader and ledger/postgres/past_run select these columns
    PastFlip: "key old_path new_path etag unix_time stored_otherwise source read_checksum",
    UnsettledCopy: "key path new_path xid source",
    RecordedFlip: "flip denied unsettled xid source",
}


@pytest.mark.parametrize(("kind", "order"), (MADE_OF_ROWS | READ_FROM_A_LEDGER).items())
def test_fields_are_in_the_order_in_which_they_are_given(kind: type, order: str) -> None:
    found = [field.name for field in fields(kind)] if is_dataclass(kind) else kind._fields  # type: ignore[attr-defined]  # a named tuple
    assert " ".join(found) == order


def test_nothing_else_is_made_so() -> None:
    made = {
        ast.unparse(call.args[0])
        for tree in (ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py"))
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {make_all.__name__, AS_IT_IS, *aliases(tree)}
    }
    assert made == {kind.__name__ for kind in MADE_OF_ROWS}


def aliases(tree: ast.Module) -> set[str]:
    """Return the names that a module gives what makes a tuple of any kind."""
    named = (each for each in tree.body if isinstance(each, ast.Assign) and ast.unparse(each.value) == AS_IT_IS)
    return {ast.unparse(target) for each in named for target in each.targets}


def test_what_is_made_of_rows_is_what_naming_the_fields_makes() -> None:
    assert make_all(Reference, [(1, "image/1.png")]) == [Reference(key=1, path="image/1.png")]
    assert make_all(Location, [("bucket", "key")]) == [Location(bucket="bucket", key="key")]
