"""What is built is complete: the wheel, installed where nothing of the checkout is, runs as a person types it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sketchmigrate

if TYPE_CHECKING:
    from tests.e2e.site import Site

pytestmark = pytest.mark.xdist_group("package")  # built and installed once

CHECKOUT = Path(__file__).parents[2]
USAGE_START = "[-h] [-p PARALLELIZATION_LEVEL] [-b BATCH_SIZE]"


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command in a folder that is not the checkout; return its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, built from the checkout; the wheel is built from the sdist, as for an index."""
    target = tmp_path_factory.mktemp("packages")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", target, CHECKOUT, cwd=target)
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a fresh environment with the wheel, and the dependencies of this one to save time."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", packages[0],
        cwd=home.parent)  # fmt: skip
    site_packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    # The .pth files in a folder that a .pth file adds are not read: the checkout, editable there, stays out.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def test_the_wheel_is_the_same_however_it_is_built(packages: tuple[Path, Path], tmp_path: Path) -> None:
    """From the sdist, and at another time from what the image is built from: nothing of the place or time is in it."""
    context = tmp_path / "context"
    context.mkdir()
    for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = CHECKOUT / line[1:], context / line[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
    built = (
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        tmp_path,
    )
    run(sys.executable, *built, context, cwd=context)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.read_bytes() == packages[0].read_bytes()


def test_the_page_of_the_package_has_no_link_that_leads_nowhere(packages: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packages[0]) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith("METADATA"))
        metadata = wheel.read(name).decode()
    links = re.findall(r"\]\(([^)]+)\)", metadata)
    assert len(links) > 10
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert "Project-URL: Changelog, https://" in metadata


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint has no wheel for this machine")
def test_nothing_is_wrong_with_the_image_s_recipe() -> None:
    said = run("hadolint", CHECKOUT / "Dockerfile", cwd=CHECKOUT)
    assert said == ""


def test_the_package_comes_from_the_wheel(installed: Path) -> None:
    where = run(installed / "python", "-c", "import sketchmigrate; print(sketchmigrate.__file__)", cwd=installed)
    assert where.startswith(str(installed.parent))


@pytest.mark.parametrize("command", [["sketch-migrate"], ["python", "-m", "sketchmigrate"]])
def test_it_says_its_version_and_its_usage(installed: Path, command: list[str]) -> None:
    program, rest = installed / command[0], command[1:]
    assert run(program, *rest, "--version", cwd=installed).split()[:2] == ["sketch-migrate", sketchmigrate.__version__]
    assert run(program, *rest, "migrate", "-h", cwd=installed).startswith(f"usage: {' '.join(command)} {USAGE_START}")


def test_the_classic_command_runs_from_any_folder(tmp_path: Path) -> None:
    script = CHECKOUT / "sketch_migrate.py"
    assert run(sys.executable, script, "migrate", "-h", cwd=tmp_path).startswith(
        f"usage: sketch_migrate.py {USAGE_START}"
    )


def test_a_newcomer_gets_through_with_what_the_readme_says(installed: Path, site: Site) -> None:
    """Each command as it is there, in the order that it is there; what asks is answered with yes."""
    site.fill([*(f"image/{number}.png" for number in range(1_005)), "avatar/own.png"])
    block = (CHECKOUT / "README.md").read_text().partition("## On your own data")[2].partition("\n\n`./")[0]
    commands = re.findall(r"^    sketch-migrate ?(.*?) *#", block, re.MULTILINE)
    assert [command.partition(" ")[0] for command in commands] == [
        *("init", "grants", "doctor", "plan", "-l", "", "verify", "runs"),
    ]
    secrets = {name: value for name, value in site.settings.items() if name.startswith("AWS_")}
    secrets |= {"SKETCH_DB_USER": site.database.user, "SKETCH_DB_PASS": site.database.password}
    for command in commands:
        environ = site.settings if command == "init" else {**secrets, "SKETCH_REPORT": "yes"}
        asks = ["-y"] if command in {"-l 1000", ""} else []
        done = subprocess.run(
            [installed / "sketch-migrate", *command.split(), *asks],
            capture_output=True,
            text=True,
            check=False,
            cwd=site.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(site.folder), **environ},
            timeout=120,
        )
        assert done.returncode == (1 if command == "-l 1000" else 0), (command, done.stdout, done.stderr)
    assert all(path is not None and path.startswith("avatar/") for path in site.database.paths().values())
    newest = max((site.folder / "runs").glob("*/report.html"))
    said = run(
        installed / "sketch-migrate", "report", newest.parent.name, "--config", "sketch-migrate.toml", cwd=site.folder
    )
    assert said == f"Report: runs/{newest.parent.name}/report.html\n"


def test_the_wheel_holds_the_package_and_nothing_else(packages: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packages[0]) as wheel:
        names = wheel.namelist()
    sources = {str(path.relative_to(CHECKOUT / "src")) for path in (CHECKOUT / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "sketchmigrate/py.typed" in names
    assert {Path(name).parts[0] for name in names} == {
        "sketchmigrate",
        f"sketch_migrate-{sketchmigrate.__version__}.dist-info",
        f"sketch_migrate-{sketchmigrate.__version__}.data",
    }
    (page,) = (name for name in names if ".data/" in name)
    assert page.endswith(".data/data/share/man/man1/sketch-migrate.1"), "pip puts it where man looks"
    assert any(name.endswith("LICENSE") for name in names)


def test_the_sdist_can_be_tested_and_read(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[1]) as sdist:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in sdist.getnames()}
    expected = {"README.md", "LICENSE", "CHANGELOG.md", "sketch_migrate.py", "lib/config.py", "scripts/test"}
    assert expected | {"requirements/test.txt", "tests/e2e/test_package.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("runs/", ".venv"))]
