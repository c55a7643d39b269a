"""What the probe says of a store is what the store does, and nothing is left of it."""

from __future__ import annotations

from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
import uvloop

from sketchmigrate.core.errors import S3Refused
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config
from sketchmigrate.s3.probe.findings import Answer, Question
from sketchmigrate.s3.probe.folder import PROBE_FOLDER, ProbeFolder
from sketchmigrate.s3.probe.questions import probe
from tests.servers import s3_faults as faults
from tests.servers.condition_proxy import CONDITIONS, ConditionProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from sketchmigrate.s3.probe.findings import ProbeReport
    from tests.servers.stores import Store

HONOURED, IGNORED, REJECTED = Answer.HONOURED, Answer.IGNORED, Answer.REJECTED

SEEN_WITH_OTHER_CLIENTS = {
    "rclone": {
        Question.COPY_IF_ABSENT: IGNORED,
        Question.COPY_IF_ABSENT_R2: IGNORED,
        Question.PUT_IF_ABSENT: IGNORED,
        Question.COMPLETE_IF_ABSENT: REJECTED,  # it copies no parts
        Question.COPY_IF_SOURCE: IGNORED,
        Question.ODD_KEYS: REJECTED,  # a//b and a/../b
        Question.METADATA: HONOURED,
        Question.LISTING_ORDER: HONOURED,
        Question.START_AFTER: HONOURED,
    },
    "moto": dict.fromkeys(Question, HONOURED)
    | dict.fromkeys((Question.COPY_IF_ABSENT, Question.COPY_IF_ABSENT_R2, Question.COPY_IF_SOURCE), IGNORED),
    "seaweed": dict.fromkeys(Question, HONOURED)
    | dict.fromkeys((Question.COPY_IF_ABSENT_R2, Question.ODD_KEYS, Question.LISTING_ORDER), IGNORED),
    "ceph": dict.fromkeys(Question, HONOURED) | dict.fromkeys(CONDITIONS - {Question.PUT_IF_ABSENT}, IGNORED),
}


def run_probe(store: Store) -> ProbeReport:
    async def scenario() -> ProbeReport:
        source = CredentialSource.static(store.access_key, store.secret_key)
        async with S3Client(S3Config(endpoint_url=store.endpoint_url), source) as client:
            folder = ProbeFolder(client, Location(store.production_bucket, f"avatar/{PROBE_FOLDER}{token_hex(6)}/"))
            try:
                report = await probe(folder)
            finally:
                await folder.clear()
            return replace(report, left_behind=tuple(folder.left_behind))

    return uvloop.run(scenario())


def answers(report: ProbeReport) -> dict[Question, Answer]:
    assert [finding.question for finding in report.findings] == list(Question)
    assert all(finding.evidence for finding in report.findings)
    return {finding.question: finding.answer for finding in report.findings}


def check_nothing_is_left(store: Store) -> None:
    bucket = store.production_bucket
    versions = store.client.list_object_versions(Bucket=bucket) if store.name != "rclone" else {}
    assert not store.keys(bucket) + versions.get("Versions", []) + versions.get("DeleteMarkers", [])
    if store.name != "rclone":  # it does not list uploads
        assert not store.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_each_store_does_what_other_clients_saw_it_do(store: Store) -> None:
    report = run_probe(store)
    expected = SEEN_WITH_OTHER_CLIENTS[store.name]
    assert {question: answer for question, answer in answers(report).items() if question in expected} == expected
    assert report.left_behind == ()
    check_nothing_is_left(store)


@pytest.mark.parametrize("question", sorted(CONDITIONS))
@pytest.mark.parametrize("answer", [HONOURED, IGNORED, REJECTED])
def test_each_condition_is_told_apart(moto_store: Store, question: Question, answer: Answer) -> None:
    honours, rejects = ({question} if answer is each else set() for each in (HONOURED, REJECTED))
    with ConditionProxy(moto_store, honours=honours, rejects=rejects) as proxy:
        found = answers(run_probe(moto_store.via(proxy.endpoint_url)))
    assert {each: found[each] for each in CONDITIONS} == dict.fromkeys(CONDITIONS, IGNORED) | {question: answer}
    check_nothing_is_left(moto_store)


def test_a_store_that_refuses_what_is_new_as_well_does_not_honour_the_condition(moto_store: Store) -> None:
    with S3FaultProxy(moto_store.endpoint_url, sees_probes=True) as proxy:
        proxy.on(faults.status(412, "PreconditionFailed"), operation="put", when=lambda r: "if-none-match" in r.headers)
        found = run_probe(moto_store.via(proxy.endpoint_url)).on(Question.PUT_IF_ABSENT)
        assert proxy.hits["status_412"] == 2
    assert found.answer is REJECTED
    assert "nothing is in the way" in found.evidence


