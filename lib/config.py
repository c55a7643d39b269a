"""Settings of this site, to be edited by hand. This file is run as code, and so is another one given with --config.

Each value below is also the built-in default, so a line may be deleted. An environment variable SKETCH_<NAME>
overrides a line, and a flag overrides both: SKETCH_DB_HOST, --db-host. The same names work in a TOML file.

Secrets do not belong here. They come from the environment:

    SKETCH_DB_USER, SKETCH_DB_PASS              user and password of the database
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY    S3 keys, with AWS_SESSION_TOKEN where they are temporary;
                                                without these two: profiles, SSO and instance roles, as usual with AWS
    LEGACY_AWS_ACCESS_KEY_ID, … and PRODUCTION_AWS_ACCESS_KEY_ID, …    the same three for one side alone
"""

# --- The database ----------------------------------------------------------------------------------------------------
# What is left empty here is looked up by libpq as always: PGHOST, PGPORT and so on, service files, .pgpass.

# Server that PostgreSQL runs on, or the folder of its Unix socket. Example: "db.example.com". Several with commas, of
# which the first one that can be used is: "db1.example.com,db2.example.com"; PGTARGETSESSIONATTRS=read-write chooses
# the primary.
DB_HOST = ""

# Port it listens on, 1 to 65535; None leaves it to libpq (5432 unless PGPORT says otherwise). Of several servers one
# for all, or one for each: "5432,5433".
DB_PORT = None

# Database that holds the table. Example: "sketch"
DB_NAME = ""

# How to use TLS: "disable", "allow", "prefer", "require", "verify-ca" or "verify-full"; empty is libpq's "prefer".
DB_SSLMODE = ""

# Table with the references, if need be with its schema: "public.avatars". Capitals are kept. Double quotes are only
# needed around a part that holds a dot or a quote: '"my.schema"."avatars"'.
DB_TABLE = "avatars"

# Its primary key, or another unique column. The table is read in its order.
DB_KEY_COLUMN = "id"

# Its column that holds the object's key, prefix included: "image/avatar-123.png". The only column that is changed.
DB_PATH_COLUMN = "path"

# --- S3 --------------------------------------------------------------------------------------------------------------

# What is left empty of the next two and of S3_CA_BUNDLE is looked up as AWS's own tools do: AWS_ENDPOINT_URL_S3,
# AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_CA_BUNDLE, then the profile (endpoint_url, region, ca_bundle).
# The start of a run says each value and whence it came.

# Where S3 is, with http:// or https://; empty, and nothing found so, is AWS. Example: "https://s3.example.com:9000"
S3_ENDPOINT_URL = ""

# Region of both buckets; empty, and nothing found so, is us-east-1. Stores other than AWS mostly accept any.
S3_REGION = ""

# How a bucket is named to the server: "path" (https://server/bucket/key), "virtual" (https://bucket.server/key), or
# "auto": virtual on AWS, path elsewhere.
S3_ADDRESSING_STYLE = "auto"

# File of certificates to trust, in PEM, for a store with an authority of its own; empty is the system's.
S3_CA_BUNDLE = ""

# Where the two sides are two stores, or two accounts: what one of them has of its own. What is left empty is as above.
# The profile is one of AWS's: its credentials, and its endpoint_url, region and ca_bundle where they are not set here.
# Secrets are in the environment: LEGACY_AWS_ACCESS_KEY_ID, LEGACY_AWS_SECRET_ACCESS_KEY, LEGACY_AWS_SESSION_TOKEN, and
# the same with PRODUCTION. They go before the profile, and that before what is there for both sides.

# Where legacy is. Example: "https://fra1.digitaloceanspaces.com"
LEGACY_S3_ENDPOINT_URL = ""
# Region of the legacy buckets.
LEGACY_S3_REGION = ""
# "path", "virtual" or "auto", for legacy.
LEGACY_S3_ADDRESSING_STYLE = ""
# File of certificates to trust, for legacy.
LEGACY_S3_CA_BUNDLE = ""
# True or False: whether the requests to legacy are paid for; None is as S3_REQUESTER_PAYS says.
LEGACY_S3_REQUESTER_PAYS = None
# AWS profile for legacy.
LEGACY_S3_PROFILE = ""

