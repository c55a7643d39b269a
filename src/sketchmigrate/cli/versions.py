"""The versions that matter to whoever looks for a fault: ours, and of what we run on."""

from __future__ import annotations

import ssl
import sys
from importlib.metadata import PackageNotFoundError, version

from sketchmigrate import __version__

LIBRARIES = ("botocore", "duckdb", "httptools", "psycopg", "pydantic", "rich", "uvloop")
"""By their names in the package registry."""


def versions() -> dict[str, str]:
    """Return versions by names, ours first."""
    found = {
        "sketch-migrate": __version__,
        "Python": sys.version.split()[0],
        "OpenSSL": ssl.OPENSSL_VERSION.split()[1],
    }
    return found | {name: _version(name) for name in LIBRARIES}


def version_line() -> str:
    """Return them in one line, of which the second word is our version."""
    (own, ours), *others = versions().items()
    return f"{own} {ours} ({', '.join(f'{name} {told}' for name, told in others)})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
