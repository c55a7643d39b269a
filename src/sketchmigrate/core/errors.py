"""Every error that the tool raises on purpose.

::

    MigrateError                     4  what failed, and what to do about it
    ├── UsageError                   2  the command line is wrong
    │   └── SettingsError            2  a setting is unknown, mistyped or contradicts another
    ├── RunGoesOn                    1  the run that is to be undone is not over
    ├── MetricsRefused               3  the port that metrics are to be had from cannot be listened on
    ├── RunNotReached                3  a run that is to be shown or given orders is not there, has ended, or takes none
    ├── FenceStands                  1  a constraint refuses legacy references that are left, or are to be set back
    ├── RunDirectoryError            4  the run's own files cannot be written
    ├── ConditionNotProved           3  what was asked to protect production is not proved to do so on this store
    ├── TransferRefused              3  a copy within the store was asked for, and the two sides are two stores
    ├── DatabaseError                4  PostgreSQL answered with an error
    │   ├── DatabaseUnreachable      3  no connection, or it was lost and did not come back
    │   ├── DatabaseRefused          3  wrong password, no such database, missing privilege
    │   ├── RowsHidden               1  row-level security hides rows of the table
    │   ├── KeyNotUnique             1  two rows of a view have the key that should tell them apart
    │   ├── DatabaseBusy             4  a lock, a deadlock or a time limit, again and again
    │   │   └── TableLocked          4  … and it is the whole table that stays locked
    │   └── ReferenceRefused         4  the database will not take one particular flip
    ├── S3Error                      4  the store answered with an error
    │   ├── ObjectMissing            4  no object under that key
    │   ├── PreconditionFailed       4  a condition sent with the request did not hold
    │   │   └── ObjectExists         4  … and it was that no object should be there yet
    │   ├── BucketMissing            3
    │   ├── NotBegun                 4  it was not begun, as the run is stopping
    │   ├── StoredDamaged            4  the checksum that the store tells of what it took is another
    │   ├── StoreFull                4  no room for any more, or a quota is used up
    │   ├── S3Refused                3  access denied, unknown key, wrong signature
    │   │   └── RedirectRefused      3  … or sent to a host that is not the store's own
    │   ├── CredentialsError         3  none found, or expired and not renewable
    │   ├── S3Unreachable            3  no connection, or no answer in time
    │   ├── S3Busy                   4  throttled or failing for longer than the retry time
    │   └── S3Malformed              3  what answered does not speak S3
    │       └── ObjectInstead        3  … or sent an object where something about it was asked for
    ├── NothingRecognised            1  rows have paths, and none is on either side
    ├── EvidenceOutdated             1  rows were set since a verify began to read, or are being set
    ├── InventoryDamaged             3  a file of an S3 Inventory is not what its manifest says
    ├── TooManyFailed                1  the database took too few flips for a run to make sense
    ├── ClusterError                4  the workers that should share the work cannot be used
    │   ├── ClusterUnreachable      3  there is no scheduler, or it is gone
    │   └── WorkerLost              4  one ended, or is out of reach, while it had a range
    └── Interrupted                130  stopped by a signal before it could finish

The number is the exit code of a run that ends with that error. Each error carries a ``hint``: the next thing for a
person to do. All of them pickle, because a range may run in another process than the one that reports it.
"""

from __future__ import annotations

from http import HTTPStatus
from signal import SIGINT
from typing import Any

from sketchmigrate.core.exit_codes import ExitCode, stopped_by

NOT_DONE_AT_ALL = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""What a store answers that does not do what it was asked, whatever the object is."""


class MigrateError(Exception):
    """Something that a person can act on: ``message`` names the thing, ``hint`` what to do next."""

    exit_code: int = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(kind: type[MigrateError], args: tuple[Any, ...], state: dict[str, Any]) -> MigrateError:
    """Make an error again from its pickle, without calling ``__init__`` and its keyword-only arguments."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(MigrateError):
    """The command line cannot be carried out as typed."""

    exit_code = ExitCode.USAGE


class SettingsError(UsageError):
    """A setting is unknown, has the wrong type, or contradicts another one."""


class RunGoesOn(MigrateError):
    """A run cannot be undone before it is over: it would set again what is set back."""

    exit_code = ExitCode.LEFT


class RunNotReached(MigrateError):
    """A run that is to be shown or given orders is not there, has ended, or takes none."""

    exit_code = ExitCode.REFUSED


class MetricsRefused(MigrateError):
    """The port that metrics are to be had from is taken, or is none of this machine's."""

    exit_code = ExitCode.REFUSED


class FenceStands(MigrateError):
    """A fence (``postgres.fence``) refuses legacy references, and some are left in its table, or are to be set back."""

    exit_code = ExitCode.LEFT


class RunDirectoryError(MigrateError):
    """The run's directory, log, ledger or problem list cannot be written."""


class ConditionNotProved(MigrateError):
    """A conditional write that was asked for, or that nobody may do without, is not proved to hold on this store."""

    exit_code = ExitCode.REFUSED


class TransferRefused(MigrateError):
    """Objects cannot be brought in the way that was asked for."""

    exit_code = ExitCode.REFUSED


