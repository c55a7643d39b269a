"""What is wrong before it starts is said in one sentence that names it, with a hint, and nothing is changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.demo.process import free_port
from tests.e2e.site import check_refused
from tests.tool import run

if TYPE_CHECKING:
    from tests.e2e.site import Site


@pytest.fixture
def site(untouched_site: Site) -> Site:
    """A site that no test here may change."""
    return untouched_site


DATABASE_FAULTS = {
    "host not found": ({"SKETCH_DB_HOST": "db.invalid"}, 3, ["host name", "db.invalid"]),
    "refused": ({"SKETCH_DB_PORT": "{free_port}"}, 3, ["nothing listens", "127.0.0.1:{free_port}"]),
    "no answer": (  # rclone waits for the end of the line
        {"SKETCH_DB_PORT": "{s3_port}", "PGCONNECT_TIMEOUT": "2"},
        3,
        ["does not answer", "127.0.0.1:{s3_port}"],
    ),
    "wrong password": ({"SKETCH_DB_PASS": "wrong"}, 3, ["user and password", "{database}"]),
    "no password": ({"SKETCH_DB_PASS": ""}, 3, ["user and password", "{database}"]),
    "unknown user": ({"SKETCH_DB_USER": "nobody_at_all"}, 3, ["user and password", "{database}"]),
    "wrong database": ({"SKETCH_DB_NAME": "nowhere"}, 3, ["no such database", "nowhere"]),
    "TLS that the server lacks": ({"SKETCH_DB_SSLMODE": "require"}, 3, ["encrypted connection", "{database}"]),
    "table missing": ({"SKETCH_DB_TABLE": "pictures"}, 3, ["no table pictures"]),
    "schema missing": ({"SKETCH_DB_TABLE": "nowhere.avatars"}, 3, ["no table nowhere.avatars"]),
    "path column missing": ({"SKETCH_DB_PATH_COLUMN": "file"}, 3, ["avatars", "no column file"]),
    "key column missing": ({"SKETCH_DB_KEY_COLUMN": "number"}, 3, ["avatars", "no column number"]),
    "path is no text": ({"SKETCH_DB_PATH_COLUMN": "id", "SKETCH_DB_KEY_COLUMN": "path"}, 3, ["column path", "unique"]),
}
S3_FAULTS = {
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3, ["no S3 credentials"]),
    "half the credentials": ({"AWS_SECRET_ACCESS_KEY": ""}, 3, ["AWS_SECRET_ACCESS_KEY is not"]),
    "unknown key": ({"AWS_ACCESS_KEY_ID": "nobody"}, 3, ["InvalidAccessKeyId"]),
    "wrong secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, 3, ["SignatureDoesNotMatch"]),
    "host not found": ({"SKETCH_S3_ENDPOINT_URL": "http://s3.invalid"}, 3, ["host name", "s3.invalid"]),
    "refused": ({"SKETCH_S3_ENDPOINT_URL": "http://127.0.0.1:{free_port}"}, 3, ["refused", "127.0.0.1:{free_port}"]),
    "not HTTP": ({"SKETCH_S3_ENDPOINT_URL": "http://127.0.0.1:{db_port}"}, 3, ["127.0.0.1:{db_port}"]),
    "no TLS there": ({"SKETCH_S3_ENDPOINT_URL": "https://127.0.0.1:{s3_port}"}, 3, ["TLS", "127.0.0.1:{s3_port}"]),
    "legacy bucket missing": ({"SKETCH_LEGACY_BUCKET": "no-such-bucket"}, 3, ["no bucket no-such-bucket", "{s3}"]),
    "production bucket missing": ({"SKETCH_PRODUCTION_BUCKET": "not-there"}, 3, ["no bucket not-there", "{s3}"]),
}
SETTINGS_FAULTS = {
    "same place": (
        {"SKETCH_PRODUCTION_BUCKET": "{legacy}", "SKETCH_PRODUCTION_PREFIX": "image/"},
        2,
        ["SKETCH_PRODUCTION_PREFIX", "same place", "'image/'"],
    ),
    "legacy prefix without slash": ({"SKETCH_LEGACY_PREFIX": "image"}, 2, ["SKETCH_LEGACY_PREFIX", "slash"]),
    "production prefix without slash": ({"SKETCH_PRODUCTION_PREFIX": "ava"}, 2, ["SKETCH_PRODUCTION_PREFIX", "slash"]),
    "empty bucket": ({"SKETCH_LEGACY_BUCKET": ""}, 2, ["SKETCH_LEGACY_BUCKET"]),
    "unknown setting": ({"SKETCH_LEGACY_BUKET": "x"}, 2, ["SKETCH_LEGACY_BUKET", "did you mean SKETCH_LEGACY_BUCKET"]),
    "wrong type": ({"SKETCH_DB_PORT": "five"}, 2, ["SKETCH_DB_PORT"]),
    "endpoint without scheme": ({"SKETCH_S3_ENDPOINT_URL": "s3.example.com"}, 2, ["SKETCH_S3_ENDPOINT_URL"]),
    "endpoint with a path": ({"SKETCH_S3_ENDPOINT_URL": "{s3}/some/path"}, 2, ["S3_ENDPOINT_URL", "path /some/path"]),
    "endpoint with the bucket": ({"SKETCH_S3_ENDPOINT_URL": "{s3}/{legacy}"}, 2, ["S3_ENDPOINT_URL", "path /{legacy}"]),
    "path of legacy": ({"SKETCH_LEGACY_S3_ENDPOINT_URL": "{s3}/p"}, 2, ["LEGACY_S3_ENDPOINT_URL", "path /p"]),
    "path of production": ({"SKETCH_PRODUCTION_S3_ENDPOINT_URL": "{s3}/p"}, 2, ["PRODUCTION_S3_ENDPOINT_URL", "/p"]),
    "no such certificates": (
        {"SKETCH_S3_CA_BUNDLE": "/none.pem", "SKETCH_S3_ENDPOINT_URL": "https://127.0.0.1:{s3_port}"},
        2,
        ["S3_CA_BUNDLE", "/none.pem"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "code", "names"),
    [
        pytest.param(*fault, id=f"{kind}: {name}")
        for kind, faults in (("database", DATABASE_FAULTS), ("S3", S3_FAULTS), ("settings", SETTINGS_FAULTS))
        for name, fault in faults.items()
    ],
)
def test_a_wrong_setting(site: Site, variables: dict[str, str], code: int, names: list[str]) -> None:
    words = {
        "free_port": free_port(),
        "s3_port": site.store.endpoint_url.rpartition(":")[2],
        "db_port": site.database.port,
        "s3": site.store.endpoint_url,
        "legacy": site.store.legacy_bucket,
        "database": site.database.name,
    }
    wrong = site.with_environ(**{name: value.format(**words) for name, value in variables.items()})
    check_refused(wrong.run("-y"), code, *(name.format(**words) for name in names))


def test_of_several_wrong_settings_the_same_one_is_told_each_time(site: Site) -> None:
    """What a person is told first is the database, then legacy, then production."""
    faults = {
        "no table pictures": {"SKETCH_DB_TABLE": "pictures"},
        "no bucket no-such-bucket": {"SKETCH_LEGACY_BUCKET": "no-such-bucket"},
        "no bucket not-there": {"SKETCH_PRODUCTION_BUCKET": "not-there"},
    }
    wrong = {name: value for variables in faults.values() for name, value in variables.items()}
    for named, variables in faults.items():
        check_refused(site.with_environ(**wrong).run("-y"), 3, named)
        for name in variables:
            del wrong[name]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("site.py", 'LEGACY_BUCKET = "a"\nLEGACY_PREFIX = "image/\n', "site.py:2"),
        ("site.py", "import nonexistent_module\n", "site.py:1"),
        ("site.toml", 'legacy_bucket = "a"\nlegacy_prefix = image/\n', "line 2"),
        ("site.py", 'DB_HOST = "a"\nDB_PASSWORD = "secret-in-a-file"\n', "DB_PASSWORD"),
        ("site.py", 'BATCH = "x"\n', "BATCH"),
        ("absent.py", None, "absent.py"),
    ],
)
def test_a_wrong_settings_file(site: Site, name: str, text: str | None, named: str) -> None:
    file = site.folder / name
    if text is not None:
        file.write_text(text)
    done = site.run("-y --config", str(file))
    check_refused(done, 2, str(file), named)
    assert "secret-in-a-file" not in done.err


@pytest.mark.parametrize(
    ("grants", "flags", "named"),
    [
        (["UPDATE ON avatars"], "-s", "lacks the privilege SELECT on column id"),
        (["SELECT (id) ON avatars"], "-s", "lacks the privilege SELECT on column path"),
        (["SELECT ON avatars"], "-y", "lacks the privilege UPDATE on column path"),
        (["SELECT (id, path) ON avatars", "UPDATE (id) ON avatars"], "-y", "lacks the privilege UPDATE on column path"),
    ],
)
def test_a_missing_privilege(site: Site, grants: list[str], flags: str, named: str) -> None:
    user = site.database.make_user(*grants)
    done = site.at(database=user).run(flags)
    check_refused(done, 3, f"user {user.user}", named, "avatars")
    assert re.search(rf"^hint:  GRANT \w+ \(\w+\) ON avatars TO {user.user};$", done.err, re.MULTILINE)


def test_reading_needs_no_right_to_write(site: Site) -> None:
    user = site.database.make_user("SELECT (id, path) ON avatars")
    for flags in ("-s", "-dv"):
        assert site.at(database=user).run(flags).code == 0


def test_a_key_that_is_no_key(site: Site) -> None:
    site.database.execute("CREATE TABLE loose (id bigint, other bigint NOT NULL, path text)")
    site.database.execute("CREATE INDEX ON loose (other)")
    for column in ("id", "other"):
        done = site.with_environ(SKETCH_DB_TABLE="loose", SKETCH_DB_KEY_COLUMN=column).run("-y")
        check_refused(done, 3, f"column {column} of table loose is neither its primary key nor unique")


def test_a_unique_column_without_null_is_a_key(site: Site) -> None:
    site.database.execute('CREATE TABLE "By Name" (name text NOT NULL UNIQUE, path text)')
    done = site.with_environ(SKETCH_DB_TABLE="By Name", SKETCH_DB_KEY_COLUMN="name").run("-y")
    assert done.code == 0, done


def test_a_view_is_no_table(site: Site) -> None:
    site.database.execute("CREATE VIEW seen AS SELECT * FROM avatars")
    check_refused(site.with_environ(SKETCH_DB_TABLE="seen").run("-y"), 3, "seen is a view, not a table")


def test_a_folder_that_cannot_hold_the_run(site: Site) -> None:
    (site.folder / "a file").write_text("")
    done = run("-y", "--run-dir", str(site.folder / "a file" / "runs"), environ=site.settings, cwd=site.folder)
    check_refused(done, 4, "a file/runs")
    assert "RUN_DIR" in done.err


def test_wrong_before_the_question_is_told_before_it_is_asked(site: Site) -> None:
    terminal = site.with_environ(SKETCH_LEGACY_BUCKET="no-such-bucket").on_a_terminal("")
    terminal.expect("no bucket no-such-bucket")
    terminal.wait()
    assert terminal.exitstatus == 3
    assert "[yes/no]" not in (terminal.before or "")
