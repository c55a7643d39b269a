"""What docs/deploy starts on Kubernetes, started here: the very arguments, variables and certificates."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # Dask's, as is the next
import yaml  # type: ignore[import-untyped]

from sketchmigrate.demo.process import LOOPBACK, ServerProcess, accepts_connections, free_port
from tests.servers.databases import fresh_database
from tests.tool import run

if TYPE_CHECKING:
    from sketchmigrate.demo.servers import PostgresServer
    from tests.e2e.site import Site

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "docs" / "deploy" / "kubernetes.yaml"
POLICY = "NetworkPolicy"

KNOCK = """
import json, sys
from distributed import Client
from distributed.security import Security

def workers(address, **tls):
    security = Security(**tls) if tls else Security(require_encryption=False)
    try:
        with Client(address, security=security, timeout=2) as client:
            return [worker["name"] for worker in client.scheduler_info()["workers"].values()]
    except OSError:
        return "refused"

port, ca, own, foreign = sys.argv[1:]
print(json.dumps({
    "ours": workers(f"tls://127.0.0.1:{port}", tls_ca_file=ca, tls_client_cert=f"{own}/tls.crt",
                    tls_client_key=f"{own}/tls.key"),
    "foreign": workers(f"tls://127.0.0.1:{port}", tls_ca_file=ca, tls_client_cert=f"{foreign}/tls.crt",
                       tls_client_key=f"{foreign}/tls.key"),
    "plain": workers(f"tcp://127.0.0.1:{port}"),
}))
"""


def documents() -> list[dict[str, Any]]:
    """Parse the manifest."""
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def pods() -> dict[str, dict[str, Any]]:
    """Return each kind of pod by its label ``app``."""
    templates = [document["spec"]["template"] for document in documents() if document["kind"] in {"Deployment", "Job"}]
    return {template["metadata"]["labels"]["app"]: template["spec"] for template in templates}


def command_of(app: str) -> list[str]:
    """Return what the container of a pod runs."""
    (container,) = pods()[app]["containers"]
    return list(container["command"])


def make_certificate(folder: Path) -> Path:
    """Make a certificate by the command that the manifest gives."""
    folder.mkdir()
    text = MANIFEST.read_text()
    command = text[text.index("openssl req") : text.index("kubectl create secret generic sketch-migrate-tls")]
    subprocess.run(
        shlex.split(command.replace("\\\n#", "").rstrip("# \n")), check=True, cwd=folder, capture_output=True
    )
    (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())
    return folder


def test_each_pod_has_a_policy_that_lets_in_whom_it_needs_by_the_ports_that_it_has() -> None:
    policies = {
        each["spec"]["podSelector"]["matchLabels"]["app"]: each for each in documents() if each["kind"] == POLICY
    }
    assert policies.keys() == pods().keys()
    let_in = {
        app: {
            (peer["podSelector"]["matchLabels"]["app"], port["port"])
            for rule in policy["spec"].get("ingress", [])
            for peer in rule["from"]
            for port in rule["ports"]
        }
        for app, policy in policies.items()
    }
    assert let_in == {
        "dask-scheduler": {("dask-worker", 8786), ("sketch-migrate", 8786)},
        "dask-worker": {("dask-scheduler", 8788)},
        "sketch-migrate": set(),
    }
    assert all(policy["spec"]["policyTypes"] == ["Ingress"] for policy in policies.values())
    assert "--port=8786" in command_of("dask-scheduler")
    assert "--worker-port=8788" in command_of("dask-worker")


def test_the_cluster_speaks_tls_alone_and_migrates(site: Site, postgres: PostgresServer, tmp_path: Path) -> None:
    (configured,) = [each["data"] for each in documents() if each["kind"] == "ConfigMap"]
    own, foreign = make_certificate(tmp_path / "own"), make_certificate(tmp_path / "foreign")
    port, worker_port = free_port(), free_port()
    (tmp_path / "site.toml").touch()

    def here(text: str) -> str:
        """Say the same for this machine."""
        for there, place in (
            ("dask-scheduler:8786", f"{LOOPBACK}:{port}"),
            ("8786", str(port)),
            ("8788", str(worker_port)),
            ("127.0.0.1:8787", f"{LOOPBACK}:0"),
            ("/tls/", f"{own}/"),
            ("/settings/sketch-migrate.toml", str(tmp_path / "site.toml")),
            ("$(POD_NAME)", "w1"),
        ):
            text = text.replace(there, place)
        return text

    def started(app: str, listening: int) -> ServerProcess:
        program, *arguments = map(here, command_of(app))
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        environ = {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "DASK_CONFIG": str(tmp_path), **site.settings, **tls}
        command = [sys.executable, "-m", program, *arguments]
        process = ServerProcess(app, command, log_path=tmp_path / f"{app}.log", environ=environ)
        process.start(lambda: accepts_connections(listening))
        return process

    tls = {name: here(value) for name, value in configured.items()}
    site.fill([f"image/{number}.png" for number in range(40)])
    with fresh_database(postgres) as ledger:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        site = site.with_environ(SKETCH_LEDGER_URL=url)
        assert site.run("ledger init").code == 0
        processes = []
        try:
            processes.append(started("dask-scheduler", port))
            processes.append(started("dask-worker", worker_port))
            _, *flags = map(here, command_of("sketch-migrate"))
            done = run(*flags, "--range-rows=10", environ=site.settings | tls, cwd=site.folder)
            assert done.code == 0, done
            assert json.loads(done.out)["outcomes"]["migrated"] == 40
            for process, open_to_all in zip(processes, (port, worker_port), strict=True):
                assert process.pid is not None
                connections = psutil.Process(process.pid).net_connections(kind="tcp")
                listening = {each.laddr for each in connections if each.status == psutil.CONN_LISTEN}
                assert {place.port for place in listening if place.ip != LOOPBACK} == {open_to_all}
            knock = [sys.executable, "-c", KNOCK, str(port), str(own / "ca.crt"), str(own), str(foreign)]
            knocked = subprocess.run(knock, capture_output=True, text=True, check=True, timeout=60)
            assert json.loads(knocked.stdout) == {"ours": ["w1"], "foreign": "refused", "plain": "refused"}, knocked
        finally:
            for process in reversed(processes):
                process.kill()
