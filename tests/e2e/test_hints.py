"""A hint can be right: what it tells to do is there, and helps."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import check_refused
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import Answer, stall
from tests.tool import finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.site import Site


@pytest.mark.parametrize("command", ["plan", "verify"])
def test_what_begins_anew_does_not_say_that_it_goes_on(untouched_site: Site, command: str) -> None:
    site = untouched_site
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="list", skip=3)  # the checks of the start have passed by then
        process = site.at(store=site.store.via(s3.endpoint_url)).start(command)
        s3.wait_for_hit("stall")
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code == 130, done
    assert "hint:  Nothing was changed. When it is run again it begins anew." in done.err
    assert "goes on" not in done.err


def test_no_flag_is_hinted_at_that_a_command_lacks(untouched_site: Site) -> None:
    done = untouched_site.run("repair")
    check_refused(done, 2, "standard input is no terminal")
    assert "or run verify to see what there is to repair" in done.err
    assert "-d" not in done.err.partition("hint:")[2].split()


@pytest.mark.parametrize(
    "flags",
    ["-d --cluster local:1", "-y --cluster local:1", "plan --deep --cluster local:1", "repair -y --cluster local:1"],
)
def test_a_cluster_without_dask(untouched_site: Site, tmp_path: Path, flags: str) -> None:
    """An installation without the extra, as far as its imports show."""
    for name in ("dask", "distributed"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n")
    done = untouched_site.with_environ(PYTHONPATH=str(tmp_path)).run(flags)
    check_refused(done, 2, "--cluster needs Dask, which is not installed here")
    assert "pip install 'sketch-migrate[cluster]'" in done.err


@pytest.mark.parametrize(("region", "is_hinted_at"), [("us-east-1", True), ("eu-west-1", False)])
def test_no_region_is_hinted_at_that_is_set_already(untouched_site: Site, region: str, *, is_hinted_at: bool) -> None:
    document = (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message><Region>eu-west-1</Region></Error>"
    )
    with S3FaultProxy(untouched_site.store.endpoint_url) as s3:
        s3.on(Answer("elsewhere", 400, document))
        site = untouched_site.at(store=untouched_site.store.via(s3.endpoint_url))
        done = site.with_environ(SKETCH_S3_REGION=region).run("-s")
    check_refused(done, 3, "AuthorizationHeaderMalformed", hint=is_hinted_at)
    assert ("the bucket is in eu-west-1" in done.err) is is_hinted_at
