"""Where S3 is by AWS's own variables and profile, as the AWS SDKs look it up; below every setting of this tool.

Sources: AWS SDKs and Tools Reference Guide, "Service-specific endpoints" and "AWS Region". Files are read by botocore,
which is imported only where there is one, so that the profile is the one that its credentials come from.
"""

from __future__ import annotations

from os.path import expandvars
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.settings.files import VARIABLE, ValueOrigin

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FOUND_THERE = ("s3_endpoint_url", "s3_region", "s3_ca_bundle")
"""The settings that AWS's surroundings may give. One that is empty elsewhere says nothing, and is looked up here."""

_VARIABLES = {
    "s3_endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "s3_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "s3_ca_bundle": ("AWS_CA_BUNDLE",),
}
_IGNORE = "aws_ignore_configured_endpoint_urls"
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
"""In botocore's order: credentials and region must be of the same profile."""


def of_profile(
    environ: Mapping[str, str], named: ValueOrigin, name: str, wanted: Collection[str]
) -> dict[str, tuple[str, ValueOrigin]]:
    """Return what the profile ``name``, which a setting has ``named``, says of the ``wanted`` ones of FOUND_THERE.

    Raises ``SettingsError`` as ``aws_surroundings`` does.
    """
    profile = _Profile(environ, name, named)
    ignored = _is_ignored(environ, profile)
    found = {each: _of_profile(profile, each) for each in wanted if not (ignored and each == "s3_endpoint_url")}
    return {each: told for each, told in found.items() if told is not None}


def aws_surroundings(
    environ: Mapping[str, str], wanted: Collection[str] = FOUND_THERE
) -> tuple[dict[str, str], dict[str, ValueOrigin]]:
    """Return what the variables, and else the profile, say of the ``wanted`` settings, and where each was written.

    Raises ``SettingsError`` where a profile is named that is not there, or a file of profiles cannot be read.
    """
    values: dict[str, str] = {}
    origins: dict[str, ValueOrigin] = {}
    profile = _chosen_profile(environ) if wanted else None
    for name in wanted:
        variable = next((each for each in _VARIABLES[name] if _is_set(environ, each)), "")
        if profile is None or (name == "s3_endpoint_url" and _is_ignored(environ, profile)):
            continue
        told = (environ[variable].strip(), ValueOrigin(variable, VARIABLE)) if variable else _of_profile(profile, name)
        if told is not None:
            values[name], origins[name] = told
    return values, origins


def _is_ignored(environ: Mapping[str, str], profile: _Profile) -> bool:
    said = environ.get(_IGNORE.upper(), "").strip() or profile.value(_IGNORE.removeprefix("aws_"))
    return said.lower() == "true"


def _of_profile(profile: _Profile, name: str) -> tuple[str, ValueOrigin] | None:
    if name == "s3_endpoint_url":
        return profile.service_endpoint() or profile.told("endpoint_url")
    return profile.told(name.removeprefix("s3_"))


def _chosen_profile(environ: Mapping[str, str]) -> _Profile:
    """Return the profile that AWS_PROFILE names, or ``default``."""
    variable = next((each for each in _PROFILES if _is_set(environ, each)), "")
    if not variable:
        return _Profile(environ, "default", None)
    return _Profile(environ, environ[variable].strip(), ValueOrigin(variable, VARIABLE))


class _Profile:
    """A profile: the sections of both files as one, as botocore has them. One that was ``named`` must be there."""

    def __init__(self, environ: Mapping[str, str], name: str, named: ValueOrigin | None) -> None:
        self._name = name
        config = _path(environ, "AWS_CONFIG_FILE", "~/.aws/config")
        credentials = _path(environ, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
        self._services: dict[str, Any] = {}
        self._sections: list[tuple[dict[str, Any], str]] = []  # the credentials' comes first: it wins
        if credentials.is_file():
            self._take(_read(credentials, has_kinds=False), credentials)
        if config.is_file():
            sections = _read(config, has_kinds=True)
            self._services = sections.get("services", {})
            self._take(sections.get("profiles", {}), config)
        if named is not None and not self._sections:
            text = f"{named}: there is no profile {self._name!r} in {config} or {credentials}"
            away = f"unset {named.written_as}" if named.place == VARIABLE else "Take it out"
            raise SettingsError(text, hint=f"{away}, or look at its spelling (AWS_CONFIG_FILE names the file).")

    def _take(self, sections: dict[str, Any], path: Path) -> None:
        if self._name in sections:
            self._sections.append((sections[self._name], f"profile {self._name} in {path}"))

    def told(self, name: str) -> tuple[str, ValueOrigin] | None:
        """Return a value and where it was written."""
        for section, place in self._sections:
            if isinstance(value := section.get(name), str) and value.strip():
                return value.strip(), ValueOrigin(name, place)
        return None

    def value(self, name: str) -> str:
        """Return a value, or an empty text."""
        found = self.told(name)
        return found[0] if found else ""

    def service_endpoint(self) -> tuple[str, ValueOrigin] | None:
        """Return the endpoint of S3 in the section of services that the profile names."""
        found = self.told("services")
        if found is None:
            return None
        name, origin = found
        if name not in self._services:
            text = f"{origin}: there is no section [services {name}]"
            raise SettingsError(text, hint="Make that section, or take the line out.")
        of_s3 = self._services[name].get("s3")
        url = of_s3.get("endpoint_url", "").strip() if isinstance(of_s3, dict) else ""
        return (url, ValueOrigin("endpoint_url", f"{origin.place}, services {name}")) if url else None


def _is_set(environ: Mapping[str, str], variable: str) -> bool:
    return bool(environ.get(variable, "").strip())


def _path(environ: Mapping[str, str], variable: str, default: str) -> Path:
    return Path(expandvars(environ.get(variable, "").strip() or default)).expanduser()


def _read(path: Path, *, has_kinds: bool) -> dict[str, Any]:
    """Return the sections of a file of profiles, by kind and name, or where it has one kind only by name."""
    import botocore.configloader  # noqa: PLC0415 - few need it
    import botocore.exceptions  # noqa: PLC0415 - the same

    read = botocore.configloader.load_config if has_kinds else botocore.configloader.raw_config_parse
    try:
        sections: dict[str, Any] = read(str(path))
    except (botocore.exceptions.BotoCoreError, OSError) as error:
        # the text of the error is left out: it may quote a line with a key
        text = f"{path} cannot be read as a file of AWS profiles ({type(error).__name__})"
        raise SettingsError(text, hint="Mend it, or name another one: AWS_CONFIG_FILE.") from error
    return sections
