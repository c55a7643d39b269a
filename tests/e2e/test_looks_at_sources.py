"""Commands that only look, on several sources: each source by itself, and their sum."""

from __future__ import annotations

import csv
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.e2e.sources import NAMES, Sources, made
from tests.inventories import inventory_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site

ROWS = 4


@pytest.fixture
def sources(site: Site) -> Sources:
    return made(site, ROWS)


def test_the_status_of_each_source_and_in_sum(sources: Sources) -> None:
    result = sources.run("-s --json")
    assert result.code == 0, result
    status = json.loads(result.out)["status"]
    total = {name: ROWS + {"documents": 1, "posts": 2}.get(name, 0) for name in NAMES}
    assert status["sources"] == [
        {
            "source": name,
            "legacy_rows": ROWS,
            "production_rows": 0,
            "other_rows": total[name] - ROWS,
            "total_rows": total[name],
        }
        for name in NAMES
    ]
    assert (status["total_rows"], status["legacy"]["rows"]) == (sum(total.values()), ROWS * len(NAMES))
    keys = sources.site.store.keys(sources.site.store.legacy_bucket)
    assert status["legacy"]["objects"] == len(keys), "a prefix inside another one is listed once"
    assert (status["other_rows"], status["percent_done"]) == (3, 0.0)
    text = sources.run("-s").out
    assert f"Rows of {len(NAMES)} sources\n" in text
    assert "in 3 places" in text, text
    assert "  galleries         4           0        0    4\n" in text, text


def test_a_source_that_names_neither_side_is_told_and_all_of_them_refused(sources: Sources) -> None:
    execute = sources.site.database.execute
    execute("UPDATE posts SET body = 'https://elsewhere.example.com/image/x.png'")
    dry = sources.run("-d")
    assert dry.code == 0, dry
    assert "no value of posts names either side" in dry.err
    assert "no value of posts names either side" in sources.run("-s").out
    execute("UPDATE documents SET path = 'x'")
    execute("UPDATE users SET url = 'https://elsewhere.example.com/x'")
    execute('UPDATE attachments SET meta = \'{"file": "x"}\'')
    execute("UPDATE galleries SET pictures = '{x}'")
    execute("UPDATE blobs SET service = 'third'")
    execute("UPDATE people SET storage = 'third'")
    before = sources.rows()
    refused = sources.run("-y")
    assert refused.code == 1, refused
    assert "nothing recognised" in refused.err
    assert "Nothing recognised" in sources.run("-s").out
    assert sources.rows() == before


NAMED = {"documents": 1, "users": 1, "attachments": 2, "galleries": 2, "posts": 2, "blobs": 1, "avatars": 1}
"""How many references a row has of each source."""

REFERENCES = ROWS * sum(NAMED.values())


def test_a_migration_of_all_sources_is_verified(sources: Sources) -> None:
    assert sources.run("verify").code == 1
    found = sources.document()
    assert {each["source"]: each["unmigrated"] for each in found["sources"]} == {
        name: ROWS * count for name, count in NAMED.items()
    }
    assert found["adds_up"], found
    done = sources.run("-y")
    assert done.code == 0, done
    result = sources.run("verify --deep")
    assert result.code == 0, result
    found = sources.document()
    assert {name: count for name, count in found["rows"].items() if count} == {
        "total": REFERENCES + 3,
        "equal": REFERENCES,
        "neither": 3,
    }
    assert found["equality_proved_by"] == {"bytes": REFERENCES}
    assert [(each["source"], each["references"], each["standings"]["equal"]) for each in found["sources"]] == [
        (name, ROWS * NAMED[name], ROWS * NAMED[name]) for name in NAMES
    ]
    keys = sources.site.store.keys(sources.site.store.legacy_bucket)
    assert found["objects"]["legacy"]["named_by_a_row"] == len(keys)
    assert found["objects"]["legacy"]["named_by_none"] == found["objects"]["production"]["named_by_none"] == 0
    assert "  galleries       4           8         0           0          0\n" in result.out, result.out


