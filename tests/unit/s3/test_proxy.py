"""Which proxy leads to a host, and what is said of one that does not."""

from __future__ import annotations

import pytest

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.s3.wire.addressing import Origin
from sketchmigrate.s3.wire.proxy import Proxies

SECRET = "hidden-secret"
PLAIN, SECURE = Origin("s3.example.com", 9000, tls=False), Origin("s3.example.com", 443, tls=True)


def leading_to(origin: Origin, **environ: str) -> str:
    """Name the proxy for a host, or say that there is none."""
    return str(Proxies.from_environment(environ).leading_to(origin))


def test_the_scheme_of_the_store_chooses_the_variable() -> None:
    both = {"HTTP_PROXY": "http://one:3128", "HTTPS_PROXY": "two:8080"}
    assert leading_to(PLAIN, **both) == "http://one:3128 (HTTP_PROXY)"
    assert leading_to(SECURE, **both) == "http://two:8080 (HTTPS_PROXY)"
    assert leading_to(SECURE, HTTP_PROXY="http://one:3128") == "None"


def test_the_variable_in_lower_case_comes_first_also_an_empty_one() -> None:
    assert leading_to(PLAIN, http_proxy="http://low", HTTP_PROXY="http://high") == "http://low:80 (http_proxy)"
    assert leading_to(PLAIN, http_proxy="", HTTP_PROXY="http://high") == "None"


@pytest.mark.parametrize(
    ("exempt", "host", "is_exempt"),
    [
        ("*", "s3.example.com", True),
        ("s3.example.com", "s3.example.com", True),
        ("S3.Example.com", "s3.example.com", True),
        ("localhost, .example.com", "s3.example.com", True),
        ("example.com", "s3.example.com", True),
        ("example.com:443", "s3.example.com", True),
        ("example.com:80", "s3.example.com", False),
        ("ample.com", "s3.example.com", False),
        ("", "s3.example.com", False),
        (",", "s3.example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::]/8", "fd00::1", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]", "fd00::1", True),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(exempt: str, host: str, is_exempt: bool) -> None:
    environ = {"HTTPS_PROXY": "http://one:3128", "NO_PROXY": exempt}
    assert (leading_to(Origin(host, 443, tls=True), **environ) == "None") is is_exempt


def test_user_and_password_go_to_the_proxy_and_are_shown_nowhere() -> None:
    proxy = Proxies.from_environment({"HTTP_PROXY": f"http://me:{SECRET}%40@one:3128"}).leading_to(PLAIN)
    assert proxy is not None
    assert proxy.header_line == "proxy-authorization: Basic bWU6aGlkZGVuLXNlY3JldEA=\r\n"
    assert SECRET not in f"{proxy} {proxy!r}"
    assert "bWU6" not in f"{proxy} {proxy!r}"
    assert SECRET not in repr(Proxies.from_environment({"HTTP_PROXY": f"http://me:{SECRET}@one:3128"}))


@pytest.mark.parametrize("url", [f"socks5://me:{SECRET}@one:1080", f"http://me:{SECRET}@", f"http://me:{SECRET}@one:x"])
def test_what_is_no_proxy_is_named_by_its_variable_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        leading_to(SECURE, HTTPS_PROXY=url)
    assert "HTTPS_PROXY (environment variable)" in caught.value.message
    assert SECRET not in str(caught.value)
    assert caught.value.hint == "For example: HTTPS_PROXY=http://proxy.example.com:3128"
