"""``docs/messages.md``, made from the code: ``python -m tests.messages`` writes it anew.

What is said where an error is raised is read from the source: its first argument, and its ``hint``. What is only known
when it happens is three dots.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import sketchmigrate
from sketchmigrate.core import errors
from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.reason import ReasonKind, sentence_of
from sketchmigrate.report.failures import step_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path(__file__).resolve().parents[1] / "docs" / "messages.md"
SOURCE = Path(sketchmigrate.__file__).parent
OF_A_SERVER = (errors.DatabaseError, errors.S3Error, errors.ClusterError)
READ_IT = "Read the server's words."
SAYS_IT = "The message says it."
"""Where there is no hint."""

_HEAD = """# Messages

Every error that ends a command, and every reason for which an entry is left, with what to do where the cause is
understood. “…” is what is only known when it happens. This page is made from the code (`python -m tests.messages`,
held by `tests/unit/test_messages.py`).

A command that ends with an error says `error:` and `hint:` on stderr, has both under `error` in the JSON document, and
ends with the exit status of its kind.
"""

_REASONS = """## Reasons

An entry that is `missing`, `conflict` or `failed` has a reason: in `problems.csv` (`kind`, `reason`), in the JSON
document (`problem_groups`), and in the ledger.

| kind | what is said | what to do |
|---|---|---|
"""


def _kinds(kind: type[MigrateError] = MigrateError) -> Iterator[type[MigrateError]]:
    """Yield an error and all below it."""
    yield kind
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _kinds(each)


class _Reader(ast.NodeVisitor):
    """Collects what is said where errors are raised, in one file."""

    def __init__(self, names: Mapping[str, type[MigrateError]], said: dict[str, dict[str, str]]) -> None:
        self._names, self._said = names, said
        self._texts: list[dict[str, ast.expr]] = [{}]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._texts.append({})
        self.generic_visit(node)
        self._texts.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815 - as ast names it

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.targets[0], ast.Name):
            self._texts[-1][node.targets[0].id] = node.value
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self._names and node.args:
            hint = next((each.value for each in node.keywords if each.arg == "hint"), None)
            for text in self._all(node.args[0]):
                if re.search(r"\w{3}", text):
                    self._said[node.func.id].setdefault(text, " / ".join(self._all(hint)) if hint is not None else "")

    def _all(self, node: ast.expr) -> list[str]:
        """Return what an expression may be, with three dots for what cannot be told."""
        if isinstance(node, ast.IfExp):
            return [*self._all(node.body), *self._all(node.orelse)]
        return [text for text in [_shortened(self._text(node))] if text not in {"", "…"}]

    def _text(self, node: ast.expr) -> str:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=parts):
                return "".join(self._text(part) for part in parts)
            case ast.FormattedValue(value=ast.Name() as name):
                return self._text(name) if name.id.startswith("_") else "…"
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._text(left) + self._text(right)
            case ast.Name(id=name):
                found = next((texts[name] for texts in reversed(self._texts) if name in texts), None)
                return "…" if found is None or found is node else self._text(found)
        return "…"


def _shortened(text: str) -> str:
    return re.sub(r"…[…\s]*…", "…", text).strip()


def _said() -> dict[str, dict[str, str]]:
    """Return what each kind of error says, and the hints that go with it."""
    names = {kind.__name__: kind for kind in _kinds()}
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(SOURCE.rglob("*.py")):
        _Reader(names, said).visit(ast.parse(path.read_text()))
    return said


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "\\<")


def _section(kind: type[MigrateError], said: Mapping[str, str]) -> str:
    about = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
    lines = [f"## {kind.__name__}", "", f"Exit status {int(kind.exit_code)}. {about}", ""]
    if said:
        lines += ["| what is said | what to do |", "|---|---|"]
        otherwise = READ_IT if issubclass(kind, OF_A_SERVER) else SAYS_IT
        lines += [f"| {_cell(text)} | {_cell(hint) or otherwise} |" for text, hint in sorted(said.items())]
        lines.append("")
    return "\n".join(lines)


def messages() -> str:
    """Return the page."""
    said = _said()
    reasons = [
        f"| `{kind.value}` | {_cell(_shortened(sentence_of(kind)))} | {_cell(step_of(kind)) or READ_IT} |"
        for kind in ReasonKind
        if kind is not ReasonKind.SENTENCE
    ]
    sections = [_section(kind, said.get(kind.__name__, {})) for kind in _kinds()]
    return "\n".join([_HEAD, *sections, _REASONS + "\n".join(reasons), ""])


if __name__ == "__main__":
    PAGE.write_text(messages(), encoding="utf-8")
