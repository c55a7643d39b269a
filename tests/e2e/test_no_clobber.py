"""What the application stores while we copy survives, by every means; and where none exists, its loss is told."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import PROBE_FOLDER
from tests.e2e.site import Site, body_of
from tests.servers import s3_faults as faults
from tests.servers.condition_proxy import CONDITIONS, ConditionProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.http1 import S3Request
    from tests.tool import Finished

PATHS = [f"image/{number}.png" for number in range(1, 6)]
CONTESTED = "avatar/3.png"
THEIRS = b"what the application has stored meanwhile"

MEANS = {
    "copy": ("conditional-copy", {Question.COPY_IF_ABSENT}, "copy"),
    "copy on R2": ("conditional-copy", {Question.COPY_IF_ABSENT_R2}, "copy"),
    "put": ("conditional-put", {Question.PUT_IF_ABSENT}, "put"),
    "complete": ("conditional-complete", {Question.COMPLETE_IF_ABSENT}, "complete_multipart_upload"),
}
"""The strategy, what the store honours for it to be taken, and the request that makes the object."""

FLAGS = {"conditional-complete": "--no-clobber conditional-complete"}
"""What has to be asked for: auto does not take it, as it costs more than it gains."""

every_means = pytest.mark.parametrize(("means", "honours", "writes"), MEANS.values(), ids=list(MEANS))


def at_the_last_moment(operation: str, act: Callable[[], None]) -> Callable[[S3Request], None]:
    """Act when that request for the contested key has left us and has not arrived yet; once."""
    acted: list[int] = []

    def hook(request: S3Request) -> None:
        if request.operation == operation and request.key == CONTESTED and not acted:
            acted.append(request.number)
            act()

    return hook


def document_of(done: Finished) -> dict[str, Any]:
    assert "Traceback" not in done.err, done.err
    document: dict[str, Any] = json.loads(done.out)
    return document


def outcomes(document: dict[str, Any]) -> dict[str, int]:
    return {word: count for word, count in document["outcomes"].items() if count}


@every_means
def test_what_is_stored_in_the_window_survives(
    moto_site: Site, means: str, honours: set[Question], writes: str
) -> None:
    site = moto_site
    site.fill(PATHS)

    def store() -> None:
        site.store.put_all(site.store.production_bucket, {CONTESTED: THEIRS})

    with ConditionProxy(site.store, honours=honours) as proxy:
        proxy.before_request = at_the_last_moment(writes, store)
        document = document_of(
            site.at(store=site.store.via(proxy.endpoint_url)).run(f"-y --json {FLAGS.get(means, '')}")
        )
        assert proxy.hits["condition_failed"] >= 1
    assert (document["no_clobber"], outcomes(document)) == (means, {"migrated": 4, "conflict": 1})
    assert document["exit_code"] == 1
    assert document["possibly_overwritten"] == 0
    (problem,) = document["problems"]
    assert (problem["path"], problem["outcome"]) == ("image/3.png", "conflict")
    bodies = {path.replace("image/", "avatar/"): body_of(path) for path in PATHS}
    assert site.production_bodies() == bodies | {CONTESTED: THEIRS}
    assert site.facts().rows[3] == "image/3.png"
    with closing(sqlite3.connect(site.last_run() / "ledger.sqlite")) as ledger:
        run = dict(ledger.execute("SELECT name, value FROM run"))
    assert (run["no_clobber"], run["no_clobber_reason"]) == (means, document["no_clobber_reason"])


@every_means
def test_an_equal_object_in_the_window_is_no_conflict(
    moto_site: Site, means: str, honours: set[Question], writes: str
) -> None:
    site = moto_site
    site.fill(PATHS)

    def store() -> None:
        site.store.put_all(site.store.production_bucket, {CONTESTED: body_of("image/3.png")})

    with ConditionProxy(site.store, honours=honours) as proxy:
        proxy.before_request = at_the_last_moment(writes, store)
        document = document_of(
            site.at(store=site.store.via(proxy.endpoint_url)).run(f"-y --json {FLAGS.get(means, '')}")
        )
        assert proxy.hits["condition_failed"] >= 1
    assert (document["no_clobber"], outcomes(document)) == (means, {"migrated": 5})
    assert (document["objects_copied"], document["exit_code"]) == (4, 0)


@every_means
def test_a_412_after_a_lost_reply_is_our_own_object(
    moto_site: Site, means: str, honours: set[Question], writes: str
) -> None:
    site = moto_site
    site.fill(PATHS)
    with ConditionProxy(site.store, honours=honours) as proxy:
        proxy.on(faults.reply_lost(), operation=writes, key=f"^{CONTESTED}$", times=1)
        document = document_of(
            site.at(store=site.store.via(proxy.endpoint_url)).run(f"-y --json {FLAGS.get(means, '')}")
        )
        assert proxy.hits["reply_lost"] == 1
    assert (document["no_clobber"], outcomes(document)) == (means, {"migrated": 5})
    assert (document["objects_copied"], document["exit_code"]) == (5, 0)
    assert site.production_bodies() == {path.replace("image/", "avatar/"): body_of(path) for path in PATHS}
    assert not site.store.client.list_multipart_uploads(Bucket=site.store.production_bucket).get("Uploads")


@every_means
def test_what_was_there_before_is_compared(moto_site: Site, means: str, honours: set[Question], writes: str) -> None:
    site = moto_site
    site.fill(PATHS)
    there = {"avatar/1.png": body_of("image/1.png"), "avatar/2.png": THEIRS}
    site.store.put_all(site.store.production_bucket, there)
    with ConditionProxy(site.store, honours=honours) as proxy:
        document = document_of(
            site.at(store=site.store.via(proxy.endpoint_url)).run(f"-y --json {FLAGS.get(means, '')}")
        )
        assert proxy.count(writes) >= 3
    assert (document["no_clobber"], outcomes(document)) == (means, {"migrated": 4, "conflict": 1})
    assert document["objects_copied"] == 3
    assert site.store.body(site.store.production_bucket, "avatar/2.png") == THEIRS


# Where the store honours nothing


def store_and_set_row(site: Site, body: bytes | None) -> Callable[[], None]:
    """Do what an application does with a new avatar; without a body it sets the row alone."""

    def act() -> None:
        if body is not None:
            site.store.put_all(site.store.production_bucket, {CONTESTED: body})
        site.database.execute(f"UPDATE avatars SET path = '{CONTESTED}' WHERE id = 3")  # noqa: S608 - a test's constant

    return act


def keep_versions(site: Site) -> None:
    bucket = site.store.production_bucket
    site.store.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def test_check_first_reports_what_it_may_have_overwritten(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    with ConditionProxy(site.store) as proxy:
        proxy.before_request = at_the_last_moment("copy", store_and_set_row(site, THEIRS))
        done = site.at(store=site.store.via(proxy.endpoint_url)).run("-y")
    assert done.code == 1, done
    assert "  migrated    4  " in done.out
    assert "  already     1  " in done.out
    assert "possibly overwritten: 1 of the application's objects" in done.out
    assert "keeps no versions" in done.out
    assert "check-first" in done.err
    assert "could be replaced" in done.err  # the window is said aloud
    problems = (site.last_run() / "problems.csv").read_text().splitlines()
    assert len(problems) == 2
    assert problems[1].startswith('3,image/3.png,already,"possibly overwritten: ')
    assert "possibly overwritten: the application (or another run) set" in (site.last_run() / "migrate.log").read_text()


def test_the_version_to_restore_is_named(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    keep_versions(site)
    with ConditionProxy(site.store) as proxy:
        proxy.before_request = at_the_last_moment("copy", store_and_set_row(site, THEIRS))
        document = document_of(site.at(store=site.store.via(proxy.endpoint_url)).run("-y --json"))
    assert (document["possibly_overwritten"], document["exit_code"]) == (1, 1)
    (problem,) = document["problems"]
    version = problem["reason"].partition("its object is version ")[2].partition(":")[0]
    bucket = site.store.production_bucket
    restored = site.store.client.get_object(Bucket=bucket, Key=CONTESTED, VersionId=version)["Body"].read()
    assert restored == THEIRS


@pytest.mark.parametrize("versions", [False, True])
def test_what_was_stored_after_our_copy_is_no_loss(moto_site: Site, versions: bool) -> None:
    site = moto_site
    site.fill(PATHS)
    if versions:
        keep_versions(site)
    with ConditionProxy(site.store) as proxy:
        proxy.after_reply = at_the_last_moment("copy", store_and_set_row(site, THEIRS))
        document = document_of(site.at(store=site.store.via(proxy.endpoint_url)).run("-y --json"))
    assert outcomes(document) == {"migrated": 4, "already": 1}
    assert (document["possibly_overwritten"], document["exit_code"]) == (0, 0)
    assert site.store.body(site.store.production_bucket, CONTESTED) == THEIRS


def test_versions_prove_that_nothing_was_replaced(moto_site: Site) -> None:
    """The application sets the row and stores no object: without versions that could not be told."""
    site = moto_site
    site.fill(PATHS)
    keep_versions(site)
    with ConditionProxy(site.store) as proxy:
        proxy.before_request = at_the_last_moment("copy", store_and_set_row(site, None))
        document = document_of(site.at(store=site.store.via(proxy.endpoint_url)).run("-y --json"))
    assert outcomes(document) == {"migrated": 4, "already": 1}
    assert (document["possibly_overwritten"], document["exit_code"]) == (0, 0)


# Asking for one


def test_a_means_that_the_probe_disproved_is_refused(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    before = site.facts()
    done = site.run("-y --no-clobber conditional-copy")  # moto ignores the condition on a copy
    assert done.code == 3, done
    assert "conditional-copy is not proved to protect anything" in done.err
    assert "replaced" in done.err  # what was seen
    assert "hint:  Leave --no-clobber away: conditional-put" in done.err
    assert site.facts() == before


def test_a_weaker_means_may_be_asked_for_and_check_first_needs_no_probe(moto_site: Site) -> None:
    site = moto_site
    site.fill(PATHS)
    with S3FaultProxy(site.store.endpoint_url, sees_probes=True) as proxy:
        through = site.at(store=site.store.via(proxy.endpoint_url))
        done = through.run("-y -l 1 --no-clobber conditional-complete --json")
        assert document_of(done)["no_clobber"] == "conditional-complete"
        assert [each.key for each in proxy.requests if each.key.endswith("/source")]
        for flags in ("-y -l 1 --no-clobber check-first", "-yw -l 1", "-d", "-s"):
            proxy.requests.clear()
            assert through.run(flags).code in {0, 1}
            tried = {each.operation for each in proxy.requests if PROBE_FOLDER in each.target}
            rights = {"create_multipart_upload", "abort_multipart_upload", "put"}  # put: tags of nothing
            assert tried == (rights if "-y" in flags else set())


def test_overwriting_and_protecting_are_not_asked_for_at_once(moto_site: Site) -> None:
    done = moto_site.run("-w --no-clobber conditional-put")
    assert done.code == 2
    assert "-w allows to replace" in done.err


def test_rows_that_appear_later_are_protected_as_well(moto_site: Site) -> None:
    """Where the first page of the table has no legacy row, the probe waits for the first one."""
    site = moto_site
    site.fill([*(f"avatar/{number}.png" for number in range(6, 9)), "avatar/of-others.png"])
    site.database.execute("INSERT INTO avatars SELECT n, NULL FROM generate_series(100, 10200) AS n")
    site.database.execute("INSERT INTO avatars VALUES (20000, 'image/3.png')")
    site.store.put_all(site.store.legacy_bucket, {"image/3.png": body_of("image/3.png")})

    def store() -> None:
        site.store.put_all(site.store.production_bucket, {CONTESTED: THEIRS})

    with ConditionProxy(site.store, honours=CONDITIONS) as proxy:
        proxy.before_request = at_the_last_moment("copy", store)
        document = document_of(site.at(store=site.store.via(proxy.endpoint_url)).run("-y --json"))
    assert (document["no_clobber"], outcomes(document)) == ("conditional-copy", {"conflict": 1})
    with ConditionProxy(site.store) as proxy:
        done = site.at(store=site.store.via(proxy.endpoint_url)).run("-y --no-clobber conditional-put")
    assert done.code == 3, done
    assert "is not proved to protect anything" in done.err


def test_the_probe_is_a_command_of_its_own(site: Site) -> None:
    """On a store with no condition to race: test_two_stores has one that races."""
    environ = {**site.store.environ(), "SKETCH_DB_HOST": "/nonexistent"}  # the database is not needed
    done = site.at().with_environ(**environ).run("probe --json")
    document = document_of(done)
    assert [each["question"] for each in document["findings"]] == [str(question) for question in Question]
    assert document["no_clobber"] == "check-first"
    assert done.code == document["exit_code"] == 1
    assert document["left_behind"] == document["proofs"] == []
    assert all(question in done.err for question in Question)  # the table, as stdout has the document
    assert site.store.keys(site.store.production_bucket) == []
