"""Each recipe of docs/recipes.md, there and back, on the schema that its framework makes."""

from __future__ import annotations

import re

import pytest

from tests.e2e.recipes_site import RECIPES, ROOT, Recipe, cook
from tests.e2e.site import Site, body_of


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.file)
def test_a_recipe_goes_there_and_back(site: Site, recipe: Recipe) -> None:
    cooked = cook(site, recipe)
    sources, legacy = cooked.sources, site.legacy_bodies()
    assert cooked.expected != cooked.before
    nothing = dict.fromkeys(("migrated", "already", "superseded", "missing", "conflict", "failed"), 0)

    played = sources.document("-d")
    assert played.get("outcomes") == {**nothing, "migrated": recipe.flipped}, played
    assert cooked.rows() == cooked.before
    assert site.production_bodies() == {}

    done = sources.document("-y")
    assert (done["exit_code"], done["outcomes"]) == (0, played["outcomes"]), done
    assert (done["references_moved"], done["objects_copied"]) == (recipe.references, len(recipe.keys))
    assert cooked.rows() == cooked.expected
    assert site.production_bodies() == {recipe.production(key): body_of(key) for key in recipe.keys}

    again = sources.document("-y")
    assert (again["exit_code"], again["outcomes"], again["objects_copied"]) == (0, nothing, 0), again
    assert cooked.rows() == cooked.expected

    back = sources.document("rollback -y", f"--all={site.last_run().parent}")
    assert (back["exit_code"], back["outcomes"]["restored"]) == (0, recipe.flipped), back
    assert cooked.rows() == cooked.before
    assert site.legacy_bodies() == legacy


def test_a_file_of_nextcloud_that_is_edited_after_its_copy_is_copied_again(site: Site) -> None:
    (recipe,) = (each for each in RECIPES if each.file == "nextcloud")
    sources = cook(site, recipe).sources
    assert sources.document("-y -w")["outcomes"]["migrated"] == recipe.flipped
    site.store.put_all(site.store.legacy_bucket, {"urn:oid:101": b"edited"})
    execute = site.database.execute
    execute("UPDATE oc_filecache SET etag = 'another', mtime = 1 WHERE fileid = 101")
    execute("UPDATE oc_filecache SET etag = etag, name = 'renamed' WHERE fileid = 102")
    assert execute("SELECT fileid FROM oc_filecache WHERE storage = 2 AND mimetype = 4 AND object_moved IS NULL") == [
        (101,)
    ]
    done = sources.document("-y -w")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["objects_copied"]) == (0, 1, 1), done
    assert site.production_bodies() == {key: body_of(key) for key in recipe.keys} | {"urn:oid:101": b"edited"}


def test_every_recipe_is_run() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == [recipe.title for recipe in RECIPES]
    assert page.count("```toml\n") == len(RECIPES)
