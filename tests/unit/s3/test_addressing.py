"""Where requests go and how keys are spelled."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.objects import Location
from sketchmigrate.s3.wire.addressing import Address, Origin, address_of, copy_source, encode_key, encode_query

if TYPE_CHECKING:
    from sketchmigrate.s3.config import AddressingStyle

UNRESERVED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_all_but_unreserved_characters_and_slashes_are_encoded_and_nothing_is_lost(key: str) -> None:
    encoded = encode_key(key)
    assert unquote(encoded, errors="strict") == key
    assert set(encoded) <= UNRESERVED | {"/", "%"}


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("a+b%41 c", "a%2Bb%2541%20c"),
        ("a//b", "a//b"),
        ("/x", "/x"),
        ("a/../b/./c", "a/../b/./c"),
        ("ü", "%C3%BC"),
        ("q?x#y&z=", "q%3Fx%23y%26z%3D"),
        ("\udcff", "%FF"),  # a byte that is not UTF-8, as a listing brings it
    ],
)
def test_keys_are_spelled_exactly(key: str, encoded: str) -> None:
    assert encode_key(key) == encoded
    assert copy_source(Location("bucket", key)) == f"/bucket/{encoded}"


def test_a_query_is_sorted_by_its_encoded_names() -> None:
    assert encode_query({"b": "2", "a b": "/", "uploads": ""}) == "a%20b=%2F&b=2&uploads="


def at(host: str, port: int, prefix: str, *, tls: bool = True, header: str = "") -> Address:
    return Address(Origin(host, port, tls), header or host, prefix)


@pytest.mark.parametrize(
    ("bucket", "url", "style", "expected"),
    [
        ("b-1", "", "auto", at("b-1.s3.eu-west-1.amazonaws.com", 443, "/")),
        ("b-1", "", "path", at("s3.eu-west-1.amazonaws.com", 443, "/b-1/")),
        ("dots.in.it", "", "auto", at("s3.eu-west-1.amazonaws.com", 443, "/dots.in.it/")),
        ("UPPER", "", "auto", at("s3.eu-west-1.amazonaws.com", 443, "/UPPER/")),
        ("b-1", "http://localhost:9000", "auto", at("localhost", 9000, "/b-1/", tls=False, header="localhost:9000")),
        ("b-1", "https://store:443/s3/", "auto", at("store", 443, "/s3/b-1/")),
        ("b-1", "http://store", "virtual", at("b-1.store", 80, "/", tls=False)),
        ("b-1", "http://[::1]:9000", "auto", at("::1", 9000, "/b-1/", tls=False, header="[::1]:9000")),
    ],
)
def test_path_style_and_virtual_host_style(bucket: str, url: str, style: AddressingStyle, expected: Address) -> None:
    assert address_of(bucket, endpoint_url=url, region="eu-west-1", style=style) == expected


def test_the_chinese_regions_have_a_domain_of_their_own() -> None:
    address = address_of("b-1", endpoint_url="", region="cn-north-1", style="auto")
    assert address.host_header == "b-1.s3.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("other:9001", at("other", 9001, "/b-1/", header="other:9001")),
        ("b-1.other", at("b-1.other", 443, "/")),
        ("http://other", at("other", 80, "/b-1/", tls=False)),
    ],
)
def test_the_host_that_a_redirect_names_replaces_the_endpoints(authority: str, expected: Address) -> None:
    found = address_of("b-1", endpoint_url="https://store", region="r", style="auto", authority=authority)
    assert found == expected


@pytest.mark.parametrize("url", ["localhost:9000", "ftp://x", "http://", "http://x:port", "//x", "http://x/?a=b"])
def test_what_is_not_the_url_of_a_server_is_a_settings_error(url: str) -> None:
    with pytest.raises(SettingsError, match="S3_ENDPOINT_URL"):
        address_of("b", endpoint_url=url, region="r", style="auto")


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        address_of("b", endpoint_url="http://user:hunter2@store", region="r", style="auto")
    assert "hunter2" not in str(caught.value)
