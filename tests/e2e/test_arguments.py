"""Flags, the question, the streams and the run's files, as whoever types the command finds them."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING

import pytest

import sketchmigrate
from tests.e2e.site import counts
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import SCRIPT, finish, run, run_directories

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site

AS_A_PERSON = pytest.mark.usefixtures("new_interpreter")
"""Where the claim is about the start itself, before the imports, or about the interpreter's end."""

PATHS = [f"image/{number}.png" for number in range(9)]
FLIPPED = {number: f"avatar/{number - 1}.png" for number in range(1, 10)}
DOCUMENTED = [
    json.loads(block)
    for block in re.findall(r"```json\n(.*?)```", (SCRIPT.parent / "docs" / "json.md").read_text(), re.DOTALL)
]
"""The examples of docs/json.md: a migration, a status, a failure."""
TIMED_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG  |INFO   |WARNING|ERROR  ) (.*)")


@pytest.fixture
def filled(site: Site) -> Site:
    """Nine legacy avatars."""
    site.fill(PATHS)
    return site


def logged(site: Site) -> list[str]:
    """The lines of the newest run's log that were printed, without times and levels; each line must have them."""
    lines = (site.last_run() / "migrate.log").read_text().splitlines()
    matches = [TIMED_LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    return [match[2] for match in matches if match and match[1] != "DEBUG  "]


@pytest.mark.parametrize(
    "words",
    [
        ["-tyw", "-b", "4", "-p", "2"],
        ["-tyw", "-b 4", "-p 2"],
        ["-tywb4", "-p2"],
        ["--technical-status", "--say-yes", "--overwrite", "--batch-size=4", "--parallelization-level", "2"],
    ],
    ids=" ".join,
)
def test_flags_in_every_form_have_their_effect(filled: Site, words: list[str]) -> None:
    with PostgresFaultProxy(filled.database.port) as postgres, S3FaultProxy(filled.store.endpoint_url) as s3:
        site = filled.at(database=filled.database.via(postgres.port), store=filled.store.via(s3.endpoint_url))
        environ = {**site.settings, "SKETCH_TARGET_FLIP_MS": "60000"}  # no batch is cut because it took long
        done = run(*words, environ=environ, cwd=site.folder)
        assert (done.code, done.tech_status) == (0, "tech_status 9,9,0,9,9"), done
        assert len([text for text in postgres.statements if text.lstrip().startswith("WITH free")]) == 3  # -b
        assert s3.count("copy") == 9
        # -w copies blindly: two looks in preflight, nine at what copies do not keep, and nine to measure
        assert s3.count("head") == 20
    assert filled.database.paths() == FLIPPED


@AS_A_PERSON
@pytest.mark.parametrize("flag", ["-p", "-b"])
@pytest.mark.parametrize("number", ["0", "-1", "abc"])
def test_a_number_that_is_none(tmp_path: Path, flag: str, number: str) -> None:
    done = run("-y", flag, number, environ={}, cwd=tmp_path)
    assert done.code == 2
    assert "usage: sketch_migrate.py [-h]" in done.err
    assert re.search(rf"^error: .*{flag}", done.err, re.MULTILINE), done.err
    assert re.search(r"^hint: ", done.err, re.MULTILINE)
    assert done.out == ""
    assert not (tmp_path / "runs").exists()


@AS_A_PERSON
def test_a_wrong_flag_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    done = run("-y", "--batchsize", "7", environ={}, cwd=tmp_path)
    assert done.code == 2
    assert "there is no flag --batchsize; did you mean --batch-size?" in done.err


@AS_A_PERSON
def test_help_and_version_need_no_setting(tmp_path: Path) -> None:
    shown = run("-h", "--all", environ={"SKETCH_DB_PORT": "nonsense"}, cwd=tmp_path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("usage: sketch_migrate.py [-h] [-p PARALLELIZATION_LEVEL] [-b BATCH_SIZE]\n")
    flags = "-p -b -l -v -d -s -t -w -y --config --json --no-progress --version"
    described = {flag for line in shown.out.splitlines() for flag in re.findall(r"^  (-\w|--[\w-]+)", line)}
    assert set(flags.split()) <= described
    version = run("--version", environ={}, cwd=tmp_path)
    assert (version.code, version.out.split()[:2]) == (0, ["sketch-migrate", sketchmigrate.__version__])
    assert list(tmp_path.iterdir()) == []


def test_without_terminal_and_without_y_it_refuses(filled: Site) -> None:
    before = filled.facts()
    done = filled.run("-p 1")
    assert done.code == 2
    assert "standard input is no terminal" in done.err
    assert "hint:  Give -y" in done.err
    assert filled.facts() == before


@pytest.mark.parametrize(
    ("typed", "agreed"), [("yes\r", True), ("no\r", False), ("maybe\rY\r", True), ("\x04", False)], ids=repr
)
def test_the_question(filled: Site, typed: str, agreed: bool) -> None:
    before = filled.facts()
    terminal = filled.on_a_terminal("")
    terminal.expect(r"\[yes/no\] ")
    asked = terminal.before or ""
    for part in (
        f"s3://{filled.store.legacy_bucket}/image/",
        f"s3://{filled.store.production_bucket}/avatar/",
        filled.store.endpoint_url,
        "avatars.path",
        f"{filled.database.host}:{filled.database.port}/{filled.database.name}",
        "check-first is used",
    ):
        assert part in asked
    assert filled.facts() == before
    for line in re.findall(r"[^\r\x04]+\r|\x04", typed):
        terminal.send(line)
        if line == "maybe\r":
            terminal.expect("Please answer yes or no")
    if agreed:  # this store keeps no condition
        terminal.expect("Go on all the same")
        assert filled.facts() == before
        terminal.send("y\r")
    terminal.expect("All migrated" if agreed else "Nothing was changed")
    terminal.wait()
    assert terminal.exitstatus == (0 if agreed else 1)
    if agreed:
        assert filled.database.paths() == FLIPPED
    else:
        assert filled.facts() == before


def test_a_no_has_a_document_too(filled: Site) -> None:
    before = filled.facts()
    terminal = filled.on_a_terminal("--json")
    terminal.expect(r"\[yes/no\] ")
    terminal.send("no\r")
    terminal.expect("Nothing was changed")
    terminal.expect_exact('"declined": true')
    terminal.wait()
    assert terminal.exitstatus == 1
    assert filled.facts() == before


@AS_A_PERSON
def test_stdout_has_the_result_and_stderr_the_messages(filled: Site) -> None:
    done = filled.run("-yv --no-progress --no-clobber check-first")
    out = done.out.splitlines()
    for key, path in FLIPPED.items():
        assert f"migrated   avatars id={key}  {PATHS[key - 1]!r} -> {path!r}  (copied)" in out
    assert "All migrated." in out
    log = f"runs/{filled.last_run().name}/migrate.log"
    messages = done.err.splitlines()
    assert messages[0].startswith(f"S3: {filled.store.endpoint_url} (SKETCH_S3_ENDPOINT_URL), region us-east-1 (")
    assert messages[1:3] == [f"Log: {log}", "To replace nothing: check-first, because it was asked for."]
    assert messages[3].startswith("Note: what could be replaced all the same is")
    assert len(messages) == 4
    assert f"Log:       {log}" in out
    # and the log has it all
    assert [line for line in logged(filled) if line] == [*messages, *filter(None, out)]


def test_the_runs_files_are_its_owners_alone(filled: Site) -> None:
    assert filled.run("-y --report yes").code == 0
    (directory,) = run_directories(filled.folder)
    assert re.fullmatch(r"\d{8}T\d{6}Z-[\w.-]+-[0-9a-f]{6}", directory.name)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.iterdir()]}
    files = ("migrate.log", "ledger.sqlite", "run.json", "run.lock", "result.json", "report.html")
    assert modes == {directory.name: 0o700, **dict.fromkeys(files, 0o600)}


