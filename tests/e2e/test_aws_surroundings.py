"""Where S3 is, and the way there, as AWS's own variables, its profiles and the environment's proxies say."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.e2e.site import check_refused
from tests.servers.forward_proxy import ForwardProxy, TlsFront, own_certificate
from tests.tool import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.tool import Finished

PASSWORD = "hidden-secret"
STORE = "s3.store.example"


def try_with(site: Site, flags: str, **environ: str) -> Finished:
    """Run the tool with these variables in the place of our own endpoint and region."""
    own = {name: value for name, value in site.settings.items() if not name.startswith("SKETCH_S3_")}
    return run(*flags.split(), environ=own | environ, cwd=site.folder)


def everything_written(site: Site, done: Finished) -> str:
    """Return all that a run said, and what it wrote into its directory."""
    files = [file.read_bytes().decode(errors="replace") for file in site.last_run().iterdir()]
    return "\n".join([done.out, done.err, *files])


def test_a_profile_says_where_the_store_is(untouched_site: Site, tmp_path: Path) -> None:
    config = tmp_path / "config"
    store = untouched_site.store
    config.write_text(
        "[profile photos]\nregion = eu-west-3\nservices = stores\n"
        f"[services stores]\ns3 =\n  endpoint_url = {store.endpoint_url}\n"
    )
    done = try_with(untouched_site, "-d", AWS_CONFIG_FILE=str(config), AWS_PROFILE="photos")
    assert (done.code, done.counts["migrated"]) == (0, 2), done
    place = f"profile photos in {config}"
    said = f"S3: {store.endpoint_url} ({place}, services stores), region eu-west-3 ({place})"
    assert said in done.err.splitlines()
    assert said in (untouched_site.last_run() / "migrate.log").read_text()


@pytest.mark.parametrize("command", ["-s", "plan", "probe"])
def test_the_variables_say_where_the_store_is_and_each_command_says_so(untouched_site: Site, command: str) -> None:
    url = untouched_site.store.endpoint_url
    done = try_with(untouched_site, command, AWS_ENDPOINT_URL="http://wrong.example", AWS_ENDPOINT_URL_S3=url)
    assert done.code == (1 if command == "probe" else 0), done
    assert f"S3: {url} (AWS_ENDPOINT_URL_S3), region us-east-1 (default)" in done.err.splitlines()


def test_plain_http_goes_through_the_proxy_and_its_password_is_shown_nowhere(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(20)])
    url = site.store.endpoint_url
    with ForwardProxy(user_and_password=f"me:{PASSWORD}") as proxy:
        named = f"proxy http://{proxy.address} (HTTP_PROXY)"
        refused = try_with(site, "-s", AWS_ENDPOINT_URL=url, HTTP_PROXY=f"http://{proxy.address}")
        check_refused(refused, 3, "407")
        done = try_with(site, "-y", AWS_ENDPOINT_URL=url, HTTP_PROXY=f"http://me:{PASSWORD}@{proxy.address}")
        assert (done.code, done.counts["migrated"]) == (0, 20), done
        assert proxy.hits["forward"] > 20
        assert named in done.err
        assert PASSWORD not in everything_written(site, done)
        passed = proxy.hits.copy()
        around = try_with(
            site, "-s", AWS_ENDPOINT_URL=url, HTTP_PROXY=f"http://{proxy.address}", NO_PROXY="127.0.0.0/8"
        )
        assert around.code == 0, around
        assert "no proxy (NO_PROXY)" in around.err
        assert proxy.hits == passed


def test_https_goes_through_a_tunnel_and_trusts_the_given_certificates(site: Site, tmp_path: Path) -> None:
    site.fill([f"image/{number}.png" for number in range(20)])
    certificate, key = own_certificate(tmp_path, STORE)
    behind = urlsplit(site.store.endpoint_url).port or 0
    with (
        TlsFront(behind, certificate, key) as front,
        ForwardProxy(user_and_password=f"me:{PASSWORD}", addresses={STORE: front.port}) as proxy,
    ):
        environ = {
            "AWS_ENDPOINT_URL": f"https://{STORE}",
            "HTTPS_PROXY": f"http://me:{PASSWORD}@{proxy.address}",
            "HTTP_PROXY": "http://127.0.0.1:1",
        }
        check_refused(try_with(site, "-s", **environ), 3, "the certificate cannot be verified")
        done = try_with(site, "-y", AWS_CA_BUNDLE=str(certificate), **environ)
        assert (done.code, done.counts["migrated"]) == (0, 20), done
        assert proxy.hits["tunnel"] > 1
        assert f"certificates {certificate} (AWS_CA_BUNDLE), proxy http://{proxy.address} (HTTPS_PROXY)" in done.err
        assert PASSWORD not in everything_written(site, done)
        nobody = environ | {"HTTPS_PROXY": f"http://{proxy.address}", "AWS_CA_BUNDLE": str(certificate)}
        words = f"the proxy http://{proxy.address} (HTTPS_PROXY) does not lead to {STORE}:443: 407"
        check_refused(try_with(site, "-s", **nobody), 3, words)
    gone = try_with(site, "-s", AWS_CA_BUNDLE=str(certificate), **environ)
    check_refused(gone, 3, "the proxy", "cannot be reached")
