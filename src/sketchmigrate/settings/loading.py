"""Join the sources: flag over environment over settings file over AWS's surroundings over default.

Says of every value where it came from.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.settings.aws import FOUND_THERE, aws_surroundings, of_profile
from sketchmigrate.settings.files import ORDER, VARIABLE, ValueOrigin, read_settings_file
from sketchmigrate.settings.schema import (
    ENVIRONMENT_PREFIX,
    FILE_ONLY,
    Contradiction,
    SettingField,
    Settings,
    WrongSetting,
    setting_fields,
)
from sketchmigrate.settings.values import LEDGER_URL, REPLICA_URLS, without_password, without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from sketchmigrate.core.rule import SideName

_DATABASE_SECRETS = ("DB_PASS", "DB_USER", "LEDGER_PASS", "LEDGER_USER")
"""Read by the layer that connects, from the environment only. So is the password in ``SKETCH_LEDGER_URL``."""

_AWS_SECRETS = {
    f"{side}AWS_{name}"
    for side in ("", "LEGACY_", "PRODUCTION_")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
}
_SECRETS = {*_DATABASE_SECRETS, "DB_PASSWORD", *_AWS_SECRETS}

_MAY_BE_FOUND = [prefix + name for prefix in ("", *(f"{side}_" for side in BOTH_SIDES)) for name in FOUND_THERE]
"""What AWS's surroundings or a profile may tell, unless a setting that is not empty does."""

_FIELDS = {declared.name: declared for declared in setting_fields()}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings that apply, and where each was written; what is a default is in ``origins`` not."""

    settings: Settings
    origins: Mapping[str, ValueOrigin]


def load_settings(
    *, config_file: Path | None, search: Sequence[Path], environ: Mapping[str, str], flags: Mapping[str, object]
) -> Settings:
    """Return the settings that apply.

    ``config_file`` must exist where it is given; without it the first file of ``search`` that exists is read, or none.
    ``flags`` has the settings' names in lower case, and only those that were typed.
    Raises ``SettingsError`` naming the setting and the line, variable or flag that gave it.
    """
    return load(config_file=config_file, search=search, environ=environ, flags=flags).settings


def load(
    *, config_file: Path | None, search: Sequence[Path], environ: Mapping[str, str], flags: Mapping[str, object]
) -> Loaded:
    """Return the same, and of each value where it was written; see ``load_settings``."""
    path = config_file or next((candidate for candidate in search if candidate.exists()), None)
    values: dict[str, object] = {}
    origins: dict[str, ValueOrigin] = {}
    for told, given in (*([_file(path)] if path is not None else []), _environment(environ), _flags(flags)):
        silent = {name for name in _MAY_BE_FOUND if told.get(name) == ""}
        values |= {name: value for name, value in told.items() if name not in silent}
        origins |= {name: origin for name, origin in given.items() if name not in silent}
    found, places = aws_surroundings(environ, [name for name in FOUND_THERE if name not in values])
    values, origins = found | values, places | origins
    for side in BOTH_SIDES:
        _of_profile(side, environ, values, origins)
    try:
        settings = Settings.of(values)
    except (WrongSetting, Contradiction) as error:
        raise _explained(error, origins) from error
    if settings.has_lists:
        from sketchmigrate.settings.lists import read_lists  # noqa: PLC0415 - few need it

        read_lists(settings, origins)
    if settings.schedule:
        from sketchmigrate.settings.schedule import read_schedule  # noqa: PLC0415 - few need it

        read_schedule(settings, origins)
    return Loaded(settings, origins)


def with_value(settings: Settings, name: str, value: str) -> Settings:
    """Return settings with one of them as it was typed in an order. Raises ``SettingsError``."""
    try:
        return replace(settings, **{name: value})  # type: ignore[arg-type]  # it is read there
    except (WrongSetting, Contradiction) as error:
        raise _explained(error, {name: ValueOrigin(_FIELDS[name].in_file, ORDER)}) from error


def _of_profile(
    side: SideName, environ: Mapping[str, str], values: dict[str, object], origins: dict[str, ValueOrigin]
) -> None:
    """Add what a side's own profile says of its store, where no setting of the side does."""
    profile = values.get(named := f"{side}_s3_profile")
    if isinstance(profile, str) and profile.strip():
        wanted = [name for name in FOUND_THERE if f"{side}_{name}" not in values]
        for name, (value, origin) in of_profile(environ, origins[named], profile.strip(), wanted).items():
            values[f"{side}_{name}"], origins[f"{side}_{name}"] = value, origin


