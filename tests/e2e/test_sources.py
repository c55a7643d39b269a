"""A run over several sources of different shapes, there and back."""

from __future__ import annotations

import pytest

from tests.e2e.site import Site, body_of
from tests.e2e.sources_site import UNUSED, Sources, make
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy

ROWS = 12
DENIED = s3_faults.status(403, "AccessDenied")


@pytest.mark.parametrize("flags", ["-b 5", "-b 5 --processes 2"], ids=["one process", "two"])
def test_six_sources_go_there_and_back(site: Site, flags: str) -> None:
    sources = make(site, ROWS)
    before = sources.rows()
    played = sources.document("-d -b 5")
    assert "outcomes" in played, played
    assert played["outcomes"] == {**dict.fromkeys(played["outcomes"], 0), "migrated": 6 * ROWS}
    assert sources.rows() == before
    done = sources.document(f"-y {flags}")
    assert done["outcomes"] == played["outcomes"], done
    assert done["exit_code"] == 0
    rows = sources.rows()
    assert "(0,3,avatar/m3.png)" in [text for (text,) in rows["members"]]
    ((url,),) = site.database.execute("SELECT url FROM links WHERE url LIKE '%/l_207.png%'")
    assert url == "https://cdn.example.com/avatar/l%207.png?v=1#x"
    ((document, other),) = site.database.execute("SELECT attachment::text, other FROM documents WHERE id = 4")
    assert document == (
        '{"file": {"id": "avatar/d4.png", "size": 1.00}, "derivatives": {"small": {"id": "avatar/d4-s.png"}}}'
    )
    assert other == 7
    ((pictures,),) = site.database.execute("SELECT pictures::text FROM albums WHERE id = 2")
    assert pictures == '[0:2]={avatar/a2.png,NULL,"avatar/shared, 1.png"}'
    ((body,),) = site.database.execute("""SELECT "body %" FROM "Posts" WHERE id = 9""")
    assert body == (
        'See ![x](https://cdn.example.com/avatar/p9.png) and <img src="//cdn.example.com/avatar/shared,%201.png">.'
    )
    assert site.database.execute("SELECT DISTINCT service_name, touched FROM blobs") == [("production", 0)]
    legacy, production = site.legacy_bodies(), site.production_bodies()
    assert production == {key.replace("image/", "avatar/"): body for key, body in legacy.items()}

    again = sources.document("-y -b 5")
    assert sum(again["outcomes"].values()) == 0
    assert sources.rows() == rows

    back = sources.document("rollback -y", f"--all={site.last_run().parent}")
    assert back["outcomes"]["restored"] == 6 * ROWS, back
    assert sources.rows() == before


MOVES = """
[[moves]]
legacy = "s3://{legacy}/image/"
production = "s3://{production}/avatar/"
"""


def one_source(site: Site, schema: str, entry: str) -> Sources:
    """Make a table and a settings file with one source of it."""
    text = MOVES.format(legacy=site.store.legacy_bucket, production=site.store.production_bucket)
    (site.folder / "sources.toml").write_text(f"{text}\n[[references]]\n{entry}", encoding="utf-8")
    site.database.execute(schema)
    return Sources(site.with_environ(**UNUSED))


def put(site: Site, *names: str) -> None:
    """Put legacy objects."""
    site.store.put_all(site.store.legacy_bucket, {f"image/{name}": body_of(f"image/{name}") for name in names})


def test_keys_that_are_computed_and_stand_nowhere(site: Site) -> None:
    sources = one_source(
        site,
        "CREATE TABLE people (id int PRIMARY KEY, store text, name text)",
        """
        table = "people"
        key = "id"
        shape = "expression"
        expression = "ARRAY['image/' || id || '.png', 'image/' || id || '-s.png']"
        reads = ["id"]
        where = "store IS DISTINCT FROM 'production'"
        set = { store = "production" }
        """,
    )
    execute = site.database.execute
    execute("INSERT INTO people VALUES (1, 'legacy', 'a'), (2, NULL, 'b'), (3, 'production', 'c'), (4, 'legacy', 'd')")
    put(site, "1.png", "1-s.png", "2.png", "2-s.png", "4.png")
    before = execute("SELECT * FROM people ORDER BY id")
    done = sources.document("-y")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["outcomes"]["missing"]) == (1, 2, 1)
    assert done["references_moved"] == 4
    (problem,) = done["problems"]
    assert (problem["key"], problem["kind"]) == (4, "no_legacy_object")
    assert "image/4-s.png" in problem["reason"]
    assert execute("SELECT store FROM people ORDER BY id") == [
        ("production",),
        ("production",),
        ("production",),
        ("legacy",),
    ]
    # the object that is there of a row that is held up is in production as well, and no row names it there
    assert sorted(site.production_bodies()) == [f"avatar/{n}.png" for n in ("1-s", "1", "2-s", "2", "4")]
    assert sources.document("rollback -y", str(site.last_run()))["outcomes"]["restored"] == 2
    assert execute("SELECT * FROM people ORDER BY id") == before


