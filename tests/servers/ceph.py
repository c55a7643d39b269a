"""A Ceph object gateway on one machine and in memory: one monitor, one OSD on memstore, one gateway that speaks S3.

It needs root and the programs of Debian's packages ceph-mon, ceph-osd, radosgw and ceph-common. It is up in about 2 s.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, free_port
from tests.servers.stores import StoreServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")

_CONFIGURATION = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}
public_network = 127.0.0.0/8
# the gateway cannot authenticate to a monitor that asks for nothing
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {home}/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
# a nearly full disk is no reason for a store in memory to stop
mon_data_avail_crit = 1
mon_data_avail_warn = 2
# a monitor that waits a second for more changes before it proposes any makes the gateway's pools in 11 s and not in 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
mon_data = {home}/mon
osd_data = {home}/osd
run_dir = {home}/run
admin_socket = {home}/run/$name.asok
log_file = {home}/log/$name.log
debug_ms = 0/0
debug_mon = 0/0
debug_osd = 0/0
debug_rgw = 0/0
[client.rgw]
# without tcp_nodelay every small reply waits 40 ms for a delayed acknowledgement
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_data = {home}/rgw
rgw_dns_name = localhost
rgw_thread_pool_size = 128
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_crypt_require_ssl = false
"""

_CAPABILITIES = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *"),
    "client.rgw": ("mon", "allow rw", "osd", "allow rwx"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
}


def why_not() -> str:
    """Return why Ceph cannot run on this machine, or an empty text."""
    if absent := [program for program in _PROGRAMS if shutil.which(program) is None]:
        return f"Ceph is not installed: {', '.join(absent)} not found"
    if os.geteuid() != 0:
        return "Ceph's monitor and OSD want root"
    return ""


@contextlib.contextmanager
def ceph_server() -> Iterator[StoreServer]:
    """Run Ceph for the length of the block: a full user testkey/testsecret, and otherkey/othersecret without rights."""
    with tempfile.TemporaryDirectory(prefix="sketch-ceph-", ignore_cleanup_errors=True) as name:
        home, port = Path(name), free_port()
        configuration = _write_configuration(home, port)
        _make_cluster(home, configuration)
        daemons = [
            _daemon("ceph-mon", configuration, home, "-i", "a"),
            _daemon("ceph-osd", configuration, home, "-i", "0"),
            _daemon("radosgw", configuration, home, "-n", "client.rgw"),
        ]
        monitor, osd, gateway = daemons
        try:
            # A monitor listens before it has a quorum; `ceph` waits for that, so its answer is the event.
            monitor.start(lambda: _run("ceph", configuration, "--connect-timeout", "5", "osd", "create"))
            _run("ceph", configuration, "osd", "crush", "add", "osd.0", "1", "root=default", check=True)
            _run("ceph-osd", configuration, "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()), check=True)
            osd.start(lambda: True)
            gateway.start(lambda: _speaks_http(port), timeout_seconds=120)
            for user in ("test", "other"):
                names = (f"--uid={user}", f"--display-name={user}")
                keys = (f"--access-key={user}key", f"--secret-key={user}secret")
                _run("radosgw-admin", configuration, "user", "create", *names, *keys, check=True)
            yield StoreServer("ceph", f"http://{LOOPBACK}:{port}", "testkey", "testsecret")
        finally:
            for daemon in reversed(daemons):
                daemon.kill()  # asked to end they take 5 s, and there is nothing to be kept


def _write_configuration(home: Path, port: int) -> Path:
    for folder in ("mon", "osd", "rgw", "run", "log"):
        (home / folder).mkdir()
    path = home / "ceph.conf"
    ports = {"port": port, "mon_v1": free_port(), "mon_v2": free_port()}
    path.write_text(_CONFIGURATION.format(fsid=uuid.uuid4(), home=home, **ports))
    return path


def _make_cluster(home: Path, configuration: Path) -> None:
    """Make the keys, the map of monitors and the monitor's files."""
    keyring, monmap = str(home / "keyring"), str(home / "monmap")
    _run("ceph-authtool", None, "--create-keyring", keyring, check=True)
    for entity, capabilities in _CAPABILITIES.items():
        pairs = zip(capabilities[::2], capabilities[1::2], strict=True)
        caps = [part for kind, what in pairs for part in ("--cap", kind, what)]
        _run("ceph-authtool", None, keyring, "--gen-key", "-n", entity, *caps, check=True)
    settings = dict(line.split(" = ", 1) for line in configuration.read_text().splitlines() if " = " in line)
    address = f"[{settings['mon_host']}]"
    _run("monmaptool", None, "--create", "--fsid", settings["fsid"], "--addv", "a", address, monmap, check=True)
    _run("ceph-mon", configuration, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring, check=True)


def _daemon(program: str, configuration: Path, home: Path, *arguments: str) -> ServerProcess:
    """Prepare a daemon that stays in the foreground, as our child."""
    command = [program, "-c", str(configuration), "-f", *arguments]
    return ServerProcess(program, command, log_path=home / "log" / f"{program}.out")


def _run(program: str, configuration: Path | None, *arguments: str, check: bool = False) -> bool:
    """Run one of Ceph's commands; say whether it succeeded, or raise with what it said if it had to."""
    config = () if configuration is None else ("-c", str(configuration))
    done = subprocess.run([program, *config, *arguments], capture_output=True, check=False, timeout=120)
    if check and done.returncode != 0:
        message = f"{program} {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
        raise RuntimeError(message)
    return done.returncode == 0


def _speaks_http(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
