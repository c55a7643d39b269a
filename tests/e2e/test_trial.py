"""The trial flip as a person meets it: before the first copy, only when asked for in plan and -d, and never kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import check_refused, counts
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.tool import Finished

PATHS = [f"image/{number}.png" for number in range(1, 31)]
REFUSES = "ALTER TABLE avatars ADD CONSTRAINT only_images CHECK (path LIKE 'image/%')"
FREEZES = """
CREATE FUNCTION ice() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'frozen' USING ERRCODE = '45000'; END $$;
CREATE TRIGGER ice BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION ice()
"""


@pytest.fixture
def filled(site: Site) -> Site:
    site.fill(PATHS)
    return site


def document(done: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.mark.parametrize("flags", ["-y", "-y --processes 2", "-yw"])
def test_a_table_that_refuses_ends_the_migration_before_the_first_copy(filled: Site, flags: str) -> None:
    filled.database.execute(FREEZES)
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        done = filled.at(store=filled.store.via(s3.endpoint_url)).run(flags)
        copies = [request for request in s3.requests if "x-amz-copy-source" in request.headers]
    check_refused(done, 3, "row 1", "avatar/1.png", "frozen (PL/pgSQL function ice()", "45000", "6 rows tried")
    assert [request for request in copies if "/avatar/1" in request.target] == []
    assert filled.facts() == before
    assert not (filled.last_run() / "ledger.sqlite").exists()
    assert "--no-trial" in done.err


def test_without_a_trial_each_row_is_told(filled: Site) -> None:
    filled.database.execute(REFUSES)
    done = filled.run("-y --no-trial")
    assert (done.code, done.counts) == (1, counts(failed=30, copied=30)), done
    assert "rial" not in done.err


def test_one_bad_row_is_noted_and_the_others_are_migrated(filled: Site) -> None:
    filled.database.execute("ALTER TABLE avatars ADD CONSTRAINT not_one CHECK (path <> 'avatar/1.png')")
    done = filled.run("-y --json")
    assert done.code == 1, done
    assert "Trial flip: row 1 does not take the path 'avatar/1.png'" in done.err
    assert "1 of 2 rows tried refused" in done.err
    said = document(done)
    assert (said["outcomes"]["migrated"], said["outcomes"]["failed"]) == (29, 1)
    assert said["trial"]["refused"] is False
    assert [row["cause"] for row in said["trial"]["rows"]] == ["23514", ""]


def test_nothing_is_said_of_a_trial_that_passes(filled: Site) -> None:
    done = filled.run("-y")
    assert (done.code, done.counts) == (0, counts(migrated=30, copied=30)), done
    assert "rial" not in done.err
    assert "was rolled back; it speaks for that row alone" in (filled.last_run() / "migrate.log").read_text()
    again = filled.run("-y")
    assert again.code == 0
    assert "rial" not in again.err


def test_it_is_left_out_and_said_so_where_no_row_is_free(filled: Site) -> None:
    with filled.database.connect() as holder, holder.transaction():
        holder.execute("SELECT * FROM avatars FOR UPDATE")
        done = filled.run("plan --json --trial")
        assert document(done)["trial"]["told"] == "no flip was tried: no row was free"


@pytest.mark.parametrize("command", ["plan", "-d"])
def test_what_writes_nothing_tries_it_only_when_asked(filled: Site, command: str) -> None:
    filled.database.execute(FREEZES)
    filled.database.execute("ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
    filled.database.execute("CREATE POLICY mine ON avatars USING (true)")
    filled.database.execute("CREATE SEQUENCE fired")
    before = filled.facts()
    done = filled.run(command)
    said = done.out + done.err
    assert done.code == (1 if command == "plan" else 0), done  # by the trigger and the policy, that may refuse
    assert "no flip was tried: --trial tries one, and rolls it back; triggers: ice; policies: mine" in said
    assert "frozen" not in said
    tried = filled.run(f"{command} --trial")
    assert tried.code == 1, tried
    at_first = tried.out.partition("Look at these first")[2]
    assert "trial flip" in at_first
    assert "frozen (PL/pgSQL function ice()" in at_first
    told = document(filled.run(f"{command} --trial --json"))
    assert told["trial"]["refused"] is True
    assert "trial flip" in [finding["kind"] for finding in told["findings"] if finding["severity"] == "look"]
    assert told["exit_code"] is not True
    assert told["exit_code"] == 1
    assert filled.facts() == before


@pytest.mark.parametrize(
    ("statement", "kind", "names"),
    [
        (REFUSES, "check", "only_images: CHECK ((path ~~ 'image/%'::text)) refuses 'avatar/1.png'"),
        ("CREATE RULE nothing AS ON UPDATE TO avatars DO INSTEAD NOTHING", "rule", "nothing (DO INSTEAD)"),
        (
            "ALTER TABLE avatars REPLICA IDENTITY NOTHING; CREATE PUBLICATION everything FOR TABLE avatars",
            "no replica identity",
            "everything",
        ),
    ],
)
@pytest.mark.parametrize("command", ["plan", "-d"])
def test_what_the_catalog_makes_certain_is_told_without_a_trial(
    filled: Site, command: str, statement: str, kind: str, names: str
) -> None:
    filled.database.execute(statement)
    before = filled.facts()
    done = filled.run(command)
    assert done.code == 1, done
    at_first = done.out.partition("Look at these first")[2]
    assert f"1  {kind}\n" in at_first
    assert names in at_first
    assert filled.facts() == before


@pytest.mark.parametrize(
    ("state", "refuses"),
    [("ENABLE ALWAYS RULE", True), ("ENABLE REPLICA RULE", False), ("DISABLE RULE", False)],
)
def test_a_rule_counts_where_it_fires(filled: Site, state: str, refuses: bool) -> None:
    filled.database.execute("CREATE RULE nothing AS ON UPDATE TO avatars DO INSTEAD NOTHING")
    filled.database.execute(f"ALTER TABLE avatars {state} nothing")
    done = filled.run("-d")
    assert (done.code, "nothing (DO INSTEAD)" in done.out) == (int(refuses), refuses), done
    assert refuses or filled.run("-y").code == 0


@pytest.mark.parametrize("publication", ["FOR TABLE avatars WITH (publish = 'insert')", "FOR ALL TABLES"])
@pytest.mark.parametrize("identity", ["DEFAULT", "FULL", "USING INDEX avatars_pkey"])
def test_a_publication_that_takes_the_flips_is_no_reason_to_look(filled: Site, publication: str, identity: str) -> None:
    filled.database.execute(f"ALTER TABLE avatars REPLICA IDENTITY {identity}")
    filled.database.execute(f"CREATE PUBLICATION everything {publication}")
    assert filled.run("-d").code == 0


def test_repair_makes_it_as_a_migration_does(filled: Site) -> None:
    assert filled.run("-y -l 10").code == 1
    filled.database.execute(FREEZES)
    before = filled.facts()
    done = filled.run("repair -y --json")
    assert done.code == 3, done
    said = document(done)
    assert said["kind"] == "repair"
    assert "frozen" in said["error"]["message"]
    assert filled.facts() == before