def test_a_companion_that_is_not_there_holds_nothing_up_and_one_in_conflict_does(site: Site) -> None:
    sources = one_source(
        site,
        "CREATE TABLE files (id int PRIMARY KEY, path text)",
        """
        table = "files"
        key = "id"
        column = "path"
        shape = "key"
        also_move = "ARRAY['image/thumb/' || split_part(path, '/', 2)]"
        """,
    )
    site.database.execute("INSERT INTO files SELECT n, 'image/' || n || '.png' FROM generate_series(1, 3) n")
    put(site, "1.png", "2.png", "3.png", "thumb/1.png", "thumb/3.png")
    site.store.put_all(site.store.production_bucket, {"avatar/thumb/3.png": b"something else"})
    done = sources.document("-y --no-clobber check-first")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["outcomes"]["conflict"]) == (1, 2, 1), done
    assert site.database.execute("SELECT path FROM files ORDER BY id") == [
        ("avatar/1.png",),
        ("avatar/2.png",),
        ("image/3.png",),
    ]
    assert site.production_bodies().keys() == {f"avatar/{name}.png" for name in ("1", "2", "3", "thumb/1", "thumb/3")}
    assert done["objects_copied"] == 4


@pytest.mark.parametrize("partial", [False, True])
def test_a_document_of_which_one_object_is_missing(site: Site, partial: bool) -> None:
    sources = one_source(
        site,
        "CREATE TABLE documents (id int PRIMARY KEY, doc json)",
        f"""
        table = "documents"
        key = "id"
        column = "doc"
        shape = "json"
        paths = ["$[*].id"]
        partial = {str(partial).lower()}
        """,
    )
    old = '[{"id":"image/1.png"},  {"id": "image/gone.png"}, {"id": "image/2.png", "n": 1e2}]'
    site.database.execute("INSERT INTO documents VALUES (1, %s), (2, %s)", old, '[{"id": "image/2.png"}]')
    put(site, "1.png", "2.png")
    done = sources.document("-y")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["outcomes"]["missing"]) == (1, 1, 1), done
    ((now,),) = site.database.execute("SELECT doc::text FROM documents WHERE id = 1")
    part = '[{"id":"avatar/1.png"},  {"id": "image/gone.png"}, {"id": "avatar/2.png", "n": 1e2}]'
    assert now == (part if partial else old)
    assert done["references_moved"] == (3 if partial else 1)
    again = sources.document("-y")
    assert (again["exit_code"], again["outcomes"]["missing"], again["objects_copied"]) == (1, 1, 0), again
    put(site, "gone.png")
    last = sources.document("-y")
    assert (last["exit_code"], last["outcomes"]["migrated"]) == (0, 1), last
    ((now,),) = site.database.execute("SELECT doc::text FROM documents WHERE id = 1")
    assert now == old.replace("image/", "avatar/")
    back = sources.document("rollback -y", f"--all={site.last_run().parent}")
    assert back["exit_code"] == 0, back
    assert site.database.execute("SELECT doc::text FROM documents ORDER BY id") == [
        (old,),
        ('[{"id": "image/2.png"}]',),
    ]


def test_a_condition_leaves_other_rows_alone(site: Site) -> None:
    sources = one_source(
        site,
        "CREATE TABLE files (id int PRIMARY KEY, path text, kind text)",
        """
        table = "files"
        key = "id"
        column = "path"
        shape = "key"
        where = "kind = 'upload' -- and nothing else"
        reads = ["kind"]
        """,
    )
    execute = site.database.execute
    execute(
        "INSERT INTO files VALUES (1, 'image/1.png', 'upload'), (2, 'image/2.png', 'other'), (3, 'image/3.png', NULL)"
    )
    put(site, "1.png", "2.png", "3.png")
    done = sources.document("-y")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["scanned"]) == (0, 1, 1), done
    assert execute("SELECT path FROM files ORDER BY id") == [("avatar/1.png",), ("image/2.png",), ("image/3.png",)]
    assert sources.document("-y")["scanned"] == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_values_of_a_mebibyte_go_there_and_back(site: Site, processes: int) -> None:
    sources = one_source(
        site,
        "CREATE TABLE posts (id int PRIMARY KEY, body text)",
        """
        table = "posts"
        column = "body"
        shape = "text"
        value = "key"
        """,
    )
    filling = "".join(f"{number} words & ünïcödé \\\\ 'quoted' " for number in range(40_000))
    body = f"See image/1.png {filling} and (image/2.png), {filling[:1000]}"
    assert len(body.encode()) > 2**20
    bodies = {number: f"{number} {body}" for number in range(1, 4)} | {4: "no reference", 5: "image/1.png"}
    for number, text in bodies.items():
        site.database.execute("INSERT INTO posts VALUES (%s, %s)", number, text)
    put(site, "1.png", "2.png")
    done = sources.document(f"-y --processes {processes}")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["references_moved"]) == (0, 4, 7), done
    moved = dict(site.database.execute("SELECT id, body FROM posts"))
    assert moved == {number: text.replace("image/", "avatar/") for number, text in bodies.items()}
    ledgers = list(site.last_run().glob("ledger*.sqlite*"))
    assert sum(file.stat().st_size for file in ledgers) < len(bodies) * 2**20 / 4, "old values are not compressed"
    back = sources.document("rollback -y", str(site.last_run()))
    assert (back["exit_code"], back["outcomes"]["restored"]) == (0, 4), back
    assert dict(site.database.execute("SELECT id, body FROM posts")) == bodies


def test_the_right_to_read_is_tried_in_the_place_of_every_move(site: Site) -> None:
    sources, file = make(site, 2), site.folder / "sources.toml"
    production = f's3://{site.store.production_bucket}/blob/"'
    file.write_text(file.read_text().replace(production, production.replace("blob", "big")))
    assert sources.document("-y")["exit_code"] == 0
    assert sources.run("verify").code == 0
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(DENIED, operation="head", key="^big/")
        denied = Sources(sources.site.at(store=site.store.via(s3.endpoint_url))).run("verify")
        assert s3.hits[DENIED.name] > 0
    assert denied.code == 3, denied
    assert "s3:GetObject" in denied.err
    assert "/big/" in denied.err
