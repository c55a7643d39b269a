"""The classic site as the evidence sees it: one table, one move."""

from __future__ import annotations

from sketchmigrate.core.pairing import Pairing
from sketchmigrate.core.routes import Route, Routes
from sketchmigrate.inspect.evidence import EvidenceSite, EvidenceSource


def site_between(legacy_bucket: str, production_bucket: str) -> EvidenceSite:
    """Avatars that move from one bucket to the other."""
    routes = Routes((Route(legacy_bucket, "image/", production_bucket, "avatar/"),))
    return EvidenceSite("0", "", "", Pairing.of(routes), (EvidenceSource("avatars.path", "avatars", "id", "path"),))
