"""What is built is complete: the wheel, installed where nothing of the checkout is, runs as a person types it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import sketchmigrate

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


def test_the_package_comes_from_the_wheel(installed: Path) -> None:
    where = run(installed / "python", "-c", "import sketchmigrate; print(sketchmigrate.__file__)", cwd=installed)
    assert where.startswith(str(installed.parent))


@pytest.mark.parametrize("command", [["sketch-migrate"], ["python", "-m", "sketchmigrate"]])
def test_it_says_its_version_and_its_usage(installed: Path, command: list[str]) -> None:
    program, rest = installed / command[0], command[1:]
    assert run(program, *rest, "--version", cwd=installed).split() == ["sketch-migrate", sketchmigrate.__version__]
    assert run(program, *rest, "-h", cwd=installed).startswith(f"usage: {' '.join(command)} {USAGE_START}")


def test_the_classic_command_runs_from_any_folder(tmp_path: Path) -> None:
    script = CHECKOUT / "sketch_migrate.py"
    assert run(sys.executable, script, "-h", cwd=tmp_path).startswith(f"usage: sketch_migrate.py {USAGE_START}")


def test_the_wheel_holds_the_package_and_nothing_else(packages: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packages[0]) as wheel:
        names = wheel.namelist()
    sources = {str(path.relative_to(CHECKOUT / "src")) for path in (CHECKOUT / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert "sketchmigrate/py.typed" in names
    assert {Path(name).parts[0] for name in names} == {
        "sketchmigrate",
        f"sketch_migrate-{sketchmigrate.__version__}.dist-info",
    }
    assert any(name.endswith("LICENSE") for name in names)


def test_the_sdist_can_be_tested_and_read(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[1]) as sdist:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in sdist.getnames()}
    expected = {"README.md", "LICENSE", "CHANGELOG.md", "sketch_migrate.py", "lib/config.py", "scripts/test"}
    assert expected | {"requirements/test.txt", "tests/e2e/test_package.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith(("runs/", ".venv"))]
