"""What a library has to say when Python takes it apart is nothing: no person reads of what DuckDB has leaked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import tool

if TYPE_CHECKING:
    from tests.e2e.site import Site


def test_no_command_that_gathers_evidence_leaves_anything_of_it(site: Site) -> None:
    """A migration in between, as several of them rest on it, and once with an error."""
    site.fill([f"image/{number}.png" for number in range(8)])

    def ended(*words: str, code: int, **environ: str) -> None:
        process = tool.start(*words, environ=site.settings | environ, cwd=site.folder, to_the_end=True)
        done = tool.finish(process)
        assert done.code == code, done
        assert "leaked" not in done.err, done

    ended("plan", code=0)
    ended("handoff", code=0)
    assert site.run("-y -l 6").code == 1
    ended("verify", code=1)
    ended("repair", "-y", code=0)
    ended("verify", "--deep", "--processes", "2", code=0)
    ended("manifest", code=0)
    ended("verify", code=3, SKETCH_DB_PORT="1", SKETCH_DB_RETRY_SECONDS="0")