def test_what_is_wrong_names_its_source(sources: Sources) -> None:
    site = sources.site
    done = sources.run("-y")
    assert done.code == 0, done
    production = site.store.production_bucket
    site.store.delete_all(production, ["avatar/left-2.png"])
    site.store.put_all(production, {"blob/b1": b"something else", "avatar/post-1.png": b"other"})
    site.database.execute(
        "UPDATE attachments SET meta = jsonb_set(meta, '{more,thumb}', '\"image/thumb/9.png\"') WHERE id = 3"
    )
    site.database.execute("UPDATE users SET url = 'https://old.example.com/image/' WHERE id = 4")
    result = sources.run("verify")
    assert result.code == 1, result
    found = sources.document()
    headlines = ("dangling", "unmigrated", "different")
    assert {(each["source"], name): each[name] for each in found["sources"] for name in headlines if each[name]} == {
        ("galleries", "dangling"): 1,
        ("attachments", "dangling"): 1,
        ("users", "unmigrated"): 1,
    }
    assert found["rows"]["rewritten"] == 2, "the ledger knows what we wrote, for each object of a row"
    with (sources.last_run() / "problems.csv").open(encoding="utf-8", newline="") as file:
        problems = {(line["source"], line["kind"], line["key"], line["path"]) for line in csv.DictReader(file)}
    assert problems == {
        ("galleries", "dangling", "2", "avatar/left-2.png"),
        ("attachments", "missing", "3", "image/thumb/9.png"),
        ("users", "unmigrated", "4", "https://old.example.com/image/"),
    }
    assert "users  4  https://old.example.com/image/" in result.out


def test_a_plan_of_all_sources(sources: Sources) -> None:
    sources.site.store.delete_all(sources.site.store.legacy_bucket, ["image/left-2.png"])
    sources.site.database.execute("UPDATE users SET url = 'https://old.example.com/image/' WHERE id = 4")
    result = sources.run("plan --json")
    assert result.code == 1, result
    found = json.loads(result.out)
    assert [(each["source"], each["rows"]["legacy"], each["rows"]["to_migrate"]) for each in found["sources"]] == [
        (name, ROWS, ROWS - (name in {"galleries", "users"})) for name in NAMES
    ]
    assert found["rows"] == {
        "legacy": ROWS * len(NAMES), "production": 0, "neither": 3, "to_migrate": ROWS * len(NAMES) - 2, "in_place": 0,
    }  # fmt: skip
    kinds = {each["kind"]: each for each in found["findings"]}
    (example,) = kinds["missing object"]["examples"]
    assert (example["source"], example["key"], example["path"]) == ("galleries", "2", "image/left-2.png")
    (example,) = kinds["cannot be moved"]["examples"]
    assert (example["source"], example["key"]) == ("users", "4")
    # the documents' objects are those of the posts as well: each is copied once
    assert kinds["shared object"]["count"] == ROWS
    keys = sources.site.store.keys(sources.site.store.legacy_bucket)
    assert found["objects_to_copy"] == len(keys) - 1, "one is no row's any more, and one of a row that is held up is"
    assert all(each["value_bytes"] > 0 for each in found["sources"])
    assert found["estimate"]["ledger_bytes"] > 0
    assert "galleries" in sources.run("plan --trial").out


@pytest.mark.parametrize("by_inventory", [False, True])
def test_a_handoff_of_all_sources_leaves_nothing_to_copy(sources: Sources, tmp_path: Path, by_inventory: bool) -> None:
    """Each move has lists of its own, and is done by its own operation."""
    store = sources.site.store
    flags = f" --inventory-legacy {inventory_of(store, store.legacy_bucket).write(tmp_path)}" if by_inventory else ""
    result = sources.run(f"handoff --json{flags}")
    assert result.code == 0, result
    found = json.loads(result.out)
    assert (found["inventories"]["legacy"] is not None) is by_inventory
    operations = {job["legacy_prefix"]: (job["operation"], job["target_key_prefix"]) for job in found["jobs"]}
    assert operations == {
        "image/": ("LambdaInvoke", ""),
        "image/thumb/": ("LambdaInvoke", ""),
        "": ("S3PutObjectCopy", "blob"),
    }
    listed = 0
    for job in found["jobs"]:
        for line in (line for file in job["files"] for line in (sources.site.folder / file).read_text().splitlines()):
            bucket, key = line.split(",")
            store.client.copy_object(
                Bucket=job["production_bucket"],
                Key=job["production_prefix"] + unquote(key).removeprefix(job["legacy_prefix"]),
                CopySource={"Bucket": bucket, "Key": unquote(key)},
            )
            listed += 1
    assert listed == found["objects"] > ROWS
    done = sources.run("-y")
    assert done.code == 0, done
    assert (done.counts["migrated"], done.counts["copied"]) == (ROWS * len(NAMES), 0)


