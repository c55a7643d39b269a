"""``init``: asks where everything is, looks at it, and writes a settings file."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from sketchmigrate.cli.ending import conclude
from sketchmigrate.cli.jobs.discover import looked_through, run_looking
from sketchmigrate.core.errors import RunDirectoryError, UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.inspect.discover_report import discovery_json, discovery_text, references_toml
from sketchmigrate.inspect.draft import Prefixes, candidates, draft
from sketchmigrate.migration.opening import has_own_credentials, open_sides
from sketchmigrate.migration.preflight import PATIENCE_SECONDS, find_specimen
from sketchmigrate.s3.wire.addressing import aws_host
from sketchmigrate.settings.files import VARIABLE, ValueOrigin
from sketchmigrate.settings.lists import lists_of
from sketchmigrate.settings.schema import DEFAULT_REGION, Settings, setting_fields

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.cli.commands.init import InitArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings.entries import MoveEntry
    from sketchmigrate.settings.loading import Loaded
    from sketchmigrate.sides import Side

_QUESTIONS = {
    "db_host": ("Database server, or the folder of its socket (empty: as libpq finds it)", ("PGHOST", "PGSERVICE")),
    "db_name": ("Name of the database", ("PGDATABASE", "PGSERVICE")),
    "s3_endpoint_url": ("URL of the S3 store (empty: AWS)", ()),
    "legacy_bucket": ("Bucket to move from", ()),
    "production_bucket": ("Bucket to move to", ()),
}
"""What is asked for unless it was given, and the variables of libpq that give it."""

_MAY_BE_EMPTY = ("db_host", "s3_endpoint_url")

_OF_THE_STORES = ("s3_endpoint_url", "production_bucket")
"""Who is asked for one of these, or has credentials of a side, is also asked whether the sides are two stores."""

_ELSEWHERE = {
    "production_s3_endpoint_url": "URL of that store (empty: AWS)",
    "production_s3_region": "Its region (empty: as legacy's)",
    "production_s3_profile": "AWS profile with the credentials for it (empty: PRODUCTION_AWS_ACCESS_KEY_ID and"
    " PRODUCTION_AWS_SECRET_ACCESS_KEY, or those of both)",
}


def init_command(arguments: InitArguments, start: Start) -> int:
    """Write a settings file. Returns 0. Raises ``MigrateError``; then no file is written."""
    output, terminal = arguments.output, start.terminal
    if os.path.lexists(output):
        raise _is_there(output)
    loaded = start.loaded_with({})
    loaded = start.loaded_with(_answers(loaded, terminal))
    settings = loaded.settings
    run = start.run_directory(loaded)
    terminal.message(f"Log: {run.log_path}")
    prefixes, moves, found = run_looking(_look(settings, terminal, is_prefix_given="legacy_prefix" in loaded.origins))
    made = draft(settings, _said(loaded), moves, found, prefixes)
    write_new(output, made.text)
    terminal.result(discovery_text(found))
    terminal.result(f"\nWritten: {output}. Look through it, then go on:\n")
    variables = [] if made.is_classic else _overriding(loaded)
    if variables:
        terminal.result(f"  unset {' '.join(variables)}", is_verbatim=True)
    terminal.result(f"  sketch-migrate plan --config {output}\n\nLog: {run.log_path}", is_verbatim=True)
    document = {
        **discovery_json(found, references_toml(found.columns)),
        "kind": "init",
        "file": str(output),
        "classic": made.is_classic,
        "prefixes": {side: each._asdict() for side, each in prefixes.items()},
        "log_file": str(run.log_path),
    }
    return conclude(terminal, start.options, document, ExitCode.DONE)


def _answers(loaded: Loaded, terminal: Terminal) -> dict[str, object]:
    """Ask for what was not given. Raises ``UsageError`` where nobody can answer and it is needed."""
    flags = {declared.name: declared.flag for declared in setting_fields()}
    answers: dict[str, object] = {}
    for name, (question, variables) in _QUESTIONS.items():
        if name in loaded.origins or any(os.environ.get(variable) for variable in variables):
            continue
        is_needed = name not in _MAY_BE_EMPTY
        if not terminal.can_ask and not is_needed:
            continue
        answer = terminal.ask(question, instead=f"Give {flags[name]}.")
        if not answer and is_needed:
            raise UsageError(f"{question}: it is needed", hint=f"Give {flags[name]}, or answer.")
        if answer:
            answers[name] = answer
    if terminal.can_ask and _may_be_two_stores(loaded):
        return answers | _elsewhere(loaded, answers, terminal)
    return answers


def _may_be_two_stores(loaded: Loaded) -> bool:
    """Whether to ask where production is: a URL of a side tells it, credentials of a side do not."""
    if any(f"{side}_s3_endpoint_url" in loaded.origins for side in BOTH_SIDES):
        return False
    has_own = any(has_own_credentials(loaded.settings, side) for side in BOTH_SIDES)
    return has_own or not all(name in loaded.origins for name in _OF_THE_STORES)


def _elsewhere(loaded: Loaded, answers: dict[str, object], terminal: Terminal) -> dict[str, object]:
    """Ask where production is, if elsewhere, and return the settings of either side that follow."""
    instead = "Give --production-s3-endpoint-url."
    if not terminal.confirm("Is the bucket to move to in another store or account?", instead=instead):
        return {}
    own: dict[str, object] = {}
    for name, question in _ELSEWHERE.items():
        is_known = name in loaded.origins
        if name == "production_s3_profile":  # variables go before a profile
            is_known = has_own_credentials(loaded.settings, SideName.PRODUCTION)
        if is_known:
            continue
        if answer := terminal.ask(question, instead=instead):
            own[name] = answer
    legacy_url = answers.get("s3_endpoint_url") or loaded.settings.s3_endpoint_url
    if legacy_url and "production_s3_endpoint_url" not in own:  # an empty one would be that of both
        said = loaded.settings
        region = own.get("production_s3_region") or said.production_s3_region or said.s3_region or DEFAULT_REGION
        own["production_s3_endpoint_url"] = f"https://{aws_host(str(region))}"
    if "s3_endpoint_url" in answers:
        own["legacy_s3_endpoint_url"] = answers.pop("s3_endpoint_url")
    return own


def _said(loaded: Loaded) -> list[str]:
    """Return the settings that belong into the file: not what AWS's own surroundings say, which say it again."""
    names = (each.name for each in fields(Settings))
    return [name for name in names if name in loaded.origins and _is_ours(loaded.origins[name])]


