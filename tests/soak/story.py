"""What has happened in a soak, told as it goes, and once more where something was not as promised."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Story:
    """What has happened, as far as it came."""

    story: list[str] = field(default_factory=list, kw_only=True)

    def say(self, text: str) -> None:
        """Tell what happens, and keep it."""
        self.story.append(text)
        print(text, flush=True)