class DatabaseError(MigrateError):
    """PostgreSQL answered with an error. ``sqlstate`` is its five-character code, or empty."""

    def __init__(self, message: str, *, hint: str = "", sqlstate: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate


class DatabaseUnreachable(DatabaseError):
    """No connection could be made, or one was lost and did not come back in time."""

    exit_code = ExitCode.REFUSED


class DatabaseRefused(DatabaseError):
    """The database is there and says no: authentication, a missing object, a missing privilege."""

    exit_code = ExitCode.REFUSED


class RowsHidden(DatabaseError):
    """Row-level security hides rows: whether any is left cannot be told."""

    exit_code = ExitCode.LEFT


class KeyNotUnique(DatabaseError):
    """Two rows have one key: which of them a flip is about cannot be told."""

    exit_code = ExitCode.LEFT


class DatabaseBusy(DatabaseError):
    """A lock, a deadlock or a time limit stood in the way, and still did after several attempts."""


class TableLocked(DatabaseBusy):
    """A lock on the whole table stood in the way for as long as the run waits: no row can pass."""


class ReferenceRefused(DatabaseError):
    """The database will not take this flip (a constraint, a trigger, row-level security): others may pass.

    ``broke``: it did not say so, but its connection broke, each time.
    """

    broke: bool = False


class S3Error(MigrateError):
    """The store answered with an error.

    ``status`` is the HTTP status (0 if there was no reply), ``code`` the S3 error code or empty, ``said`` the store's
    own words or empty.
    """

    def __init__(self, message: str, *, hint: str = "", status: int = 0, code: str = "", said: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.said = said

    @property
    def is_client_error(self) -> bool:
        """Whether the store faults what it is asked (RFC 9110, section 15.5): it did nothing, and it is not broken."""
        return 400 <= self.status < 500  # noqa: PLR2004 - the class of the status

    @property
    def is_unsupported(self) -> bool:
        """Whether the store does not do what it was asked (400, 405, 501), or not for this user (``S3Refused``).

        That alone may be learned of it. Anything else is about one object, or passes.
        """
        return self.status in NOT_DONE_AT_ALL or (type(self) is S3Error and self.status == HTTPStatus.BAD_REQUEST)


class ObjectMissing(S3Error):
    """There is no object under that key."""


class PreconditionFailed(S3Error):
    """A condition sent with the request (If-Match, If-None-Match) did not hold: nothing was written."""


class ObjectExists(PreconditionFailed):
    """There is an object where a new one was to be put: nothing was written by this request.

    ``attempts`` counts the requests sent. Where it was more than one, the object may be our own: an earlier request
    may have made it, and its reply was lost.
    """

    attempts: int = 1


class BucketMissing(S3Error):
    """The bucket does not exist."""

    exit_code = ExitCode.REFUSED


class NotBegun(S3Error):
    """Nothing was done, as the run is stopping."""


class StoredDamaged(S3Error):
    """The store has taken a body, and the checksum that it tells of it is another. ``etag`` is that of what it has."""

    def __init__(self, message: str, etag: str) -> None:
        super().__init__(message)
        self.etag = etag


class StoreFull(S3Error):
    """The store has no room for any more, or a quota of the bucket or its owner is used up."""


class S3Refused(S3Error):
    """Not allowed: access denied, an unknown access key, or a signature that the store does not accept."""

    exit_code = ExitCode.REFUSED

    @property
    def is_denial(self) -> bool:
        """Whether a right is lacking. Wrong credentials are called otherwise, and keep their own words."""
        return self.code in {"AccessDenied", "Forbidden", ""}

    @property
    def is_unsupported(self) -> bool:
        """Whether a right is lacking."""
        return self.is_denial


class RedirectRefused(S3Refused):
    """The store sends requests to a host that is not its own: they are not sent there."""


class CredentialsError(S3Error):
    """No credentials were found, or they expired and could not be renewed."""

    exit_code = ExitCode.REFUSED


class S3Unreachable(S3Error):
    """The store could not be connected to, or did not answer in time."""

    exit_code = ExitCode.REFUSED


class S3Busy(S3Error):
    """The store throttled or failed the request for longer than the retry time."""


class S3Malformed(S3Error):
    """The answer is not what S3 sends: the endpoint is something else, or the reply was damaged."""

    exit_code = ExitCode.REFUSED


class ObjectInstead(S3Malformed):
    """The object itself came where its tags were asked for: the store does not know that question."""

    @property
    def is_unsupported(self) -> bool:
        """Yes."""
        return True


class NothingRecognised(MigrateError):
    """Rows have paths and legacy has objects, and no path is on either side: the settings are not of this table."""

    exit_code = ExitCode.LEFT


class EvidenceOutdated(MigrateError):
    """Runs have set rows since the evidence was begun, or one is about to: what it proved may not be true by now."""

    exit_code = ExitCode.LEFT


class InventoryDamaged(MigrateError):
    """A file of an S3 Inventory is not what its manifest says: another checksum, or no list of objects."""

    exit_code = ExitCode.REFUSED


class TooManyFailed(MigrateError):
    """So many flips failed that nothing more is begun. What was begun is finished, as after a run to the end."""

    exit_code = ExitCode.LEFT


class ClusterError(MigrateError):
    """The workers that should share the work cannot be used."""


class ClusterUnreachable(ClusterError):
    """There is no scheduler at the address, or it does not answer any more."""

    exit_code = ExitCode.REFUSED


class WorkerLost(ClusterError):
    """A worker ended, or is out of reach, while it had a task.

    ``is_certain`` says that it does nothing any more; otherwise it may still be at work on the task.
    """

    def __init__(self, worker: str, reason: str, *, is_certain: bool) -> None:
        super().__init__(f"{worker} was lost: {reason}", hint="What it was given is redone elsewhere.")
        self.worker = worker
        self.is_certain = is_certain


class Interrupted(MigrateError):
    """A signal asked the run to stop. ``exit_code`` is 128 plus the signal's number."""

    exit_code = stopped_by(SIGINT)

    def __init__(self, message: str, *, hint: str = "", signal_number: int = SIGINT) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = stopped_by(signal_number)