def test_a_store_that_says_412_and_overwrites_is_found_out(moto_store: Store) -> None:
    with S3FaultProxy(moto_store.endpoint_url, sees_probes=True) as proxy:
        refusal = faults.status(412, "PreconditionFailed", forwarded=True)
        proxy.on(refusal, operation="copy", when=lambda r: "if-none-match" in r.headers)
        found = run_probe(moto_store.via(proxy.endpoint_url)).on(Question.COPY_IF_ABSENT)
    assert found.answer is IGNORED
    assert "replaced" in found.evidence


@pytest.mark.parametrize("fault", [faults.status(503), faults.reply_lost(), faults.reset_before()])
@pytest.mark.parametrize(
    ("operation", "key"),
    [
        ("put", "/source$"),
        ("put", "/put-new$"),
        ("copy", "/copy-new$"),
        ("copy", "/with-metadata$"),
        ("head", "/complete-occupied$"),
        ("upload_part_copy", "/complete-new$"),
        ("complete_multipart_upload", "/complete-new$"),
        ("delete", "/source$"),
    ],
)
def test_a_hiccup_changes_no_answer(moto_store: Store, fault: faults.Fault, operation: str, key: str) -> None:
    with ConditionProxy(moto_store, honours=CONDITIONS) as proxy:
        proxy.on(fault, operation=operation, key=key, times=1)
        report = run_probe(moto_store.via(proxy.endpoint_url))
        assert proxy.hits[fault.name] == 1
    assert answers(report) == dict.fromkeys(Question, HONOURED)
    assert report.left_behind == ()
    check_nothing_is_left(moto_store)


def test_where_deleting_is_not_allowed_the_conditions_are_told_and_two_objects_stay(moto_store: Store) -> None:
    with ConditionProxy(moto_store, honours={Question.PUT_IF_ABSENT}, rejects={Question.COPY_IF_ABSENT_R2}) as proxy:
        proxy.on(faults.status(403, "AccessDenied"), operation="delete")
        report = run_probe(moto_store.via(proxy.endpoint_url))
    found = answers(report)
    assert {question: found[question] for question in CONDITIONS} == {
        Question.COPY_IF_ABSENT: IGNORED,
        Question.COPY_IF_ABSENT_R2: REJECTED,
        Question.PUT_IF_ABSENT: HONOURED,
        Question.COMPLETE_IF_ABSENT: IGNORED,
        Question.COPY_IF_SOURCE: IGNORED,
    }
    assert {found[question] for question in set(Question) - CONDITIONS} == {Answer.UNKNOWN}
    left = moto_store.keys(moto_store.production_bucket)
    assert [key.rpartition("/")[2] for key in left] == ["occupied", "source"]
    assert all(key.startswith(f"avatar/{PROBE_FOLDER}") for key in left)
    assert len(report.left_behind) == len(left)
    for key in left:
        assert any(key in line and "s3:DeleteObject" in line for line in report.left_behind)


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def test_no_version_is_left_where_the_bucket_keeps_them(server: str, request: pytest.FixtureRequest) -> None:
    store: Store = request.getfixturevalue(f"{server}_store")
    enabled = {"Status": "Enabled"}
    store.client.put_bucket_versioning(Bucket=store.production_bucket, VersioningConfiguration=enabled)
    report = run_probe(store)
    assert report.left_behind == ()
    if server == "ceph":  # with versions every put is a new object to it
        assert report.on(Question.PUT_IF_ABSENT).answer is IGNORED
    check_nothing_is_left(store)


def test_versions_that_may_not_be_deleted_are_told(moto_store: Store) -> None:
    enabled = {"Status": "Enabled"}
    moto_store.client.put_bucket_versioning(Bucket=moto_store.production_bucket, VersioningConfiguration=enabled)
    with S3FaultProxy(moto_store.endpoint_url, sees_probes=True) as proxy:
        proxy.on(faults.status(403, "AccessDenied"), operation="delete", when=lambda r: "versionId" in r.query)
        report = run_probe(moto_store.via(proxy.endpoint_url))
    assert [line for line in report.left_behind if "noncurrent versions" in line]
    assert moto_store.keys(moto_store.production_bucket) == []
    versions = moto_store.client.list_object_versions(Bucket=moto_store.production_bucket)
    for kind in ("Versions", "DeleteMarkers"):  # the bucket is to be emptied
        for each in versions[kind]:
            moto_store.client.delete_object(
                Bucket=moto_store.production_bucket, Key=each["Key"], VersionId=each["VersionId"]
            )


def test_a_store_in_which_nothing_can_be_written_ends_it(moto_store: Store) -> None:
    with S3FaultProxy(moto_store.endpoint_url, sees_probes=True) as proxy:
        proxy.on(faults.status(403, "AccessDenied"), operation="put")
        with pytest.raises(S3Refused):
            run_probe(moto_store.via(proxy.endpoint_url))
