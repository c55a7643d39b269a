"""``doctor``: what it says of a site that is well, and of what is wrong with one."""

from __future__ import annotations

import json
import re
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate import __version__
from tests.tool import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.site import Site

LATE_SECONDS = 900
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


class _Late(BaseHTTPRequestHandler):
    """Answers whatever it is asked, with a time that is long over."""

    def do_HEAD(self) -> None:
        self.send_response_only(403)
        self.send_header("Date", formatdate(time.time() - LATE_SECONDS, usegmt=True))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def late_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Late) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def found(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {check["what"]: (check["found"], check["problem"]) for check in document["checks"]}


def test_a_site_that_is_well(site: Site) -> None:
    done = site.run("doctor")
    assert (done.code, done.err) == (0, "")
    assert "Nothing is wrong with these." in done.out
    assert f"sketch-migrate  {__version__}" in done.out
    assert "its clock is ours" in done.out
    assert site.store.secret_key not in done.out
    assert f"access key …{site.store.access_key[-4:]} (AWS_ACCESS_KEY_ID)" in done.out
    assert not (site.folder / "runs").exists(), "it leaves nothing behind"


def test_each_thing_that_is_wrong_is_named(site: Site, late_server: str) -> None:
    (site.folder / "taken").write_text("a file where a folder should be")
    environ = {
        **site.settings,
        "SKETCH_S3_ENDPOINT_URL": late_server,
        "SKETCH_DB_HOST": "nowhere.invalid",
        "SKETCH_RUN_DIR": "taken/runs",
        "AWS_SECRET_ACCESS_KEY": "",
    }
    done = run("doctor", "--json", environ=environ, cwd=site.folder)
    assert done.code == 1
    checks = found(json.loads(done.out))
    assert re.search(r"this machine's clock is 90[0-9] s ahead of its clock$", checks["the store"][0])
    assert checks["the store"][1] == "set this machine's clock (NTP)"
    assert checks["DNS nowhere.invalid"][0] == "not found"
    assert "nowhere.invalid" in checks["the database"][1]
    assert checks["credentials of the store"] == ("none", "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not")
    assert checks["RUN_DIR taken/runs"][1].startswith("no run can be made there")
    assert checks["DB_HOST"] == ("'nowhere.invalid' (SKETCH_DB_HOST)", "")


def test_it_says_whence_credentials_are(site: Site) -> None:
    profiles = site.folder / "credentials"
    key, secret = site.store.access_key, site.store.secret_key
    profiles.write_text(f"[moving]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    without = {name: value for name, value in site.settings.items() if name not in KEYS}
    environ = {**without, "AWS_PROFILE": "moving", "AWS_SHARED_CREDENTIALS_FILE": str(profiles)}
    of_profile = run("doctor", environ=environ, cwd=site.folder)
    assert f"access key …{key[-4:]} (shared-credentials-file)" in of_profile.out
    own = {
        **site.settings,
        "LEGACY_AWS_ACCESS_KEY_ID": "of-legacy-own",
        "LEGACY_AWS_SECRET_ACCESS_KEY": "its-secret",
    }
    of_sides = run("doctor", environ=own, cwd=site.folder)
    assert "credentials of the store of legacy" in of_sides.out
    assert "access key …-own (LEGACY_AWS_ACCESS_KEY_ID)" in of_sides.out
    assert "its-secret" not in of_sides.out


def test_settings_that_are_wrong_are_an_error_after_what_can_be_said(site: Site) -> None:
    done = run("doctor", environ={**site.settings, "SKETCH_DB_PORT": "many"}, cwd=site.folder)
    assert done.code == 2
    assert "Python" in done.out
    assert "SKETCH_DB_PORT" in done.err
