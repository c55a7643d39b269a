"""Join the layers: flag over environment over settings file over default. Says of every value where it came from."""

from __future__ import annotations

import difflib
import json
import shlex
from typing import TYPE_CHECKING

from sketch_migrate.errors import SettingsError
from sketch_migrate.settings.files import Given, read_settings_file
from sketch_migrate.settings.schema import SettingField, Settings, setting_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_ENVIRONMENT_PREFIX = "SKETCH_"
_DATABASE_SECRETS = frozenset({"DB_USER", "DB_PASS"})
"""Read by the layer that connects, from the environment only."""

_SECRETS = frozenset(
    {*_DATABASE_SECRETS, "DB_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
)
_FIELDS = {declared.in_file: declared for declared in setting_fields()}
_BUILT_IN = "the built-in default"


def load_settings(
    *, config_file: Path | None, search: Sequence[Path], environ: Mapping[str, str], flags: Mapping[str, object]
) -> Settings:
    """Return the settings that apply.

    ``config_file`` must exist where it is given; without it the first file of ``search`` that exists is read, or none.
    ``flags`` has the settings' names in lower case, and only those that were typed.
    Raises ``SettingsError`` naming the setting and the line, variable or flag that gave it.
    """
    path = config_file or next((candidate for candidate in search if candidate.exists()), None)
    layers = (
        _from_file(read_settings_file(path)) if path is not None else {},
        _from_environment(environ),
        {name.upper(): Given(_FIELDS[name.upper()].flag, value, "flag") for name, value in flags.items()},
    )
    given: dict[str, Given] = {}
    for layer in layers:
        given |= layer
    values = {_FIELDS[name].name: _checked(_FIELDS[name], one) for name, one in given.items()}
    settings = Settings(**values)  # type: ignore[arg-type]  # each value comes from the check of its own field
    _check_together(settings, given)
    return settings


def _from_file(entries: Iterable[Given]) -> dict[str, Given]:
    settings: dict[str, Given] = {}
    for entry in entries:
        name = entry.written_as.upper()
        if name in _SECRETS:
            raise SettingsError(
                f"{entry.written_as} ({entry.origin}): secrets are not kept in a settings file",
                hint=f"Take it out, and export {_ENVIRONMENT_PREFIX if name.startswith('DB_') else ''}{name} instead.",
            )
        if name not in _FIELDS:
            hint = "Names of your own begin with an underscore in a .py file."
            if isinstance(entry.value, dict):
                hint = "Settings stand at the top of a TOML file, in no [table]."
            raise _unknown(entry.written_as, entry.origin, _FIELDS, hint)
        if name in settings:
            raise SettingsError(
                f"{entry.written_as} ({entry.origin}) is set twice: {settings[name].written_as} as well",
                hint="Keep one of them.",
            )
        settings[name] = entry
    return settings


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    settings: dict[str, Given] = {}
    for variable, value in environ.items():
        if not variable.startswith(_ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(_ENVIRONMENT_PREFIX)
        if name in _DATABASE_SECRETS:
            continue
        if name not in _FIELDS:
            known = [_ENVIRONMENT_PREFIX + one for one in (*_FIELDS, *sorted(_DATABASE_SECRETS))]
            raise _unknown(variable, "environment variable", known, f"unset {variable}, if it is not for this tool.")
        settings[name] = Given(variable, value, "environment variable")
    return settings


def _unknown(name: str, origin: str, known: Iterable[str], hint: str) -> SettingsError:
    close = difflib.get_close_matches(name.upper(), known, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return SettingsError(f"{name} ({origin}): there is no such setting{meant}", hint=hint)


def _checked(declared: SettingField, given: Given) -> object:
    try:
        return declared.check(given.value)
    except ValueError as error:
        raise SettingsError(
            f"{given.written_as} ({given.origin}): {error}", hint=f"For example: {_example(declared, given)}"
        ) from error


def _example(declared: SettingField, given: Given) -> str:
    """Write the field's example the way the faulty value was written: as a flag, a variable or a line of a file."""
    example = declared.example
    if given.written_as.startswith("--"):
        return f"{given.written_as} {shlex.quote(_as_text(example))}"
    if given.written_as.startswith(_ENVIRONMENT_PREFIX):
        return f"{given.written_as}={shlex.quote(_as_text(example))}"
    if isinstance(example, bool):
        return f"{given.written_as} = {str(example).lower() if '.toml' in given.origin else example}"
    return f"{given.written_as} = {json.dumps(example, ensure_ascii=False)}"


def _as_text(example: object) -> str:
    return ("no", "yes")[example] if isinstance(example, bool) else str(example)


def _check_together(settings: Settings, given: Mapping[str, Given]) -> None:
    """Find settings that contradict each other."""

    def named(name: str) -> str:
        one = given.get(name)
        return f"{one.written_as} ({one.origin})" if one else f"{name} ({_BUILT_IN})"

    legacy, production = settings.legacy_prefix, settings.production_prefix
    if legacy == production:
        place = "the same place: " if settings.legacy_bucket == settings.production_bucket else ""
        raise SettingsError(
            f"{named('LEGACY_PREFIX')} and {named('PRODUCTION_PREFIX')} are {place}both {legacy!r}",
            hint="A row holds the key and no bucket, so only the prefix tells which are done: give two different ones.",
        )
    if legacy.startswith(production) or production.startswith(legacy):
        raise SettingsError(
            f"{named('LEGACY_PREFIX')} is {legacy!r} and {named('PRODUCTION_PREFIX')} is {production!r}: "
            "one begins with the other",
            hint="A row of the longer one would count for both sides: give two that share no beginning.",
        )
    if settings.db_key_column == settings.db_path_column:
        raise SettingsError(
            f"{named('DB_KEY_COLUMN')} and {named('DB_PATH_COLUMN')} are both {settings.db_key_column!r}",
            hint="The key finds the row and stays as it is; the path is what changes: they are two columns.",
        )