def test_the_manifest_has_what_no_source_needs_any_more(sources: Sources) -> None:
    site = sources.site
    assert sources.run("-y").code == 0
    assert sources.run("verify").code == 0
    made_of_all = sources.run("manifest --json")
    assert made_of_all.code == 0, made_of_all
    keys = site.store.keys(site.store.legacy_bucket)
    assert json.loads(made_of_all.out)["objects"] == len(keys), "each once"
    # one of the two sources that name an object is back on the legacy side
    body = "https://cdn.example.com/avatar/post-1.png https://old.example.com/image/document-1.png"
    site.database.execute("UPDATE posts SET body = %s WHERE id = 1", body)
    found = json.loads(sources.run("manifest --json").out)
    assert (found["objects"], found["left_out_because"]["changed_since"]) == (len(keys) - 1, 1)
    site.database.execute("UPDATE posts SET body = body || ' https://old.example.com/image/' WHERE id = 1")
    found = json.loads(sources.run("manifest --json").out)
    assert (found["objects"], found["left_out_because"]["unreadable"]) == (0, len(keys) - 1)


def test_a_row_that_the_settings_leave_out_or_that_is_in_another_store_keeps_the_object_of_its_key(
    sources: Sources,
) -> None:
    """The latter is on neither side, as its column says another store or none; who knows where that one reads."""
    execute = sources.site.database.execute
    execute("INSERT INTO blobs VALUES (100, 'b1', 'other'), (101, 'b2', NULL)")
    file = sources.site.folder / "site.toml"
    where = """column = "path"\nwhere = "path NOT LIKE '%-2.png'"\n"""
    text = file.read_text(encoding="utf-8").replace('column = "path"\n', where, 1)
    file.write_text(text, encoding="utf-8")
    assert sources.run("-y").code == 0
    assert sources.run("verify").code == 0
    (documents, *_) = sources.document()["sources"]
    assert (documents["standings"]["equal"], documents["standings"]["neither"]) == (ROWS - 1, 2)
    found = json.loads(sources.run("manifest --json").out)
    keys = sources.site.store.keys(sources.site.store.legacy_bucket)
    assert (found["objects"], found["left_out_because"]["changed_since"]) == (len(keys) - 3, 3), found
    with (sources.last_run() / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        listed = {unquote(key) for _, key in csv.reader(lines)}
    assert set(keys) - listed == {"image/document-2.png", "b1", "b2"}
    assert json.loads(sources.run("plan --json").out)["sources"][0]["rows"]["neither"] == 2


def test_a_repair_of_all_sources(sources: Sources) -> None:
    site = sources.site
    assert sources.run("-y").code == 0
    legacy, production = site.store.legacy_bucket, site.store.production_bucket
    site.store.delete_all(production, ["avatar/left-2.png", "avatar/user-1.png", "blob/b3", "avatar/person-1.png"])
    time.sleep(1.1)  # so that the time of change tells
    stale = ["user-2", "file-2", "left-3", "right-4", "post-3"]  # all but the first are of rows with several objects
    site.store.put_all(legacy, {f"image/{name}.png": f"{name} changed since".encode() for name in stale})
    site.database.execute('UPDATE attachments SET meta = \'{"file": "image/file-1.png"}\' WHERE id = 1')
    result = sources.run("repair -y --json")
    assert result.code == 0, result
    found = json.loads(result.out)
    assert {what: count for what, count in found["repaired"].items() if count} == {"copied again": 5, "restored": 4}
    for name in stale:
        assert site.store.body(production, f"avatar/{name}.png") == f"{name} changed since".encode()
    assert site.store.body(production, "blob/b3") == b"body of b3"
    assert sources.run("verify --deep").code == 0
