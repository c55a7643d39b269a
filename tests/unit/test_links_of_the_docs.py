"""Every link from one page of the documentation to another leads to a page, and to a title, that is there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's titles, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    words = (re.sub(r"\]\([^)]*\)", "]", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in words}


def test_each_link_leads_somewhere() -> None:
    known = {page: anchors(page) for page in PAGES}
    count, broken = 0, []
    for page in PAGES:
        for path, anchor in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            count += 1
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target in known and anchor not in known[target]):
                broken.append(f"{page.relative_to(REPOSITORY)}: {path}#{anchor}")
    assert broken == []
    assert count > 200
