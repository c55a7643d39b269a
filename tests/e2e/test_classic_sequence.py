"""The recommended sequence on every store: status, dry run with one iteration, migration, status, and once more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import body_of, counts
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.site import Facts, Site

LEGACY = [f"image/avatar-{number:03}.png" for number in range(38)] + ["image/sub/folder/a b.png", "image/sub/image/x"]
PRODUCTION = [f"avatar/avatar-9{number}.png" for number in range(7)]
OTHER = [None, "", "elsewhere/a.png"]
BEFORE = "tech_status 40,7,40,7,50"
AFTER = "tech_status 40,47,0,47,50"
READING = {"GET", "HEAD"}
READING_STATEMENTS = {"BEGIN", "SET", "SELECT", "WITH", "SAVEPOINT", "RELEASE", "COMMIT", "ROLLBACK", "EXPLAIN"}


def check_reading(statements: Iterable[str]) -> None:
    """They write nothing; a plan is shown, and not carried out."""
    for text in statements:
        assert text.split()[0].upper() in READING_STATEMENTS, text
        assert not text.startswith("EXPLAIN") or text.startswith("EXPLAIN (FORMAT JSON) SELECT"), text


def flipped(path: str | None) -> str | None:
    return "avatar/" + path[len("image/") :] if path and path.startswith("image/") else path


@pytest.fixture
def full_site(any_site: Site) -> Site:
    """40 legacy avatars, 7 in production, 3 rows of neither side; an object that no row names on each side."""
    any_site.fill([*LEGACY, *PRODUCTION, *OTHER])
    any_site.store.put_all(any_site.store.legacy_bucket, {"other/kept.png": b"not ours"})
    any_site.store.put_all(any_site.store.production_bucket, {"other/kept.png": b"not ours either"})
    return any_site


def check_migrated(site: Site, before: Facts) -> Facts:
    """Every row points at an object with the right bytes; what was not to be touched is as it was."""
    after = site.facts()
    assert after.rows == {key: flipped(path) for key, path in before.rows.items()}
    assert after.legacy == before.legacy
    assert {key: after.production[key] for key in before.production} == before.production
    new = after.production.keys() - before.production.keys()
    assert new == {flipped(path) for path in LEGACY}
    there = site.production_bodies()
    assert {key: there[key] for key in new} == {key: body_of(key) for key in new}
    not_legacy = [key for key, path in before.rows.items() if flipped(path) == path]
    assert [after.versions[key] for key in not_legacy] == [before.versions[key] for key in not_legacy]
    return after


def test_status_dry_run_migration_status_and_a_second_run_that_writes_nothing(full_site: Site) -> None:
    site, before = full_site, full_site.facts()

    status = site.run("-s -t")
    assert (status.code, status.tech_status) == (0, BEFORE), status
    assert re.findall(r"^Done +([\d.]+) %$", status.out, re.MULTILINE) == ["14.8"]
    assert site.facts() == before

    with S3FaultProxy(site.store.endpoint_url) as s3, PostgresFaultProxy(site.database.port) as postgres:
        watched = site.at(database=site.database.via(postgres.port), store=site.store.via(s3.endpoint_url))
        dry = watched.run("-v -d -p 1")
        assert {request.method for request in s3.requests} == READING
        check_reading(postgres.statements)
    assert dry.code == 0, dry
    assert site.facts() == before
    lines = dry.out.splitlines()
    legacy, production = site.store.legacy_bucket, site.store.production_bucket
    copies = [f"copy       s3://{legacy}/{path} -> s3://{production}/{flipped(path)}" for path in LEGACY]
    updates = [
        f"update     avatars id={number}  path: {path!r} -> {flipped(path)!r}" for number, path in enumerate(LEGACY, 1)
    ]
    assert sorted(line for line in lines if line.startswith("copy ")) == sorted(copies)
    assert sorted(line for line in lines if line.startswith("update ")) == sorted(updates)
    assert "Dry run: nothing was changed." in lines

    done = site.run("-tyw -b 7 -p 4")
    assert (done.code, done.tech_status) == (0, AFTER), done
    assert done.counts == counts(migrated=40, copied=40)
    after = check_migrated(site, before)

    status = site.run("-st")
    assert (status.code, status.tech_status) == (0, AFTER)
    assert re.findall(r"^Done +([\d.]+) %$", status.out, re.MULTILINE) == ["100.0"]
    assert site.facts() == after

    s3_proxy = S3FaultProxy(site.store.endpoint_url, sees_probes=True)
    with s3_proxy as s3, PostgresFaultProxy(site.database.port) as postgres:
        watched = site.at(database=site.database.via(postgres.port), store=site.store.via(s3.endpoint_url))
        for flags in ("-y -b 7 -p 3", "-yw"):
            again = watched.run(flags)
            assert (again.code, again.counts) == (0, counts()), again
            assert "There was nothing to migrate." in again.out
        # the right to write is tried with an upload that is called off; nothing else is not reading
        writing = {request.operation for request in s3.requests if request.method not in READING}
        assert writing == {"create_multipart_upload", "abort_multipart_upload"}
        check_reading(postgres.statements)
    assert site.facts() == after
