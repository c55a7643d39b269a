"""The application's one write of a row: an object and an UPDATE, in either order, or an UPDATE to another path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.exploration.state import APPLICATIONS, NEW, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.exploration.state import Row


def steps(row: Row) -> Iterator[tuple[str, Row]]:
    """Yield what the application may do to a row next."""
    if not row.stored:
        yield "stores its object", row._replace(stored=True, production=APPLICATIONS, disturbed=True)
    if row.held == "the application":
        path = NEW if row.update == "sets the new path" else OTHER
        freed = row._replace(held="", update="done")
        yield "COMMIT", freed._replace(path=path, set_by=APPLICATIONS, object_first=row.stored and path == NEW)
        yield "ROLLBACK", freed._replace(stored=True)  # and stores nothing more
    elif not row.update and not row.held:
        held = row._replace(held="the application", disturbed=True)
        yield "UPDATE to the new path", held._replace(update="sets the new path")
        if not row.stored:
            yield "UPDATE to another path", held._replace(update="sets another path", stored=True)
