"""The demo from start to end: servers, avatars, status, migration, status, check, and where to go from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sketchmigrate
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.exit_codes import ExitCode, stopped_by
from sketchmigrate.demo.servers import (
    postgres_programs,
    postgres_server,
    rclone_program,
    rclone_server,
    temporary_folder,
)
from sketchmigrate.demo.site import PRODUCTION_BUCKET, PRODUCTION_PREFIX, DemoSite, store_avatars
from sketchmigrate.report.terminal import typed_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sketchmigrate.report.terminal import Terminal

_TOOL = "sketch-migrate"


class DemoRequest(Protocol):
    """What was asked for: how many avatars, in which folder (None: a temporary one), and whether to wait at the end."""

    @property
    def avatars(self) -> int: ...  # noqa: D102 # see the class
    @property
    def directory(self) -> Path | None: ...  # noqa: D102
    @property
    def wait(self) -> bool: ...  # noqa: D102


def run_demo(request: DemoRequest, terminal: Terminal) -> int:
    """Show a whole migration on servers that are started for it; return the exit code of the first step that failed.

    Raises ``UsageError`` where the extra ``demo`` is not installed or the folder is in use, ``ServerFailed`` where a
    server does not start.
    """
    postgres_programs(), rclone_program()  # before anything is made
    with _terminated_gently(), ExitStack() as stack:
        folder = _folder(request.directory, stack)
        site = _start(folder, request.avatars, terminal, stack)
        # the first is told everything, and writes a settings file; the others have that, and the secrets
        for title, flags, environ in (
            ("Find out where the database mentions the legacy bucket, and write it down", ("init",), site.environ()),
            ("How things are", ("-s",), site.secrets()),
            ("Migrate: copy the objects, then let the rows point at the copies", ("-y",), site.secrets()),
            ("How things are now", ("-s",), site.secrets()),
        ):
            terminal.result(f"\n== {title}\n$ {_TOOL} {' '.join(flags)}\n", is_verbatim=True)
            if exit_code := _run_tool(flags, environ, folder):
                return exit_code
        if broken := site.broken_rows():
            terminal.result(f"\n{len(broken)} rows are wrong:\n" + "\n".join(broken[:20]))
            return ExitCode.LEFT
        terminal.result(f"\n== Checked\nEach of the {request.avatars} rows points at its own picture in production.")
        stays = request.wait and sys.stdin.isatty()
        if stays:
            terminal.result(_around(site, folder), is_verbatim=True)
        terminal.result(_on_your_own_data(), is_verbatim=True)
        if stays:
            _wait_for_enter(terminal)
        else:
            terminal.result("The servers are stopped; on a terminal, without --no-wait, they stay up to look around.")
    return ExitCode.DONE


def _start(folder: Path, avatars: int, terminal: Terminal, stack: ExitStack) -> DemoSite:
    """Start both servers below the folder and fill them."""
    terminal.result(f"== An application, in {folder}")
    started = time.monotonic()
    store_avatars(folder / "objects", avatars)
    postgres = stack.enter_context(postgres_server(folder / "postgres"))
    store = stack.enter_context(rclone_server(folder / "objects"))
    terminal.result(f"PostgreSQL on {postgres.host}:{postgres.port}, an S3 server (rclone) on {store.endpoint_url}.")
    site = DemoSite(postgres, store, avatars)
    site.create_table()
    site.write_environment(folder / "env")
    production = avatars // 2
    terminal.result(
        f"{avatars} avatars with a row each, in {time.monotonic() - started:.1f} s:"
        f" {avatars - production} legacy, {production} already in production."
    )
    return site


def _run_tool(flags: Sequence[str], settings: Mapping[str, str], folder: Path) -> int:
    """Run the real tool, as a person would, in a process of its own and in the demo's folder; return its exit code.

    Ctrl-C reaches it directly; it stops and says how to go on, and the demo ends with it.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SKETCH_", "AWS_", "PG"))}
    environ = {**own, **settings, "PYTHONPATH": str(Path(sketchmigrate.__file__).parents[1])}
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        # -P: whatever lies in the current folder is not part of the tool
        command = [sys.executable, "-P", "-m", "sketchmigrate", *flags]
        return subprocess.run(command, env=environ, cwd=folder, check=False).returncode  # noqa: S603 # our own command
    finally:
        signal.signal(signal.SIGINT, before)


def _folder(directory: Path | None, stack: ExitStack) -> Path:
    """Make the folder that holds everything, removed at the end if it was nobody's choice."""
    if directory is None:
        return stack.enter_context(temporary_folder())
    folder = directory.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        in_use = any(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"the folder {folder} cannot be used: {error.strerror}", hint="Choose another --dir."
        ) from error
    if in_use:
        raise UsageError(f"the folder {folder} is not empty", hint="Choose another --dir, or remove what is in it.")
    return folder


def _around(site: DemoSite, folder: Path) -> str:
    query = "SELECT * FROM avatars ORDER BY id DESC LIMIT 5"
    return f"""
== Look around, in another terminal, while the servers are up
  . {folder}/env
  {_TOOL} -s
  psql -c "{query}"
  rclone ls :s3:{PRODUCTION_BUCKET}/{PRODUCTION_PREFIX} | head
  ls {folder}/objects/{PRODUCTION_BUCKET}/{PRODUCTION_PREFIX} | head
The database is {site.postgres.host}:{site.postgres.port}, the store {site.store.endpoint_url}; keys are in env."""


def _on_your_own_data() -> str:
    tool = _as_called()
    return f"""
== Run it on your own data
  1. export SKETCH_DB_USER=… SKETCH_DB_PASS=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
  2. {tool} init          asks where everything is, and writes sketch-migrate.toml
  3. {tool} -s            how things are; changes nothing
  4. {tool} -v -d -p 1    what would be done, entry by entry; changes nothing
  5. {tool}               do it; stop it at any time, and start it again to go on
"""


def _as_called() -> str:
    """Return what a person types here to call the tool: its name where it is on the path, else the way to it."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return "python -m sketchmigrate"
    found = shutil.which(program.name)
    return program.name if found and Path(found).samefile(program) else os.path.relpath(program)


def _wait_for_enter(terminal: Terminal) -> None:
    terminal.result("The servers stay up until you press Enter.")
    try:
        typed_line(sys.stdin)
    except KeyboardInterrupt:
        terminal.result("")
    terminal.result("Stopped.")


@contextmanager
def _terminated_gently() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the block by an exception, so that servers stop and files are removed."""

    def leave(number: int, _: object) -> None:
        sys.exit(stopped_by(number))

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
