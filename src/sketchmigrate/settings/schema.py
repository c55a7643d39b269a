"""Every setting, with its type, its default and one line of help: the only list of them.

Flags, environment variables and the keys of a settings file are made from it; a test compares ``lib/config.py``.
"""

# ruff: noqa: RUF009 - each call makes a field

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Self, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.settings import values
    from sketchmigrate.settings.readers import Read

ENVIRONMENT_PREFIX = "SKETCH_"
DEFAULT_REGION = "us-east-1"
"""Where nothing names a region: stores other than AWS mostly accept any, and AWS names the right one."""


LISTS = ("moves", "urls", "references")
"""Lists of entries that say what is to be moved."""

FILE_ONLY = (*LISTS, "schedule")
"""What only a settings file can say: lists of entries, for which there is no flag and no variable."""


_AN_ENDPOINT, _A_BUNDLE = "https://s3.example.com", "/etc/ssl/own-ca.pem"
_AN_INVENTORY = "s3://inventories/sketch-legacy-s3/daily/2026-11-01T01-00Z/manifest.json"


class Contradiction(ValueError):
    """Two settings (``first`` and ``second``, in lower case) that are each right and wrong together."""

    def __init__(self, first: str, second: str, relation: str, hint: str) -> None:
        super().__init__(f"{first} and {second} are {relation}")
        self.first, self.second, self.relation, self.hint = first, second, relation, hint


