"""Where a value of a setting was written: what a message says of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

VARIABLE = "environment variable"


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
        return self.written_as if self.place in {"flag", VARIABLE} else self.place

    def example(self, value: object) -> str:
        """Write ``value`` the way the faulty one was written: as a flag, a variable or a line of a file."""
        in_shell = shlex.quote(("no", "yes")[value] if isinstance(value, bool) else str(value))
        if self.place == "flag":
            return f"{self.written_as} {in_shell}"
        if self.place == VARIABLE:
            return f"{self.written_as}={in_shell}"
        if self.place.startswith("profile "):
            return f"{self.written_as} = {value}"
        in_python = isinstance(value, bool) and ".toml" not in self.place
        return f"{self.written_as} = {value if in_python else json.dumps(value, ensure_ascii=False)}"
