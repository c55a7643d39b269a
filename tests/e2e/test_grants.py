"""``grants``: what it prints is what each command needs, no more and no less."""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import Site
from tests.servers import s3_faults as faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.tool import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.stores import Store
    from tests.tool import Finished

COMMANDS = ["probe", "plan", "migrate", "status", "verify", "repair", "rollback"]
OTHER = {"access_key": "otherkey", "secret_key": "othersecret"}
OTHER_ARN = "arn:aws:iam:::user/other"
NOTED = (
    "s3:DeleteObject",
    "s3:GetObjectTagging",
    "s3:PutObjectTagging",
    "s3:ListBucketVersions",
    "s3:GetBucketObjectLockConfiguration",
    "s3:ListBucketMultipartUploads",
)
"""Rights that not every run needs: without them it goes on, and says so where it makes a difference."""

NEEDED = {"migrate": 10, "status": 6, "rollback": 7, "probe": 4, "plan": 6, "verify": 7, "repair": 10}
"""How many rights a command does not run without."""

NOT_ON_CEPH = "s3:GetEncryptionConfiguration"
"""Ceph 16 refuses a policy with it, and has no default encryption to tell of."""

ROWS = 12
ROLE = "the_role"
"""What rights are asked for; each role that gets them has a name of its own."""

Statement = dict[str, Any]
Policies = dict[str, list[Statement]]


class Guarded:
    """A site whose owner gives rights to another role and another S3 user, who has none of his own."""

    def __init__(self, database: Database, store: Store, folder: Path) -> None:
        database.execute("CREATE SCHEMA app")
        database.execute(f"ALTER DATABASE {database.name} SET search_path = app")
        database.execute(f"REVOKE CONNECT ON DATABASE {database.name} FROM PUBLIC")
        self.owner = Site(database, store, folder, {"SKETCH_DB_TABLE": "app.avatars"})
        self.owner.fill([*(f"image/avatar-{n}.png" for n in range(ROWS)), "avatar/own.png"])
        self._printed: dict[str, dict[str, Any]] = {}

    def wanted(self, command: str, role: str, *, optional: bool = False) -> tuple[list[str], Policies]:
        """Ask the tool, once, which rights a command needs: SQL, and the statements of each bucket's policy."""
        if command not in self._printed:
            printed = self.owner.run("grants", command, "--json", "--role", ROLE, "--principal", OTHER_ARN)
            assert printed.code == 0, printed.err
            self._printed[command] = json.loads(printed.out)["commands"][command]
        needs = self._printed[command]
        documents = [needs, *(needs["optional"] if optional else [])]
        policies: Policies = {}
        for bucket, policy in (each for document in documents for each in document["bucket_policies"].items()):
            for each in policy["Statement"]:
                if known := [action for action in each["Action"] if action != NOT_ON_CEPH]:
                    policies.setdefault(bucket, []).append({**each, "Action": known})
        return [statement.replace(ROLE, role) for statement in needs["sql"]], policies

    def with_rights(self, command: str, *, without: str = "", optional: bool = False) -> tuple[Site, list[str]]:
        """Return the site as someone with the rights of a command, but for one; and the names of all rights."""
        role = self.owner.database.make_user()
        sql, policies = self.wanted(command, role.user, optional=optional)
        named = {statement.replace(role.user, "ROLE"): statement for statement in sql}
        for name, statement in named.items():
            if name != without:
                self.owner.database.execute(statement)
        names = list(named)
        for bucket in (self.owner.store.legacy_bucket, self.owner.store.production_bucket):
            names += self._allow(bucket, policies.get(bucket, []), without)
        store = replace(self.owner.store, server=replace(self.owner.store.server, **OTHER))
        return self.owner.at(database=role, store=store), names

    def _allow(self, bucket: str, statements: list[Statement], without: str) -> list[str]:
        """Set the policy of a bucket, but for one right; return the names of all."""
        names: list[str] = []
        left: list[Statement] = []
        for statement in statements:
            named = {f"{action} on {statement['Resource'][0]}": action for action in statement["Action"]}
            names += named
            if actions := [action for name, action in named.items() if name != without]:
                left.append({**statement, "Action": actions})
        client = self.owner.store.client
        if left:
            client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": left}))
        else:
            client.delete_bucket_policy(Bucket=bucket)
        return names

    def run(self, command: str, *, without: str = "", undo: str = "") -> Finished:
        """Run a command as someone with exactly its rights, or all but one."""
        words = {"migrate": "-y", "status": "-s", "rollback": f"rollback -y {undo}", "repair": "repair -y"}
        return self.with_rights(command, without=without)[0].run(words.get(command, command))