class WrongSetting(ValueError):
    """A setting (``name``, in lower case) whose value is wrong for the ``reason``."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name, self.reason = name, reason


def setting(*, default: object, description: str = "", examples: Sequence[object] = ()) -> Any:  # noqa: ANN401 - as its field has it
    """Return a field of ``Settings``; what reads it is its type, one of ``settings.values``."""
    return field(default=default, metadata={"description": description, "example": [*examples, default][0]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is where, and how patiently to reach it. Comparable, picklable; holds no secret.

    An empty ``db_*`` (or a ``db_port`` of None) is "not set": libpq's own variables, service files and ``.pgpass``
    apply. An empty ``s3_endpoint_url`` is AWS, an empty ``s3_ca_bundle`` the system's certificates; before that,
    ``load_settings`` looks for them in AWS's own variables and profile.
    Raises ``WrongSetting`` or ``Contradiction``.
    """

    db_host: values.Host = setting(
        default="",
        description="database server, or the folder of its socket; several with commas",
        examples=["db.example.com"],
    )
    db_port: values.Ports = setting(
        default=None, description="port of the database server, or one for each of several", examples=[5432]
    )
    db_name: values.Database = setting(default="", description="database that holds the table", examples=["sketch"])
    db_sslmode: values.SslMode = setting(
        default="", description="how to use TLS with the database, as libpq names it", examples=["require"]
    )
    db_table: values.Table = setting(default="avatars", description="table with the references, perhaps with a schema")
    db_key_column: values.Column = setting(default="id", description="its primary key, or another unique column")
    db_path_column: values.Column = setting(default="path", description="its column that holds the object's key")

    s3_endpoint_url: values.Endpoint = setting(
        default="",
        description="where S3 is; empty: as AWS's surroundings say, else AWS",
        examples=[_AN_ENDPOINT],
    )
    s3_region: values.Text = setting(
        default="", description="region of both buckets; empty: as AWS's surroundings say", examples=["us-east-1"]
    )
    s3_addressing_style: values.AddressingStyle = setting(
        default="auto", description="bucket in the path or in the host name: auto, path, virtual"
    )
    s3_ca_bundle: values.Text = setting(default="", description="file of certificates to trust", examples=[_A_BUNDLE])

    # what one side has of its own: see ``settings.stores``
    legacy_s3_endpoint_url: values.Endpoint = setting(
        default="", description="where legacy is, if elsewhere than S3_ENDPOINT_URL says", examples=[_AN_ENDPOINT]
    )
    legacy_s3_region: values.Text = setting(
        default="", description="region of the legacy buckets, if another", examples=["us-east-1"]
    )
    legacy_s3_addressing_style: values.OwnAddressingStyle = setting(
        default="", description="how its buckets are named to the server, if otherwise", examples=["path"]
    )
    legacy_s3_ca_bundle: values.Text = setting(
        default="", description="file of certificates to trust there, if another", examples=[_A_BUNDLE]
    )
    legacy_s3_requester_pays: values.YesNoOrEmpty = setting(
        default=None, description="agree to pay for requests there, or not", examples=[True]
    )
    legacy_s3_profile: values.Text = setting(
        default="", description="AWS profile with the credentials for legacy", examples=["old-account"]
    )
    production_s3_endpoint_url: values.Endpoint = setting(
        default="", description="where production is, if elsewhere than S3_ENDPOINT_URL says", examples=[_AN_ENDPOINT]
    )
    production_s3_region: values.Text = setting(
        default="", description="region of the production buckets, if another", examples=["us-east-1"]
    )
    production_s3_addressing_style: values.OwnAddressingStyle = setting(
        default="", description="how its buckets are named to the server, if otherwise", examples=["path"]
    )
    production_s3_ca_bundle: values.Text = setting(
        default="", description="file of certificates to trust there, if another", examples=[_A_BUNDLE]
    )
    production_s3_requester_pays: values.YesNoOrEmpty = setting(
        default=None, description="agree to pay for requests there, or not", examples=[True]
    )
    production_s3_profile: values.Text = setting(
        default="", description="AWS profile with the credentials for production", examples=["new-account"]
    )

    new_object_headers: values.NewObjectHeaders = setting(
        default="",
        description="headers of all new objects (ACL, encryption, class, Cache-Control), semicolons between them",
        examples=["x-amz-acl: bucket-owner-full-control"],
    )
    keep_tags: values.KeepTags = setting(
        default="if-allowed", description="whether new objects get the tags of the old: if-allowed, required, no"
    )
    keep_acl: values.YesOrNo = setting(
        default=False, description="give new objects the grants to others that the old have; takes two requests each"
    )
    keep_storage_class: values.KeepStorageClass = setting(
        default="bucket-default", description="class of new objects: bucket-default, or keep that of the old"
    )
    keep_mtime: values.YesOrNo = setting(
        default=False, description="keep when the old were last modified, as the user metadata mtime"
    )

    legacy_bucket: values.Bucket = setting(default="sketch-legacy-s3", description="bucket to move from")
    legacy_prefix: values.Prefix = setting(default="image/", description="how its keys, and legacy rows, begin")
    production_bucket: values.Bucket = setting(default="sketch-production-s3", description="bucket to move to")
    production_prefix: values.Prefix = setting(
        default="avatar/", description="how its keys, and production rows, begin"
    )

    inventory_legacy: values.Inventories = setting(
        default="",
        description="S3 Inventory that plan, verify and handoff read instead of listing legacy: path or s3:// URL of"
        " its manifest.json, several with commas",
        examples=[_AN_INVENTORY],
    )
    inventory_production: values.Inventories = setting(
        default="",
        description="the same of production, for plan and verify",
        examples=[_AN_INVENTORY.replace("legacy", "production")],
    )

    run_dir: values.Filled = setting(
        default="runs", description="folder in which every run makes its own, with log and ledger"
    )
    report: values.YesOrNo = setting(
        default=True,
        description="leave a page about the run, report.html, in its folder: what changes rows, plan, verify",
    )
    ledger_url: values.LedgerUrl = setting(
        default="",
        description="PostgreSQL database for the ledgers of all runs, for a run over several machines; empty: a file"
        " in the run's folder",
        examples=["postgresql://ledger.example.com/sketch"],
    )

    max_concurrency: values.Connections = setting(
        default=1024, description="most S3 requests at once; how many are good, the tool finds out"
    )
    max_requests_per_second: values.Rate = setting(default=0.0, description="most S3 requests a second; 0: no cap")
    max_bandwidth: values.Bandwidth = setting(
        default=0,
        description="most bytes a second through this machine, K, M, G for 1000, 1000K, 1000M; 0: no cap. "
        "Copies within the store move none",
        examples=[20_000_000],
    )
    stream_memory: values.Memory = setting(
        default=128_000_000,
        description="most bytes of objects in memory at once, where they pass through this machine, K, M, G as above",
        examples=[128_000_000],
    )
    range_rows: values.Rows = setting(
        default=50_000, description="rows of a key range, where several processes share the table"
    )
    s3_requester_pays: values.YesOrNo = setting(default=False, description="agree to pay for requests")
    s3_timeout_seconds: values.TimeoutSeconds = setting(
        default=60.0, description="longest wait for a sign of life from S3"
    )
    s3_retry_seconds: values.PatienceSeconds = setting(
        default=300.0, description="how long to wait out an S3 that fails"
    )
    db_retry_seconds: values.PatienceSeconds = setting(
        default=600.0, description="how long to wait out a database that is away"
    )
    lock_timeout_ms: values.Milliseconds = setting(
        default=200, description="longest single wait for a lock, milliseconds; then it is tried again"
    )
    target_flip_ms: values.Milliseconds = setting(
        default=20, description="how long one flip of several rows may take, and keep them locked, milliseconds"
    )
    statement_timeout_ms: values.Milliseconds = setting(default=60_000, description="longest statement, milliseconds")
    max_failed_percent: values.Percent = setting(
        default=20.0, description="end the run when the database refuses more than so many percent of flips; 100: never"
    )

    # what the database may feel: see ``flow.governor``
    max_replica_lag_seconds: values.PatienceSeconds = setting(
        default=10.0, description="how many seconds a standby may be behind; from half of it on the run is slowed"
    )
    max_replica_lag_bytes: values.Bytes = setting(
        default=256_000_000, description="how many bytes a standby may be behind; K, M, G as above"
    )
    replica_urls: values.ReplicaUrls = setting(
        default="",
        description="standbys to ask themselves, as libpq URLs with blanks between them; empty: what the primary shows",
        examples=["postgresql://replica-1.example.com/sketch"],
    )
    max_slot_wal_percent: values.Percent = setting(
        default=50.0, description="most WAL that a replication slot may keep, in percent of max_slot_wal_keep_size"
    )
    max_slot_wal_bytes: values.Bytes = setting(
        default=10_000_000_000, description="most bytes of WAL that it may keep where that is unlimited"
    )
    max_wal_bytes_per_second: values.Bandwidth = setting(
        default=0, description="most bytes of WAL a second, everybody's; 0: no cap", examples=[20_000_000]
    )
    max_lock_waiters: values.Sessions = setting(
        default=2, description="most sessions that may wait for rows of ours, on average"
    )
    max_rows_per_second: values.Rate = setting(default=0.0, description="most rows set a second; 0: no cap")
    pause_for_autovacuum: values.PauseForAutovacuum = setting(
        default="wraparound", description="which vacuums of our tables the run waits for: wraparound, any, never"
    )

    schedule_time_zone: values.TimeZone = setting(
        default="UTC", description="time zone of SCHEDULE, by its name", examples=["Europe/Berlin"]
    )

    notify_command: values.CommandLine = setting(
        default="",
        description="command that is told, by JSON on its standard input, when a run ends, stalls or needs a person",
        examples=["/usr/local/bin/tell-us"],
    )

    # lists of entries, which a settings file alone can have: see ``settings.lists``
    moves: values.Entries = ()
    urls: values.Entries = ()
    references: values.Entries = ()
    schedule: values.Entries = ()

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """Return settings with values as a person has written them, by the settings' names."""
        return cls(**values)  # type: ignore[arg-type]  # each is read, whatever it is

    @property
    def has_lists(self) -> bool:
        """Whether there are lists that take the place of other settings."""
        return bool(self.moves or self.urls or self.references)

    def __post_init__(self) -> None:
        for name, read in _readers().items():
            try:
                value = read(getattr(self, name))
            except ValueError as error:
                raise WrongSetting(name, str(error)) from error
            object.__setattr__(self, name, value)
        self._agree()

    def _agree(self) -> None:
        legacy, production = self.legacy_prefix, self.production_prefix
        if legacy == production:
            place = "the same place: " if self.legacy_bucket == self.production_bucket else ""
            raise Contradiction(
                "legacy_prefix",
                "production_prefix",
                f"{place}both {legacy!r}",
                "A row holds the key and no bucket, so only the prefix tells which are done: give two different ones.",
            )
        if legacy.startswith(production) or production.startswith(legacy):
            raise Contradiction(
                "legacy_prefix",
                "production_prefix",
                f"{legacy!r} and {production!r}: one begins with the other",
                "A row of the longer one would count for both sides: give two that share no beginning.",
            )
        for name, is_kept, begins in (
            ("keep_acl", self.keep_acl, ("x-amz-acl", "x-amz-grant-")),
            ("keep_storage_class", self.keep_storage_class == "keep", ("x-amz-storage-class",)),
        ):
            if not is_kept:
                continue
            from sketchmigrate.settings.values import headers_of  # noqa: PLC0415 - see _readers

            demanded = [header for header, _ in headers_of(self.new_object_headers) if header.startswith(begins)]
            if demanded:
                raise Contradiction(
                    name,
                    "new_object_headers",
                    f"two answers to one question: {demanded[0]} is the same for all new objects",
                    "Leave one of them away.",
                )
        hosts, ports = self.db_host.split(","), str(self.db_port or "").split(",")
        if self.db_host and len(ports) not in {1, len(hosts)}:
            raise Contradiction(
                "db_host",
                "db_port",
                f"{len(hosts)} host{'s' * (len(hosts) > 1)} and {len(ports)} ports",
                "Give one port for all hosts, or one for each.",
            )


