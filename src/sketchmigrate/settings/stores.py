"""Where the store of each side is: its own settings, and where one is empty that of both. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sketchmigrate.core.store_urls import StorePlace
from sketchmigrate.settings.schema import DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sketchmigrate.core.rule import SideName
    from sketchmigrate.settings.files import ValueOrigin
    from sketchmigrate.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a side's store is reached. ``profile`` is AWS's, empty for none of this side's own. Holds no secret."""

    endpoint_url: str
    region: str
    addressing_style: Literal["auto", "path", "virtual"]
    ca_bundle: str
    requester_pays: bool
    profile: str

    @property
    def place(self) -> StorePlace:
        """Where its buckets are."""
        return StorePlace(self.endpoint_url, self.region)

    def __str__(self) -> str:
        return self.endpoint_url or f"AWS in {self.region}"


def setting_name(side: SideName, what: str) -> str:
    """Return the name of a side's own setting: ``legacy_s3_region`` for ``region``."""
    return f"{side}_s3_{what}"


OWN_SETTINGS = ("endpoint_url", "region", "addressing_style", "ca_bundle", "requester_pays")
"""What a side may have of its own, of what both have otherwise."""


def has_own(settings: Settings, side: SideName, what: str) -> bool:
    """Whether a side has a setting of its own."""
    return getattr(settings, setting_name(side, what)) not in ("", None)


def inventories_of(settings: Settings, side: SideName) -> tuple[str, ...]:
    """Return where the manifests of a side's inventories are: paths and ``s3://`` URLs."""
    text: str = getattr(settings, f"inventory_{side}")
    return tuple(each.strip() for each in text.split(",")) if text else ()


def store_of(settings: Settings, side: SideName) -> StoreSettings:
    """Return what holds for a side."""

    def told(what: str) -> Any:  # noqa: ANN401 - as its field has it
        return getattr(settings, setting_name(side, what) if has_own(settings, side, what) else f"s3_{what}")

    return StoreSettings(
        endpoint_url=told("endpoint_url"),
        region=told("region") or DEFAULT_REGION,
        addressing_style=told("addressing_style"),
        ca_bundle=told("ca_bundle"),
        requester_pays=told("requester_pays"),
        profile=getattr(settings, setting_name(side, "profile")),
    )


def whence(origins: Mapping[str, ValueOrigin], side: SideName) -> Callable[[str], str]:
    """Return what says of a side's value where it was written, in a word."""

    def told(what: str) -> str:
        found = origins.get(setting_name(side, what)) or origins.get(f"s3_{what}")
        return found.brief if found else "default"

    return told
