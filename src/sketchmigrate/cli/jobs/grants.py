"""``grants``: the rights to give to the tool's database role and S3 user, as SQL and as policies."""

from __future__ import annotations

import asyncio
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from sketchmigrate.cli.command import all_rights
from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import DatabaseRefused, DatabaseUnreachable
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.rule import BOTH_SIDES
from sketchmigrate.ledger.postgres.server import ledger_database
from sketchmigrate.ledger.postgres.tables import ledger_grants
from sketchmigrate.migration.opening import is_one_store
from sketchmigrate.postgres.database import Database
from sketchmigrate.postgres.privileges import with_key
from sketchmigrate.report.grants import (
    block_grants,
    for_what_is_kept,
    needed,
    optional,
    policies,
    sql_grants,
    trial_grants,
    vitals_grants,
)
from sketchmigrate.settings.sources import sources_of
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.cli.commands.grants import GrantsArguments
    from sketchmigrate.core.rights import Rights
    from sketchmigrate.core.source import Source
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings


def grants_command(arguments: GrantsArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Print what each of the commands needs, and return 0.

    Connects to nothing but the database, and to that only where a source has no key of its own. Raises
    ``DatabaseUnreachable`` or ``DatabaseRefused`` where its catalogue does not tell it.
    """
    document: dict[str, dict[str, object]] = {}
    of_commands = all_rights()
    commands = arguments.commands or of_commands
    sources = sources_of(settings)
    if any(of_commands[command].reads for command in commands) and not all(source.key for source in sources):
        sources = asyncio.run(_with_keys(settings, sources))
    sides = () if is_one_store(settings) else BOTH_SIDES
    for command in commands:
        rights = for_what_is_kept(settings, of_commands[command])
        sql = sql_grants(settings, sources, rights, arguments.role)
        at_stores = _at_stores(settings, rights, arguments.principal)
        of_sides = {side: rights.at(side) for side in sides}
        by_side = {
            side: _at_stores(settings, each, arguments.principal)
            for side, each in of_sides.items()
            if needed(settings, each)
        }
        ledger = _in_the_ledger(settings, rights, arguments.role)
        trial = trial_grants(sources, rights, arguments.role)
        optional_sql = {
            "sees how far standbys are behind, and waits for them": vitals_grants(rights, arguments.role),
            "reads a table whose key is random block by block": block_grants(sources, rights, arguments.role),
        }
        extra_sql = {"trial_sql": trial, "ledger_sql": ledger}
        document[command] = {
            "sql": sql,
            **{name: each for name, each in extra_sql.items() if each},
            **at_stores,
            **({"sides": by_side} if by_side else {}),
            **({"optional_sql": [*chain(*optional_sql.values())]} if any(optional_sql.values()) else {}),
        }
        if not options.json_output:
            about_ledger = ["-- in the database of LEDGER_URL, once its tables are made:", *ledger] if ledger else []
            about_trial = ["-- for --trial besides:", *trial] if trial else []
            lines = [f"-- {command}: {rights.purpose}", *sql, *about_trial, *about_ledger]
            for purpose, statements in optional_sql.items():
                lines += [f"-- optional, {purpose}:", *statements] if statements else []
            for side, found in by_side.items():
                lines += [f"-- for the credentials of {side}, at {store_of(settings, side)}:", *_documents(found)]
            lines += [] if by_side else _documents(at_stores)
            terminal.result("\n".join([*lines, ""]), is_verbatim=True)
    return conclude(terminal, options, {"commands": document}, ExitCode.DONE)


async def _with_keys(settings: Settings, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources with the keys that the catalogue has for them."""
    database = Database(settings, stopping=asyncio.Event())
    lacking = next(source for source in sources if not source.key)
    try:
        connection = await database.connect()
    except (DatabaseUnreachable, DatabaseRefused) as error:
        message = f"the source {lacking.name!r} has no key, and the catalogue that knows one cannot be asked: {error}"
        raise type(error)(message, hint=f"Set {lacking.setting('key')}, or mend the connection.") from error
    try:
        return tuple([each if each.key else await with_key(connection, each) for each in sources])
    finally:
        await database.leave(connection)
        await database.close()


def _in_the_ledger(settings: Settings, rights: Rights, role: str) -> list[str]:
    """Return the statements for a ledger in a database: who changes rows writes it, who looks at them reads it."""
    if not settings.ledger_url or not rights.reads:
        return []
    return list(ledger_grants(role, ledger_database(settings.ledger_url), writes=rights.updates))


def _at_stores(settings: Settings, rights: Rights, principal: str | None) -> dict[str, Any]:
    """Return the policies that give rights at the stores, and those that give what is optional, with its purpose."""
    allowed = needed(settings, rights)
    more = [(each.purpose, optional(settings, each, allowed)) for each in rights.optional]
    optionals = [{"purpose": purpose, **policies(besides, principal)} for purpose, besides in more if besides]
    return {**policies(allowed, principal), "optional": optionals}


def _documents(found: dict[str, Any]) -> list[str]:
    """Return policies as text: that of a key of KMS, and what is optional, under headings of their own."""
    lines: list[str] = []
    for name in ("policy", "bucket_policies", "key_policy"):
        if name in found:
            lines += ["-- in the policy of the KMS key:"] * (name == "key_policy")
            lines.append(json.dumps(found[name], indent=2))
    for besides in found.get("optional", []):
        lines += [f"-- optional, {besides['purpose']}:", *_documents(besides)]
    return lines
