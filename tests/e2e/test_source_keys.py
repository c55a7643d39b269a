"""Sources whose key, table or SQL is out of the ordinary, by the command line: there, back, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_sources import one_source, put

if TYPE_CHECKING:
    from tests.e2e.site import Site

FILES = 'table = "files"\ncolumn = "path"\nshape = "key"\n'
ROWS = 30


def by_path(site: Site, made: str) -> None:
    """Fill a table that has a path and something else."""
    site.database.execute(made)
    site.database.execute("INSERT INTO files SELECT 'image/' || n || '.png', n FROM generate_series(1, %s) n", ROWS)
    put(site, *(f"{n}.png" for n in range(1, ROWS + 1)))


WHOLE = "CREATE TABLE files (path text PRIMARY KEY, other int)"
PARTED = (
    "CREATE TABLE files (path text PRIMARY KEY, other int) PARTITION BY RANGE (path);"
    "CREATE TABLE a PARTITION OF files FOR VALUES FROM (MINVALUE) TO ('b');"
    "CREATE TABLE b PARTITION OF files FOR VALUES FROM ('b') TO (MAXVALUE)"
)


@pytest.mark.parametrize("flags", ["-b 7", "-b 7 --processes 2"])
@pytest.mark.parametrize(
    "made", ["CREATE TABLE files (path text PRIMARY KEY, other int)", PARTED], ids=["one", "parts"]
)
def test_a_path_that_is_its_own_key_goes_there_and_back(site: Site, made: str, flags: str) -> None:
    sources = one_source(site, "SELECT 1", FILES)
    by_path(site, made)
    everything = "SELECT path, other FROM files ORDER BY other"
    before = site.database.execute(everything)
    done = sources.document(f"-y {flags}")
    assert (done["exit_code"], done["outcomes"]["migrated"], done["scanned"]) == (0, ROWS, ROWS), done
    assert site.database.execute(everything) == [(f"avatar/{n}.png", n) for n in range(1, ROWS + 1)]
    run = site.last_run()
    assert sources.document("-y")["scanned"] == 0
    (site.folder / "keys.txt").write_text("image/3.png\nimage/4.png\n")  # as the ledger has them
    some = sources.document("rollback -y", str(run), "--only-keys", "keys.txt")
    assert some["outcomes"]["restored"] == 2, some
    back = sources.document("rollback -y", str(run))
    assert (back["exit_code"], back["outcomes"]["restored"]) == (0, ROWS - 2), back
    assert site.database.execute(everything) == before
    assert sources.document("rollback -y", str(run))["outcomes"]["restored"] == 0


def test_the_classic_key_may_be_the_path(site: Site) -> None:
    by_path(site, WHOLE)
    site = site.with_environ(SKETCH_DB_TABLE="files", SKETCH_DB_KEY_COLUMN="path")
    done = site.run("-y")
    assert (done.code, done.counts["migrated"]) == (0, ROWS), done
    assert site.database.execute("SELECT count(*) FROM files WHERE path LIKE 'avatar/%%'") == [(ROWS,)]
    assert site.run("rollback -y", str(site.last_run())).code == 0
    assert site.database.execute("SELECT count(*) FROM files WHERE path LIKE 'image/%%'") == [(ROWS,)]


def test_a_row_that_moves_to_another_partition_is_asked_about(site: Site) -> None:
    sources = one_source(site, "SELECT 1", FILES)
    by_path(site, PARTED)
    terminal = sources.site.on_a_terminal("--config sources.toml")
    terminal.expect("Note: The table is partitioned by a column that a flip sets")
    terminal.expect(r"rows of files move to another partition: an UPDATE of the application that")
    terminal.expect(r"fails \(40001\), and has to be made again; a flip has 50 rows at most")
    terminal.expect(r"Go on\?")
    terminal.sendline("n")
    terminal.expect("Nothing was changed.")
    terminal.close()
    assert site.database.execute("SELECT count(*) FROM files WHERE path LIKE 'image/%%'") == [(ROWS,)]


def test_rows_without_a_key_are_left_and_named(site: Site) -> None:
    sources = one_source(site, "CREATE TABLE files (id int UNIQUE, path text)", FILES + 'key = "id"\n')
    site.database.execute(
        "INSERT INTO files VALUES (1, 'image/1.png'), (NULL, 'image/2.png'), (NULL, 'avatar/3.png'), (NULL, NULL)"
    )
    put(site, "1.png", "2.png")
    done = sources.run("-y")
    assert done.code == 1
    assert done.counts["migrated"] == done.counts["scanned"] == 1
    assert "Rows in which id is NULL have no key: they are left as they are." in done.err
    assert "3 rows have no id, the key of files: 1 of them may be legacy, and were left." in done.err
    site.database.execute("UPDATE files SET id = 2 WHERE path = 'image/2.png'")
    done = sources.run("-y")
    assert (done.code, done.counts["migrated"]) == (0, 1)
    assert "2 rows have no id, the key of files: 0 of them may be legacy, and were left." in done.err


def test_a_view_by_its_key_and_one_whose_key_is_none(site: Site) -> None:
    made = "CREATE TABLE base (id int, part text, path text); CREATE VIEW files AS SELECT * FROM base"
    sources = one_source(site, made, FILES + 'key = ["id", "part"]\n')
    site.database.execute("INSERT INTO base VALUES (1, 'a', 'image/1.png'), (2, 'a', 'image/2.png'), (2, 'b', 'x')")
    put(site, "1.png", "2.png")
    done = sources.document("-y")
    assert (done["exit_code"], done["outcomes"]["migrated"]) == (0, 2), done
    assert sources.document("rollback -y", str(site.last_run()))["outcomes"]["restored"] == 2
    file = site.folder / "sources.toml"
    file.write_text(file.read_text().replace('["id", "part"]', '"id"'))
    refused = sources.run("-y")
    assert refused.code == 1
    assert "rows of the view files share a key (id), which should tell them apart: 2 (2 rows)" in refused.err
    assert site.database.execute("SELECT count(*) FROM base WHERE path LIKE 'image/%%'") == [(2,)]


ENDLESS = {
    "it ends": ("store = 'old'", 0, ()),
    "it never ends": (
        "path LIKE '%/1.png'",
        2,
        ("where of the source 'files.path': it holds for row 1 after a flip sets store = 'new' as before",),
    ),
    "not repeatable": ("store = 'old' AND now() > '2000-01-01'", 2, ("where of the source 'files.path': it is not",)),
    "no such column": ("kind = 'x'", 2, ("where of the source 'files.path': column \"kind\" does not exist", "reads")),
    "no SQL": ("store = ", 2, ("where of the source 'files.path': syntax error",)),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_a_condition_is_tried_before_anything_is_asked(site: Site, case: str) -> None:
    where, code, words = ENDLESS[case]
    entry = f'{FILES}where = """{where}"""\nset = {{ store = "new" }}\n'
    sources = one_source(site, "CREATE TABLE files (id int PRIMARY KEY, path text, store text)", entry)
    site.database.execute("INSERT INTO files VALUES (1, 'image/1.png', 'old'), (2, 'image/2.png', 'old')")
    put(site, "1.png", "2.png")
    before = site.database.execute("SELECT * FROM files ORDER BY id")
    for flags in ("-d", "-y --no-trial", "-y"):
        if code == 0 and flags != "-y":
            continue
        done = sources.run(flags)
        assert done.code == code, done
        for each in words:
            assert each in done.err, done.err
    after = [(1, "avatar/1.png", "new"), (2, "avatar/2.png", "new")]
    assert site.database.execute("SELECT * FROM files ORDER BY id") == (before if code else after)
    assert bool(site.production_bodies()) is (code == 0)
