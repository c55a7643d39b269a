"""The recipes of docs/recipes.md as a site: a framework's schema and rows, the objects, and what is to become of them.

The settings and the columns to be added are read out of the page. The file in ``tests/recipes`` has the rest, in parts:
``schema``, ``rows``, what the ``application`` did before the run, and ``migrated``: what the run is to amount to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.site import Site, body_of
from tests.e2e.sources_site import UNUSED, Sources

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
_parts = re.compile(r"^-- (schema|rows|application|migrated)\n", re.MULTILINE).split

IMAGES = range(1, 13)


@dataclass(frozen=True, slots=True)
class Recipe:
    """``keys`` are the legacy objects of the rows that are to be flipped, ``others`` those that are to be left.

    Keys are the same in production, but for the prefixes in ``prefixes``. ``flipped`` is how many rows are flipped, and
    ``references`` how many references they have.
    """

    title: str
    file: str
    keys: tuple[str, ...]
    flipped: int
    references: int
    others: tuple[str, ...] = ()
    prefixes: dict[str, str] = field(default_factory=dict)

    def production(self, key: str) -> str:
        """Return the key that an object is to get."""
        for old, new in self.prefixes.items():
            if key.startswith(old):
                return new + key.removeprefix(old)
        return key

    def blocks(self, language: str) -> list[str]:
        """Return the blocks of code in the page's section, in one language."""
        page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
        (section,) = re.findall(rf"^## {re.escape(self.title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        return found

    def sql(self) -> dict[str, str]:
        """Return the parts of the file."""
        _, *parts = _parts((ROOT / "tests" / "recipes" / f"{self.file}.sql").read_text(encoding="utf-8"))
        return dict(zip(parts[::2], parts[1::2], strict=True))


Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Cooked:
    """A recipe on a site."""

    sources: Sources
    before: Rows
    expected: Rows

    def rows(self) -> Rows:
        """Return all tables, whole, as text."""
        with self.sources.site.database.connect() as connection:
            return _rows(connection)


def cook(site: Site, recipe: Recipe) -> Cooked:
    """Make the schema, its rows, the objects and the settings; and find out what the rows are to become."""
    store = site.store

    def of_the_test(text: str) -> str:
        # a bucket whose name only begins so is another one
        text = re.sub(r"\bold-bucket\b(?!-2|\.example)", store.legacy_bucket, text)
        return re.sub(r"\bnew-bucket\b", store.production_bucket, text)

    (settings,) = recipe.blocks("toml")
    (site.folder / "sources.toml").write_text(of_the_test(settings), encoding="utf-8")
    sql = {name: of_the_test(text) for name, text in recipe.sql().items()}
    with site.database.connect() as connection:
        for statements in (sql["schema"], sql["rows"], *recipe.blocks("sql"), sql.get("application", "")):
            connection.execute(statements.encode())
        before = _rows(connection)
        with connection.transaction(force_rollback=True):
            connection.execute(sql["migrated"].encode())
            expected = _rows(connection)
    store.put_all(store.legacy_bucket, {key: body_of(key) for key in (*recipe.keys, *recipe.others)})
    return Cooked(Sources(site.with_environ(**UNUSED)), before, expected)


def _rows(connection: Any) -> Rows:
    tables = connection.execute("SELECT relname::text FROM pg_stat_user_tables ORDER BY 1").fetchall()
    return {
        name: connection.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1").fetchall()  # noqa: S608 - ours
        for (name,) in tables
    }


def _all(numbers: Iterable[int], *templates: str) -> tuple[str, ...]:
    return tuple(template.format(n) for n in numbers for template in templates)


RECIPES = (
    Recipe(
        "Rails Active Storage",
        "active_storage",
        (
            *_all(IMAGES, "xtapjjcjiudrlk3tmwyjgpuobab{}"),
            """users/7/avatar "new" O'Brien.png""",
            "héllo wörld 100%.txt",
            "variantvariantvariantvariant",
        ),
        flipped=15,
        references=15,
        others=("variants/xtapjjcjiudrlk3tmwyjgpuobab1/0a1b", "mirroredmirroredmirroredmirr"),
    ),
    Recipe(
        "Shrine",
        "shrine",
        (
            *_all(
                range(1, 11),
                "photo/{0}/image/original-0a{0}.jpg",
                "photo/{0}/image/small-0b{0}.jpg",
                "photo/{0}/image/large-0c{0}.jpg",
            ),
            'photo/12/image/a b "c" é.jpg',
            *(f"photo/15/image/{name}.jpg" for name in ("o", "s", "p1", "p2")),
        ),
        flipped=12,
        references=35,
        others=("photo/13/image/cached.jpg",),
        prefixes={"photo/": "media/photo/"},
    ),
    Recipe(
        "Paperclip",
        "paperclip",
        (
            *(
                f"users/avatars/000/000/{n:03}/{style}/me {n}.jpg"
                for n in IMAGES
                for style in ("original", "medium", "thumb")
            ),
            """users/avatars/001/234/567/original/O'Brien "x".png""",
            "users/avatars/999/999/999/original/nine",
            "users/avatars/001/000/000/000/original/ten.tar.gz",
            "users/avatars/001/000/000/000/thumb/ten.tar.gz",
            "users/avatars/109/348/684/164/012/345/original/eighteen.png",
            "users/avatars/109/348/684/164/012/345/medium/eighteen.png",
        ),
        flipped=16,
        references=16,
        others=("users/avatars/000/000/015/original/new.png",),
    ),
    Recipe(
        "CarrierWave",
        "carrierwave",
        (
            *_all(range(1, 11), "uploads/user/avatar/{0}/me_{0}.png", "uploads/user/avatar/{0}/thumb_me_{0}.png"),
            """uploads/user/avatar/14/O'Brien "x".png""",
            """uploads/user/avatar/14/thumb_O'Brien "x".png""",
            *(f"uploads/album/photos/1/{name}.jpg" for name in ("a", "thumb_a", "b", "thumb_b")),
            *(f"uploads/album/photos/5/{name}.jpg" for name in ("é 1", "thumb_é 1")),
        ),
        flipped=13,
        references=28,
        others=("uploads/tmp/1/a.jpg", "uploads/user/avatar/13/new.png"),
    ),
    Recipe(
        "Django FileField and ImageField",
        "django",
        (
            *_all(range(1, 16), "avatars/2024/05/me_{}.png"),
            *_all(range(1, 4), "resumes/cv_{}.pdf"),
            """avatars/O'Brien "x" é.png""",
            "avatars/" + 92 * "x",
        ),
        flipped=20,
        references=20,
        others=("other/elsewhere.png",),
        prefixes={"avatars/": "users/", "resumes/": "cvs/"},
    ),
    Recipe(
        "Django with a location",
        "django_location",
        (*_all(range(1, 16), "media/photos/{}.jpg"), "media/O'Brien.jpg", "media/photos/" + 93 * "y"),
        flipped=17,
        references=17,
        others=("photos/1.jpg",),
        prefixes={"media/": "files/"},
    ),
    Recipe(
        "Laravel Media Library",
        "laravel",
        (
            *_all(IMAGES, "{0}/pic-{0}.png", "{0}/conversions/pic-{0}-thumb.jpg"),
            "13/wide.jpg",
            *(f"13/responsive-images/wide___media_library_original_{size}.jpg" for size in ("800_600", "400_300")),
            """14/O'Brien "x".tar.gz""",
            """14/conversions/O'Brien "x".tar-thumb.gz""",
        ),
        flipped=14,
        references=14,
        others=("1/conversions/pic-1-preview.jpg", "17/two.png"),
    ),
    Recipe(
        "Mastodon",
        "mastodon",
        (
            *(
                f"media_attachments/files/109/348/684/164/012/{340 + n}/{style}/0a{n}.png"
                for n in range(1, 11)
                for style in ("original", "small")
            ),
            "media_attachments/files/000/000/007/original/old.jpeg",
            "cache/media_attachments/files/109/348/684/164/012/351/original/far.png",
            "media_attachments/files/109/348/684/164/012/352/original/far-old.png",
            "media_attachments/files/109/348/684/164/012/354/original/film.mp4",
            "media_attachments/files/109/348/684/164/012/354/small/film.png",
            "media_attachments/thumbnails/109/348/684/164/012/354/original/cover.png",
            "cache/media_attachments/thumbnails/109/348/684/164/012/351/original/cover.png",
            "site_uploads/files/000/000/001/@1x/about us.png",
        ),
        flipped=17,
        references=17,
        others=("media_attachments/files/109/348/684/164/012/355/original/new.png", "backups/1.zip"),
    ),
    Recipe(
        "Discourse",
        "discourse",
        (*_all(range(1, 11), "original/1X/{}.png"), 'original/1X/a "b".pdf', "optimized/1X/1_2_10x10.png"),
        flipped=17,
        references=20,
        others=("original/1X/local.png", "stylesheets/desktop.css"),
    ),
    Recipe(
        "Odoo",
        "odoo",
        tuple(40 * digit for digit in "0123"),
        flipped=13,
        references=13,
        others=(40 * "5", "ab/abcdef"),
    ),
    Recipe(
        "Nextcloud",
        "nextcloud",
        _all((*range(101, 113), 92, 94, 95), "urn:oid:{}"),
        flipped=15,
        references=15,
        others=("urn:oid:96", "urn:oid:93"),
    ),
    Recipe(
        "Matrix media repository",
        "media_repository",
        (
            *_all(range(6), "ab/cd/loc{}"),
            "ab/cd/far",
            """ab/cd/O'Brien "x\"""",
            *_all(range(1, 4), "ef/gh/thumb{}-32", "ef/gh/thumb{}-96"),
        ),
        flipped=26,
        references=26,
        others=("ef/gh/disk", "ab/cd/new"),
    ),
)
