"""Nothing is written before the answer to the question; and the question says what is about to be written, and how."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from tests.servers.condition_proxy import ConditionProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

PATHS = [f"image/{number}.png" for number in range(1, 6)]
WRITES = re.compile("PUT|POST|DELETE")


def writes(proxy: S3FaultProxy) -> list[str]:
    """Return the names of what was written, or was to be."""
    return [each.key.rpartition("/")[2] for each in proxy.requests if WRITES.match(each.method)]


@pytest.fixture
def watched(moto_site: Site) -> Iterator[tuple[Site, S3FaultProxy]]:
    """A site by way of a proxy that sees everything."""
    moto_site.fill(PATHS)
    with S3FaultProxy(moto_site.store.endpoint_url, sees_probes=True) as proxy:
        yield moto_site.at(store=moto_site.store.via(proxy.endpoint_url)), proxy


@pytest.mark.parametrize("command", ["", "repair"])
def test_nothing_is_written_where_nobody_can_answer(watched: tuple[Site, S3FaultProxy], command: str) -> None:
    site, proxy = watched
    done = site.run(command)
    assert done.code == 2, done
    assert "standard input is no terminal" in done.err
    assert proxy.requests
    assert writes(proxy) == []


def test_nothing_is_written_before_the_answer_and_the_question_says_what_is(
    watched: tuple[Site, S3FaultProxy],
) -> None:
    site, proxy = watched
    before = site.facts()
    terminal = site.on_a_terminal("-l 3")
    terminal.expect(r"Go on\?")
    asked = " ".join((terminal.before or "").split())
    for part in (
        "up to 3 rows (-l) and their objects",
        "after your yes the store is tried",
        f"some 30 objects of up to 20 bytes in s3://{site.store.production_bucket}/avatar/ {PROBE_FOLDER}…",
        "If none is proved, check-first is used",
    ):
        assert part in asked
    assert writes(proxy) == []
    terminal.sendline("n")
    terminal.expect("Nothing was changed")
    terminal.wait()
    assert writes(proxy) == []
    assert site.facts() == before


def test_overwriting_is_asked_for_in_capitals(watched: tuple[Site, S3FaultProxy]) -> None:
    site, proxy = watched
    site.database.execute("ANALYZE avatars")
    terminal = site.on_a_terminal("-w")
    terminal.expect(r"Go on\?")
    asked = " ".join((terminal.before or "").split())
    assert "OVERWRITES what is there (-w)" in asked
    assert "the legacy rows among about 5 (the planner's estimate)" in asked
    total_bytes = sum(map(len, site.legacy_bodies().values()))
    assert f"about 5 rows by a sample, and their objects, some {total_bytes} bytes" in asked
    assert "at 1,000 rows a second (assumed: no run has measured it)" in asked
    terminal.sendline("n")
    terminal.expect("Nothing was changed")
    terminal.wait()
    assert writes(proxy) == []


def test_it_asks_once_more_where_no_condition_is_proved(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    before = site.facts()
    with ConditionProxy(site.store) as proxy:
        terminal = site.at(store=site.store.via(proxy.endpoint_url)).on_a_terminal("")
        terminal.expect(r"Go on\?")
        terminal.sendline("y")
        terminal.expect("To replace nothing: check-first, because")
        terminal.expect("Go on all the same")
        terminal.sendline("n")
        terminal.expect("Nothing was changed")
        terminal.wait()
    assert terminal.exitstatus == 1
    assert site.facts() == before  # what was tried is removed again


def test_what_was_found_too_late_to_ask_is_not_begun(moto_site: Site) -> None:
    """The first legacy row is inserted while a person thinks, so that the store is tried in mid-run."""
    site = moto_site
    site.fill(["avatar/1.png"])
    site.store.put_all(site.store.legacy_bucket, {"image/3.png": b"3"})
    with ConditionProxy(site.store) as proxy:
        through = site.at(store=site.store.via(proxy.endpoint_url))
        terminal = through.on_a_terminal("--no-progress")
        terminal.expect(r"Go on\?")
        site.database.execute("INSERT INTO avatars VALUES (3, 'image/3.png')")
        before = site.facts()
        terminal.sendline("y")
        terminal.expect("hint:  Migrate them with --no-clobber check-first")
        terminal.wait()
        assert terminal.exitstatus == 3
        assert site.facts() == before
        assert through.run("-y --no-clobber check-first").code == 0


def test_one_way_that_was_asked_for_needs_no_second_question(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    with ConditionProxy(site.store, honours={Question.COPY_IF_ABSENT}) as proxy:
        terminal = site.at(store=site.store.via(proxy.endpoint_url)).on_a_terminal("--no-clobber check-first")
        terminal.expect("a look, then the store copies")
        terminal.expect(r"Go on\?")
        terminal.sendline("y")
        terminal.expect("All migrated")
        terminal.wait()
        assert proxy.hits["condition_failed"] == 0
    assert terminal.exitstatus == 0