@pytest.fixture
def guarded(database: Database, ceph_store: Store, tmp_path: Path) -> Guarded:
    return Guarded(database, ceph_store, tmp_path)


@pytest.mark.ceph
def test_every_command_runs_with_exactly_its_rights(guarded: Guarded) -> None:
    owner = guarded.owner
    for command in ("status", "probe", "plan", "handoff", "migrate", "verify", "repair"):
        done = guarded.run(command)
        # plan goes by the right to read alone, and says that there is none to flip
        expected = (1, True) if command == "plan" else (0, False)
        assert (done.code, "no right to flip" in done.out) == expected, f"{command}: {done.out}{done.err}"
        assert "lacks" not in done.err
        if command == "migrate":
            migration = owner.last_run()
            assert done.counts["migrated"] == ROWS
    done = guarded.run("rollback", undo=str(migration))
    assert done.code == 0, done.err
    assert owner.database.paths() == {n + 1: f"image/avatar-{n}.png" for n in range(ROWS)} | {
        ROWS + 1: "avatar/own.png"
    }


@pytest.mark.ceph
@pytest.mark.parametrize("command", COMMANDS)
def test_a_right_that_is_lacking_is_named_before_anything_is_changed(guarded: Guarded, command: str) -> None:
    owner = guarded.owner
    undo = ""
    if command == "rollback":
        assert owner.run("-y").code == 0
        undo = str(owner.last_run())
    before = owner.facts()
    _, rights = guarded.with_rights(command)
    needed = [right for right in rights if not right.startswith(NOTED)]
    assert len(set(needed)) == NEEDED[command]
    for right in needed:
        ran = guarded.run(command, without=right, undo=undo)
        assert ran.code == 3, f"without {right}: {ran.out}{ran.err}"
        assert _named(right) in ran.err, f"without {right}: {ran.err}"
        assert owner.facts() == before


@pytest.mark.ceph
@pytest.mark.parametrize(
    ("right", "places"), [("s3:DeleteObject", 1), ("s3:GetObjectTagging", 2), ("s3:ListBucketVersions", 1)]
)
def test_a_right_that_only_some_runs_need_is_noted(guarded: Guarded, right: str, places: int) -> None:
    _, rights = guarded.with_rights("migrate")
    lacking = [each for each in rights if each.startswith(right)]
    assert len(lacking) == places
    for each in reversed(lacking):  # production first: there, whoever wrote an object may read its tags on Ceph
        ran = guarded.run("migrate", without=each)
        assert ran.code == 0, ran.err
        assert right in ran.err, f"without {each}: {ran.err}"
        guarded.owner.database.execute("UPDATE avatars SET path = replace(path, 'avatar/avatar', 'image/avatar')")


@pytest.mark.ceph
def test_the_optional_rights_are_what_a_store_needs_to_tell_more(guarded: Guarded) -> None:
    untold, told = (
        json.loads(guarded.with_rights("plan", optional=optional)[0].run("plan --json").out)["keeping"]["not_told"]
        for optional in (False, True)
    )
    assert "ACLs (AccessDenied)" in untold
    assert not any("ACLs" in each or "AccessDenied" in each for each in told)


@pytest.mark.ceph
def test_what_the_demanded_headers_take_is_granted(guarded: Guarded) -> None:
    guarded.owner = guarded.owner.with_environ(SKETCH_NEW_OBJECT_HEADERS="x-amz-acl: bucket-owner-full-control")
    site, rights = guarded.with_rights("migrate")
    assert any(right.startswith("s3:PutObjectAcl") for right in rights)
    done = site.run("-y")
    assert (done.code, done.counts["migrated"]) == (0, ROWS), done


KEY = "arn:aws:kms:eu-west-1:123456789012:key/0123-4567"