def test_run_dir_is_a_setting_and_a_flag(filled: Site) -> None:
    elsewhere = filled.folder / "else where" / "runs"
    site = filled.with_environ(SKETCH_RUN_DIR="ignored")
    assert site.run("-s --run-dir", str(elsewhere)).code == 0
    files = {path.name for run_directory in elsewhere.iterdir() for path in run_directory.iterdir()}
    assert files == {"migrate.log", "run.json", "run.lock"}
    assert not (filled.folder / "ignored").exists()


def test_a_toml_file_a_variable_over_it_and_a_flag_over_both(filled: Site) -> None:
    file = filled.folder / "site.toml"
    file.write_text(
        f'db_name = "nowhere"\nlegacy_bucket = "{filled.store.legacy_bucket}"\nproduction_bucket = "from-the-file"\n'
    )
    variables = {name: value for name, value in filled.settings.items() if name != "SKETCH_LEGACY_BUCKET"}
    variables["SKETCH_PRODUCTION_BUCKET"] = "from-the-environment"
    flags = ["-st", "--config", str(file), "--production-bucket", filled.store.production_bucket]
    done = run(*flags, environ=variables, cwd=filled.folder)
    assert (done.code, done.tech_status) == (0, "tech_status 9,0,9,0,9"), done


def shape(value: object) -> object:
    """The keys of a JSON document in their order, with the types of their values; of an array, the first one's."""
    if isinstance(value, dict):
        return [(name, shape(item)) for name, item in value.items()]
    return [shape(each) for each in value[:1]] if isinstance(value, list) else type(value)