# Where production is. Example: "https://ACCOUNT.r2.cloudflarestorage.com"
PRODUCTION_S3_ENDPOINT_URL = ""
# Region of the production buckets.
PRODUCTION_S3_REGION = ""
# "path", "virtual" or "auto", for production.
PRODUCTION_S3_ADDRESSING_STYLE = ""
# File of certificates to trust, for production.
PRODUCTION_S3_CA_BUNDLE = ""
# True or False: whether the requests to production are paid for; None is as S3_REQUESTER_PAYS says.
PRODUCTION_S3_REQUESTER_PAYS = None
# AWS profile for production.
PRODUCTION_S3_PROFILE = ""

# Headers that every new object is made with, because a policy of the production bucket demands them, with semicolons
# between them: "x-amz-acl: bucket-owner-full-control; x-amz-server-side-encryption: aws:kms". An ACL, grants,
# encryption (not with a customer's key), a storage class, a lock, Cache-Control.
NEW_OBJECT_HEADERS = ""

# What new objects get of the old ones besides bytes, content headers and user metadata: docs/fidelity.md has all of it.

# Tags. "if-allowed": where the rights and the store allow it; "required": an object whose tags cannot be kept is not
# migrated; "no".
KEEP_TAGS = "if-allowed"
# The grants to others than the owner, as far as production's store knows whom they name. It takes a request to read
# them of each object, and for one that has some another to see that they are there.
KEEP_ACL = False
# The class: "bucket-default", or "keep" that of the old one (but no archive).
KEEP_STORAGE_CLASS = "bucket-default"
# When the old one was last modified, as the user metadata "mtime": seconds since 1970, as rclone reads it.
KEEP_MTIME = False

# --- The two sides ---------------------------------------------------------------------------------------------------
# legacy:      sketch-legacy-s3/image/avatar-XXX.png        its row says image/avatar-XXX.png
# production:  sketch-production-s3/avatar/avatar-XXX.png   its row says avatar/avatar-XXX.png
# Prefixes end with a slash, and neither may begin with the other: they are what tells whether a row is done.

# Bucket to move from. Nothing in it is changed or deleted.
LEGACY_BUCKET = "sketch-legacy-s3"

# How the keys to move begin, in this bucket and in the rows.
LEGACY_PREFIX = "image/"

# Bucket to move to. It may be the same one, with another prefix.
PRODUCTION_BUCKET = "sketch-production-s3"

# What takes the place of the legacy prefix, in that bucket and in the rows.
PRODUCTION_PREFIX = "avatar/"

# An S3 Inventory that plan, verify and handoff read instead of listing legacy: path or s3:// URL of its manifest.json,
# several with commas. It must be CSV or Parquet, with Size, ETag and LastModifiedDate (docs/plan.md).
# For example "s3://inventories/sketch-legacy-s3/daily/2026-11-01T01-00Z/manifest.json".
INVENTORY_LEGACY = ""

# The same of production, for plan and verify.
INVENTORY_PRODUCTION = ""

# --- The run ---------------------------------------------------------------------------------------------------------

# Folder in which every run makes one of its own, for its log, its ledger (needed to undo it) and its list of problems.
# A relative one is in the current folder. It should be on a disk that lasts.
RUN_DIR = "runs"

# Whether what changes rows, plan and verify leave a page about the run there, report.html.
REPORT = True

# Where the ledgers of all runs are kept instead, as a run over several machines (--cluster) needs it: a database of
# PostgreSQL, such as "postgresql://ledger.example.com/sketch", not necessarily that of the application. Its tables are
# made by the command "ledger init"; user and password come from SKETCH_LEDGER_USER and SKETCH_LEDGER_PASS, or from
# libpq's own PGUSER, PGPASSWORD and ~/.pgpass.
LEDGER_URL = ""

# --- How hard and how patiently to try. The defaults suit most sites. -------------------------------------------------

# Most requests to S3 at once, over all iterations together. Within this the tool finds out by itself how many are good.
MAX_CONCURRENCY = 1024

# Most requests to S3 in a second; 0 is no cap.
MAX_REQUESTS_PER_SECOND = 0.0

# Most bytes in a second that go through this machine, for instance "20M" (K, M, G: 1000, 1000K, 1000M); 0 is no cap. A
# copy within the store moves none; what is streamed from one store into another, compared byte by byte, or stored
# conditionally, does.
MAX_BANDWIDTH = 0

# Most bytes of objects in memory at once, in each process, where objects pass through this machine: "128M".
STREAM_MEMORY = 128_000_000