@pytest.mark.parametrize(
    ("headers", "actions", "resource", "alias"),
    [
        ("", [], "", ""),
        ("x-amz-acl: private", ["s3:PutObjectAcl"], "", ""),
        ("x-amz-grant-read: id=1", ["s3:PutObjectAcl"], "", ""),
        ("x-amz-object-lock-mode: GOVERNANCE", ["s3:PutObjectRetention"], "", ""),
        ("x-amz-object-lock-legal-hold: ON", ["s3:PutObjectLegalHold"], "", ""),
        ("x-amz-server-side-encryption: AES256; x-amz-storage-class: STANDARD_IA", [], "", ""),
        ("x-amz-server-side-encryption: aws:kms", [], "", ""),  # the key that AWS manages
        (f"x-amz-server-side-encryption-aws-kms-key-id: {KEY}", [], KEY, ""),
        ("x-amz-server-side-encryption-aws-kms-key-id: 0123", [], "arn:aws:kms:eu-west-1:*:key/0123", ""),
        ("x-amz-server-side-encryption-aws-kms-key-id: alias/a", [], "arn:aws:kms:eu-west-1:*:key/*", "alias/a"),
    ],
)
def test_headers_of_new_objects_take_rights_of_their_own(
    tmp_path: Path, headers: str, actions: list[str], resource: str, alias: str
) -> None:
    environ = {"SKETCH_NEW_OBJECT_HEADERS": headers, "SKETCH_S3_REGION": "eu-west-1"}

    def needs(*more: str, **other: str) -> dict[str, Any]:
        printed = run("grants", "--json", *more, environ=environ | other, cwd=tmp_path)
        found: dict[str, Any] = json.loads(printed.out)["commands"]
        return found

    needed, of_principal = needs(), needs("--principal", OTHER_ARN)
    elsewhere = needs(SKETCH_S3_ENDPOINT_URL="https://s3.example.com")  # which has no KMS of AWS
    for command in ("migrate", "repair", "probe"):
        statements = needed[command]["policy"]["Statement"]
        (writing,) = [each["Action"] for each in statements if "s3:PutObject" in each["Action"]]
        assert [action for action in writing if action.startswith("s3:PutObject") and action in ADDED] == actions
        of_keys = [each for each in statements if "kms:Decrypt" in each["Action"]]
        assert [each["Resource"] for each in of_keys] == [[resource]] * bool(resource)
        conditions = [each["Condition"] for each in of_keys if "Condition" in each]
        assert conditions == [{"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}] * bool(alias)
        of_buckets = of_principal[command]
        assert ("key_policy" in of_buckets) is bool(resource)
        assert "kms:" not in json.dumps(of_buckets["bucket_policies"])
        assert "kms:" not in json.dumps(elsewhere[command])


ADDED = ("s3:PutObjectAcl", "s3:PutObjectRetention", "s3:PutObjectLegalHold")
OPTIONAL = {
    "status": set(),
    "manifest": set(),
    "rollback": set(),
    "verify": {"s3:GetObjectTagging", "kms:Decrypt"},
    "handoff": {"kms:Decrypt"},
    "plan": {
        *("s3:GetBucketObjectLockConfiguration", "s3:GetEncryptionConfiguration", "s3:GetObject"),
        *("s3:GetObjectAcl", "s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:GetObjectTagging", "kms:Decrypt"),
    },
    "migrate": {
        *("s3:GetEncryptionConfiguration", "s3:GetObjectAcl", "s3:GetObjectRetention", "s3:GetObjectLegalHold"),
        *("s3:DeleteObjectVersion", "s3:ListMultipartUploadParts", "kms:Decrypt", "kms:GenerateDataKey"),
    },
    "probe": {"s3:ListBucketVersions", "s3:DeleteObjectVersion", "kms:Decrypt", "kms:GenerateDataKey"},
}


def test_optional_rights_are_printed_as_such_with_their_purpose(tmp_path: Path) -> None:
    document = json.loads(run("grants", "--json", environ={}, cwd=tmp_path).out)["commands"]
    text = run("grants", environ={}, cwd=tmp_path).out
    for command, actions in {**OPTIONAL, "repair": OPTIONAL["migrate"]}.items():
        found = [
            (each["purpose"], action, statement["Resource"][0])
            for each in document[command]["optional"]
            for statement in each["policy"]["Statement"]
            for action in statement["Action"]
        ]
        assert {action for _, action, _ in found} == actions, command
        assert all(f"-- optional, {purpose}:\n{{" in text for purpose, *_ in found)
        needed = {
            (action, each["Resource"][0])
            for each in document[command]["policy"]["Statement"]
            for action in each["Action"]
        }
        assert not needed & {(action, resource) for _, action, resource in found}, "what is needed is not optional"


def test_the_right_to_set_tags_is_tried_where_a_store_asks_for_it(moto_site: Site) -> None:
    """Ceph does not ask whoever wrote the object, which is always us; AWS does, as this proxy."""
    site = moto_site
    site.fill(["image/avatar-1.png"])
    with S3FaultProxy(site.store.endpoint_url, sees_probes=True) as proxy:
        denied = faults.status(403, "AccessDenied")
        proxy.on(denied, when=lambda request: request.method == "PUT" and "tagging" in request.query)
        ran = site.at(store=site.store.via(proxy.endpoint_url)).run("-y")
        assert proxy.hits[denied.name] == 1
    assert ran.code == 0, ran.err
    assert "denies s3:PutObjectTagging on s3://" in ran.err


def _named(right: str) -> str:
    """Return what the message must say: the SQL privilege or the S3 action."""
    return right.split()[1] if right.startswith("GRANT") else right.partition(" on ")[0]


def test_it_connects_to_nothing_and_names_every_command(tmp_path: Path) -> None:
    environ = {"SKETCH_DB_HOST": "nowhere.invalid", "SKETCH_S3_ENDPOINT_URL": "http://nowhere.invalid"}
    printed = run("grants", "--role", 'o"hara', environ=environ, cwd=tmp_path)
    assert printed.code == 0, printed.err
    headings = [line.split()[1] for line in printed.out.splitlines() if line.startswith("-- ")]
    named = [heading[:-1] for heading in headings if heading.endswith(":")]
    assert sorted(named) == sorted([*COMMANDS, "manifest", "init", "handoff", "fence"])
    assert [command for command in named if command in COMMANDS] == COMMANDS, "in the order of a migration"
    assert 'GRANT UPDATE ("path") ON "avatars" TO "o""hara";' in printed.out
    assert '-- for --trial besides:\nGRANT UPDATE ("path") ON "avatars" TO "o""hara";\n' in printed.out
    of_settings = run("grants", "migrate", environ=environ | {"SKETCH_DB_USER": "mover"}, cwd=tmp_path)
    assert 'GRANT UPDATE ("path") ON "avatars" TO "mover";' in of_settings.out
    assert 'ON "avatars" TO "sketch_migrate";' in run("grants", "migrate", environ=environ, cwd=tmp_path).out
    assert printed.out.count('GRANT SELECT ("id", "path")') == 9, "all but probe and init read the table"
    assert list(tmp_path.iterdir()) == [], "it is no run, and leaves no directory"


@pytest.mark.parametrize("command", ["migrate", "probe", "repair"])
def test_what_a_probe_makes_it_may_write_and_remove(command: str, tmp_path: Path) -> None:
    printed = run("grants", command, "--json", environ={}, cwd=tmp_path)
    statements = json.loads(printed.out)["commands"][command]["policy"]["Statement"]
    made = "arn:aws:s3:::sketch-production-s3/avatar/.sketch-migrate-probe-0123456789ab/source"
    allowed = {action for each in statements if fnmatch(made, each["Resource"][0]) for action in each["Action"]}
    assert {"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:DeleteObject"} <= allowed
    elsewhere = "arn:aws:s3:::sketch-production-s3/avatar/avatar-1.png"
    deletes = [each for each in statements if "s3:DeleteObject" in each["Action"]]
    assert not any(fnmatch(elsewhere, each["Resource"][0]) for each in deletes)


def actions_on(policy: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in policy["Statement"]:
        found.setdefault(each["Resource"][0].removeprefix("arn:aws:s3:::"), set()).update(each["Action"])
    return found


ANOTHER_STORE = {"SKETCH_PRODUCTION_S3_ENDPOINT_URL": "https://s3.example.com"}
ANOTHER_ACCOUNT = {"PRODUCTION_AWS_ACCESS_KEY_ID": "key", "PRODUCTION_AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("environ", [ANOTHER_STORE, ANOTHER_ACCOUNT], ids=["store", "account"])
def test_two_stores_or_accounts_have_a_policy_each(environ: dict[str, str], tmp_path: Path) -> None:
    whole = json.loads(run("grants", "--json", environ={}, cwd=tmp_path).out)["commands"]
    assert not any("sides" in of_command for of_command in whole.values())
    parted = json.loads(run("grants", "--json", environ=environ, cwd=tmp_path).out)["commands"]
    for command, of_command in parted.items():
        sides = of_command.pop("sides", {})
        assert bool(sides) == bool(of_command["policy"]["Statement"]), "fence needs nothing of a store"
        assert of_command["policy"] == whole[command]["policy"], "and all that there is for one store"
        found = {side: actions_on(policies["policy"]) for side, policies in sides.items()}
        assert {place: actions for each in found.values() for place, actions in each.items()} == actions_on(
            of_command["policy"]
        )
        for side, each in found.items():
            assert each
            assert {place.split("/")[0] for place in each} == {f"sketch-{side}-s3"}
        purposes = [each["purpose"] for policies in sides.values() for each in policies["optional"]]
        assert sorted(purposes) == sorted(each["purpose"] for each in of_command["optional"])
    text = run("grants", "migrate", environ=environ, cwd=tmp_path).out
    legacy, production = text.split("-- for the credentials of production, at ")
    assert "-- for the credentials of legacy, at AWS in us-east-1:" in legacy
    assert ("s3:PutObject" in legacy, "s3:PutObject" in production) == (False, True)
    assert "sketch-legacy-s3" not in production
    assert "secret" not in text


def test_both_sides_in_one_bucket_are_listed_by_one_statement(tmp_path: Path) -> None:
    environ = {"SKETCH_LEGACY_BUCKET": "one", "SKETCH_PRODUCTION_BUCKET": "one", "SKETCH_S3_REGION": "cn-north-1"}
    printed = run("grants", "verify", "--json", environ=environ, cwd=tmp_path)
    statements = json.loads(printed.out)["commands"]["verify"]["policy"]["Statement"]
    assert [(each["Action"], each["Resource"]) for each in statements] == [
        (["s3:ListBucket"], ["arn:aws-cn:s3:::one"]),
        (["s3:GetObject"], ["arn:aws-cn:s3:::one/image/*"]),
        (["s3:GetObject"], ["arn:aws-cn:s3:::one/avatar/*"]),
    ]


def test_who_reads_an_inventory_may_read_its_files(tmp_path: Path) -> None:
    environ = {
        "SKETCH_INVENTORY_LEGACY": "s3://lists/of/old/daily/2026-11-01T01-00Z/manifest.json, /home/ada/manifest.json",
        "SKETCH_INVENTORY_PRODUCTION": "s3://lists/manifest.json",
    }
    commands = json.loads(run("grants", "--json", environ=environ, cwd=tmp_path).out)["commands"]
    lists = ["arn:aws:s3:::lists/of/old/daily/*", "arn:aws:s3:::lists/*"]
    for command, expected in (
        ("plan", lists),
        ("verify", lists),
        ("handoff", lists[:1]),
        ("repair", []),
        ("migrate", []),
    ):
        statements = commands[command]["policy"]["Statement"]
        found = [each["Resource"][0] for each in statements if ":::lists" in each["Resource"][0]]
        assert found == expected, command
        assert all(each["Action"] == ["s3:GetObject"] for each in statements if each["Resource"][0] in found)


def test_plan_tries_a_flip_with_the_line_for_it(site: Site) -> None:
    site.fill(["image/1.png"])
    role = site.database.make_user()
    granted = json.loads(site.run("grants", "plan", "--json", "--role", role.user).out)["commands"]["plan"]
    for statement in granted["sql"]:
        site.database.execute(statement)
    plan = site.at(database=role)
    assert "lacks the right to UPDATE" in json.loads(plan.run("plan --json --trial").out)["trial"]["told"]
    for statement in granted["trial_sql"]:
        site.database.execute(statement)
    (row,) = json.loads(plan.run("plan --json --trial").out)["trial"]["rows"]
    assert (row["key"], row["cause"]) == (1, "")


def test_the_right_to_see_how_far_standbys_are_is_optional_for_what_changes_rows(tmp_path: Path) -> None:
    printed = run("grants", "--role", "mover", environ={}, cwd=tmp_path).out
    assert "-- optional, sees how far standbys are behind, and waits for them:\nGRANT" in printed
    commands = json.loads(run("grants", "--json", "--role", "mover", environ={}, cwd=tmp_path).out)["commands"]
    optional = {command: granted["optional_sql"] for command, granted in commands.items() if "optional_sql" in granted}
    standbys, blocks = 'GRANT pg_read_all_stats TO "mover";', 'GRANT SELECT ("ctid") ON "avatars" TO "mover";'
    assert optional == {"migrate": [standbys, blocks], "repair": [standbys], "rollback": [standbys]}
