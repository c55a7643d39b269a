"""Where a redirect may lead: to the store's own hosts, never to one without TLS, and never on another's word."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import botocore
import pytest

from sketchmigrate.core.errors import RedirectRefused, S3Refused
from sketchmigrate.s3.wire.addressing import endpoint_of
from sketchmigrate.s3.wire.redirect import AWS_PARTITIONS, Target, domain_of, is_aws, is_own, is_region, target_of
from tests.unit.s3.scripted import ETAG, SOURCE, TARGET, client_of, copied, error, reply, scripted

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_partitions_are_those_that_botocore_knows() -> None:
    known = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_bytes())["partitions"]
    outputs = [partition["outputs"] for partition in known]
    assert {(each["dnsSuffix"], each["dualStackDnsSuffix"]) for each in outputs} == set(AWS_PARTITIONS)


@pytest.mark.parametrize(
    ("endpoint_url", "expected"),
    [
        ("", True),
        ("https://s3.eu-west-1.amazonaws.com", True),
        ("https://S3.EU-WEST-1.amazonaws.com", True),
        ("https://bucket.vpce-1a2b-x.s3.us-east-1.vpce.amazonaws.com", True),
        ("https://s3.dualstack.cn-north-1.amazonaws.com.cn", True),
        ("https://s3.dualstack.eu-west-1.api.aws", True),
        ("https://s3.eusc-de-east-1.amazonaws.eu", True),
        ("https://amazonaws.com.example.org", False),
        ("https://s3.evilamazonaws.com", False),
        ("http://127.0.0.1:9000", False),
    ],
)
def test_which_endpoints_are_of_aws(endpoint_url: str, expected: bool) -> None:
    assert is_aws(endpoint_url) is expected


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ("http://h.example/b/k?x", Target("http", "h.example", "h.example")),
        ("https://H.example:9000/b", Target("https", "h.example", "h.example:9000")),
        ("b.s3.eu-west-1.amazonaws.com", Target("", "b.s3.eu-west-1.amazonaws.com", "b.s3.eu-west-1.amazonaws.com")),
        ("//h:1/", Target("", "h", "h:1")),
        ("http://[::1]:9000/b", Target("http", "::1", "[::1]:9000")),
        ("", None),
        ("/login", None),
        ("http://[::1", None),
        ("http://h:port/", None),
        ("http://user:secret@h/", None),
        ("ftp://h/", None),
        ("http://h\x1b[2J/", None),
    ],
)
def test_what_a_redirect_names(told: str, target: Target | None) -> None:
    assert target_of(told) == target


@pytest.mark.parametrize(
    ("endpoint", "region", "named", "own"),
    [
        ("", "us-east-1", "b.s3.eu-west-1.amazonaws.com", True),
        ("", "us-east-1", "https://s3.dualstack.eu-west-1.api.aws", True),
        ("", "us-east-1", "s3.cn-north-1.amazonaws.com.cn", False),
        ("", "us-east-1", "http://s3.eu-west-1.amazonaws.com", False),
        ("", "us-east-1", "evilamazonaws.com", False),
        ("", "us-east-1", "amazonaws.com.evil.com", False),
        ("", "us-east-1", "169.254.169.254", False),
        ("", "cn-north-1", "s3.cn-northwest-1.amazonaws.com.cn", True),
        ("", "cn-north-1", "s3.eu-west-1.amazonaws.com", False),
        ("https://s3.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "s3.us-iso-west-1.c2s.ic.gov", True),
        ("http://store:9000", "us-east-1", "http://store:9001", True),
        ("http://store:9000", "us-east-1", "https://store:9001", True),
        ("https://store", "us-east-1", "http://store", False),
        ("http://store:9000", "us-east-1", "b.store", True),
        ("http://127.0.0.1:9000", "us-east-1", "http://127.0.0.1:9001", True),
        ("http://127.0.0.1:9000", "us-east-1", "http://localhost:9000", False),
        ("http://10.0.0.1:9000", "us-east-1", "http://1.10.0.0.1:9000", False),
        ("https://s3.example.com", "us-east-1", "s3.eu-1.example.com", True),
        ("https://s3.us-1.example.com", "us-1", "s3.eu-1.example.com", True),
        ("https://nyc3.example.com", "nyc3", "b.ams3.example.com", True),
        ("https://store.example.com", "us-east-1", "other.example.com", False),
        ("https://s3.example.com", "us-east-1", "example.com.evil.org", False),
    ],
)
def test_a_redirect_may_lead_to_the_stores_own_hosts_only(endpoint: str, region: str, named: str, own: bool) -> None:
    target = target_of(named)
    assert target is not None
    assert is_own(endpoint_of(endpoint, region), target, region) is own


@pytest.mark.parametrize(
    ("host", "region", "domain"),
    [
        ("s3", "us-east-1", "s3"),
        ("s3.com", "us-east-1", "s3.com"),
        ("s3.example.co.uk", "us-east-1", "example.co.uk"),
        ("s3.co.uk", "us-east-1", "s3.co.uk"),
        ("eu.s3.example.com", "us-east-1", "eu.s3.example.com"),
        ("s3-eu.example.com", "us-east-1", "example.com"),
    ],
)
def test_the_domain_of_an_endpoint_is_never_one_below_which_anybody_has_a_name(
    host: str, region: str, domain: str
) -> None:
    assert domain_of(host, region) == domain


@pytest.mark.parametrize("region", ["evil.com/", "eu-west-1\r\nx-evil: 1", "", "r" * 65])
def test_what_is_no_region_is_none(region: str) -> None:
    assert not is_region(region)


@pytest.mark.parametrize(
    "redirect",
    [
        lambda there: reply(301, location=f"http://{there}/production/avatar/a.png"),
        lambda there: reply(302, location=f"http://{there}/production/avatar/a.png"),
        lambda there: reply(307, location=f"http://{there}/production/avatar/a.png"),
        lambda there: error(301, "PermanentRedirect", f"<Endpoint>{there}</Endpoint>"),
        lambda there: error(307, "TemporaryRedirect", f"<Endpoint>{there}</Endpoint>", x_amz_bucket_region="eu-1"),
        lambda there: error(400, "AuthorizationHeaderMalformed", f"<Region>eu-1</Region><Endpoint>{there}</Endpoint>"),
        lambda there: reply(
            200, b"<Error><Code>PermanentRedirect</Code><Endpoint>%b</Endpoint></Error>" % there.encode()
        ),
    ],
)
def test_a_redirect_to_another_host_is_refused_and_names_both(redirect: Callable[[str], bytes]) -> None:
    """The other host would have confirmed the copy; it is not asked."""

    async def scenario() -> None:
        async with scripted() as there:
            other = f"localhost:{there.port}"
            async with scripted(redirect(other)) as here, client_of(here.url) as client:
                with pytest.raises(RedirectRefused, match="not followed") as caught:
                    await client.copy(SOURCE, TARGET)
                assert here.url in caught.value.message
                assert other in caught.value.message
                assert "S3_ENDPOINT_URL" in caught.value.hint
            assert there.asked == []

    asyncio.run(scenario())


def test_a_region_that_is_none_takes_no_request_to_another_host() -> None:
    """As a part of AWS's host name it would lead anywhere."""

    async def scenario() -> None:
        script = error(400, "AuthorizationHeaderMalformed", "<Region>x.evil.com/</Region>")
        async with scripted(script) as here, client_of(here.url) as client:
            with pytest.raises(S3Refused, match="AuthorizationHeaderMalformed"):
                await client.copy(SOURCE, TARGET)

    asyncio.run(scenario())


def test_a_location_that_is_no_url_is_an_error_and_no_crash() -> None:
    async def scenario() -> None:
        async with scripted(reply(301, location="http://[::1")) as here, client_of(here.url) as client:
            with pytest.raises(S3Refused, match="status 301"):
                await client.copy(SOURCE, TARGET)

    asyncio.run(scenario())


def test_an_endpoint_without_a_scheme_is_asked_as_the_first_one_was() -> None:
    async def scenario() -> str:
        async with scripted(copied()) as there:
            moved = error(301, "PermanentRedirect", f"<Endpoint>127.0.0.1:{there.port}</Endpoint>")
            async with scripted(moved) as here, client_of(here.url) as client:
                return (await client.copy(SOURCE, TARGET)).etag

    assert asyncio.run(scenario()) == ETAG