# Where several processes share the table (--processes), each takes up a range of its keys of about so many rows.
RANGE_ROWS = 50_000

# True agrees to pay for the requests where a bucket's owner asks for that ("requester pays").
S3_REQUESTER_PAYS = False

# A request without any sign of life for so long, in seconds, is tried again on another connection; so is one whose
# reply as a whole is too slow (docs/safety.md).
S3_TIMEOUT_SECONDS = 60.0

# How long, in seconds, a store that only fails is waited for before entries are given up.
S3_RETRY_SECONDS = 300.0

# How long, in seconds, a database that is away is waited for before the run is given up.
DB_RETRY_SECONDS = 600.0

# Longest single wait for a lock of the application's, in milliseconds; then it is tried again. More than half of the
# server's deadlock_timeout (usually 1000) is lowered to that.
LOCK_TIMEOUT_MS = 200

# How long one update of several rows may take, and keep them locked, in milliseconds: their number follows from it.
TARGET_FLIP_MS = 20

# Longest time for one statement in the database, in milliseconds; 60000 is a minute.
STATEMENT_TIMEOUT_MS = 60000

# The run is ended when the database refuses more than so many percent of the flips (of the last 10 000, judged from
# 1 000 on), or the first 1 000 all for one cause. Objects that cannot be copied and locked rows do not count. 100 is
# never.
MAX_FAILED_PERCENT = 20.0

# --- What the database may feel ---------------------------------------------------------------------------------------
# From half of a limit on the run is slowed, at the limit it is stopped, and it goes on by itself
# (docs/operations.md). 0 is no limit.

# How far a standby may be behind, in seconds.
MAX_REPLICA_LAG_SECONDS = 10.0
# And in bytes ("256M"; K, M, G: 1000, 1000K, 1000M).
MAX_REPLICA_LAG_BYTES = 256_000_000

# Standbys that are asked themselves, as libpq URLs with blanks between them: "postgresql://replica-1.example.com/sketch
# postgresql://replica-2.example.com/sketch". Others then do not count. Empty: all that the primary shows, which takes
# pg_read_all_stats. What a URL does not say of the database's name, sslmode, user and password is as for the database;
# one with a password is exported as SKETCH_REPLICA_URLS.
REPLICA_URLS = ""

# How much WAL a replication slot may keep, in percent of the server's max_slot_wal_keep_size, beyond which it is lost.
MAX_SLOT_WAL_PERCENT = 50.0
# And in bytes, where the server sets no limit (max_slot_wal_keep_size = -1).
MAX_SLOT_WAL_BYTES = 10_000_000_000

# How many bytes of WAL may be written a second, by everybody together: "20M".
MAX_WAL_BYTES_PER_SECOND = 0

# How many sessions may wait for rows of ours at a time, as a mean over some seconds.
MAX_LOCK_WAITERS = 2

# How many rows may be set a second.
MAX_ROWS_PER_SECOND = 0.0

# Which vacuums of our tables are waited for: "wraparound", "any" or "never".
PAUSE_FOR_AUTOVACUUM = "wraparound"

# When the run may go on, and how fast: the first entry that matches the time counts, and where none does, it is paused.
# Examples of entries: {"from": "22:00", "until": "06:00"}, or {"days": "sat,sun"}, or {"rows_per_second": 200}
SCHEDULE: list[dict[str, object]] = []
# The time zone of these hours, by its name.
SCHEDULE_TIME_ZONE = "UTC"

# --- Who is told ------------------------------------------------------------------------------------------------------
# A command that is run when a run ends, stalls or needs a person, with an event as JSON on its standard input
# (docs/metrics.md). No shell runs it. It is shown in logs: keep secrets in a file of its own.
NOTIFY_COMMAND = ""

# --- Several moves, many tables, other shapes ------------------------------------------------------------------------
# Lists that take the place of the table's and the prefixes' settings above; docs/references.md explains their entries.

# Which keys go where. Example: {"legacy": "s3://sketch-legacy-s3/image/", "production": "s3://new-s3/avatar/"}
MOVES: list[dict[str, object]] = []

# How keys are written as URLs. Example: {"legacy": "https://old.example.com/{key}", "production": "https://cdn…/{key}"}
URLS: list[dict[str, object]] = []

# Where references are. Example: {"table": "documents", "column": "file", "shape": "json", "paths": ["$.id"]}
REFERENCES: list[dict[str, object]] = []
