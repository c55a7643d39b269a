"""A store whose clock is not ours: it refuses what was signed at another time, and says what time it is, as S3 does."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from sketchmigrate.s3.wire.sigv4 import Credentials, Signer
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import Answer, status
from tests.servers.stores import REGION

if TYPE_CHECKING:
    from tests.servers.http1 import S3Request
    from tests.servers.s3_faults import Fault
    from tests.servers.stores import StoreServer

TOLERANCE = timedelta(minutes=15)
"""The S3 API reference, "Error Responses": RequestTimeTooSkewed."""


class SkewedStore(S3FaultProxy):
    """A store ``ahead`` of our clock. What it accepts is signed anew, for the clock of the server behind it.

    ``skewed`` in the hits counts refusals; where it does not ``tell_time`` they have no Date.
    """

    def __init__(self, server: StoreServer, *, ahead: timedelta = timedelta(), tells_time: bool = True) -> None:
        super().__init__(server.endpoint_url, sees_probes=True)
        self.ahead = ahead
        self._signer = Signer(Credentials(server.access_key, server.secret_key), REGION)
        self._tells_time = tells_time

    async def _considered(self, request: S3Request, fault: Fault | None) -> tuple[S3Request, Fault | None]:
        now = datetime.now(UTC) + self.ahead
        signed_at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(now - signed_at) <= TOLERANCE:
            return self._signed_now(request), fault
        refusal = status(403, "RequestTimeTooSkewed")
        date = {"Date": format_datetime(now, usegmt=True)} if self._tells_time else {}
        return request, Answer("skewed", 403, refusal.body, date)

    def _signed_now(self, request: S3Request) -> S3Request:
        names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        path, _, query = request.target.partition("?")
        sha256 = request.headers["x-amz-content-sha256"]
        headers = [
            (name, request.headers[name]) for name in names if name not in {"x-amz-date", "x-amz-content-sha256"}
        ]
        lines = self._signer.sign(int(time.time()), request.method, path, query, headers, payload_sha256=sha256)
        signed = {line.partition(":")[0].lower(): line for line in lines.rstrip("\r\n").split("\r\n")}
        head, end, body = request.message.wire.partition(b"\r\n\r\n")
        first_line, *came = head.decode("latin-1").split("\r\n")
        kept = [line for line in came if line.partition(":")[0].lower() not in signed]
        wire = "\r\n".join([first_line, *kept, *signed.values()])
        return replace(request, message=replace(request.message, wire=wire.encode("latin-1") + end + body))
