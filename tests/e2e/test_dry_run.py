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
