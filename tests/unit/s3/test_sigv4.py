"""The signer against the examples that AWS publishes, and against botocore's for whatever hypothesis thinks of."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sketchmigrate.s3.wire.addressing import encode_key, encode_query
from sketchmigrate.s3.wire.sigv4 import EMPTY_SHA256, Credentials, Signer

# Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header", examples.
EXAMPLE = Signer(Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "us-east-1")
EXAMPLE_TIME = int(datetime(2013, 5, 24, tzinfo=UTC).timestamp())
EXAMPLE_HOST = ("host", "examplebucket.s3.amazonaws.com")


def parsed(lines: str) -> dict[str, str]:
    """Read header lines."""
    assert lines.endswith("\r\n")
    return dict(line.split(": ", 1) for line in lines.split("\r\n")[:-1])


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "signature"),
    [
        (
            "GET",
            "/test.txt",
            "",
            [("range", "bytes=0-9")],
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            "",
            [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", "/", "lifecycle=", [], b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "GET",
            "/",
            encode_query({"prefix": "J", "max-keys": "2"}),
            [],
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_published_examples_have_their_published_signatures(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, signature: str
) -> None:
    payload = sha256(body).hexdigest()
    signed = parsed(EXAMPLE.sign(EXAMPLE_TIME, method, path, query, [EXAMPLE_HOST, *headers], payload_sha256=payload))
    assert signed["x-amz-date"] == "20130524T000000Z"
    assert signed["authorization"].endswith(f", Signature={signature}")
    assert "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request" in signed["authorization"]


def test_the_published_key_is_encoded_as_published() -> None:
    assert encode_key("test$file.text") == "test%24file.text"


# Header values are what can be sent: no control characters, as the client refuses those.
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
NAMES = st.from_regex(r"x-amz-meta-[a-z0-9-]{1,12}", fullmatch=True)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
QUERIES = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), VALUES, max_size=5)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    key=KEYS,
    query=QUERIES,
    headers=st.dictionaries(NAMES, VALUES, max_size=5),
    body=st.binary(max_size=30),
    token=st.sampled_from(["", "session/token+="]),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    epoch_seconds=st.integers(0, 4_000_000_000),
)
@example("GET", "a//b/../c+%41 ü", {"a b": "+", "a": "~"}, {"x-amz-meta-a": "  two  spaces "}, b"", "", "us-east-1", 1)
def test_any_request_is_signed_as_botocore_signs_it(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    body: bytes,
    token: str,
    region: str,
    epoch_seconds: int,
) -> None:
    path, host, canonical_query = f"/bucket/{encode_key(key)}", "store.example:9000", encode_query(query)
    payload = sha256(body).hexdigest()
    ours = Signer(Credentials("AKID", "secret", token), region).sign(
        epoch_seconds, method, path, canonical_query, [("host", host), *headers.items()], payload_sha256=payload
    )
    request = botocore.awsrequest.AWSRequest(method, f"https://{host}{path}?{canonical_query}", headers, body)
    request.context["payload_signing_enabled"] = True
    theirs = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("AKID", "secret", token or None), "s3", region)
    now = datetime.fromtimestamp(epoch_seconds, UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        theirs.add_auth(request)
    sent = parsed(ours)
    assert sent["authorization"] == request.headers["Authorization"]
    assert sent["x-amz-date"] == request.context["timestamp"]
    assert {name: sent[name] for name in headers} == headers
    assert list(sent) == [
        *sorted({*headers, "host", "x-amz-content-sha256", "x-amz-date"} | {*_token_header(token)}),
        "authorization",
    ]


def _token_header(token: str) -> list[str]:
    return ["x-amz-security-token"] if token else []


def test_more_sets_of_names_than_are_kept_are_signed_all_the_same() -> None:
    signer = Signer(Credentials("AKID", "secret"), "us-east-1")
    for number in [*range(200), 0, 199]:
        headers = [("x-amz-meta-100%-" + str(number), "a"), ("host", "h")]
        fresh = Signer(signer.credentials, "us-east-1")
        assert signer.sign(1, "GET", "/b/k", "", headers) == fresh.sign(1, "GET", "/b/k", "", headers)
        assert f"x-amz-meta-100%-{number}: a\r\n" in signer.sign(1, "GET", "/b/k", "", headers)


def test_one_signer_goes_on_over_midnight() -> None:
    signer = Signer(Credentials("AKID", "secret"), "us-east-1")
    args = ("GET", "/b/k", "", [("host", "h")])
    last_second = 86_400 * 20_000 - 1
    for second in (last_second, last_second + 1, last_second):
        assert signer.sign(second, *args) == Signer(signer.credentials, "us-east-1").sign(second, *args)


def test_secrets_are_never_shown() -> None:
    shown = repr(Credentials("AKID", "very-secret", "very-token"))
    assert "AKID" in shown
    assert "very" not in shown


def test_a_request_without_a_body_is_signed_with_the_hash_of_nothing() -> None:
    assert EMPTY_SHA256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
