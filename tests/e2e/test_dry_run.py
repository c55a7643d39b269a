"""A dry run says, and exits, as the run would."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.site import Site


def test_rows_that_a_limit_leaves_end_it_as_they_end_the_run(site: Site) -> None:
    site.fill(f"image/{number}.png" for number in range(12))
    for limit, code in ((5, 1), (12, 0), (13, 0)):
        tried = site.run(f"-d -l {limit}")
        assert (tried.code, tried.counts["migrated"]) == (code, min(limit, 12)), tried
        assert ("Rows are left by that, as they are by -l." in tried.out) is (code == 1), tried
    assert site.run("-d -l 5 --processes 2").code == 1
    assert [site.run("-yw -l 5").code, site.run("-yw -l 7").code] == [1, 0]
    for limit, code in ((5, 1), (12, 0)):
        tried = site.run(f"rollback -d -l {limit} --all runs")
        assert (tried.code, tried.counts["restored"]) == (code, limit), tried
        assert ("Rows are left by that, as they are by -l." in tried.out) is (code == 1), tried
    assert [site.run("rollback -y -l 5 --all runs").code, site.run("rollback -y -l 7 --all runs").code] == [1, 0]


def test_several_processes_count_each_row_once_within_a_limit(site: Site) -> None:
    """A range that takes more than a worker's part of the limit."""
    site.fill(f"image/{number:03}.png" for number in range(500))
    tried = site.run("-d -l 501 --processes 2")
    assert (tried.code, tried.counts["migrated"]) == (0, 500), tried


def test_a_path_that_another_row_holds_fails_in_it_as_in_the_run(site: Site) -> None:
    site.fill([*(f"image/{number}.png" for number in range(6)), "avatar/3.png"])
    site.database.execute("CREATE UNIQUE INDEX of_two ON avatars (id, path)")
    assert site.run("-d").code == 0, "two rows may hold it"
    site.database.execute("CREATE UNIQUE INDEX of_one ON avatars (path)")
    for more in ("", " --processes 2"):
        tried = site.run(f"-d{more}")
        assert (tried.code, tried.counts["migrated"], tried.counts["failed"]) == (1, 5, 1), tried
        assert "another row holds 'avatar/3.png' already" in tried.out
    done = site.run("-y")
    assert (done.code, done.counts["migrated"], done.counts["failed"]) == (1, 5, 1), done
    assert site.run("rollback -y --all runs").code == 0
    site.database.execute("DELETE FROM avatars WHERE path = 'image/3.png' OR path = 'avatar/3.png'")
    assert site.run("-y").code == 0
    site.database.execute("INSERT INTO avatars VALUES (100, 'image/1.png')")
    for flags in ("-d", "-y"):
        back = site.run(f"rollback {flags} --all runs")
        assert (back.code, back.counts["failed"]) == (1, 1), back