def _overriding(loaded: Loaded) -> list[str]:
    """Return the variables that say what is in the file as moves, and go before it."""
    origins = [loaded.origins[name] for name in _SET_BY_MOVES if name in loaded.origins]
    return [origin.written_as for origin in origins if origin.place == VARIABLE]


def _is_ours(origin: ValueOrigin) -> bool:
    return not (origin.place.startswith("profile ") or origin.written_as.startswith("AWS_"))


async def _look(
    settings: Settings, terminal: Terminal, *, is_prefix_given: bool
) -> tuple[dict[str, Prefixes], tuple[MoveEntry, ...], Discovery]:
    """List the buckets' prefixes, and look through the database. Raises ``S3Error`` and ``DatabaseError``."""
    async with open_sides(settings) as (sides, _):
        patient = sides.retrying(PATIENCE_SECONDS)
        prefixes = {str(side.name): await _prefixes(side) for side in (patient.legacy, patient.production)}
    moves = candidates(settings, prefixes["legacy"], is_prefix_given=is_prefix_given)
    usual = Settings()
    sides_unset: dict[str, Any] = {name: getattr(usual, name) for name in _SET_BY_MOVES}
    given = tuple({"legacy": _url(move.legacy), "production": _url(move.production)} for move in moves)
    lists = lists_of(replace(settings, **sides_unset, moves=given))
    return prefixes, moves, await looked_through(settings, lists, (), terminal)


_SET_BY_MOVES = ("legacy_bucket", "legacy_prefix", "production_bucket", "production_prefix")


def _url(place: tuple[str, str]) -> str:
    return f"s3://{place[0]}/{place[1]}"


async def _prefixes(side: Side) -> Prefixes:
    """Return what the keys of a side's bucket begin with, up to the first slash."""
    whole = replace(side, prefix="")
    await find_specimen(whole)  # whose errors say what is lacking
    page = await side.store.list_page(side.bucket, "", delimiter="/")
    return Prefixes(page.prefixes, page.next_token is None, bool(page.objects))


def write_new(path: Path, text: str) -> None:
    """Write a file that must not be there. Raises ``UsageError`` where it is, else ``RunDirectoryError``."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise _is_there(path) from error
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        with suppress(OSError):  # what is left of it is said with the error
            path.unlink()
        raise _cannot_write(path, error) from error


def _is_there(path: Path) -> UsageError:
    return UsageError(f"{path} is there already, and is not written over", hint="Move it away, or give --output.")


def _cannot_write(path: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(f"{path} cannot be written: {error.strerror or error}", hint="Give --output.")