@cache
def _readers() -> dict[str, Read]:
    """Return what reads each setting, by its name; imported here, as ``-h`` needs the names alone."""
    from sketchmigrate.settings import values  # noqa: PLC0415 - see above

    types = get_type_hints(Settings, {"values": values}, include_extras=True)
    return {name: type_.__metadata__[0] for name, type_ in types.items()}


MAX_PORT = 65_535

LOCAL_CLUSTER = "local:"
"""How a cluster begins that is to be made on this machine."""

NO_CLOBBER = ("auto", "conditional-copy", "conditional-put", "conditional-complete", "check-first")
"""What ``--no-clobber`` takes: let the probe of the store decide, or one of ``migration.no_clobber.Means``."""


TRANSFERS = ("auto", "in-store", "streamed")
"""What ``--transfer`` takes: let it be found out, or one of ``migration.transfer_kind.TransferKind``."""

LOG_FORMATS = ("text", "json")
"""What ``--log-format`` takes."""


@dataclass(frozen=True, slots=True)
class Options:
    """How this one run is to be carried out: the flags of the command line. Picklable.

    ``batch_size`` and ``limit`` are counted in references; a ``limit`` of 0 is no limit. ``processes`` None is one, and
    more once that one has filled its core. ``trial`` None is the command's own choice: a migration tries a flip first,
    what writes nothing does not. With ``follow`` it goes on when all is done, with a full pass every so many seconds,
    and ends when so many have passed in which nothing new was found. ``metrics`` is a host and a port, ``events`` a
    path or ``-``; empty is none.
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
    no_clobber: str = NO_CLOBBER[0]
    transfer: str = TRANSFERS[0]
    processes: int | None = None
    cluster: str = ""
    trial: bool | None = None
    follow: bool = False
    follow_every_seconds: float = 600.0
    until_quiet_seconds: float | None = None
    csv_safe: bool = False
    metrics: str = ""
    metrics_file: str = ""
    events: str = ""
    log_format: str = LOG_FORMATS[0]

    @property
    def is_shared(self) -> bool:
        """Whether other processes than this one are to do the work."""
        return bool(self.cluster) or (self.processes or 1) > 1


@dataclass(frozen=True, slots=True)
class SettingField:
    """What the command line and the loader need to know of one setting."""

    name: str
    default: object
    help: str
    example: object

    @property
    def in_file(self) -> str:
        """The name as a settings file has it: ``DB_HOST``."""
        return self.name.upper()

    @property
    def in_environment(self) -> str:
        """The name of its environment variable: ``SKETCH_DB_HOST``."""
        return ENVIRONMENT_PREFIX + self.in_file

    @property
    def flag(self) -> str:
        """The name of its flag: ``--db-host``."""
        return "--" + self.name.replace("_", "-")


def setting_fields() -> tuple[SettingField, ...]:
    """Return all settings in their order."""
    return tuple(
        SettingField(each.name, each.default, each.metadata["description"], each.metadata["example"])
        for each in fields(Settings)
        if each.name not in FILE_ONLY
    )


def effective(settings: Settings) -> dict[str, Any]:
    """Return the settings by their names in a settings file, as JSON has them. No secret is among them."""
    return {each.name.upper(): _as_json(getattr(settings, each.name)) for each in fields(settings)}


def _as_json(value: object) -> object:
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)  # a time, of TOML


def other_than_default(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of such settings that are not the defaults of this version."""
    usual = effective(Settings())
    return {name: value for name, value in told.items() if name not in usual or usual[name] != value}
