"""Read a settings file, Python or TOML, into values and the line that each came from."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "environment variable"
ORDER = "ctl set"


def read_settings_file(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the file sets, with names as written there, and for each name its ``path:line``.

    A ``.py`` file is executed, as ``lib/config.py`` is code of the person who runs it; what it assigns at its top level
    is a setting unless the name begins with an underscore. A ``.toml`` file has its settings at the top level.
    Raises ``SettingsError``.
    """
    readers = {".py": _read_python, ".toml": _read_toml}
    reader = readers.get(path.suffix)
    if reader is None:
        raise SettingsError(
            f"settings file {path}: neither Python nor TOML by its name", hint="Name it something.py or something.toml."
        )
    try:
        source = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"settings file {path}: {error.strerror or error}",
            hint="Give the path of a file that you may read with --config.",
        ) from error
    return reader(path, source)


def _read_python(path: Path, source: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError) as error:
        # ValueError: a NUL in the source, before Python 3.12.
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SettingsError(
            f"settings file {path}{line}: Python does not understand it: {reason}",
            hint='Write each setting as a line of its own, such as LEGACY_BUCKET = "sketch-legacy-s3".',
        ) from error
    try:
        values = runpy.run_path(str(path), run_name="sketch_migrate_settings")
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        # The error's own text is left out: it may quote a value that is not for the screen.
        raise SettingsError(
            f"settings file {path}{line}: it raised {type(error).__name__} when it was run",
            hint="Mend that line; plain assignments are all that is needed.",
        ) from error
    lines_by_name = {
        name: line for name, line in _assigned_names(tree).items() if name in values and not name.startswith("_")
    }
    return {name: values[name] for name in lines_by_name}, {n: f"{path}:{line}" for n, line in lines_by_name.items()}


def _assigned_names(tree: ast.Module) -> dict[str, int]:
    """Names that are assigned anywhere, with the last line that does; imports and definitions are no settings."""
    stores = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    last_lines: dict[str, int] = {}
    for node in stores:
        last_lines[node.id] = max(node.lineno, last_lines.get(node.id, 0))
    return last_lines


def _read_toml(path: Path, source: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    import tomllib  # noqa: PLC0415 - no start without such a file needs it

    try:
        text = source.decode()
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"settings file {path}: TOML does not understand it: {error}",
            hint='Write each setting as a line of its own, such as legacy_bucket = "sketch-legacy-s3".',
        ) from error
    return values, {name: f"{path}{_toml_line(text, name)}" for name in values}


def _toml_line(text: str, name: str) -> str:
    """Find the line of a top-level key or table; tomllib does not tell, so a value that looks like one may mislead."""
    match = re.search(rf"^[ \t]*\[{{0,2}}[\"']?{re.escape(name)}[\"']?[ \t]*[=.\]]", text, re.MULTILINE)
    return f":{text.count(chr(10), 0, match.start()) + 1}" if match else ""


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """Where a value was written, and under which name."""

    written_as: str
    place: str

    def __str__(self) -> str:
        return f"{self.written_as} ({self.place})"

    @property
    def brief(self) -> str:
        """The shortest that still finds it: a flag and a variable by their name, a line of a file by its place."""
        return self.written_as if self.place in {"flag", VARIABLE, ORDER} else self.place

    def example(self, value: object) -> str:
        """Write ``value`` the way the faulty one was written: as a flag, a variable or a line of a file."""
        in_shell = shlex.quote(("no", "yes")[value] if isinstance(value, bool) else str(value))
        if self.place == "flag":
            return f"{self.written_as} {in_shell}"
        if self.place in {VARIABLE, ORDER}:
            return f"{self.written_as}={in_shell}"
        if self.place.startswith("profile "):
            return f"{self.written_as} = {value}"
        in_python = isinstance(value, bool) and ".toml" not in self.place
        return f"{self.written_as} = {value if in_python else json.dumps(value, ensure_ascii=False)}"