_Layer = tuple[dict[str, object], dict[str, ValueOrigin]]
"""Values, and the origin of each, by the settings' names."""


def _file(path: Path) -> _Layer:
    values, places = read_settings_file(path)
    origins: dict[str, ValueOrigin] = {}
    for written_as, value in values.items():
        name, origin = written_as.lower(), ValueOrigin(written_as, places[written_as])
        if written_as.upper() in _SECRETS:
            variable = ("" if written_as.upper() in _AWS_SECRETS else ENVIRONMENT_PREFIX) + written_as.upper()
            hint = f"Take it out, and export {variable} instead."
            raise SettingsError(f"{origin}: secrets are not kept in a settings file", hint=hint)
        if name not in _FIELDS and name not in FILE_ONLY:
            hint = "Names of your own begin with an underscore in a .py file."
            if isinstance(value, dict):
                hint = "Settings stand at the top of a TOML file, in no [table]."
            raise _unknown(origin, map(str.upper, (*_FIELDS, *FILE_ONLY)), hint)
        if name in origins:
            raise SettingsError(f"{origin} is set twice: {origins[name].written_as} as well", hint="Keep one of them.")
        origins[name] = origin
    return {name.lower(): value for name, value in values.items()}, origins


def _environment(environ: Mapping[str, str]) -> _Layer:
    known = {declared.in_environment: declared.name for declared in _FIELDS.values()}
    secrets = [ENVIRONMENT_PREFIX + name for name in _DATABASE_SECRETS]
    origins: dict[str, ValueOrigin] = {}
    for variable in environ:
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in secrets:
            continue
        origin = ValueOrigin(variable, VARIABLE)
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name.lower() in FILE_ONLY:
            hint = f"unset {variable}, and write {name} into the settings file."
            raise SettingsError(f"{origin}: a list of entries can only be in a settings file", hint=hint)
        if name in _AWS_SECRETS:
            raise SettingsError(f"{origin}: there is no such setting", hint=f"Export it as {name}, without SKETCH_.")
        if variable not in known:
            raise _unknown(origin, [*known, *secrets], f"unset {variable}, if it is not for this tool.")
        origins[known[variable]] = origin
    values: dict[str, object] = {known[variable]: environ[variable] for variable in known if variable in environ}
    for variable, without in ((LEDGER_URL, without_password), (REPLICA_URLS, without_passwords)):
        if variable in environ:
            values[known[variable]] = without(environ[variable])
    return values, origins


def _flags(flags: Mapping[str, object]) -> _Layer:
    return dict(flags), {name: ValueOrigin(_FIELDS[name].flag, "flag") for name in flags}


def _unknown(origin: ValueOrigin, known: Iterable[str], hint: str) -> SettingsError:
    close = difflib.get_close_matches(origin.written_as.upper(), known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return SettingsError(f"{origin}: there is no such setting{meant}", hint=hint)


def _explained(error: WrongSetting | Contradiction, origins: Mapping[str, ValueOrigin]) -> SettingsError:
    """Say of a fault what it is, where it was written, and what to write instead."""

    def named(declared: SettingField) -> ValueOrigin:
        return origins.get(declared.name) or ValueOrigin(declared.in_file, "the built-in default")

    if isinstance(error, Contradiction):
        first, second = named(_FIELDS[error.first]), named(_FIELDS[error.second])
        return SettingsError(f"{first} and {second} are {error.relation}", hint=error.hint)
    if error.name in FILE_ONLY:
        hint = f"In TOML each entry begins with [[{error.name}]]."
        return SettingsError(f"{origins[error.name]}: {error.reason}", hint=hint)
    declared = _FIELDS[error.name]
    origin = named(declared)
    return SettingsError(f"{origin}: {error.reason}", hint=f"For example: {origin.example(declared.example)}")