@AS_A_PERSON
def test_json_is_one_document_on_stdout(filled: Site) -> None:
    filled.store.client.delete_object(Bucket=filled.store.legacy_bucket, Key=PATHS[3])
    done = filled.run("-yvt --json")
    document = json.loads(done.out)
    assert shape(document) == shape(DOCUMENTED[0])
    assert done.code == document["exit_code"] == 1
    summed = document["outcomes"] | {"scanned": document["scanned"], "copied": document["objects_copied"]}
    assert summed == counts(migrated=8, missing=1, copied=8)
    (problem,) = document["problems"]
    why = {"reason": "there is no legacy object", "kind": "no_legacy_object", "code": "", "status": 0, "hint": ""}
    assert problem == {"key": 4, "path": PATHS[3], "outcome": "missing", **why, "source": "avatars.path"}
    (group,) = document["problem_groups"]
    assert group == {"references": 1, "outcome": "missing", "kind": "no_legacy_object", "code": "", "hint": ""}
    assert document["status"]["legacy"] == {"objects": 8, "bytes": document["status"]["legacy"]["bytes"], "rows": 1}
    assert "migrated   avatars id=1" in done.err
    assert "tech_status 8,8,1,8,9" in done.err


def test_json_of_a_status_and_of_an_error(filled: Site) -> None:
    done = filled.run("-s --json")
    document = json.loads(done.out)
    assert shape(document) == shape(DOCUMENTED[1])
    assert (done.code, document["exit_code"], document["status"]["percent_done"]) == (0, 0, 0.0)
    broken = filled.with_environ(SKETCH_DB_NAME="nowhere").run("-s --json")
    document = json.loads(broken.out)
    assert broken.code == document["exit_code"] == 3
    assert shape(document) == shape(DOCUMENTED[2])
    assert "nowhere" in document["error"]["message"]


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_the_bar_on_a_terminal(filled: Site, variables: dict[str, str], coloured: bool) -> None:
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key=r"/8\.png$")  # the last one's, however often others are asked for
        site = filled.at(store=filled.store.via(s3.endpoint_url)).with_environ(**variables)
        terminal = site.on_a_terminal("-y -b 4 -p 1")
        s3.wait_for_hit("stall")
        terminal.expect(r"8 of 9 rows")
        terminal.expect(r"rows/s")
        s3.release()
        terminal.expect("All migrated")
        terminal.wait()
    shown = (terminal.before or "") + str(terminal.after)
    assert bool(re.search(r"\x1b\[\d+(;\d+)*m", shown)) == coloured
    assert terminal.exitstatus == 0
    assert "8 of 9 rows" not in (site.last_run() / "migrate.log").read_text()


def test_without_a_terminal_there_are_no_escapes(filled: Site) -> None:
    done = filled.run("-yv")
    assert "\x1b" not in done.out + done.err
    assert done.code == 0


def test_secrets_are_nowhere(filled: Site) -> None:
    user = filled.database.make_user("SELECT, UPDATE ON avatars")
    site = filled.at(database=user).with_environ(AWS_SESSION_TOKEN="a-very-secret-token", SKETCH_REPORT="yes")
    unsigned = site.with_environ(AWS_SECRET_ACCESS_KEY="not-the-secret-at-all")
    unknown = site.with_environ(SKETCH_DB_PASS="not-the-password-at-all")
    unreachable = site.with_environ(SKETCH_DB_HOST="db.invalid")
    runs = [
        site.run("-yvt --json"),
        unsigned.run("-dv"),
        unknown.run("-s --json"),
        unreachable.run("-y"),
    ]
    assert [done.code for done in runs] == [0, 3, 3, 3], runs
    secrets = (
        user.password, site.store.secret_key, "a-very-secret-token", "not-the-secret-at-all", "not-the-password-at-all"
    )  # fmt: skip
    written = [path.read_bytes().decode(errors="replace") for path in site.folder.rglob("*") if path.is_file()]
    assert len(written) == 15  # of each a log, an account and a lock; and a ledger, a document and a page
    printed = [text for done in runs for text in (done.out, done.err)]
    assert [secret for secret in secrets for text in (*written, *printed) if secret in text] == []


@AS_A_PERSON
def test_output_that_nobody_reads_does_not_stop_the_migration(filled: Site) -> None:
    process = filled.start("-yv")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert finish(process).code == 0
    assert filled.database.paths() == FLIPPED
