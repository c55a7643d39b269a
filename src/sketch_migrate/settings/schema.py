"""Every setting, with its default, its check and one line of help: the only list of them.

Flags, environment variables and the keys of a settings file are made from it; a test compares ``lib/config.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

from sketch_migrate.settings import checks

T = TypeVar("T")


def _setting(default: T, check: checks.Check, help_text: str, example: object = None) -> T:
    """Declare a field with what ``SettingField`` tells about it; the return type is the default's, for the checker."""
    shown = default if example is None else example
    declared: T = field(default=default, metadata={"check": check, "help": help_text, "example": shown})
    return declared


@dataclass(frozen=True, slots=True)
class Settings:
    """What is where, and how patiently to reach it. Picklable; holds no secret.

    An empty ``db_*`` (or a ``db_port`` of None) is "not set": libpq's own variables, service files and ``.pgpass``
    apply. An empty ``s3_endpoint_url`` is AWS, an empty ``s3_ca_bundle`` the system's certificates.
    """

    db_host: str = _setting("", checks.host, "database server, or the folder of its socket", "db.example.com")
    db_port: int | None = _setting(None, checks.port, "port of the database server", 5432)
    db_name: str = _setting("", checks.database, "database that holds the table", "sketch")
    db_sslmode: str = _setting(
        "",
        checks.choice("", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
        "how to use TLS with the database, as libpq names it",
        "require",
    )
    db_table: str = _setting("avatars", checks.table, "table with the references, perhaps with a schema")
    db_key_column: str = _setting("id", checks.column, "its primary key, or a unique column without NULL")
    db_path_column: str = _setting("path", checks.column, "its column that holds the object's key")

    s3_endpoint_url: str = _setting("", checks.endpoint, "where S3 is; empty is AWS", "https://s3.example.com")
    s3_region: str = _setting("us-east-1", checks.filled, "region of both buckets")
    s3_addressing_style: str = _setting(
        "auto", checks.choice("auto", "path", "virtual"), "bucket in the path or in the host name: auto, path, virtual"
    )
    s3_ca_bundle: str = _setting("", checks.text, "file of certificates to trust", "/etc/ssl/own-ca.pem")

    legacy_bucket: str = _setting("sketch-legacy-s3", checks.bucket, "bucket to move from")
    legacy_prefix: str = _setting("image/", checks.prefix, "how its keys, and legacy rows, begin")
    production_bucket: str = _setting("sketch-production-s3", checks.bucket, "bucket to move to")
    production_prefix: str = _setting("avatar/", checks.prefix, "how its keys, and production rows, begin")

    run_dir: str = _setting("runs", checks.filled, "folder in which every run makes its own, with log and ledger")

    s3_max_connections: int = _setting(128, checks.whole(1, 10_000), "most S3 requests at once, over all iterations")
    s3_requester_pays: bool = _setting(default=False, check=checks.yes_or_no, help_text="agree to pay for requests")
    s3_timeout_seconds: float = _setting(60.0, checks.seconds(0.1), "longest wait for a sign of life from S3")
    s3_retry_seconds: float = _setting(300.0, checks.seconds(0), "how long to wait out an S3 that fails")
    db_retry_seconds: float = _setting(600.0, checks.seconds(0), "how long to wait out a database that is away")
    lock_timeout_ms: int = _setting(5000, checks.whole(1, 2**31 - 1), "longest wait for a row's lock, milliseconds")
    statement_timeout_ms: int = _setting(60_000, checks.whole(1, 2**31 - 1), "longest statement, milliseconds")


@dataclass(frozen=True, slots=True)
class Options:
    """How this one run is to be carried out: the flags of the command line. Picklable.

    ``batch_size`` and ``limit`` are counted in references; a ``limit`` of 0 is no limit.
    """

    parallelization_level: int = 4
    batch_size: int = 500
    limit: int = 0
    verbose: bool = False
    dry_run: bool = False
    status_only: bool = False
    technical_status: bool = False
    overwrite: bool = False
    say_yes: bool = False
    json_output: bool = False
    show_progress: bool = True


@dataclass(frozen=True, slots=True)
class SettingField:
    """What the command line and the loader need to know of one setting."""

    name: str
    default: object
    check: checks.Check
    help: str
    example: object

    @property
    def in_file(self) -> str:
        """The name as a settings file has it: ``DB_HOST``."""
        return self.name.upper()

    @property
    def in_environment(self) -> str:
        """The name of its environment variable: ``SKETCH_DB_HOST``."""
        return f"SKETCH_{self.in_file}"

    @property
    def flag(self) -> str:
        """The name of its flag: ``--db-host``."""
        return "--" + self.name.replace("_", "-")


def setting_fields() -> tuple[SettingField, ...]:
    """Return all settings in their order."""
    return tuple(
        SettingField(f.name, f.default, f.metadata["check"], f.metadata["help"], f.metadata["example"])
        for f in fields(Settings)
    )
