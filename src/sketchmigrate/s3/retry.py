"""Which failures pass, how long to wait for that, and when to stop waiting. Pure: clock and chance are passed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.errors import S3Error
    from sketchmigrate.s3.wire.redirect import Target

MAX_PAUSE_SECONDS = 20.0
MAX_PACED_PAUSE_SECONDS = 1.0  # where the limiter has a rate, or a share is refused whatever is sent
MAX_RETRY_AFTER_SECONDS = 300.0
"""A store's Retry-After is obeyed up to here; then it is asked again."""

SAID_SECONDS = 10.0
"""A pause that a store asks for is said from here on: a run that stands still says why."""

# A throttled request waits as long as others get through, but an object that is refused twelve times the retry time
# (an hour by default) while all others pass is not being paced: something is wrong with it.
PACED_LIMIT = 12


class FailureKind(Enum):
    """What a failure calls for."""

    FATAL = auto()  # nothing: it would fail again
    TRANSIENT = auto()  # to be tried again
    THROTTLED = auto()  # to be tried again, later and less often
    STALE = auto()  # a kept-alive connection was closed under the request: at once, on a fresh one
    SKEWED = auto()  # our clock is off: take the server's, sign again
    EXPIRED = auto()  # new credentials
    MOVED = auto()  # another region or host
    UNEXPLAINED = auto()  # a HEAD that was refused: it carries no error document


_CODES = {
    FailureKind.THROTTLED: (
        "SlowDown",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
    ),
    FailureKind.TRANSIENT: ("InternalError", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict"),
    FailureKind.SKEWED: ("RequestTimeTooSkewed",),
    FailureKind.EXPIRED: ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
    FailureKind.MOVED: ("PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed"),
}
_KIND_BY_CODE = {code: kind for kind, codes in _CODES.items() for code in codes}
_KIND_BY_STATUS = {
    **dict.fromkeys((301, 302, 307, 308), FailureKind.MOVED),
    408: FailureKind.TRANSIENT,
    429: FailureKind.THROTTLED,
    503: FailureKind.THROTTLED,
    501: FailureKind.FATAL,  # Not Implemented
    505: FailureKind.FATAL,  # HTTP Version Not Supported
}
_SERVER_ERRORS = range(500, 600)


def kind_of(status: int, code: str, *, bodiless: bool = False) -> FailureKind:
    """Classify a reply by its HTTP status and its S3 error code (empty if it named none).

    The code wins over the status: S3 sends errors with status 200 as well, and RequestTimeout with 400. ``bodiless``
    is a reply to HEAD, where S3 cannot name a code. The codes are those of the S3 API reference, "Error Responses".
    """
    kind = _KIND_BY_CODE.get(code) or _KIND_BY_STATUS.get(status)
    if kind is not None:
        return kind
    if status in _SERVER_ERRORS:
        return FailureKind.TRANSIENT
    return FailureKind.UNEXPLAINED if bodiless and status in (400, 403) else FailureKind.FATAL


class Failure(Exception):
    """One attempt failed. ``error`` is what the caller gets if there is no further attempt.

    ``region`` and ``target`` are where the store says the bucket is, ``store_time`` is its clock.
    """

    def __init__(
        self,
        kind: FailureKind,
        error: S3Error,
        *,
        retry_after_seconds: float = 0.0,
        region: str = "",
        target: Target | None = None,
        store_time: datetime | None = None,
    ) -> None:
        super().__init__(error.message)
        self.kind = kind
        self.error = error
        self.retry_after_seconds = retry_after_seconds
        self.region = region
        self.target = target
        self.store_time = store_time


@dataclass(slots=True)
class Patience:
    """The failures of one request so far, and what follows from them."""

    retry_seconds: float
    failures: int = 0
    failing_since: float = 0.0
    once: set[FailureKind] = field(default_factory=set)

    def first(self, kind: FailureKind) -> bool:
        """Say whether this is the first failure of its kind: stale, skewed and moved are put right only once."""
        if kind in self.once:
            return False
        self.once.add(kind)
        return True

    def pause_seconds(
        self,
        failure: Failure,
        now: float,
        client_progress_at: float,
        chance: Callable[[], float],
        *,
        is_paced: bool = False,
    ) -> float:
        """Return how long to wait before the next attempt, or -1 to give up.

        ``now`` and ``client_progress_at`` (when any request of the client last succeeded) are of one clock; ``chance``
        is uniform on [0, 1). The back-off has full jitter: see "Exponential Backoff And Jitter" in the AWS
        Architecture Blog. A server's Retry-After is a minimum, up to ``MAX_RETRY_AFTER_SECONDS``; jitter comes on top
        so that not all return at once. Where it is longer than the whole of the patience, nothing is waited for.
        ``is_paced``: the next attempt waits for its turn at a rate that the store bears, or the store refuses a share
        of whatever it gets, so that to wait for long besides gains nothing.
        """
        if self.failures == 0:
            self.failing_since = now
        self.failures += 1
        throttled = failure.kind is FailureKind.THROTTLED
        failing_seconds = now - self.failing_since
        if throttled:
            stalled_seconds = now - max(self.failing_since, client_progress_at)
            if failing_seconds < PACED_LIMIT * self.retry_seconds:
                failing_seconds = stalled_seconds
        least_seconds = min(failure.retry_after_seconds, MAX_RETRY_AFTER_SECONDS)
        if failing_seconds >= self.retry_seconds or least_seconds > self.retry_seconds:
            return -1.0
        ceiling_seconds = (0.5 if throttled and not is_paced else 0.1) * 2.0 ** min(self.failures - 1, 10)
        longest_seconds = MAX_PACED_PAUSE_SECONDS if is_paced else MAX_PAUSE_SECONDS
        pause_seconds = chance() * min(longest_seconds, ceiling_seconds)
        if least_seconds:
            return least_seconds + min(pause_seconds, 1.0)
        # The last attempt falls on the end of the retry time, not before it.
        return min(pause_seconds, self.retry_seconds - failing_seconds)


def retry_after_seconds(retry_after: str, amz_retry_after: str, now: datetime) -> float:
    """Read ``Retry-After`` (seconds or a date, RFC 9110) and ``x-amz-retry-after`` (milliseconds); 0 for neither."""
    if amz_retry_after.isdecimal():
        return float(amz_retry_after) / 1000
    if retry_after.isdecimal():
        return float(retry_after)
    if retry_after:
        moment = http_date(retry_after)
        if moment:
            return max((moment - now).total_seconds(), 0.0)
    return 0.0


def http_date(text: str) -> datetime | None:
    """Read an HTTP date; None if it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):  # the last two for numbers that no date has
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
