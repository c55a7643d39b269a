"""``init``: asks where everything is, looks at it, and writes a settings file."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude
from sketchmigrate.cli.jobs.discover import looked_through, run_looking
from sketchmigrate.core.errors import RunDirectoryError, UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.inspect.discover_report import discovery_json, discovery_text, references_toml
from sketchmigrate.inspect.draft import Prefixes, candidates, draft
from sketchmigrate.migration.opening import open_sides
from sketchmigrate.migration.preflight import PATIENCE_SECONDS, find_specimen
from sketchmigrate.settings.files import VARIABLE, ValueOrigin
from sketchmigrate.settings.lists import lists_of
from sketchmigrate.settings.schema import Settings, setting_fields

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.cli.commands.init import InitArguments
    from sketchmigrate.cli.start import Start
    from sketchmigrate.inspect.discover import Discovery
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Loaded
    from sketchmigrate.settings.entries import MoveEntry
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
    return answers


def _said(loaded: Loaded) -> list[str]:
    """Return the settings that belong into the file: not what AWS's own surroundings say, which say it again."""
    return [name for name in Settings.model_fields if name in loaded.origins and _is_ours(loaded.origins[name])]


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
    sides_unset = {name: Settings.model_fields[name].default for name in _SET_BY_MOVES}
    given = tuple({"legacy": _url(move.legacy), "production": _url(move.production)} for move in moves)
    lists = lists_of(settings.model_copy(update=sides_unset | {"moves": given}))
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
