"""``grants``: the rights to give to the tool's database role and S3 user, as SQL and as policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sketchmigrate.cli.command import all_rights
from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.ledger.postgres.server import ledger_database
from sketchmigrate.ledger.postgres.tables import ledger_grants
from sketchmigrate.report.grants import bucket_policies, identity_policy, sql_grants, trial_grants

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.grants import GrantsArguments
    from sketchmigrate.core.rights import Rights
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings


def grants_command(arguments: GrantsArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Print what each of the commands needs. Connects to nothing, and always returns 0."""
    document: dict[str, dict[str, object]] = {}
    of_commands = all_rights()
    for command in arguments.commands or of_commands:
        rights = of_commands[command]
        sql = sql_grants(settings, rights, arguments.role)
        if arguments.principal is None:
            policies = {"policy": identity_policy(settings, rights)}
        else:
            policies = {"bucket_policies": dict(bucket_policies(settings, rights, arguments.principal))}
        ledger = _in_the_ledger(settings, rights, arguments.role)
        trial = trial_grants(settings, rights, arguments.role)
        more = {"trial_sql": trial, "ledger_sql": ledger}
        document[command] = {"sql": sql, **{name: each for name, each in more.items() if each}, **policies}
        if not options.json_output:
            about_ledger = ["-- in the database of LEDGER_URL, once its tables are made:", *ledger] if ledger else []
            about_trial = ["-- for --trial besides:", *trial] if trial else []
            policy = json.dumps(next(iter(policies.values())), indent=2)
            lines = [f"-- {command}: {rights.purpose}", *sql, *about_trial, *about_ledger, policy, ""]
            terminal.result("\n".join(lines), is_verbatim=True)
    return conclude(terminal, options, {"commands": document}, ExitCode.DONE)


def _in_the_ledger(settings: Settings, rights: Rights, role: str) -> list[str]:
    """Return the statements for a ledger in a database: who changes rows writes it, who looks at them reads it."""
    if not settings.ledger_url or not rights.reads:
        return []
    return list(ledger_grants(role, ledger_database(settings.ledger_url), writes=rights.updates))
