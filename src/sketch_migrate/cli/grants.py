"""``grants``: the rights to give to the tool's database role and S3 user, as SQL and as policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sketch_migrate import __version__
from sketch_migrate.report.grants import NEEDS, bucket_policies, identity_policy, sql_grants

if TYPE_CHECKING:
    from sketch_migrate.cli.commands import GrantsArguments
    from sketch_migrate.report.terminal import Terminal
    from sketch_migrate.settings import Options, Settings


def grants_command(arguments: GrantsArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Print what each of the commands needs. Connects to nothing, and always returns 0."""
    document: dict[str, dict[str, object]] = {}
    for command in arguments.commands or list(NEEDS):
        needs = NEEDS[command]
        sql = sql_grants(settings, needs, arguments.role)
        if arguments.principal is None:
            policies = {"policy": identity_policy(settings, needs)}
        else:
            policies = {"bucket_policies": dict(bucket_policies(settings, needs, arguments.principal))}
        document[command] = {"sql": sql, **policies}
        if not options.json_output:
            lines = [f"-- {command}: {needs.purpose}", *sql, json.dumps(next(iter(policies.values())), indent=2), ""]
            terminal.result("\n".join(lines))
    if options.json_output:
        terminal.document({"version": __version__, "commands": document, "exit_code": 0})
    return 0
