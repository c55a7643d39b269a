"""Where the access key comes from, and how it stays valid during a long run."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import CredentialsError, SettingsError
from sketchmigrate.s3.wire.sigv4 import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sketchmigrate.core.rule import SideName

logger = logging.getLogger(__name__)

# botocore renews from 15 minutes before expiry on, when asked; so it is asked once a minute.
CHECK_SECONDS = 60.0
_NAMES = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
_RENEW_HINT = "Renew the session (for SSO: aws sso login), then run the command again."
_MISSING_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile with an access key or SSO."
)


def side_variables(side: SideName) -> tuple[str, str, str]:
    """Return the variables with a side's own access key, its secret, and the token of a session."""
    access_key, secret_key, token = (f"{side.upper()}_AWS_{name}" for name in _NAMES)
    return access_key, secret_key, token


class CredentialSource:
    """Gives the credentials to sign with. ``current`` is None until ``refresh`` has been awaited.

    ``whence`` says where they are from, in a word: a variable, or what botocore calls the link of its chain.

    ``load`` may block: it runs in a thread. ``renewable`` says whether loading again may bring others.
    """

    def __init__(self, load: Callable[[], Credentials], *, renewable: bool, variable: str = "") -> None:
        self.current: Credentials | None = None if renewable else load()
        self._load = load
        self._renewable, self._variable = renewable, variable
        self._check_at = time.monotonic() if renewable else float("inf")
        self._refreshing = asyncio.Lock()

    @property
    def whence(self) -> str:
        """Where they are from; empty where nobody has said so."""
        return self._load.method if isinstance(self._load, _Chain) else self._variable

    @classmethod
    def static(
        cls, access_key: str, secret_key: str, session_token: str = "", *, variable: str = ""
    ) -> CredentialSource:
        """Make a source of one access key that never changes, from the ``variable`` of that name."""
        return cls(lambda: Credentials(access_key, secret_key, session_token), renewable=False, variable=variable)

    @classmethod
    def of_side(cls, side: SideName, profile: str, environ: Mapping[str, str] = os.environ) -> CredentialSource:
        """Take a side's own variables if both are set, else its profile, else what ``from_environment`` takes.

        Raises ``SettingsError`` if only one of the side's two is set, and what that does.
        """
        key_name, secret_name, token_name = side_variables(side)
        access_key, secret_key, token = (environ.get(name, "").strip() for name in side_variables(side))
        if access_key and secret_key:
            return cls.static(access_key, secret_key, token, variable=key_name)
        if access_key or secret_key or token:
            there = key_name if access_key else secret_name if secret_key else token_name
            absent = secret_name if access_key else key_name
            raise SettingsError(f"{there} is set, but {absent} is not", hint="Set both or neither of them.")
        return cls(_Chain(profile), renewable=True) if profile else cls.from_environment(environ)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> CredentialSource:
        """Take the AWS variables if both are set, else botocore's chain (profiles, SSO, instance roles).

        Raises ``CredentialsError`` if only one of the two is set; the chain is asked at the first request.
        """
        access_key = environ.get("AWS_ACCESS_KEY_ID", "").strip()
        secret_key = environ.get("AWS_SECRET_ACCESS_KEY", "").strip()
        if access_key and secret_key:
            token = environ.get("AWS_SESSION_TOKEN", "").strip()
            return cls.static(access_key, secret_key, token, variable="AWS_ACCESS_KEY_ID")
        if access_key or secret_key:
            there, absent = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
            if secret_key:
                there, absent = absent, there
            raise CredentialsError(f"{there} is set, but {absent} is not", hint="Set both or neither of them.")
        return cls(_Chain(), renewable=True)

    def is_due(self) -> bool:
        """Say whether it is time to look for renewed credentials."""
        return time.monotonic() >= self._check_at

    async def refresh(self, used: Credentials | None = None) -> None:
        """Load the credentials; ``used`` are the ones that the store called expired, if it did.

        Many requests learn of an expiry at once; the first one refreshes, the others find it done. Raises
        ``CredentialsError`` if there are none, or if the expired ones cannot be renewed.
        """
        if used is not None and not self._renewable:
            raise CredentialsError(
                "the session token has expired (AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN)",
                hint="Set new ones and run the command again, or use a profile: that is renewed during the run.",
            )
        async with self._refreshing:
            if used is not None and used is not self.current:
                return
            if used is None and self.current is not None and not self.is_due():
                return
            if used is not None and isinstance(self._load, _Chain):
                self._load.start_over()
            self._check_at = time.monotonic() + CHECK_SECONDS
            try:
                loaded = await asyncio.to_thread(self._load)
            except CredentialsError as error:
                if self.current is None or used is not None:
                    raise
                # Those at hand are still accepted; the store will say when they are not.
                logger.warning("cannot renew the S3 credentials yet: %s", error)
                return
            if used is not None and loaded == used:
                raise CredentialsError("the S3 credentials have expired and were not renewed", hint=_RENEW_HINT)
            if loaded != self.current:
                self.current = loaded


class _Chain:
    """botocore's credential chain. Imported when first needed: that takes a quarter of a second."""

    def __init__(self, profile: str = "") -> None:
        self._profile = profile or None
        self._found: Any = None

    @property
    def method(self) -> str:
        """What botocore calls the link of its chain that had them (``shared-credentials-file``, ``iam-role``)."""
        return str(getattr(self._found, "method", ""))

    def start_over(self) -> None:
        """Forget what was found, so that it is resolved anew."""
        self._found = None

    def __call__(self) -> Credentials:
        import botocore.exceptions  # noqa: PLC0415 - slow to import, see the class
        import botocore.session  # noqa: PLC0415 - the same

        try:
            if self._found is None:
                self._found = botocore.session.Session(profile=self._profile).get_credentials()
            if self._found is None:
                raise CredentialsError("no S3 credentials were found", hint=_MISSING_HINT)
            frozen = self._found.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise CredentialsError(f"no S3 credentials: {error}", hint=f"{_MISSING_HINT} {_RENEW_HINT}") from error
        if not frozen.access_key or not frozen.secret_key:
            raise CredentialsError("the S3 credentials that were found are empty", hint=_MISSING_HINT)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")
